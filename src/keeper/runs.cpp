#include "runs.hpp"

#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "processes.hpp"
#include "schedctl/base/crash_point.hpp"
#include "schedctl/base/limits.hpp"
#include "schedctl/host/host.hpp"

// How ends are noticed. SIGCHLD says that some child changed, waitid reaps it and says which. A
// pidfd a run would tell the same, but costs a descriptor and three system calls more a run
// (register, remove, close), and orphans, which the keeper adopts as their subreaper, need the
// SIGCHLD way in any case. Pids are safe here: a number cannot be given away before its zombie is
// reaped, nobody but this code reaps, and it forgets the number at that moment.
//
// How a run is ended. Its stop signal to its group (and CONT, or a stopped one would not notice),
// KILL after the grace. A run's end is that of its own process, and is told at once; what it leaves
// behind, however it ended, is the business of leftovers.cpp.

namespace schedctl::keeper {
namespace {

/// Start times of processes are told no finer, and a moment before the time that is noted.
constexpr Duration kClockTick = std::chrono::milliseconds(100);
/// Runs in care at one time. A daemon that acknowledges what it is told never comes near.
constexpr std::size_t kMostRuns = 100'000;

Duration read_clock(clockid_t clock) {
  timespec ts{};
  ::clock_gettime(clock, &ts);
  return std::chrono::duration_cast<Duration>(std::chrono::seconds(ts.tv_sec) +
                                              std::chrono::nanoseconds(ts.tv_nsec));
}

Time wall_time() {
  return std::chrono::floor<Duration>(std::chrono::system_clock::now());
}

Duration bounded(Duration d) {
  return std::clamp(d, Duration::zero(), limits::kLongestDuration);
}

Duration to_duration(const timeval& tv) {
  return std::chrono::seconds(tv.tv_sec) + Duration(tv.tv_usec);
}

/// The status word of waitpid from waitid's two fields.
int wait_status_of(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return (info.si_status & 0xff) << 8;
  return info.si_status | (info.si_code == CLD_DUMPED ? 0x80 : 0);
}

/// A child begins with the memory of its parent on its account (KEEPER contract, small print), so a
/// peak that is not above the keeper's own says nothing about the command.
std::optional<std::int64_t> peak_of(long max_rss_kb) {
  rusage own{};
  ::getrusage(RUSAGE_SELF, &own);
  if (max_rss_kb <= own.ru_maxrss) return std::nullopt;
  return max_rss_kb;
}

/// The terms that go on after the start.
Care care_of(const StartOrder& order) {
  const Terms& terms = order.terms;
  Care care;
  care.user = terms.user;
  care.stop_signal = terms.stop_signal;
  care.keep_children = terms.keep_children;
  care.has_cgroup = terms.needs_cgroup();
  care.max_output = terms.max_output;
  for (const std::string& entry : order.env) {
    // The key is the same for all attempts of a run.
    if (entry.starts_with("SCHEDCTL_KEY=") || entry.starts_with("SCHEDCTL_ATTEMPT=")) {
      care.marks.push_back(entry);
    }
  }
  if (care.marks.size() != 2) care.marks.clear();
  return care;
}

/// How often output is looked at that has a bound.
constexpr Duration kCutEvery = std::chrono::seconds(1);

}  // namespace

Runs::Runs(Launcher launcher, Spool spool, Journal journal, const std::string& instance,
           Handlers handlers)
    : launcher_(std::move(launcher)),
      spool_(std::move(spool)),
      journal_(std::move(journal)),
      cgroups_(instance),
      leftovers_(cgroups_),
      handlers_(std::move(handlers)) {}

void Runs::intend(const StartOrder& order) {
  if (pids_.contains(order.key) || finished_.contains(order.key)) return;
  const auto mark = std::find_if(order.env.begin(), order.env.end(), [](const std::string& entry) {
    return entry.starts_with("SCHEDCTL_KEY=");
  });
  if (mark == order.env.end()) return;
  const Intended& intended =
      intended_.insert_or_assign(order.key, Intended{order.key, read_clock(CLOCK_BOOTTIME), *mark})
          .first->second;
  journal_.add(intended);
}

void Runs::start(const StartOrder& order) {
  if (!tell_if_known(order.key)) launch(order);
  intended_.erase(order.key);
}

void Runs::launch(const StartOrder& order) {
  const Time at = wall_time();
  const Duration since_boot = read_clock(CLOCK_BOOTTIME);
  if (!may_start(order.key, at)) return;
  CRASH_POINT("keeper.ordered");
  Spool::File file;
  tl::expected<Launch, LaunchFailure> launched = launch(order, file);
  if (!launched) {
    spool_.give_back(std::move(file));
    return fail_start(order.key, launched.error(), at);
  }
  CRASH_POINT("keeper.forked");
  const pid_t pid = launched->pid;
  leftovers_.forget_session(pid);
  Live& run = live_[pid];
  run.started = {order.key, pid, at, spool_.path(file)};
  run.since_boot = since_boot;
  run.output = std::move(file);
  run.care = care_of(order);
  run.kill_grace = bounded(order.kill_grace);
  pids_[order.key] = pid;
  journal_.add(Launched{run.started, since_boot});
  start_unwritten_ = true;
  if (order.timeout > Duration::zero()) {
    set_deadline(pid, run, read_clock(CLOCK_MONOTONIC) + bounded(order.timeout));
  }
  if (run.care.max_output > 0 && !run.output.name.empty() && !cut_at_) {
    cut_at_ = read_clock(CLOCK_MONOTONIC) + kCutEvery;
  }
  if (launched->pending) {
    run.phase = Phase::pending;
    run.pending = std::move(launched->pending);
    handlers_.watch(run.pending.get(), pid);
  } else {
    handlers_.report(run.started);
  }
}

/// `file` is what has been taken of the spool, also where it fails.
tl::expected<Launch, LaunchFailure> Runs::launch(const StartOrder& order, Spool::File& file) {
  const Terms& terms = order.terms;
  if (const std::optional<LaunchFailure> objection = launcher_.objection(order)) {
    return tl::unexpected(*objection);
  }
  UniqueFd output;
  if (terms.output == Output::file) {
    tl::expected<Spool::Taken, int> taken = spool_.take(terms.user);
    if (!taken) return tl::unexpected(LaunchFailure{Stage::output, taken.error()});
    file = std::move(taken->file);
    output = std::move(taken->output);
  }
  if (!terms.needs_cgroup()) return launcher_.launch(order, {output.get(), -1});
  const tl::expected<UniqueFd, int> cgroup = cgroups_.make(order.key, terms);
  if (!cgroup) return tl::unexpected(LaunchFailure{Stage::cgroup, cgroup.error()});
  tl::expected<Launch, LaunchFailure> launched =
      launcher_.launch(order, {output.get(), cgroup->get()});
  if (!launched) cgroups_.remove(order.key);
  return launched;
}

/// An order that came before, over a connection that broke: tells again what became of it. It must
/// never start a second time.
bool Runs::tell_if_known(const RunKey& key) {
  if (const auto known = pids_.find(key); known != pids_.end()) {
    const Live& run = live_.at(known->second);
    if (run.phase == Phase::running) handlers_.report(run.started);
    return true;
  }
  const auto known = finished_.find(key);
  if (known != finished_.end()) handlers_.report(known->second);
  return known != finished_.end();
}

/// A start that could not be kept in mind, or not be written down, would be lost if the keeper
/// died: it is refused, and nothing is remembered of it.
bool Runs::may_start(const RunKey& key, Time at) {
  if (live_.size() + finished_.size() >= kMostRuns) {
    journal_.add(Acknowledge{{key}});
    handlers_.report(StartFailed{key, Stage::fork, EAGAIN, at});
    return false;
  }
  if ((!journal_ok_ || journal_.is_long()) && !rewrite_journal() && !journal_ok_) {
    handlers_.report(StartFailed{key, Stage::setup, errno, at});
    return false;
  }
  return true;
}

void Runs::fail_start(const RunKey& key, const LaunchFailure& failure, Time at) {
  conclude(key, StartFailed{key, failure.stage, failure.error_number, at});
}

void Runs::end(const RunKey& key, Duration kill_grace) {
  const auto known = pids_.find(key);
  if (known == pids_.end()) return;
  Live& run = live_.at(known->second);
  run.ended_on_order = true;
  begin_end(known->second, run, bounded(kill_grace));
}

void Runs::signal(const RunKey& key, int signo) {
  const auto known = pids_.find(key);
  if (known == pids_.end() || signo <= 0 || signo >= NSIG) return;
  // Before its exec it may not have a group of its own yet.
  if (live_.at(known->second).phase == Phase::pending) ::kill(known->second, signo);
  ::kill(-known->second, signo);
}

void Runs::acknowledge(const std::vector<RunKey>& keys) {
  Acknowledge gone;
  for (const RunKey& key : keys) {
    if (finished_.erase(key) > 0) gone.keys.push_back(key);
  }
  if (gone.keys.empty()) return;
  journal_.add(gone);
  write_journal();
  if (!journal_ok_ || journal_.is_long()) {
    rewrite_journal();
  } else if (finished_.empty() && live_.empty() && intended_.empty()) {
    journal_.clear();
  }
}

/// The command itself died with its keeper, but what it had started need not have. It must not go
/// on beside a new attempt.
void Runs::kill_leftovers(const JournalHead& head, const Launched& launched) const {
  if (head.boot_id != host::boot_id()) return;
  cgroups_.sweep(launched.started.key, head.instance);
  const auto session = static_cast<pid_t>(launched.started.pid);
  const std::string mark = "SCHEDCTL_RUN_ID=" + std::to_string(launched.started.key.run.value);
  if (session > 1) kill_orphans(session, launched.since_boot - kClockTick, mark);
}

bool Runs::adopt(const std::vector<JournalContents>& left) {
  for (const JournalContents& contents : left) {
    for (const StartFailed& failed : contents.failed) finished_.emplace(failed.key, failed);
    for (const Ended& ended : contents.ended) finished_.insert_or_assign(ended.key, ended);
    for (const Intended& intended : contents.intended) {
      if (contents.head.boot_id != host::boot_id()) continue;
      kill_marked(intended.since_boot - kClockTick, intended.mark);
      cgroups_.sweep(intended.key, contents.head.instance);
    }
    for (const Launched& launched : contents.launched) {
      kill_leftovers(contents.head, launched);
      spool_.sweep(launched.started.output_path);
    }
    // The pool that an earlier keeper could not take along.
    if (!contents.head.instance.empty()) spool_.sweep_all_of(contents.head.instance);
  }
  return finished_.empty() || rewrite_journal();
}

void Runs::hand_over(Holdings& holdings) {
  write_journal();
  spool_.clear();
  Estate& estate = holdings.estate;
  estate.output_dir = spool_.directory_fd();
  estate.files_made = spool_.files_made();
  const Before& before = launcher_.before();
  if (before.files) estate.files = {before.files->rlim_cur, before.files->rlim_max};
  estate.oom_score = before.oom_score;
  for (const auto& [pid, run] : live_) {
    HeldRun held;
    held.launched = {run.started, run.since_boot};
    held.phase = run.phase;
    held.output = run.output.watch.get();
    held.output_device = run.output.device;
    held.output_inode = run.output.inode;
    held.pending = run.pending.get();
    held.ending = run.ending;
    held.killed = run.killed;
    held.timed_out = run.timed_out;
    held.ended_on_order = run.ended_on_order;
    held.kill_grace = run.kill_grace;
    held.deadline = run.deadline;
    held.care = run.care;
    holdings.runs.push_back(std::move(held));
  }
  holdings.leftovers = leftovers_.all();
  for (const auto& [key, report] : finished_) holdings.finished.push_back(report);
}

void Runs::take_over(Holdings& holdings) {
  for (HeldRun& held : holdings.runs) {
    const auto pid = static_cast<pid_t>(held.launched.started.pid);
    if (held.phase == Phase::held) {
      leftovers_.add({.key = held.launched.started.key,
                      .session = pid,
                      .since_boot = held.launched.since_boot,
                      .group_told = true,
                      .told_to_end = true,
                      .kill_grace = held.kill_grace,
                      .kill_at = held.deadline},
                     read_clock(CLOCK_MONOTONIC));
      continue;
    }
    Live& run = live_[pid];
    run.phase = held.phase;
    run.care = std::move(held.care);
    run.started = std::move(held.launched.started);
    run.since_boot = held.launched.since_boot;
    const std::string& path = run.started.output_path;
    run.output = {path.substr(path.rfind('/') + 1), run.care.user, UniqueFd(held.output),
                  held.output_device, held.output_inode};
    run.pending.reset(held.pending);
    run.ending = held.ending;
    run.killed = held.killed;
    run.timed_out = held.timed_out;
    run.ended_on_order = held.ended_on_order;
    run.kill_grace = held.kill_grace;
    set_deadline(pid, run, held.deadline);
    if (run.phase == Phase::pending) handlers_.watch(run.pending.get(), pid);
    if (run.phase == Phase::pending || run.phase == Phase::running) pids_[run.started.key] = pid;
  }
  const Duration now = read_clock(CLOCK_MONOTONIC);
  if (!live_.empty()) cut_at_ = now;
  for (Leftover& leftover : holdings.leftovers) leftovers_.add(std::move(leftover), now);
  for (Report& report : holdings.finished) {
    const RunKey key = std::visit([](const auto& m) { return m.key; }, report);
    finished_.insert_or_assign(key, std::move(report));
  }
  journal_ok_ = false;
  rewrite_journal();
}

void Runs::on_child() {
  for (Exit exit = reap_next(); exit.pid != 0; exit = reap_next()) on_exit(exit);
}

/// A child that has ended, if any. The system call and not waitid(3), for the usage of resources.
Runs::Exit Runs::reap_next() {
  siginfo_t info{};
  rusage usage{};
  while (::syscall(SYS_waitid, P_ALL, 0, &info, WEXITED | WNOHANG, &usage) != 0) {
    if (errno != EINTR) return {};
  }
  return {info.si_pid, wait_status_of(info),
          to_duration(usage.ru_utime) + to_duration(usage.ru_stime), usage.ru_maxrss};
}

void Runs::on_pending(pid_t pid) {
  const auto it = live_.find(pid);
  if (it == live_.end() || it->second.phase != Phase::pending) return;
  // The event may have been meant for an earlier descriptor of the same number.
  if (is_settled(it->second.pending)) settle(pid, it->second);
}

void Runs::settle(pid_t pid, Live& run) {
  handlers_.unwatch(run.pending.get());
  const std::optional<LaunchFailure> failure = outcome_of(run.pending);
  run.pending.reset();
  if (!failure) {
    run.phase = Phase::running;
    handlers_.report(run.started);
    return;
  }
  run.phase = Phase::failed;
  set_deadline(pid, run, std::nullopt);
  const RunKey key = run.started.key;
  pids_.erase(key);
  fail_start(key, *failure, run.started.at);
}

void Runs::on_exit(const Exit& exit) {
  const auto it = live_.find(exit.pid);
  if (it == live_.end()) return leftovers_.on_orphan_gone(read_clock(CLOCK_MONOTONIC));
  Live& run = it->second;
  if (run.phase == Phase::pending) settle(exit.pid, run);
  if (run.phase != Phase::failed) return finish(run, exit);
  if (run.care.has_cgroup) cgroups_.remove(run.started.key);
  spool_.give_back(std::move(run.output));
  forget(exit.pid, run);
}

void Runs::finish(Live& run, const Exit& exit) {
  CRASH_POINT("keeper.ended");
  Ended ended;
  ended.output_cut = Spool::cut_middle(run.output, run.care.max_output, run.care.output_cut);
  Spool::Outcome output = spool_.give_back(std::move(run.output));
  ended.key = run.started.key;
  ended.pid = exit.pid;
  ended.started_at = run.started.at;
  ended.ended_at = wall_time();
  ended.wait_status = exit.wait_status;
  ended.timed_out = run.timed_out;
  ended.ended_on_order = run.ended_on_order;
  ended.cpu = exit.cpu;
  ended.max_rss_kb = peak_of(exit.max_rss_kb);
  ended.output_path = std::move(output.path);
  ended.output_bytes = output.bytes;
  ended.oom_killed = run.care.has_cgroup && cgroups_.had_oom_kill(ended.key);
  pids_.erase(ended.key);
  leave_behind(run);
  forget(exit.pid, run);
  const RunKey key = ended.key;
  conclude(key, std::move(ended));
  end_unwritten_ = true;
}

void Runs::leave_behind(const Live& run) {
  // A cgroup has to be removed in any case.
  if (run.care.keep_children && !run.care.has_cgroup) return;
  const Duration now = read_clock(CLOCK_MONOTONIC);
  Leftover leftover;
  leftover.key = run.started.key;
  leftover.session = run.started.pid;
  leftover.since_boot = run.since_boot;
  leftover.group_told = run.ending;
  leftover.kill_grace = run.kill_grace;
  if (run.ending) leftover.kill_at = run.killed ? now : run.deadline;
  leftover.care = run.care;
  leftovers_.add(std::move(leftover), now);
}

/// Into the journal, then to the daemon.
void Runs::conclude(const RunKey& key, Report report) {
  std::visit([&](const auto& m) { journal_.add(m); }, report);
  const Report& kept = finished_.insert_or_assign(key, std::move(report)).first->second;
  handlers_.report(kept);
}

void Runs::begin_end(pid_t pid, Live& run, Duration kill_grace) {
  if (run.killed) return;
  const Duration kill_at = read_clock(CLOCK_MONOTONIC) + kill_grace;
  if (run.ending) {
    set_deadline(pid, run, std::min(run.deadline.value_or(kill_at), kill_at));
    return;
  }
  run.ending = true;
  set_deadline(pid, run, kill_at);
  // Before its exec it may not have a group of its own yet, and nothing of the command runs that
  // could be asked to end: it hangs over a file, with all signals blocked but this one.
  if (run.phase == Phase::pending) ::kill(pid, SIGKILL);
  ::kill(-pid, run.care.stop_signal);
  ::kill(-pid, SIGCONT);
}

void Runs::kill_all(pid_t pid, Live& run) {
  run.killed = true;
  set_deadline(pid, run, std::nullopt);
  if (run.phase == Phase::pending) ::kill(pid, SIGKILL);
  ::kill(-pid, SIGKILL);
  if (run.care.has_cgroup) cgroups_.kill(run.started.key);
  kill_session(pid);
}

void Runs::kill_all() {
  for (auto& [pid, run] : live_) {
    if (!run.killed) kill_all(pid, run);
  }
  leftovers_.kill_all(read_clock(CLOCK_MONOTONIC));
}

std::optional<Duration> Runs::next_time() const {
  std::optional<Duration> first = leftovers_.next_look();
  if (cut_at_) first = std::min(first.value_or(*cut_at_), *cut_at_);
  if (deadlines_.empty()) return first;
  return std::min(first.value_or(Duration::max()), deadlines_.begin()->first);
}

void Runs::on_time() {
  const Duration now = read_clock(CLOCK_MONOTONIC);
  on_deadlines(now);
  if (cut_at_ && *cut_at_ <= now) cut_outputs(now);
  if (const auto look = leftovers_.next_look(); look && *look <= now) {
    leftovers_.look(now, [this](pid_t pid) { return live_.contains(pid); });
  }
}

void Runs::on_deadlines(Duration now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const pid_t pid = deadlines_.begin()->second;
    Live& run = live_.at(pid);
    if (run.ending) {
      kill_all(pid, run);
    } else {
      run.timed_out = true;
      begin_end(pid, run, run.kill_grace);
    }
  }
}

void Runs::cut_outputs(Duration now) {
  bool any = false;
  for (auto& [pid, run] : live_) {
    if (run.care.max_output <= 0 || run.output.name.empty()) continue;
    any = true;
    run.care.output_cut = Spool::cut_middle(run.output, run.care.max_output, run.care.output_cut);
  }
  cut_at_ = any ? std::optional<Duration>(now + kCutEvery) : std::nullopt;
}

void Runs::set_deadline(pid_t pid, Live& run, std::optional<Duration> deadline) {
  if (run.deadline) deadlines_.erase({*run.deadline, pid});
  run.deadline = deadline;
  if (deadline) deadlines_.insert({*deadline, pid});
}

void Runs::forget(pid_t pid, Live& run) {
  set_deadline(pid, run, std::nullopt);
  live_.erase(pid);
}

void Runs::for_each(const std::function<void(const Report&)>& each) const {
  for (const auto& [key, pid] : pids_) each(live_.at(pid).started);
  for (const auto& [key, report] : finished_) each(report);
}

void Runs::write_journal() {
  if (!journal_.write()) journal_ok_ = false;
  if (std::exchange(start_unwritten_, false)) CRASH_POINT("keeper.journaled");
  if (std::exchange(end_unwritten_, false)) CRASH_POINT("keeper.end-journaled");
}

bool Runs::rewrite_journal() {
  const bool written = journal_.rewrite([this](const Journal::Sink& sink) {
    for (const auto& [key, intended] : intended_) sink(intended);
    for (const auto& [key, pid] : pids_) {
      const Live& run = live_.at(pid);
      sink(Launched{run.started, run.since_boot});
    }
    for (const auto& [key, report] : finished_) {
      std::visit([&](const auto& m) { sink(m); }, report);
    }
  });
  if (written) journal_ok_ = true;
  return written;
}

void Runs::close() {
  write_journal();
  spool_.clear();
  if (finished_.empty()) journal_.remove();
}

}  // namespace schedctl::keeper
