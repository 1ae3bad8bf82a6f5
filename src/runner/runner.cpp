// The beat. Everything that a beat decides is gathered in a Work and takes effect (starts, kills,
// acknowledgements, log lines, the runner's own memory) only after the commit; a beat that fails
// leaves no trace but what it was told, which the next one hears again.

#include "schedctl/runner/runner.hpp"

#include <utility>

#include "schedctl/base/crash_point.hpp"
#include "schedctl/base/limits.hpp"
#include "schedctl/base/signals.hpp"
#include "schedctl/retention/output_files.hpp"
#include "work.hpp"

namespace schedctl::runner {
namespace {

constexpr Duration kBetweenNodeRows = std::chrono::seconds(1);

/// Those that have gone into the log. What is left of them after a crash is for retention to find.
void remove_outputs(const std::string& directory, const std::vector<std::string>& paths) {
  if (directory.empty() || paths.empty()) return;
  const Result<retention::OutputFiles> files = retention::OutputFiles::open(directory);
  if (!files) return;
  for (const std::string& path : paths) static_cast<void>(files->remove(path));
}

struct Moment {
  Time now{};
  Duration elapsed{};
  Duration awake{};
};

/// Were this thread held up between two clocks (stopped, or on a busy machine), it would look as if
/// somebody had set one: then they are read again.
Moment moment_of(const Clock& clock) {
  constexpr Duration kOneMoment = std::chrono::milliseconds(10);
  constexpr int kTries = 10;
  Moment moment;
  for (int i = 0; i < kTries; ++i) {
    const Duration begun = clock.elapsed();
    moment = {.now = clock.wall(), .elapsed = clock.elapsed(), .awake = clock.awake()};
    if (clock.elapsed() - begun < kOneMoment) break;
  }
  return moment;
}

std::optional<Duration> absence_before(const Runner::Settings& settings) {
  if (!settings.down_since) return std::nullopt;
  return settings.node.started_at - *settings.down_since;
}

}  // namespace

Runner::Runner(store::Store& store, executor::Executor& executor, alert::Courier& courier,
               Judge& judge, const job::ZoneSource& zones, const Clock& clock, Settings settings)
    : store_(store),
      executor_(executor),
      courier_(courier),
      judge_(judge),
      zones_(zones),
      clock_(clock),
      settings_(std::move(settings)),
      last_beat_(clock.elapsed()),
      episodes_(store, settings_.node.id),
      teller_(store),
      outbox_(store),
      watches_(std::make_unique<Watches>(clock.elapsed(), absence_before(settings_))) {
  if (settings_.down_since) {
    watches_->gaps.add(*settings_.down_since, settings_.node.started_at, settings_.down_words);
  }
}

Runner::~Runner() = default;

void Runner::configure(Tuning tuning) {
  if (!job::same_calendars(settings_.tuning.calendars, tuning.calendars)) {
    if (!watches_->calendars_before) watches_->calendars_before = settings_.tuning.calendars;
    watches_->calendars_noted = false;
  }
  if (settings_.tuning.retention != tuning.retention)
    watches_->tidying.rules_changed(clock_.elapsed());
  settings_.tuning = std::move(tuning);
  watches_->gates_stale = true;
  tuned_ = false;
}

void Runner::take(executor::Report report) {
  const Duration now = clock_.elapsed();
  watches_->keeper.heard(now);
  if (report.kind == executor::Report::Kind::started) {
    starts_.push_back({std::move(report), now});
  } else {
    ends_.push_back(std::move(report));
  }
}

void Runner::take(executor::Adoption adoption) {
  adoptions_.clear();
  adoptions_.push_back(std::move(adoption));
}

void Runner::take(Judge::Verdict verdict) {
  const Attempt attempt(verdict.report.run, verdict.report.fence);
  judging_.erase(attempt);
  judged_.insert_or_assign(attempt, std::move(verdict.fault));
  ends_.push_back(std::move(verdict.report));
}

void Runner::keeper_alive() {
  watches_->keeper.heard(clock_.elapsed());
}

void Runner::keeper_lost(const std::string& why) {
  watches_->keeper.lost(clock_.elapsed());
  watches_->keeper_words = why;
  keeper_loss_ = why;
  // One that no beat has recorded yet speaks of the connection that broke; what it knew was not
  // acknowledged, so that the next one says it again.
  adoptions_.clear();
}

void Runner::keeper_given_up() {
  watches_->keeper.given_up(clock_.elapsed());
}

std::string Runner::live_words() const {
  std::string words;
  for (const auto& [id, live] : live_) {
    if (!words.empty()) words += ", ";
    words += live.job + " #" + std::to_string(id.value);
  }
  return words;
}

Duration Runner::end_all() {
  CRASH_POINT("daemon.stopping");
  ending_ = true;
  Duration longest{};
  for (auto& [id, live] : live_) {
    shutdown_.insert(id);
    executor_.end(id, live.fence, live.kill_grace);
    live.end_sent = true;
    longest = std::max(longest, live.kill_grace);
  }
  return longest;
}

Result<Runner::Beat> Runner::beat() {
  Work work;
  work.keeper_gone = watches_->keeper_gone;
  work.silent_until = watches_->silent_until;
  auto result = do_beat(work);
  if (result) {
    finish(work);
  } else {
    // What was noted beside the rows may speak of some that were never written.
    watches_->late = {};
    watches_->awaits_again = false;
    watches_->may_have_wishes = true;
    tuned_ = false;
  }
  log::flush();
  return result;
}

Result<Runner::Beat> Runner::do_beat(Work& work) {
  TRY_VOID(judge_outputs());
  TRY(store::Transaction transaction, store::Transaction::begin(store_));
  // Now that the lock is ours: it may have been waited for.
  const Moment moment = moment_of(clock_);
  work.now = work.claims_until = moment.now;
  work.elapsed = moment.elapsed;
  work.awake = moment.awake;
  work.may_have_wishes = watches_->may_have_wishes || store_.revision() != watches_->revision;
  TRY_VOID(store_is_back(work));
  TRY_VOID(prepare_to_tell(work));
  TRY_VOID(note_clock(work));
  TRY_VOID(record(work));
  if (!watches_->awaits_again) TRY_VOID(await_again(work.now));
  if (work.may_have_wishes) TRY_VOID(forward_cancels(work));
  if (work.may_have_wishes) TRY_VOID(forward_signals(work));
  if (!draining_) {
    TRY_VOID(note_schedules(work));
    TRY_VOID(plan(work));
    TRY_VOID(claim(work));
    TRY_VOID(note_slots(work));
    if (work.may_have_wishes) TRY_VOID(backfill(work));
    TRY_VOID(look_ahead(work));
  }
  TRY_VOID(watch_starts(work));
  TRY_VOID(watch_keeper(work));
  Beat beat;
  TRY_VOID(tell(work, beat));
  if (work.dirty) TRY_VOID(note_beat(work));
  if (work.walk_at) {
    const Time at = work.now + (*work.walk_at - work.elapsed);
    beat.wake = std::min(beat.wake.value_or(at), at);
  }
  beat.again = work.again;
  beat.holds_starts = !work.held.empty();
  // While it drains nothing is planned or claimed, so that nothing can fall due.
  if (!draining_) {
    TRY(std::optional<Time> due, store_.next_wake(work.now));
    // What is left due is taken up when a slot is free, or the keeper answers.
    if (due && work.leaves_jobs_due()) due = std::max(*due, next_look(work));
    if (due) beat.wake = std::min(beat.wake.value_or(*due), *due);
  }
  if (!work.starts.empty()) CRASH_POINT("daemon.planned");
  TRY_VOID(transaction.commit());
  work.revision = store_.revision();
  return beat;
}

// The row need not know the last beat to the millisecond, and costs a page of each commit.
Result<void> Runner::note_beat(Work& work) {
  store::Node node = settings_.node;
  const bool is_fresh = node.last_beat && *node.last_beat <= work.now &&
                        work.now - *node.last_beat < kBetweenNodeRows;
  if (is_fresh && !work.adopted && !work.heartbeat) return {};
  node.last_beat = work.now;
  if (work.adopted) node.keeper = work.adopted->keeper;
  // Until its runs have been judged, the row says on which boot they were started.
  if (generation_ == 0 && !work.adopted && was_rebooted()) node.boot_id = settings_.last_boot;
  TRY_VOID(store_.put_node(node));
  settings_.node.last_beat = node.last_beat;
  settings_.node.keeper = node.keeper;
  return {};
}

void Runner::finish(Work& work) {
  if (work.started_something) CRASH_POINT("daemon.started");
  ends_.clear();
  judged_.clear();
  starts_ = std::move(work.held);
  adoptions_.clear();
  keeper_loss_.reset();
  // As of the beat's beginning: a step while it worked is for the next one to notice.
  clock_offset_ = work.now.time_since_epoch() - work.elapsed;
  watches_->slept = work.elapsed - work.awake;
  watches_->silent_until = work.silent_until;
  if (work.rechecked) watches_->rechecks.clear();
  if (work.noted_calendars) {
    watches_->calendars_noted = true;
    watches_->calendars_before.reset();
  }
  if (work.looked_at_zones) {
    watches_->zones_looked_at = work.elapsed;
    watches_->zones = work.zones;
  }
  watches_->revision = work.revision;
  if (work.walked) watches_->walked_at = work.elapsed;
  watches_->may_have_wishes = work.wishes || work.adopted || !watches_->backfills.empty();
  last_beat_ = work.elapsed;
  watches_->storage.reset();
  watches_->awaits_again = true;
  if (work.asked_gates) watches_->gates_stale = false;
  watches_->reboots_fired = watches_->reboots_fired || work.reboots_fired;
  watches_->keeper_gone = work.keeper_gone;
  watches_->slots_full =
      work.slots_full ? std::optional(watches_->slots_full.value_or(work.now)) : std::nullopt;
  for (const JobId job : work.looked_at) watches_->late.forget(job);
  tuned_ = tuned_ || work.told_store;
  if (work.adopted) {
    watches_->keeper.connected(work.elapsed);
    generation_ = work.adopted->generation;
  }
  // In this order: a run that ended and was at once claimed again lives.
  for (const RunId id : work.over) {
    live_.erase(id);
    shutdown_.erase(id);
  }
  for (auto& [id, live] : work.begun) live_.insert_or_assign(id, std::move(live));
  note_turnover(work);
  // The order went to a connection that broke; those it did not reach are in the adoption.
  if (work.adopted && ending_) end_all();
  hand_out(work);
  for (const Work::Line& line : work.lines) log::write(line.level, line.event, line.fields);
  remove_outputs(settings_.output_dir, work.read_outputs);
}

// What was decided is durable now: the others may hear of it.
void Runner::hand_out(Work& work) {
  const auto is_held = [&work](const auto& start) { return start.not_before > work.now; };
  if (std::ranges::any_of(work.starts, is_held)) watches_->ahead_until = work.elapsed + kLookAhead;
  if (!work.starts.empty()) {
    CRASH_POINT("daemon.claimed");
    watches_->keeper.ordered(work.elapsed);
    executor_.start(std::move(work.starts));
  }
  for (const Work::End& end : work.ends) {
    const auto found = live_.find(end.run);
    if (found != live_.end()) found->second.end_sent = true;
    executor_.end(end.run, end.fence, end.kill_grace);
  }
  for (const Work::Signal& signal : work.signals) {
    executor_.signal(signal.run, signal.fence, signal.number);
  }
  if (!work.recorded.empty()) {
    CRASH_POINT("daemon.recorded");
    executor_.recorded(std::move(work.recorded));
  }
  if (work.ping) {
    watches_->keeper.asked(work.elapsed);
    executor_.ping();
  }
  outcomes_.clear();
  for (alert::Delivery& delivery : work.deliveries) {
    outbox_.sent(delivery);
    courier_.deliver(std::move(delivery));
  }
  if (work.heartbeat) {
    watches_->last_heartbeat = work.elapsed;
    courier_.heartbeat();
  }
}

Result<void> Runner::forward_cancels(Work& work) {
  TRY(const std::vector<job::Run> requests, store_.cancel_requests());
  for (const job::Run& run : requests) {
    const auto found = live_.find(run.id);
    if (found == live_.end() || found->second.end_sent) continue;
    work.ends.push_back({run.id, run.fence, found->second.kill_grace});
    work.run_line(log::Level::info, "run-cancelling", run,
                  {{"kill_grace", format_duration(found->second.kill_grace)}});
  }
  return {};
}

Result<void> Runner::forward_signals(Work& work) {
  TRY(std::vector<job::Run> requests, store_.signal_requests());
  for (const job::Run& asked : requests) {
    if (!live_.contains(asked.id)) continue;
    // The listing has no output in it, and the row is to keep its own.
    TRY(std::optional<job::Run> run, store_.get_run(asked.id));
    if (!run) continue;
    const int number = std::exchange(run->signal_requested, 0);
    TRY_VOID(store_.update_run(*run, run->fence));
    work.dirty = true;
    work.signals.push_back({run->id, run->fence, number});
    work.run_line(log::Level::info, "run-signalled", *run, {{"signal", signal_name(number)}});
  }
  return {};
}

job::Policy Runner::policy_of(const std::optional<job::Job>& job) const {
  return job::resolve(job ? job->definition.policy : job::PolicyDraft{}, settings_.tuning.defaults);
}

}  // namespace schedctl::runner
