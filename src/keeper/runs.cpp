#include "runs.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "schedctl/base/crash_point.hpp"
#include "schedctl/host/host.hpp"
#include "schedctl/host/processes.hpp"
#include "schedctl/host/remains.hpp"

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

/// Runs in care at one time. A daemon that acknowledges what it is told never comes near.
constexpr std::size_t kMostRuns = 100'000;

/// How often output is looked at that has a bound.
constexpr Duration kCutEvery = std::chrono::seconds(1);
constexpr std::size_t kCutAtOnce = 500;

/// "SCHEDCTL_KEY=..." of an environment, or nothing: the key is the same for all attempts of a run,
/// and no other's.
std::string mark_in(const std::vector<std::string>& env) {
  const auto found = std::find_if(env.begin(), env.end(), [](const std::string& entry) {
    return entry.starts_with("SCHEDCTL_KEY=");
  });
  return found == env.end() ? std::string() : *found;
}

}  // namespace

Runs::Runs(loop::Loop& loop, Means means, std::string instance, Tell tell)
    : loop_(loop),
      instance_(std::move(instance)),
      masters_(std::move(means.masters)),
      launcher_(std::move(means.launcher)),
      spool_(std::move(means.spool)),
      journal_(std::move(means.journal)),
      leftovers_(instance_),
      tell_(std::move(tell)) {}

void Runs::intend(const StartOrder& order) {
  if (pids_.contains(order.key) || finished_.contains(order.key)) return;
  const std::string mark = mark_in(order.env);
  if (mark.empty()) return;
  const Intended intended{order.key, clock_.elapsed(), mark};
  intended_.insert_or_assign(order.key, intended);
  journal_.add(encoded(intended));
}

void Runs::start(const StartOrder& order) {
  if (!tell_if_known(order.key)) launch(order);
  intended_.erase(order.key);
}

void Runs::launch(const StartOrder& order) {
  const Time at = clock_.wall();
  const Duration since_boot = clock_.elapsed();
  if (!may_start(order.key, at)) return;
  CRASH_POINT("keeper.ordered");
  host::Spool::File file;
  tl::expected<host::Launch, LaunchFailure> launched = launch(order, file);
  if (!launched) {
    spool_.give_back(std::move(file));
    const auto& [stage, error_number] = launched.error();
    return conclude(StartFailed{order.key, stage, error_number, at});
  }
  CRASH_POINT("keeper.forked");
  const pid_t pid = launched->pid;
  leftovers_.forget_session(pid);
  Live& live = live_[pid];
  HeldRun& run = live.run;
  run.launched = {{order.key, pid, at, spool_.path(file)}, since_boot};
  run.care = care_of(order);
  run.kill_grace = order.kill_grace;
  live.output = std::move(file);
  pids_[order.key] = pid;
  // What such a command starts outlives the keeper as well.
  if (run.care.keep_children) journal_.add(encoded(Acknowledge{{order.key}}));
  journal_.add(encoded(run.launched));
  start_unwritten_ = true;
  if (order.timeout > Duration::zero()) set_deadline(pid, run, clock_.awake() + order.timeout);
  if (run.care.max_output > 0 && !live.output.name.empty() && !cut_at_) {
    cut_at_ = clock_.awake() + kCutEvery;
  }
  if (launched->pending) {
    run.phase = RunPhase::pending;
    live.pending = std::move(launched->pending);
    watch(live, pid);
  } else {
    tell_(run.launched.started);
  }
}

/// `file` is what has been taken of the spool, also where it fails.
tl::expected<host::Launch, LaunchFailure> Runs::launch(const StartOrder& order,
                                                       host::Spool::File& file) {
  const Terms& terms = order.terms;
  if (const auto objected = objection(order, masters_)) return tl::unexpected(*objected);
  host::Command command = command_of(order, masters_);
  UniqueFd output;
  if (terms.output == Output::file) {
    tl::expected<host::Spool::Taken, int> taken = spool_.take(terms.user);
    if (!taken) return tl::unexpected(LaunchFailure{Stage::output, taken.error()});
    file = std::move(taken->file);
    output = std::move(taken->output);
    command.output_fd = output.get();
  }
  const host::Cgroup cgroup = cgroup_of(order.key, instance_);
  tl::expected<UniqueFd, int> procs;
  if (terms.needs_cgroup()) {
    procs = cgroup.make({terms.memory_max, terms.cpu_max, terms.pids_max});
    if (!procs) return tl::unexpected(LaunchFailure{Stage::cgroup, procs.error()});
    command.cgroup_fd = procs->get();
  }
  auto launched = launcher_.launch(command).map_error(failure_of);
  if (!launched && terms.needs_cgroup()) cgroup.remove();
  return launched;
}

/// An order that came before, over a connection that broke: tells again what became of it. It must
/// never start a second time.
bool Runs::tell_if_known(const RunKey& key) {
  if (const auto known = pids_.find(key); known != pids_.end()) {
    const HeldRun& run = live_.at(known->second).run;
    if (run.phase == RunPhase::running) tell_(run.launched.started);
    return true;
  }
  const auto known = finished_.find(key);
  if (known != finished_.end()) tell_(known->second);
  return known != finished_.end();
}

/// A start that could not be kept in mind, or not be written down, would be lost if the keeper
/// died: it is refused, and nothing is remembered of it.
bool Runs::may_start(const RunKey& key, Time at) {
  if (live_.size() + finished_.size() >= kMostRuns) {
    journal_.add(encoded(Acknowledge{{key}}));
    tell_(StartFailed{key, Stage::fork, EAGAIN, at});
    return false;
  }
  if ((!journal_ok_ || journal_.is_long()) && !rewrite_journal() && !journal_ok_) {
    tell_(StartFailed{key, Stage::setup, errno, at});
    return false;
  }
  return true;
}

void Runs::end(const RunKey& key, Duration kill_grace) {
  const auto known = pids_.find(key);
  if (known == pids_.end()) return;
  HeldRun& run = live_.at(known->second).run;
  run.ended_on_order = true;
  begin_end(known->second, run, kill_grace);
}

void Runs::signal(const RunKey& key, int signo) {
  const auto known = pids_.find(key);
  if (known == pids_.end() || signo <= 0 || signo >= NSIG) return;
  // Before its exec it may not have a group of its own yet.
  if (live_.at(known->second).run.phase == RunPhase::pending) ::kill(known->second, signo);
  ::kill(-known->second, signo);
}

void Runs::acknowledge(const std::vector<RunKey>& keys) {
  Acknowledge gone;
  for (const RunKey& key : keys) {
    if (finished_.erase(key) > 0) gone.keys.push_back(key);
  }
  if (gone.keys.empty()) return;
  journal_.add(encoded(gone));
  write_journal();
  if (!journal_ok_ || journal_.is_long()) {
    rewrite_journal();
  } else if (finished_.empty() && live_.empty() && intended_.empty()) {
    journal_.clear();
  }
}

bool Runs::adopt(const std::vector<JournalContents>& left) {
  std::vector<host::Trace> orphaned;
  const std::string boot_id = host::boot_id();
  for (const JournalContents& contents : left) {
    for (const StartFailed& failed : contents.failed) finished_.emplace(failed.key, failed);
    for (const Ended& ended : contents.ended) finished_.insert_or_assign(ended.key, ended);
    if (contents.head.boot_id != boot_id) continue;
    for (const Intended& intended : contents.intended) {
      orphaned.push_back({0, intended.since_boot, {intended.mark}});
      cgroup_of(intended.key, contents.head.instance).sweep();
    }
    for (const auto& [started, since_boot] : contents.launched) {
      const std::string mark = "SCHEDCTL_RUN_ID=" + std::to_string(started.key.run.value);
      const auto session = static_cast<pid_t>(started.pid);
      if (session > 1) orphaned.push_back({session, since_boot, {mark}});
      cgroup_of(started.key, contents.head.instance).sweep();
    }
  }
  // They must not go on beside a new attempt, so they go before any daemon hears of the runs.
  host::kill_orphans(orphaned, "SCHEDCTL_RUN_ID=");
  for (const JournalContents& contents : left) {
    for (const Launched& launched : contents.launched) spool_.sweep(launched.started.output_path);
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
  estate.files = launcher_.before().files;
  estate.oom_score = launcher_.before().oom_score;
  for (const auto& [pid, live] : live_) {
    HeldRun& held = holdings.runs.emplace_back(live.run);
    held.output = live.output.watch.get();
    held.output_device = live.output.device;
    held.output_inode = live.output.inode;
    held.pending = live.pending.get();
  }
  holdings.leftovers = leftovers_.all();
  for (const auto& [key, report] : finished_) holdings.finished.push_back(report);
}

void Runs::take_over(Holdings& holdings) {
  for (HeldRun& held : holdings.runs) {
    const auto pid = static_cast<pid_t>(held.launched.started.pid);
    if (held.phase == RunPhase::held) {
      leftovers_.add({.key = held.launched.started.key,
                      .session = pid,
                      .since_boot = held.launched.since_boot,
                      .group_told = true,
                      .told_to_end = true,
                      .kill_grace = held.kill_grace,
                      .kill_at = held.deadline},
                     clock_.awake());
      continue;
    }
    Live& live = live_[pid];
    const std::string& path = held.launched.started.output_path;
    live.output = {path.substr(path.rfind('/') + 1), held.care.user, UniqueFd(held.output),
                   held.output_device, held.output_inode};
    live.pending.reset(held.pending);
    const std::optional<Duration> deadline = std::exchange(held.deadline, std::nullopt);
    live.run = std::move(held);
    set_deadline(pid, live.run, deadline);
    const RunPhase phase = live.run.phase;
    if (phase == RunPhase::pending) watch(live, pid);
    if (phase != RunPhase::failed) pids_[live.run.launched.started.key] = pid;
  }
  const Duration now = clock_.awake();
  if (!live_.empty()) cut_at_ = now;
  for (Leftover& leftover : holdings.leftovers) leftovers_.add(std::move(leftover), now);
  for (Report& report : holdings.finished) {
    finished_.insert_or_assign(RunKey(key_of(report)), std::move(report));
  }
  journal_ok_ = false;
  rewrite_journal();
}

void Runs::on_child() {
  while (const std::optional<host::Exit> exit = host::reap_child()) on_exit(*exit);
}

/// Its process is on its way to its command.
void Runs::watch(Live& live, pid_t pid) {
  const auto watched =
      loop_.watch(live.pending.get(), EPOLLIN, [this, pid](std::uint32_t) { on_pending(pid); });
  // The exit of the process will settle it, if only later.
  static_cast<void>(watched);
}

void Runs::on_pending(pid_t pid) {
  const auto it = live_.find(pid);
  if (it == live_.end() || it->second.run.phase != RunPhase::pending) return;
  // The event may have been meant for an earlier descriptor of the same number.
  if (host::is_settled(it->second.pending)) settle(pid, it->second);
}

void Runs::settle(pid_t pid, Live& live) {
  HeldRun& run = live.run;
  loop_.unwatch(live.pending.get());
  const std::optional<host::NotLaunched> failed = host::outcome_of(live.pending);
  live.pending.reset();
  if (!failed) {
    run.phase = RunPhase::running;
    tell_(run.launched.started);
    return;
  }
  run.phase = RunPhase::failed;
  set_deadline(pid, run, std::nullopt);
  const RunKey key = run.launched.started.key;
  pids_.erase(key);
  const auto& [stage, error_number] = failure_of(*failed);
  conclude(StartFailed{key, stage, error_number, run.launched.started.at});
}

void Runs::on_exit(const host::Exit& exit) {
  const auto it = live_.find(exit.pid);
  if (it == live_.end()) return leftovers_.on_orphan_gone(clock_.awake());
  Live& live = it->second;
  HeldRun& run = live.run;
  if (run.phase == RunPhase::pending) settle(exit.pid, live);
  if (run.phase != RunPhase::failed) return finish(live, exit);
  if (run.care.has_cgroup) cgroup_of(run.launched.started.key, instance_).remove();
  spool_.give_back(std::move(live.output));
  forget(exit.pid, run);
}

void Runs::finish(Live& live, const host::Exit& exit) {
  CRASH_POINT("keeper.ended");
  HeldRun& run = live.run;
  Ended ended;
  ended.output_cut = host::Spool::cut_middle(live.output, run.care.max_output, run.care.output_cut);
  host::Spool::Outcome output = spool_.give_back(std::move(live.output));
  ended.key = run.launched.started.key;
  ended.pid = exit.pid;
  ended.started_at = run.launched.started.at;
  ended.ended_at = clock_.wall();
  ended.wait_status = exit.wait_status;
  ended.timed_out = run.timed_out;
  ended.ended_on_order = run.ended_on_order;
  ended.cpu = exit.cpu;
  ended.max_rss_kb = exit.max_rss_kb;
  ended.output_path = std::move(output.path);
  ended.output_bytes = output.bytes;
  ended.oom_killed = run.care.has_cgroup && cgroup_of(ended.key, instance_).had_oom_kill();
  pids_.erase(ended.key);
  leave_behind(run);
  forget(exit.pid, run);
  conclude(std::move(ended));
  end_unwritten_ = true;
}

void Runs::leave_behind(const HeldRun& run) {
  // A cgroup has to be removed in any case.
  if (run.care.keep_children && !run.care.has_cgroup) return;
  const Duration now = clock_.awake();
  const auto& [started, since_boot] = run.launched;
  Leftover leftover{.key = started.key,
                    .session = started.pid,
                    .since_boot = since_boot,
                    .group_told = run.ending,
                    .kill_grace = run.kill_grace,
                    .kill_at = std::nullopt,
                    .care = run.care};
  if (run.ending) leftover.kill_at = run.killed ? now : run.deadline;
  leftovers_.add(std::move(leftover), now);
}

/// Into the journal, then to the daemon.
void Runs::conclude(Report report) {
  journal_.add(encoded(report));
  const RunKey key = key_of(report);
  tell_(finished_.insert_or_assign(key, std::move(report)).first->second);
}

void Runs::begin_end(pid_t pid, HeldRun& run, Duration kill_grace) {
  if (run.killed) return;
  const Duration kill_at = clock_.awake() + kill_grace;
  if (run.ending) {
    set_deadline(pid, run, std::min(run.deadline.value_or(kill_at), kill_at));
    return;
  }
  run.ending = true;
  set_deadline(pid, run, kill_at);
  // Before its exec it may not have a group of its own yet, and nothing of the command runs that
  // could be asked to end: it hangs over a file, with all signals blocked but this one.
  if (run.phase == RunPhase::pending) ::kill(pid, SIGKILL);
  ::kill(-pid, run.care.stop_signal);
  ::kill(-pid, SIGCONT);
}

/// All but what is in its session and not in its group: kill_sessions() comes after it.
void Runs::kill(pid_t pid, HeldRun& run) {
  run.killed = true;
  set_deadline(pid, run, std::nullopt);
  if (run.phase == RunPhase::pending) ::kill(pid, SIGKILL);
  ::kill(-pid, SIGKILL);
  if (run.care.has_cgroup) cgroup_of(run.launched.started.key, instance_).kill();
}

void Runs::kill_all() {
  bool any = false;
  for (auto& [pid, live] : live_) {
    if (live.run.killed) continue;
    kill(pid, live.run);
    any = true;
  }
  if (any) host::kill_sessions([this](pid_t session) { return live_.contains(session); });
  leftovers_.kill_all(clock_.awake());
}

std::optional<Duration> Runs::next_time() const {
  std::optional<Duration> first = leftovers_.next_look();
  if (cut_at_) first = std::min(first.value_or(*cut_at_), *cut_at_);
  if (deadlines_.empty()) return first;
  return std::min(first.value_or(Duration::max()), deadlines_.begin()->first);
}

void Runs::on_time() {
  const Duration now = clock_.awake();
  on_deadlines(now);
  if (cut_at_ && *cut_at_ <= now) cut_outputs(now);
  if (const auto look = leftovers_.next_look(); look && *look <= now) {
    leftovers_.look(now, [this](pid_t pid) { return live_.contains(pid); });
  }
}

void Runs::on_deadlines(Duration now) {
  std::set<pid_t> killed;
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const pid_t pid = deadlines_.begin()->second;
    HeldRun& run = live_.at(pid).run;
    if (run.ending) {
      kill(pid, run);
      killed.insert(pid);
    } else {
      run.timed_out = true;
      begin_end(pid, run, run.kill_grace);
    }
  }
  if (killed.empty()) return;
  host::kill_sessions([&](pid_t session) { return killed.contains(session); });
}

/// Each once a second. Very many are looked at in parts: a start must not wait for all of them.
void Runs::cut_outputs(Duration now) {
  const std::size_t parts = live_.size() / kCutAtOnce + 1;
  const std::size_t buckets = live_.bucket_count();
  cut_part_ = (cut_part_ + 1) % parts;
  for (std::size_t b = buckets * cut_part_ / parts; b < buckets * (cut_part_ + 1) / parts; ++b) {
    for (auto it = live_.begin(b); it != live_.end(b); ++it) {
      auto& [pid, live] = *it;
      Care& care = live.run.care;
      care.output_cut = host::Spool::cut_middle(live.output, care.max_output, care.output_cut);
    }
  }
  cut_at_ = live_.empty() ? std::nullopt : std::optional<Duration>(now + kCutEvery / parts);
}

void Runs::set_deadline(pid_t pid, HeldRun& run, std::optional<Duration> deadline) {
  if (run.deadline) deadlines_.erase({*run.deadline, pid});
  run.deadline = deadline;
  if (deadline) deadlines_.insert({*deadline, pid});
}

void Runs::forget(pid_t pid, HeldRun& run) {
  set_deadline(pid, run, std::nullopt);
  live_.erase(pid);
}

void Runs::for_each(const std::function<void(const Report&)>& each) const {
  // Also those that have not come to their exec: an unknown run is one that was never started.
  for (const auto& [key, pid] : pids_) each(live_.at(pid).run.launched.started);
  for (const auto& [key, report] : finished_) each(report);
}

void Runs::write_journal() {
  if (!journal_.write()) journal_ok_ = false;
  if (std::exchange(start_unwritten_, false)) CRASH_POINT("keeper.journaled");
  if (std::exchange(end_unwritten_, false)) CRASH_POINT("keeper.end-journaled");
}

bool Runs::rewrite_journal() {
  const bool written = journal_.rewrite([this](const RecordFile::Sink& sink) {
    for (const auto& [key, intended] : intended_) sink(encoded(intended));
    for (const auto& [key, pid] : pids_) {
      const HeldRun& run = live_.at(pid).run;
      const std::string mark = run.care.keep_children ? "" : mark_in(run.care.marks);
      if (!mark.empty()) sink(encoded(Intended{key, run.launched.since_boot, mark}));
      sink(encoded(run.launched));
    }
    for (const auto& [key, report] : finished_) sink(encoded(report));
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
