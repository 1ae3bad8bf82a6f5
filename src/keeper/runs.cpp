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

// How ends are noticed. SIGCHLD says that some child changed, waitid(WNOWAIT) says which, and only
// then is it reaped. A pidfd a run would tell the same, but costs a descriptor and three system
// calls more a run (register, remove, close), and orphans, which the keeper adopts as their
// subreaper, need the SIGCHLD way in any case. Pids are safe here: a number cannot be given away
// before its zombie is reaped, nobody but this code reaps, and it forgets the number at that
// moment.
//
// How a run is ended. TERM to its group (and CONT, or a stopped one would not notice), KILL after
// the grace. If the command exits before that but processes of its session are left, its end is
// told at once, and its zombie is kept until the KILL, so that group and session still are what
// they were. A command that ends by itself may leave processes behind; they are none of the
// keeper's business.

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

/// Takes the zombie away; its pid is free from now on.
void reap(pid_t pid) {
  while (::waitpid(pid, nullptr, WNOHANG) < 0 && errno == EINTR) {
  }
}

}  // namespace

Runs::Runs(Launcher launcher, Spool spool, Journal journal, Handlers handlers)
    : launcher_(std::move(launcher)),
      spool_(std::move(spool)),
      journal_(std::move(journal)),
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
  if (order.terms != Terms{}) return fail_start(order.key, {Stage::setup, ENOSYS}, at);
  CRASH_POINT("keeper.ordered");
  tl::expected<Spool::Taken, int> taken = spool_.take();
  if (!taken) return fail_start(order.key, {Stage::output, taken.error()}, at);
  tl::expected<Launch, LaunchFailure> launch = launcher_.launch(order, taken->output.get());
  taken->output.reset();
  if (!launch) {
    spool_.give_back(std::move(taken->file));
    return fail_start(order.key, launch.error(), at);
  }
  CRASH_POINT("keeper.forked");
  const pid_t pid = launch->pid;
  Live& run = live_[pid];
  run.started = {order.key, pid, at, spool_.path(taken->file)};
  run.since_boot = since_boot;
  run.output = std::move(taken->file);
  run.kill_grace = bounded(order.kill_grace);
  pids_[order.key] = pid;
  journal_.add(Launched{run.started, since_boot});
  start_unwritten_ = true;
  if (order.timeout > Duration::zero()) {
    set_deadline(pid, run, read_clock(CLOCK_MONOTONIC) + bounded(order.timeout));
  }
  if (launch->pending) {
    run.phase = Phase::pending;
    run.pending = std::move(launch->pending);
    handlers_.watch(run.pending.get(), pid);
  } else {
    handlers_.report(run.started);
  }
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
void Runs::kill_leftovers(const JournalHead& head, const Launched& launched) {
  if (head.boot_id != host::boot_id()) return;
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
    holdings.runs.push_back(std::move(held));
  }
  for (const auto& [key, report] : finished_) holdings.finished.push_back(report);
}

void Runs::take_over(Holdings& holdings) {
  for (HeldRun& held : holdings.runs) {
    const auto pid = static_cast<pid_t>(held.launched.started.pid);
    Live& run = live_[pid];
    run.phase = held.phase;
    run.started = std::move(held.launched.started);
    run.since_boot = held.launched.since_boot;
    const std::string& path = run.started.output_path;
    run.output = {path.substr(path.rfind('/') + 1), UniqueFd(held.output), held.output_device,
                  held.output_inode};
    run.pending.reset(held.pending);
    run.ending = held.ending;
    run.killed = held.killed;
    run.timed_out = held.timed_out;
    run.ended_on_order = held.ended_on_order;
    run.kill_grace = held.kill_grace;
    set_deadline(pid, run, held.deadline);
    if (run.ending) ++ending_;
    if (run.phase == Phase::held) ++held_;
    if (run.phase == Phase::pending) handlers_.watch(run.pending.get(), pid);
    if (run.phase == Phase::pending || run.phase == Phase::running) pids_[run.started.key] = pid;
  }
  for (Report& report : holdings.finished) {
    const RunKey key = std::visit([](const auto& m) { return m.key; }, report);
    finished_.insert_or_assign(key, std::move(report));
  }
  journal_ok_ = false;
  rewrite_journal();
}

void Runs::on_child() {
  while (held_ == 0) {
    // An end that was asked for may have to be held: then the zombie must stay for now.
    const Exit exit = look(0, ending_ == 0);
    if (exit.pid == 0) return;
    on_exit(exit);
  }
  // The kernel would show a held zombie first, over and over: ask for each run by name. Orphans
  // wait until none is held any more.
  std::vector<pid_t> pids;
  for (const auto& [pid, run] : live_) {
    if (run.phase != Phase::held) pids.push_back(pid);
  }
  for (const pid_t pid : pids) {
    const Exit exit = look(pid, false);
    if (exit.pid != 0) on_exit(exit);
  }
}

/// Asks for a child that has ended, `pid` or (0) any. The system call and not waitid(3), for the
/// usage of resources.
Runs::Exit Runs::look(pid_t pid, bool reap_it) {
  siginfo_t info{};
  rusage usage{};
  const int options = WEXITED | WNOHANG | (reap_it ? 0 : WNOWAIT);
  while (::syscall(SYS_waitid, pid == 0 ? P_ALL : P_PID, pid, &info, options, &usage) != 0) {
    if (errno != EINTR) return {};
  }
  return {info.si_pid, wait_status_of(info),
          to_duration(usage.ru_utime) + to_duration(usage.ru_stime), usage.ru_maxrss, reap_it};
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
  if (it == live_.end()) {  // an orphan
    if (!exit.reaped) reap(exit.pid);
    return;
  }
  Live& run = it->second;
  if (run.phase == Phase::pending) settle(exit.pid, run);
  if (run.phase == Phase::failed) {
    if (!exit.reaped) reap(exit.pid);
    spool_.give_back(std::move(run.output));
    forget(exit.pid, run);
    return;
  }
  if (run.killed) kill_session(exit.pid);
  const bool hold = run.ending && !run.killed && !session_members(exit.pid).empty();
  finish(run, exit, hold);
}

void Runs::finish(Live& run, const Exit& exit, bool hold) {
  if (!exit.reaped && !hold) reap(exit.pid);
  CRASH_POINT("keeper.ended");
  Spool::Outcome output = spool_.give_back(std::move(run.output));
  Ended ended;
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
  pids_.erase(ended.key);
  if (hold) {
    run.phase = Phase::held;
    ++held_;
  } else {
    forget(exit.pid, run);
  }
  const RunKey key = ended.key;
  conclude(key, std::move(ended));
  end_unwritten_ = true;
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
  ++ending_;
  set_deadline(pid, run, kill_at);
  // Before its exec it may not have a group of its own yet.
  if (run.phase == Phase::pending) ::kill(pid, SIGTERM);
  ::kill(-pid, SIGTERM);
  ::kill(-pid, SIGCONT);
}

void Runs::kill_all(pid_t pid, Live& run) {
  run.killed = true;
  set_deadline(pid, run, std::nullopt);
  if (run.phase == Phase::pending) ::kill(pid, SIGKILL);
  ::kill(-pid, SIGKILL);
  kill_session(pid);
  if (run.phase != Phase::held) return;
  reap(pid);
  --held_;
  forget(pid, run);
  on_child();
}

void Runs::kill_all() {
  std::vector<pid_t> pids;
  for (const auto& [pid, run] : live_) {
    if (!run.killed) pids.push_back(pid);
  }
  for (const pid_t pid : pids) {
    const auto it = live_.find(pid);
    if (it != live_.end()) kill_all(pid, it->second);
  }
}

std::optional<Duration> Runs::next_deadline() const {
  if (deadlines_.empty()) return std::nullopt;
  return deadlines_.begin()->first;
}

void Runs::on_deadline() {
  const Duration now = read_clock(CLOCK_MONOTONIC);
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

void Runs::set_deadline(pid_t pid, Live& run, std::optional<Duration> deadline) {
  if (run.deadline) deadlines_.erase({*run.deadline, pid});
  run.deadline = deadline;
  if (deadline) deadlines_.insert({*deadline, pid});
}

void Runs::forget(pid_t pid, Live& run) {
  set_deadline(pid, run, std::nullopt);
  if (run.ending) --ending_;
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
