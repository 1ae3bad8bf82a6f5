#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "schedctl/alert/courier.hpp"
#include "schedctl/alert/episodes.hpp"
#include "schedctl/alert/outbox.hpp"
#include "schedctl/alert/teller.hpp"
#include "schedctl/base/clock.hpp"
#include "schedctl/executor/executor.hpp"
#include "schedctl/job/calendar.hpp"
#include "schedctl/job/job.hpp"
#include "schedctl/job/plan.hpp"
#include "schedctl/job/retention.hpp"
#include "schedctl/runner/judge.hpp"
#include "schedctl/store/backfill_fires.hpp"
#include "schedctl/store/store.hpp"

namespace schedctl::runner {

/// Decides and records: the only one that talks to its store. One page, one transaction a beat:
/// record what ended, plan what is due, claim what may run, note what people must know; commit;
/// only then start and tell. It has no thread and no clock of its own: RunnerThread drives it,
/// tests do so by hand. All members are called on one thread.
class Runner {
 public:
  /// What a reload may change.
  struct Tuning {
    int max_running = 100;
    std::string max_running_setting = "max_running";  ///< for words
    job::PolicyDraft defaults = {};
    alert::Voice voice = {};
    std::vector<alert::Outbox::Setup> outbox = {};
    Duration heartbeat_interval{};  ///< 0: no heartbeat
    job::Calendars calendars = {};
    std::map<std::string, int> groups = {};  ///< runs at once of each; of others one
    job::Retention retention = {};
  };
  struct Settings {
    store::Node node = {};  ///< this daemon; `last_beat` is kept by the runner
    Tuning tuning = {};
    std::string last_boot = {};  ///< boot id of the predecessor's machine; empty: as `node` says
    /// Since when no daemon was here, and why, where a predecessor is known.
    std::optional<Time> down_since = {};
    std::string down_words = {};  ///< "the daemon was not running"
    std::string output_dir = {};  ///< where retention removes files; empty: it removes none
  };

  /// What a beat leaves to do.
  struct Beat {
    std::optional<Time> wake;   ///< nothing falls due before this instant
    bool again = false;         ///< the bound on one beat was reached: there is more to do at once
    bool holds_starts = false;  ///< they are to be recorded within kStartAlone
  };

  /// A start may wait so long for its end to share a commit with: short programs then cost one, and
  /// whoever looks at `ps` sees no difference.
  static constexpr Duration kStartAlone = std::chrono::milliseconds(20);

  /// So long before its fire time a run may be claimed, if it shares the commit of a beat that is
  /// anyway; the executor holds it until then.
  static constexpr Duration kLookAhead = std::chrono::milliseconds(100);

  Runner(store::Store& store, executor::Executor& executor, alert::Courier& courier, Judge& judge,
         const job::ZoneSource& zones, const Clock& clock, Settings settings);
  ~Runner();

  /// From the next beat on.
  void configure(Tuning tuning);

  // What happened since the last beat; kept until a beat has committed it.
  void take(executor::Report report);
  void take(executor::Adoption adoption);
  void take(Judge::Verdict verdict);
  void take(alert::Outcome outcome);
  void keeper_lost(const std::string& why);
  /// And this daemon cannot have another one: people must know at once.
  void keeper_given_up();
  void keeper_alive();
  /// Beats have failed since `since` (Clock::elapsed). Tells of it from memory, once it has lasted:
  /// no row can be written that says so. To be called again while they fail.
  void store_failing(const Error& error, Duration since);

  /// Something that schedules depend on has changed outside of their rows: the next beat tells the
  /// next fire of each such job anew and logs what differs. `why`, for log and event: "the
  /// calendars were changed". May be called again before a beat.
  void recheck_schedules(const std::string& why);
  /// The time zone data may have been replaced: the next beat looks, and does the same if so.
  void look_at_zones();

  /// Jobs or runs may have been changed by somebody else.
  void poked();

  /// No claims and no planning from now on: the daemon is about to end.
  void drain() { draining_ = true; }
  /// Ends every live run, again after each new connection to the keeper; they become cancelled,
  /// reason shutdown. The longest time that one of them is given before KILL.
  Duration end_all();

  /// Kind unavailable or config: nothing was written or started, everything taken is kept for the
  /// next try.
  Result<Beat> beat();

  /// Does one step of retention if one is due: some milliseconds, in a transaction of its own. To
  /// be called between beats; when it is due again, as an instant of Clock::elapsed. What fails is
  /// logged, and tried again later.
  Duration tidy();

  /// Runs that were handed to the keeper and have not been recorded as ended.
  std::size_t live() const { return live_.size(); }
  /// Of these, the ones that no end has been reported of either.
  std::size_t in_flight() const { return live_.size() - std::min(live_.size(), ends_.size()); }
  /// So many that the keeper is busy whatever the runner does: what shares a commit leaves more of
  /// the machine to the jobs.
  bool is_crowded() const { return in_flight() > kCrowd; }
  /// Starts may still be held for their fire times, and the next beat is not far.
  bool is_ahead() const;
  /// "backup #42, report #43": for people who wait.
  std::string live_words() const;
  const store::Node& node() const { return settings_.node; }
  /// "store=ok keeper=ok beat_age_us=812": for whoever asks whether all is well. A part that is not
  /// ok is "failing" (store), "lost" or "silent" (keeper).
  std::string health() const;

 private:
  struct Live {
    std::int64_t fence = 0;
    Duration kill_grace{};
    std::string job;
    bool end_sent = false;
    std::string group;          ///< whose slots it shares
    bool judges_output = true;  ///< unless its policy is known to look at no output
  };
  static constexpr std::size_t kCrowd = 40;
  struct Work;
  struct Watches;
  /// Jobs that do not fire for the clock was set back, and until when each.
  using Silence = std::map<std::string, Time>;
  /// A reason to tell next fires anew.
  struct Recheck {
    std::string event;
    std::string why;
    bool quiet = false;  ///< nothing is said where nothing differs
  };

  Result<Beat> do_beat(Work& work);
  Result<void> note_beat(Work& work);
  void finish(Work& work);
  void hand_out(Work& work);

  // Steps of a beat, in their order.
  Result<void> note_clock(Work& work);
  Result<void> note_sleep(Work& work);
  Result<Duration> step_of_clock(Work& work);
  Result<void> note_step(Work& work, Duration step);
  Result<void> move_waits(Work& work, Duration step);
  Result<Silence> replan_after_step_back(Work& work);
  Result<std::optional<Time>> replan(Work& work, job::Job job);
  Result<std::optional<Time>> take_back(Work& work, const job::Job& job,
                                        const job::FireSeries& fires);
  Result<std::vector<job::Run>> record_around_known(Work& work, const job::Job& job,
                                                    const job::Plan& plan,
                                                    const std::vector<job::Run>& written);
  Result<void> note_known(Work& work, const job::Job& job, Time fire);
  Result<std::optional<job::Run>> row_at(const job::Job& job, Time fire);
  Result<void> begin_silence(Work& work, const Silence& silence, const std::string& cause);
  Result<void> end_silence(Work& work);
  Result<void> note_schedules(Work& work);
  Result<std::optional<Recheck>> note_zones(Work& work);
  Result<std::optional<Recheck>> note_calendars(Work& work);
  Result<void> record_excluded(Work& work, const job::Calendars& calendars);
  Result<void> tell_next_fires(Work& work, const Recheck& recheck);
  Result<job::FireSeries> series_of(const job::Job& job) const;
  Result<void> judge_outputs();
  Result<void> hand_to_judge(const executor::Report& report);
  Result<void> record(Work& work);
  Result<void> adopt(Work& work, const executor::Adoption& adoption);
  bool was_rebooted() const;
  Result<void> expire_old_triggers(Work& work);
  Result<void> record_report(Work& work, const executor::Report& report);
  Result<void> record_end(Work& work, job::Run run, job::Happening happening,
                          job::AttemptResult result);
  static void log_output(Work& work, const job::Run& run, job::AttemptResult& result);
  static void started_line(Work& work, const job::Run& run);
  Result<void> forward_cancels(Work& work);
  Result<void> forward_signals(Work& work);
  Result<void> plan(Work& work);
  Result<void> plan_job(Work& work, job::Job job);
  Result<void> record_rows(Work& work, const job::Job& job, const job::Plan& plan);
  Result<void> end_pause(Work& work, job::Job& job, const job::FireSeries& fires,
                         const job::Policy& policy);
  Result<void> fire_reboots(Work& work);
  Result<void> set_aside(Work& work, const job::Job& job, const Error& error);
  Result<void> claim(Work& work);
  enum class Claimed { started, settled, no_slot, untouched };
  Result<Claimed> claim_due(Work& work, store::DueRun& due, bool has_slot);
  // gates.cpp
  using InGroups = std::map<std::string, int>;
  Result<std::vector<std::string>> awaited_of(const job::Run& run, const job::Job& job,
                                              const job::Policy& policy);
  Result<void> give_up_earlier(Work& work, const job::Run& run, const job::Policy& policy);
  Result<bool> stop_at_gate(Work& work, job::Run& run, const job::Job& job,
                            const job::Policy& policy);
  Result<void> open_gates(Work& work);
  int limit_of(const std::string& group) const;
  InGroups count_groups(const Work& work) const;
  std::vector<std::string> full_groups(const InGroups& count) const;
  Result<void> give_up(Work& work);
  Result<void> note_slots(Work& work);
  Result<void> count_run(const job::Job& job, const job::Policy& policy);
  std::size_t free_slots(const Work& work) const;
  Result<void> claim_run(Work& work, job::Run run, const job::Job& job, const job::Policy& policy);
  bool mark_claimed(const Work& work, job::Run& run, const job::Policy& policy) const;
  void begin_run(Work& work, const job::Run& run, const job::Job& job,
                 const job::Policy& policy) const;
  // at_once.cpp
  std::size_t jobs_to_read(Work& work) const;
  Result<void> fall_in_step(Work& work, std::vector<job::Job>& due, std::size_t asked);
  Result<void> leave_some(Work& work, std::vector<job::Job>& due, std::size_t slots);
  Result<std::optional<std::size_t>> slots_at_once(const Work& work);
  bool can_be_left(const job::Job& job, Time now) const;
  void note_turnover(const Work& work);
  Duration left_for(const Work& work) const;
  static Time next_look(const Work& work);
  Result<void> claim_at_once(Work& work, const job::Policy& policy, job::Run& run);
  // ahead.cpp
  Result<void> look_ahead(Work& work);
  Result<void> plan_ahead(Work& work, const job::Job& job);
  Result<void> withdraw(Work& work, job::Run run, job::Happening happening);
  /// What becomes of a run that is due while its job is busy.
  enum class WhenBusy { starts, waits, overlapped, queue_full };
  Result<WhenBusy> when_busy(Work& work, job::Run& run);
  Result<WhenBusy> judge_busy(Work& work, job::Run& run, const std::vector<job::Run>& others);
  Result<WhenBusy> beside(Work& work, job::Run& run, std::vector<job::Run> others, int most);
  Result<WhenBusy> let_wait(Work& work, job::Run& run, const char* reason);
  Result<void> replace(Work& work, job::Run other, RunId by);
  Result<void> backfill(Work& work);
  Result<void> feed_backfill(Work& work, store::Backfill backfill);
  Result<const store::BackfillFires*> fires_of(Work& work, const store::Backfill& backfill,
                                               const job::Job& job);
  Result<bool> may_start_of(Work& work, const store::Backfill& backfill, const job::Job& job);
  Result<void> start_fire(Work& work, const store::Backfill& backfill, const job::Job& job,
                          Time fire);
  Result<void> close_backfill(Work& work, store::Backfill backfill, bool cancelled,
                              const std::string& why);
  job::Policy policy_of(const std::optional<job::Job>& job) const;

  // What people must know; watch.cpp and tell.cpp.
  Result<void> prepare_to_tell(Work& work);
  Result<void> on_started(const job::Run& run, Time now);
  Result<void> on_ended(const job::Run& run, bool job_exists, Time now);
  Result<void> on_planned(const job::Job& job, const std::vector<job::Run>& rows, Time now);
  Result<void> await_again(Time now);
  Result<void> watch_starts(Work& work);
  Result<void> report_late(Work& work, const job::Run& run, const job::Job& job, Time expected);
  Result<std::string> why_waiting(const job::Run& run);
  Result<void> watch_keeper(Work& work);
  Result<void> store_is_back(Work& work);
  Result<void> tell(Work& work, Beat& beat);
  void tell_from_memory(const Error& error);
  bool heartbeat_due(Duration elapsed) const;
  void begin_sweep(Duration now);
  void end_sweep();

  store::Store& store_;
  executor::Executor& executor_;
  alert::Courier& courier_;
  Judge& judge_;
  const job::ZoneSource& zones_;
  const Clock& clock_;
  Settings settings_;

  bool draining_ = false;
  bool ending_ = false;  ///< end_all was called
  std::int64_t generation_ = 0;
  std::vector<executor::Adoption> adoptions_;
  struct Start {
    executor::Report report;
    Duration taken_at{};  ///< Clock::elapsed
  };
  std::vector<Start> starts_;
  std::vector<executor::Report> ends_;
  using Attempt = std::pair<RunId, std::int64_t>;  ///< run and fence
  std::set<Attempt> judging_;                      ///< ended, and the judge has their outputs
  std::map<Attempt, std::string> judged_;          ///< what is wrong with them
  std::map<RunId, Live> live_;
  std::set<RunId> shutdown_;                ///< runs that end_all() has ended
  std::optional<std::string> keeper_loss_;  ///< to be written as an event
  std::optional<Duration> clock_offset_;    ///< wall minus elapsed, as of the last beat
  Duration last_beat_{};                    ///< Clock::elapsed of the last one that committed
  std::vector<alert::Outcome> outcomes_;
  alert::Episodes episodes_;
  alert::Teller teller_;
  alert::Outbox outbox_;
  bool tuned_ = false;  ///< the store has heard of the tuning
  std::unique_ptr<Watches> watches_;
};

}  // namespace schedctl::runner
