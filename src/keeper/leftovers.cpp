#include "leftovers.hpp"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "schedctl/base/clock.hpp"
#include "schedctl/host/processes.hpp"

// A process whose parent dies becomes a child of the keeper, its subreaper. So whatever lives of an
// ended run is a child of the keeper, or below one, and if none of its children belongs to the run,
// nothing is left of it. Only if one does, all of /proc is read.
//
// Which run a process is of: its session is named by the number of the run's process, and that
// number is not given away as long as the session has a member. That it has been given away is seen
// from a process that has it. Who began another session still has the run's environment.
//
// When a keeper dies, so do its commands (PR_SET_PDEATHSIG), but not what they have started, and
// the next keeper is nobody's parent. It must not go on beside a new attempt, so all of /proc is
// read, and it is killed before any daemon hears of the run. A session's number can have gone to a
// stranger by then; who was started in it by another run has that one's environment.

namespace schedctl::keeper {
namespace {

constexpr Duration kLookDelay = std::chrono::milliseconds(50);
/// No more than this share of the keeper's time goes into looking: one part in so many.
constexpr int kShare = 20;
/// After the KILL: for what cannot die for the moment. Who can is noticed when it does.
constexpr Duration kStubborn = std::chrono::seconds(1);
/// Start times of processes are told no finer, and a moment before the time that is noted.
constexpr Duration kClockTick = std::chrono::milliseconds(100);

struct Candidate {
  host::ProcessStat stat;
  std::string environment;
};

Candidate candidate_of(const host::ProcessStat& stat) {
  return {stat, host::environment_of(stat.pid)};
}

bool is_of(const Candidate& candidate, const Leftover& leftover, bool session_stands) {
  if (candidate.stat.started < leftover.since_boot - kClockTick) return false;
  if (session_stands && candidate.stat.session == leftover.session) return true;
  return !leftover.care.marks.empty() &&
         host::has_entries(candidate.environment, leftover.care.marks);
}

/// Nobody else has got the number of the run's process.
bool session_stands(const Leftover& leftover) {
  return leftover.session > 1 && !host::process_stat(static_cast<pid_t>(leftover.session));
}

/// The same where the run's process may be dead and nobody has taken it away yet.
bool session_stands(const Orphaned& run) {
  const std::optional<host::ProcessStat> leader = host::process_stat(run.session);
  return !leader || (!leader->is_alive() && leader->started <= run.since_boot + kClockTick);
}

std::vector<Candidate> orphans(const std::vector<pid_t>& children,
                               const std::function<bool(pid_t)>& is_run) {
  std::vector<Candidate> found;
  for (const pid_t pid : children) {
    if (is_run(pid)) continue;
    const std::optional<host::ProcessStat> stat = host::process_stat(pid);
    if (stat && stat->is_alive()) found.push_back(candidate_of(*stat));
  }
  return found;
}

/// Processes in the session of a living run are that run's.
std::vector<Candidate> everybody(const std::function<bool(pid_t)>& is_run) {
  std::vector<Candidate> found;
  for (const host::ProcessStat& stat : host::living_processes()) {
    if (!is_run(stat.session)) found.push_back(candidate_of(stat));
  }
  return found;
}

bool is_orphan(const host::ProcessStat& stat, const Orphaned& run) {
  if (stat.started < run.since_boot - kClockTick) return false;
  if (run.session != 0 && stat.session != run.session) return false;
  const std::string environment = host::environment_of(stat.pid);
  if (host::has_entries(environment, {run.mark})) return true;
  return run.session != 0 && environment.find("SCHEDCTL_RUN_ID=") == std::string::npos &&
         session_stands(run);
}

}  // namespace

host::Cgroup cgroup_of(const RunKey& key, const std::string& instance) {
  return host::Cgroup("schedctl-" + instance + "-" + std::to_string(key.run.value) + "-" +
                      std::to_string(key.fence));
}

void Leftovers::add(Leftover leftover, Duration now) {
  const bool at_once = leftover.kill_at && *leftover.kill_at <= now;
  all_.push_back(std::move(leftover));
  schedule(std::max(at_once ? now : now + kLookDelay, earliest_));
}

void Leftovers::forget_session(pid_t session) {
  for (Leftover& leftover : all_) {
    if (leftover.session == session) leftover.session = 0;
  }
}

void Leftovers::on_orphan_gone(Duration now) {
  if (!all_.empty()) schedule(std::max(now + kLookDelay, earliest_));
}

void Leftovers::kill_all(Duration now) {
  for (Leftover& leftover : all_) leftover.kill_at = now;
  if (!all_.empty()) schedule(now);
}

void Leftovers::schedule(Duration at) {
  next_look_ = std::min(next_look_.value_or(at), at);
}

bool Leftovers::is_empty() const {
  return std::all_of(all_.begin(), all_.end(),
                     [](const Leftover& leftover) { return leftover.care.keep_children; });
}

void Leftovers::look(Duration now, const std::function<bool(pid_t)>& is_run) {
  next_look_.reset();
  const std::optional<std::vector<pid_t>> children = host::own_children();
  std::vector<Candidate> known;
  if (children) known = orphans(*children, is_run);
  const auto may_be_of = [&](const Leftover& one) {
    if (one.care.keep_children) return false;
    const bool stands = session_stands(one);
    return std::any_of(known.begin(), known.end(),
                       [&](const Candidate& orphan) { return is_of(orphan, one, stands); });
  };
  const bool any =
      !children || (!known.empty() && std::any_of(all_.begin(), all_.end(), may_be_of));
  if (any) known = everybody(is_run);
  std::erase_if(all_, [&](Leftover& one) {
    std::vector<host::ProcessStat> members;
    const bool stands = any && session_stands(one);
    for (const Candidate& candidate : known) {
      if (any && is_of(candidate, one, stands)) members.push_back(candidate.stat);
    }
    return !deal_with(one, members, now);
  });
  const Duration then = SystemClock().awake();
  earliest_ = then + (then - now) * kShare;
}

/// False: there is nothing left of it.
bool Leftovers::deal_with(Leftover& leftover, std::vector<host::ProcessStat> members,
                          Duration now) {
  const host::Cgroup cgroup = cgroup_of(leftover.key, instance_);
  if (leftover.care.has_cgroup) {
    for (const pid_t pid : cgroup.members()) {
      if (const std::optional<host::ProcessStat> stat = host::process_stat(pid))
        members.push_back(*stat);
    }
    if (members.empty() && cgroup.remove()) return false;
    // Cgroups of its own making may be in it.
    if (!leftover.care.keep_children && members.empty()) cgroup.kill();
  }
  // With a cgroup that is still there: its emptiness shows when an orphan goes.
  if (leftover.care.keep_children) return leftover.care.has_cgroup;
  if (members.empty() && !leftover.care.has_cgroup) return false;
  if (!leftover.told_to_end) {
    leftover.told_to_end = true;
    if (!leftover.kill_at) leftover.kill_at = now + leftover.kill_grace;
    for (const host::ProcessStat& member : members) {
      if (leftover.group_told && member.group == leftover.session) continue;
      host::signal_process(member, leftover.care.stop_signal);
      host::signal_process(member, SIGCONT);
    }
  }
  if (leftover.kill_at && now < *leftover.kill_at) {
    schedule(*leftover.kill_at);
    return true;
  }
  for (const host::ProcessStat& member : members) host::signal_process(member, SIGKILL);
  if (leftover.care.has_cgroup) cgroup.kill();
  schedule(now + kStubborn);
  return true;
}

void kill_orphans(const std::vector<Orphaned>& runs) {
  // One that is just being started by another is seen the second time; the rest is patience with
  // processes that take a moment to die.
  constexpr int kLooks = 5;
  bool any = !runs.empty();
  for (int look = 0; look < kLooks && any; ++look) {
    any = false;
    for (const host::ProcessStat& stat : host::living_processes()) {
      const auto is_its = [&](const Orphaned& run) { return is_orphan(stat, run); };
      if (std::none_of(runs.begin(), runs.end(), is_its)) continue;
      host::signal_process(stat, SIGKILL);
      any = true;
    }
  }
}

}  // namespace schedctl::keeper
