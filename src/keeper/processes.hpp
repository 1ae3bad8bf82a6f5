#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "schedctl/base/time.hpp"

/// What /proc says about processes.
namespace schedctl::keeper {

struct ProcessStat {
  pid_t pid = 0;
  pid_t group = 0;
  pid_t session = 0;
  char state = '?';
  Duration started{};  ///< since boot, in steps of a clock tick
};

std::optional<ProcessStat> process_stat(pid_t pid);

/// All that live (zombies do not). Reads all of /proc: a millisecond for some hundred processes.
std::vector<ProcessStat> living_processes();
/// The children of this process, zombies too; nothing: this kernel does not list them.
std::optional<std::vector<pid_t>> own_children();

/// The environment that a process was started with, each entry with a zero after it; empty: it has
/// none, or may not be looked at. A process can overwrite its own.
std::string environment_of(pid_t pid);
bool has_entries(const std::string& environment, const std::vector<std::string>& entries);

/// A signal to that process and to no later one of the same number.
void signal_process(const ProcessStat& process, int signo);

/// The processes of a session that live (zombies do not), its leader among them.
std::vector<ProcessStat> session_members(pid_t session);

/// KILL to the living members of a session. Safe only while its number cannot have gone to another
/// session, that is while its leader is an unreaped child of the caller.
void kill_session(pid_t session);

/// KILL to what lives of a session whose leader nobody holds any more: only to processes that were
/// started at `since` or later and have `variable` ("NAME=VALUE") in their environment, because the
/// number may have gone to a stranger.
void kill_orphans(pid_t session, Duration since, const std::string& variable);
/// The same where the session is not known, and for those that left it.
void kill_marked(Duration since, const std::string& variable);

}  // namespace schedctl::keeper
