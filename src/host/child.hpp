#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "schedctl/host/launcher.hpp"

namespace schedctl::host {

/// What a child needs on its way to its command, all of it made before the child exists: after a
/// fork, and even more while it shares its parent's memory, it may not allocate.
struct ChildPlan {
  const Command* command = nullptr;
  std::vector<std::string> programs;  ///< tried in this order
  std::vector<char*> argv;
  std::vector<char*> env;
  int stdin_fd = -1;
  int output_fd = -1;
  int lock_fd = -1;    ///< closed first: a child that hangs must not keep its parent's lock
  int report_fd = -1;  ///< a pipe for the failure; -1: the parent reads it below
  pid_t parent = 0;
  const rlimit* files = nullptr;           ///< the limit of descriptors to go back to, if any
  const std::string* oom_score = nullptr;  ///< the same for oom_score_adj

  volatile int failed_step = -1;  ///< a Step
  volatile int failed_errno = 0;
};

/// What goes through the report pipe.
struct ChildReport {
  int step = -1;  ///< a Step; -1: nothing failed
  int error_number = 0;
};

/// Turns the calling process into the command of a `ChildPlan`; ends it where that fails. Has the
/// shape that clone(2) wants, and never returns.
int become_command(void* plan);

}  // namespace schedctl::host
