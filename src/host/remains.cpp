#include "schedctl/host/remains.hpp"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <optional>

// A process whose parent dies becomes a child of its subreaper. So whatever lives of an ended
// command is a child of the subreaper, or below one, and if none of its children belongs to the
// command, nothing is left of it. Only if one does, all of /proc is read.
//
// Which command a process is of: its session is named by the number of the command's process, and
// that number is not given away as long as the session has a member. That it has been given away is
// seen from a process that has it. Who began another session still has the command's environment.
//
// When the subreaper dies, so do its commands (PR_SET_PDEATHSIG), but not what they have started,
// and the next one is nobody's parent. So all of /proc is read. A session's number can have gone to
// a stranger by then; who was started in it by another command has that one's environment.

namespace schedctl::host {
namespace {

/// Start times of processes are told no finer, and a moment before the time that is noted.
constexpr Duration kClockTick = std::chrono::milliseconds(100);

struct Candidate {
  ProcessStat stat;
  std::string environment;
};

Candidate candidate_of(const ProcessStat& stat) {
  return {stat, environment_of(stat.pid)};
}

bool is_of(const Candidate& candidate, const Trace& ended, bool session_stands) {
  if (candidate.stat.started < ended.since_boot - kClockTick) return false;
  if (session_stands && candidate.stat.session == ended.session) return true;
  return !ended.marks.empty() && has_entries(candidate.environment, ended.marks);
}

/// Nobody else has got the number of the command's process.
bool session_stands(const Trace& ended) {
  return ended.session > 1 && !process_stat(ended.session);
}

/// The same where the command's process may be dead and nobody has taken it away yet.
bool unreaped_session_stands(const Trace& orphaned) {
  const std::optional<ProcessStat> leader = process_stat(orphaned.session);
  return !leader || (!leader->is_alive() && leader->started <= orphaned.since_boot + kClockTick);
}

std::vector<Candidate> orphans(const std::vector<pid_t>& children,
                               const std::function<bool(pid_t)>& lives) {
  std::vector<Candidate> found;
  for (const pid_t pid : children) {
    if (lives(pid)) continue;
    const std::optional<ProcessStat> stat = process_stat(pid);
    if (stat && stat->is_alive()) found.push_back(candidate_of(*stat));
  }
  return found;
}

/// Processes in the session of a living command are that command's.
std::vector<Candidate> everybody(const std::function<bool(pid_t)>& lives) {
  std::vector<Candidate> found;
  for (const ProcessStat& stat : living_processes()) {
    if (!lives(stat.session)) found.push_back(candidate_of(stat));
  }
  return found;
}

std::vector<ProcessStat> those_of(const Trace& ended, const std::vector<Candidate>& candidates) {
  std::vector<ProcessStat> found;
  const bool stands = session_stands(ended);
  for (const Candidate& candidate : candidates) {
    if (is_of(candidate, ended, stands)) found.push_back(candidate.stat);
  }
  return found;
}

bool is_orphan(const ProcessStat& stat, const Trace& command, std::string_view variable) {
  if (stat.started < command.since_boot - kClockTick) return false;
  if (command.session != 0 && stat.session != command.session) return false;
  const std::string environment = environment_of(stat.pid);
  if (has_entries(environment, command.marks)) return true;
  return command.session != 0 && environment.find(variable) == std::string::npos &&
         unreaped_session_stands(command);
}

}  // namespace

std::vector<std::vector<ProcessStat>> remains_of(const std::vector<Trace>& ended,
                                                 const std::function<bool(pid_t)>& lives) {
  std::vector<std::vector<ProcessStat>> found(ended.size());
  if (const std::optional<std::vector<pid_t>> children = own_children()) {
    const std::vector<Candidate> near = orphans(*children, lives);
    const auto has_one = [&](const Trace& one) { return !those_of(one, near).empty(); };
    if (near.empty() || std::none_of(ended.begin(), ended.end(), has_one)) return found;
  }
  const std::vector<Candidate> all = everybody(lives);
  std::transform(ended.begin(), ended.end(), found.begin(),
                 [&](const Trace& one) { return those_of(one, all); });
  return found;
}

void kill_orphans(const std::vector<Trace>& commands, std::string_view variable) {
  // One that is just being started by another is seen the second time; the rest is patience with
  // processes that take a moment to die.
  constexpr int kLooks = 5;
  bool any = !commands.empty();
  for (int look = 0; look < kLooks && any; ++look) {
    any = false;
    for (const ProcessStat& stat : living_processes()) {
      const auto is_its = [&](const Trace& one) { return is_orphan(stat, one, variable); };
      if (std::none_of(commands.begin(), commands.end(), is_its)) continue;
      signal_process(stat, SIGKILL);
      any = true;
    }
  }
}

}  // namespace schedctl::host
