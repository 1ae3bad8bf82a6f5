#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "codec.hpp"
#include "holdings.hpp"
#include "journal.hpp"
#include "leftovers.hpp"
#include "order.hpp"
#include "schedctl/base/clock.hpp"
#include "schedctl/base/unique_fd.hpp"
#include "schedctl/host/launcher.hpp"
#include "schedctl/host/spool.hpp"
#include "schedctl/keeper/messages.hpp"
#include "schedctl/loop/loop.hpp"

namespace schedctl::keeper {

/// The commands in the keeper's care, from the order to the acknowledgement: starts them, ends them
/// at their timeout or on demand, notices their ends, and writes each step into the journal before
/// it tells. Driven by the loop of serve(); never blocks. Durations are what decode() lets in.
class Runs {
 public:
  /// Of something that happened, which the daemon should know if one is there.
  using Tell = std::function<void(const Report&)>;

  /// What it starts commands with, and remembers them by.
  struct Means {
    Masters masters;
    host::Launcher launcher;
    host::Spool spool;
    RecordFile journal;
  };

  Runs(loop::Loop& loop, Means means, std::string instance, Tell tell);
  Runs(const Runs&) = delete;
  Runs& operator=(const Runs&) = delete;

  /// Says in the journal what start() is about to do; write_journal() has to come before that.
  void intend(const StartOrder& order);
  void start(const StartOrder& order);
  /// Its stop signal now, KILL later. Unknown runs, and ended ones, are left alone.
  void end(const RunKey& key, Duration kill_grace);
  /// To the run's group. Unknown runs, ended ones and numbers that are no signals are left alone.
  void signal(const RunKey& key, int signo);
  /// The daemon knows for good: forgets what has ended.
  void acknowledge(const std::vector<RunKey>& keys);
  /// Takes over what earlier keepers left unacknowledged. True: it is in this keeper's journal, so
  /// that theirs can go.
  bool adopt(const std::vector<JournalContents>& left);

  /// For the keeper's next program: everything that is in no file. What it could do without (spool
  /// files that wait for a run) is given up.
  void hand_over(Holdings& holdings);
  /// The same from the keeper's last program; on_child() is due after it.
  void take_over(Holdings& holdings);

  /// A child of the process has changed state (SIGCHLD).
  void on_child();
  /// When on_time() has something to do, on CLOCK_MONOTONIC; nothing: never.
  std::optional<Duration> next_time() const;
  void on_time();

  /// KILL to all runs, and to what is left of them.
  void kill_all();

  /// Puts everything that was reported into the journal: before any of it leaves the process.
  void write_journal();

  /// No run lives.
  bool is_idle() const { return live_.empty(); }
  /// Something may be left of a run that has to be ended.
  bool has_leftovers() const { return !leftovers_.is_empty(); }
  /// Everything the daemon has not acknowledged, to `each`.
  void for_each(const std::function<void(const Report&)>& each) const;
  /// The keeper ends, and is idle: removes the files that nobody needs any more.
  void close();

 private:
  /// A run whose process has not been reaped, so that its pid, group and session are its own.
  struct Live {
    HeldRun run;  ///< but for the descriptors, which are here
    host::Spool::File output;
    UniqueFd pending;
  };
  using LiveMap = std::unordered_map<pid_t, Live>;

  void launch(const StartOrder& order);
  tl::expected<host::Launch, LaunchFailure> launch(const StartOrder& order,
                                                   host::Spool::File& file);
  bool tell_if_known(const RunKey& key);
  bool may_start(const RunKey& key, Time at);
  void watch(Live& live, pid_t pid);
  void on_pending(pid_t pid);
  void settle(pid_t pid, Live& live);
  void begin_end(pid_t pid, HeldRun& run, Duration kill_grace);
  void kill(pid_t pid, HeldRun& run);
  void on_exit(const host::Exit& exit);
  void finish(Live& live, const host::Exit& exit);
  void leave_behind(const HeldRun& run);
  void forget(pid_t pid, HeldRun& run);
  void on_deadlines(Duration now);
  void cut_outputs(Duration now);
  void set_deadline(pid_t pid, HeldRun& run, std::optional<Duration> deadline);
  void conclude(Report report);
  bool rewrite_journal();

  loop::Loop& loop_;
  std::string instance_;
  Masters masters_;
  host::Launcher launcher_;
  host::Spool spool_;
  RecordFile journal_;
  Leftovers leftovers_;
  Tell tell_;
  LiveMap live_;
  std::map<RunKey, pid_t> pids_;  ///< of the pending and running ones
  std::map<RunKey, Intended> intended_;
  std::map<RunKey, Report> finished_;  ///< StartFailed or Ended, unacknowledged
  SystemClock clock_;
  std::set<std::pair<Duration, pid_t>> deadlines_;
  std::optional<Duration> cut_at_;  ///< once a run had an output with a bound, while runs live
  std::size_t cut_part_ = 0;
  bool start_unwritten_ = false;  ///< in the journal's buffer; for the crash points alone
  bool end_unwritten_ = false;    ///< the same
  bool journal_ok_ = true;        ///< false: something is missing in it until it is rewritten
};

}  // namespace schedctl::keeper
