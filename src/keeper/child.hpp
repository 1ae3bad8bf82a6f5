#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "schedctl/host/privilege.hpp"
#include "schedctl/keeper/messages.hpp"

namespace schedctl::keeper {

/// Whether the terms ask for another user or group than the keeper's.
inline bool changes_identity(const Terms& terms) {
  return !terms.user.empty() || !terms.group.empty();
}

/// What a child needs on its way from the keeper to its command, all of it made before the child
/// exists: after a fork, and even more while it shares the keeper's memory, it may not allocate.
struct ChildPlan {
  std::vector<std::string> programs;  ///< tried in this order
  std::vector<char*> argv;
  std::vector<char*> env;
  const char* cwd = nullptr;
  const Terms* terms = nullptr;
  const std::vector<std::string>* variables = nullptr;  ///< what `env` points into
  int stdin_fd = -1;
  int output_fd = -1;
  bool has_file = false;                  ///< output_fd is a file of this run's own
  const host::Account* reader = nullptr;  ///< who else reads that file
  int cgroup_fd = -1;                     ///< the cgroup.procs to go into; -1: none
  int lock_fd = -1;    ///< closed first: a child that hangs must not keep the keeper's lock
  int report_fd = -1;  ///< a pipe for the failure; -1: the parent reads it below
  pid_t keeper = 0;
  const rlimit* files = nullptr;           ///< the limit of descriptors to go back to, if any
  const std::string* oom_score = nullptr;  ///< the same for oom_score_adj

  volatile int failed_stage = -1;  ///< a Stage
  volatile int failed_errno = 0;
};

/// What goes through the report pipe.
struct ChildReport {
  int stage = -1;  ///< a Stage; -1: nothing failed
  int error_number = 0;
};

/// Turns the calling process into the command of a `ChildPlan`; ends it where that fails. Has the
/// shape that clone(2) wants, and never returns.
int become_command(void* plan);

}  // namespace schedctl::keeper
