#include "child.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "schedctl/keeper/messages.hpp"

// This code runs in a child that may share the keeper's memory: system calls only, no allocation.
// It is not instrumented, since a sanitizer would take the borrowed stack for the keeper's own.
// Signal dispositions need no care here: the keeper has no handlers and ignores nothing
// (serve.cpp), it only blocks.

#define SCHEDCTL_IN_CHILD __attribute__((no_sanitize("address", "undefined", "thread")))

namespace schedctl::keeper {
namespace {

/// The report pipe's number in the child, the first after stdin, stdout and stderr.
constexpr int kReportFd = 3;

[[noreturn]] SCHEDCTL_IN_CHILD void give_up(ChildPlan& plan, Stage stage, int error_number) {
  if (plan.report_fd >= 0) {
    const ChildReport report{static_cast<int>(stage), error_number};
    // Nothing is left to do if this fails: the keeper then sees an exit with 127.
    if (::write(plan.report_fd, &report, sizeof report) < 0) ::_exit(127);
  } else {
    plan.failed_errno = error_number;
    plan.failed_stage = static_cast<int>(stage);
  }
  ::_exit(127);
}

SCHEDCTL_IN_CHILD void set_descriptors(ChildPlan& plan) {
  if (::dup2(plan.null_fd, 0) < 0 || ::dup2(plan.output_fd, 1) < 0 ||
      ::dup2(plan.output_fd, 2) < 0) {
    give_up(plan, Stage::setup, errno);
  }
  int first_unused = kReportFd;
  if (plan.report_fd >= 0) {
    if (plan.report_fd != kReportFd && ::dup3(plan.report_fd, kReportFd, O_CLOEXEC) < 0) {
      give_up(plan, Stage::setup, errno);
    }
    plan.report_fd = kReportFd;
    ++first_unused;
  }
  if (::close_range(static_cast<unsigned>(first_unused), ~0U, 0) != 0) ::closefrom(first_unused);
}

SCHEDCTL_IN_CHILD void restore_limits(ChildPlan& plan) {
  if (plan.files != nullptr && ::setrlimit(RLIMIT_NOFILE, plan.files) != 0) {
    give_up(plan, Stage::setup, errno);
  }
  if (plan.oom_score != nullptr) {
    const int fd = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || ::write(fd, plan.oom_score->data(), plan.oom_score->size()) < 0) {
      give_up(plan, Stage::setup, errno);
    }
    ::close(fd);
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
        give_up(plan, Stage::exec, errno);
    }
  }
  give_up(plan, Stage::exec, error_number);
}

}  // namespace

SCHEDCTL_IN_CHILD int become_command(void* plan_pointer) {
  ChildPlan& plan = *static_cast<ChildPlan*>(plan_pointer);
  // In a copy of the keeper the lock goes first; where memory is shared nothing hangs, and closing
  // the rest in one go is enough.
  if (plan.report_fd >= 0) ::close(plan.lock_fd);
  set_descriptors(plan);
  if (::setsid() < 0) give_up(plan, Stage::setup, errno);
  ::umask(022);
  restore_limits(plan);
  if (::chdir(plan.cwd) != 0) give_up(plan, Stage::cwd, errno);
  // After everything that would clear it, and checked: the keeper may have died before it was set.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) give_up(plan, Stage::setup, errno);
  if (::getppid() != plan.keeper) ::_exit(127);
  sigset_t none;
  ::sigemptyset(&none);
  if (::sigprocmask(SIG_SETMASK, &none, nullptr) != 0) give_up(plan, Stage::setup, errno);
  exec_first(plan);
}

}  // namespace schedctl::keeper
