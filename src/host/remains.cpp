#include "schedctl/host/remains.hpp"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <string_view>

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

/// Commands whose parent died, by what tells their processes: there may be very many of them.
struct Orphaned {
  explicit Orphaned(const std::vector<Trace>& commands) {
    for (const Trace& one : commands) {
      if (one.session != 0) {
        by_session.emplace(one.session, &one);
      } else if (!one.marks.empty()) {
        by_mark.emplace(one.marks.front(), &one);
      }
    }
  }
  std::multimap<pid_t, const Trace*> by_session;
  std::multimap<std::string_view, const Trace*> by_mark;
};

bool is_in_session_of(const Candidate& candidate, const Trace& orphaned,
                      std::string_view variable) {
  if (candidate.stat.started < orphaned.since_boot - kClockTick) return false;
  if (has_entries(candidate.environment, orphaned.marks)) return true;
  return candidate.environment.find(variable) == std::string::npos &&
         unreaped_session_stands(orphaned);
}

bool is_orphan(const Candidate& candidate, const Orphaned& commands, std::string_view variable) {
  const auto in_session = commands.by_session.equal_range(candidate.stat.session);
  for (auto it = in_session.first; it != in_session.second; ++it)
    if (is_in_session_of(candidate, *it->second, variable)) return true;
  std::string_view rest = candidate.environment;
  while (!rest.empty()) {
    const std::string_view entry = rest.substr(0, rest.find('\0'));
    rest.remove_prefix(std::min(rest.size(), entry.size() + 1));
    const auto marked = commands.by_mark.equal_range(entry);
    for (auto it = marked.first; it != marked.second; ++it)
      if (is_of(candidate, *it->second, false)) return true;
  }
  return false;
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
  const Orphaned orphaned(commands);
  bool any = !commands.empty();
  for (int look = 0; look < kLooks && any; ++look) {
    any = false;
    for (const ProcessStat& stat : living_processes()) {
      if (!is_orphan(candidate_of(stat), orphaned, variable)) continue;
      signal_process(stat, SIGKILL);
      any = true;
    }
  }
}

}  // namespace schedctl::host
