#include "child.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "schedctl/host/env_file.hpp"
#include "schedctl/host/privilege.hpp"
#include "schedctl/host/processes.hpp"

// This code runs in a child that may share its parent's memory: system calls only, no allocation.
// (What does allocate, or may wait, is done only in a copy: launcher.cpp.) It is not
// instrumented, since a sanitizer would take the borrowed stack for the parent's own.
// Signal dispositions need no care here: the parent has no handlers and ignores nothing
// (take_signals()), it only blocks.

#define SCHEDCTL_IN_CHILD __attribute__((no_sanitize("address", "undefined", "thread")))

namespace schedctl::host {
namespace {

/// The report pipe's number in the child, the first after stdin, stdout and stderr.
constexpr int kReportFd = 3;

[[noreturn]] SCHEDCTL_IN_CHILD void give_up(ChildPlan& plan, Step step, int error_number) {
  if (plan.report_fd >= 0) {
    const ChildReport report{static_cast<int>(step), error_number};
    // Nothing is left to do if this fails: the parent then sees an exit with 127.
    if (::write(plan.report_fd, &report, sizeof report) < 0) ::_exit(127);
  } else {
    plan.failed_errno = error_number;
    plan.failed_step = static_cast<int>(step);
  }
  ::_exit(127);
}

SCHEDCTL_IN_CHILD void set_descriptors(ChildPlan& plan) {
  if (::dup2(plan.stdin_fd, 0) < 0 || ::dup2(plan.output_fd, 1) < 0 ||
      ::dup2(plan.output_fd, 2) < 0) {
    give_up(plan, Step::setup, errno);
  }
  int first_unused = kReportFd;
  if (plan.report_fd >= 0) {
    if (plan.report_fd != kReportFd && ::dup3(plan.report_fd, kReportFd, O_CLOEXEC) < 0) {
      give_up(plan, Step::setup, errno);
    }
    plan.report_fd = kReportFd;
    ++first_unused;
  }
  if (::close_range(static_cast<unsigned>(first_unused), ~0U, 0) != 0) ::closefrom(first_unused);
}

SCHEDCTL_IN_CHILD void restore_limits(ChildPlan& plan) {
  if (plan.files != nullptr && ::setrlimit(RLIMIT_NOFILE, plan.files) != 0) {
    give_up(plan, Step::setup, errno);
  }
  if (plan.oom_score == nullptr) return;
  const int fd = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0 || ::write(fd, plan.oom_score->data(), plan.oom_score->size()) < 0) {
    give_up(plan, plan.command->oom_score_adj ? Step::oom_score : Step::setup, errno);
  }
  ::close(fd);
}

/// Before anything else: from here on the limits hold.
SCHEDCTL_IN_CHILD void enter_cgroup(ChildPlan& plan) {
  if (plan.command->cgroup_fd >= 0 && ::write(plan.command->cgroup_fd, "0", 1) != 1) {
    give_up(plan, Step::cgroup, errno);
  }
}

/// Checked, since the parent may have died before it was set.
SCHEDCTL_IN_CHILD void die_with_parent(ChildPlan& plan) {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) give_up(plan, Step::setup, errno);
  if (::getppid() != plan.parent) ::_exit(127);
}

/// Names are looked up here, in the child, and not in its parent: the answer may come from a server
/// that does not answer.
void become_user(ChildPlan& plan) {
  const auto step = [](const NotBecome& failed) { return failed.group ? Step::group : Step::user; };
  const auto identity = find_identity(plan.command->user, plan.command->group);
  if (!identity) give_up(plan, step(identity.error()), identity.error().error_number);
  if (plan.command->output_fd >= 0 && ::geteuid() == 0) {
    const Account* reader = plan.command->reader;
    const bool is_read = reader != nullptr && reader->uid != identity->uid;
    if (::fchown(1, identity->uid, is_read ? reader->gid : identity->gid) != 0 ||
        ::fchmod(1, S_IRUSR | S_IWUSR | (is_read ? S_IRGRP : 0U)) != 0) {
      give_up(plan, Step::output, errno);
    }
  }
  const auto failed = become_for_good(*identity);
  if (failed) give_up(plan, step(*failed), failed->error_number);
}

/// Only in a copy of the parent. What the command names is opened with the rights of its user.
void become_somebody(ChildPlan& plan) {
  const Command& command = *plan.command;
  if (!command.user.empty() || !command.group.empty()) {
    become_user(plan);
    // A change of user clears it, and what comes next may hang for ever.
    die_with_parent(plan);
  }
  if (!command.stdin_file.empty()) {
    const int fd = ::open(command.stdin_file.c_str(), O_RDONLY | O_NOCTTY | O_CLOEXEC);
    struct stat st {};
    if (fd < 0 || ::fstat(fd, &st) != 0) give_up(plan, Step::input, errno);
    if (S_ISDIR(st.st_mode)) give_up(plan, Step::input, EISDIR);
    if (::dup2(fd, 0) < 0) give_up(plan, Step::input, errno);
    ::close(fd);
  }
  if (!command.env_file.empty()) {
    tl::expected<std::vector<std::string>, int> file = read_env_file(command.env_file);
    if (!file) give_up(plan, Step::env_file, file.error());
    // Lives until the exec.
    static std::vector<std::string> all;
    all = merge_environment(command.env, std::move(*file));
    plan.env = string_pointers(all);
  }
}

/// As its user and so with its rights; last, since the child itself would feel some of them.
SCHEDCTL_IN_CHILD void take_share(ChildPlan& plan) {
  const Command& command = *plan.command;
  if (command.nice && ::setpriority(PRIO_PROCESS, 0, *command.nice) != 0) {
    give_up(plan, Step::nice, errno);
  }
  if (command.io_class != 0) {
    // By hand, as glibc has no header for it and <linux/ioprio.h> of 6.1.192 is no C++:
    // ioprio_set(2).
    constexpr int kClassShift = 13;
    constexpr int kThisProcess = 1;
    const int priority = command.io_class << kClassShift | command.io_level;
    if (::syscall(SYS_ioprio_set, kThisProcess, 0, priority) != 0) {
      give_up(plan, Step::io_class, errno);
    }
  }
  for (const auto& [resource, value] : command.limits) {
    const rlimit both{value, value};
    if (::setrlimit(resource, &both) != 0) give_up(plan, Step::limits, errno);
  }
}

/// As execvp: the search goes on over what is not there, and over what may not be executed, which
/// is remembered. A file that is neither a program nor a script with #! is an error (ENOEXEC): no
/// shell is guessed.
[[noreturn]] SCHEDCTL_IN_CHILD void exec_first(ChildPlan& plan) {
  int error_number = ENOENT;
  for (const std::string& program : plan.programs) {
    ::execve(program.c_str(), plan.argv.data(), plan.env.data());
    switch (errno) {
      case EACCES:
        error_number = EACCES;
        break;
      case ENOENT:
      case ENOTDIR:
      case ESTALE:
      case ENODEV:
      case ETIMEDOUT:
        break;
      default:
        give_up(plan, Step::exec, errno);
    }
  }
  give_up(plan, Step::exec, error_number);
}

}  // namespace

SCHEDCTL_IN_CHILD int become_command(void* plan_pointer) {
  ChildPlan& plan = *static_cast<ChildPlan*>(plan_pointer);
  // In a copy of the parent the lock goes first; where memory is shared nothing hangs, and closing
  // the rest in one go is enough.
  const bool is_copy = plan.report_fd >= 0;
  if (is_copy) ::close(plan.lock_fd);
  die_with_parent(plan);
  enter_cgroup(plan);
  set_descriptors(plan);
  if (::setsid() < 0) give_up(plan, Step::setup, errno);
  ::umask(static_cast<mode_t>(plan.command->umask));
  restore_limits(plan);
  if (is_copy) become_somebody(plan);
  if (::chdir(plan.command->cwd.c_str()) != 0) give_up(plan, Step::cwd, errno);
  take_share(plan);
  sigset_t none;
  ::sigemptyset(&none);
  if (::sigprocmask(SIG_SETMASK, &none, nullptr) != 0) give_up(plan, Step::setup, errno);
  exec_first(plan);
}

}  // namespace schedctl::host
