#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "schedctl/base/time.hpp"

/// What /proc says about processes.
namespace schedctl::host {

struct ProcessStat {
  pid_t pid = 0;
  pid_t group = 0;
  pid_t session = 0;
  char state = '?';
  bool is_exiting = false;  ///< its first thread is on its way out
  Duration started{};       ///< since boot, in steps of a clock tick
  bool is_alive() const { return state != 'Z' && state != 'X'; }
};

std::optional<ProcessStat> process_stat(pid_t pid);

/// Whether it was killed, or ends of itself, and will run nothing any more, though it may still
/// hold its locks: they go with its last thread.
bool is_ending(pid_t pid);

/// All that live (zombies do not). Reads all of /proc: a millisecond for some hundred processes.
std::vector<ProcessStat> living_processes();
/// The children of this process, zombies too; nothing: this kernel does not list them.
std::optional<std::vector<pid_t>> own_children();
/// Whether it has children, zombies too; where that cannot be told it may have some.
bool has_children(pid_t pid);

/// The environment that a process was started with, each entry with a zero after it; empty: it has
/// none, or may not be looked at. A process can overwrite its own.
std::string environment_of(pid_t pid);
bool has_entries(const std::string& environment, const std::vector<std::string>& entries);

/// How a child ended.
struct Exit {
  pid_t pid = 0;
  int wait_status = 0;  ///< as waitpid gives it
  Duration cpu{};
  /// Nothing: no more than this process's own. A child begins with the memory of its parent on its
  /// account, so such a peak says nothing about what it executed.
  std::optional<std::int64_t> max_rss_kb;
};
/// Takes away any child that has ended; nothing: none has.
std::optional<Exit> reap_child();

/// Where a command is looked for, as execvp does: itself if it has a slash, else in the PATH of
/// `env`.
std::vector<std::string> candidates(const std::string& name, const std::vector<std::string>& env);

/// For execve, which writes to none of them, whatever its type says.
std::vector<char*> string_pointers(const std::vector<std::string>& strings);

/// A signal to that process and to no later one of the same number.
void signal_process(const ProcessStat& process, int signo);

/// KILL to the living members of the sessions, which `is_one` tells. Safe only while their numbers
/// cannot have gone to others, that is while their leaders are unreaped children of the caller.
void kill_sessions(const std::function<bool(pid_t)>& is_one);

}  // namespace schedctl::host
