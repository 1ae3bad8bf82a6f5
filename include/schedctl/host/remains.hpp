#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "schedctl/base/time.hpp"
#include "schedctl/host/processes.hpp"

/// What commands leave behind when their own processes have ended.
namespace schedctl::host {

/// What tells the processes of one command; what has neither of session and marks any more is not
/// found. By default that of none.
struct Trace {
  pid_t session = 0;      ///< the number of its process; 0: not known, or somebody else's by now
  Duration since_boot{};  ///< nothing of it was started before
  /// "NAME=VALUE" that together are in the environments of its processes and of no others; empty:
  /// it has none.
  std::vector<std::string> marks = {};
};

/// What lives of commands whose processes have been reaped, for each of them. They were children of
/// this process, which is a subreaper. `lives`: whether a process that has this number is that of
/// a command that has not ended. A look that finds this process to be nobody's parent but those
/// commands' costs next to nothing.
std::vector<std::vector<ProcessStat>> remains_of(const std::vector<Trace>& ended,
                                                 const std::function<bool(pid_t)>& lives);

/// KILL to what lives of commands whose parent died: with the marks in the session, or anywhere
/// where that is not known, and what is in the session and has nothing of any command, that is no
/// `variable` ("NAME="), in its environment.
void kill_orphans(const std::vector<Trace>& commands, std::string_view variable);

}  // namespace schedctl::host
