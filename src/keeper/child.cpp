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
#include "schedctl/keeper/messages.hpp"

// This code runs in a child that may share the keeper's memory: system calls only, no allocation.
// (What does allocate, or may wait, is done only in a copy: see needs_copy().) It is not
// instrumented, since a sanitizer would take the borrowed stack for the keeper's own.
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
  if (::dup2(plan.stdin_fd, 0) < 0 || ::dup2(plan.output_fd, 1) < 0 ||
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
  if (plan.oom_score == nullptr) return;
  const int fd = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0 || ::write(fd, plan.oom_score->data(), plan.oom_score->size()) < 0) {
    give_up(plan, plan.terms->oom_score_adj ? Stage::oom_score : Stage::setup, errno);
  }
  ::close(fd);
}

/// Before anything else: from here on the limits hold.
SCHEDCTL_IN_CHILD void enter_cgroup(ChildPlan& plan) {
  if (plan.cgroup_fd >= 0 && ::write(plan.cgroup_fd, "0", 1) != 1) {
    give_up(plan, Stage::cgroup, errno);
  }
}

/// Checked, since the keeper may have died before it was set.
SCHEDCTL_IN_CHILD void die_with_keeper(ChildPlan& plan) {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) give_up(plan, Stage::setup, errno);
  if (::getppid() != plan.keeper) ::_exit(127);
}

/// Names are looked up here, in the child, and not in the keeper: the answer may come from a server
/// that does not answer. What a root keeper may become at all it has decided before (launcher.cpp).
void become_user(ChildPlan& plan) {
  const auto stage = [](const host::NotBecome& failed) {
    return failed.group ? Stage::group : Stage::user;
  };
  const auto identity = host::find_identity(plan.terms->user, plan.terms->group);
  if (!identity) give_up(plan, stage(identity.error()), identity.error().error_number);
  if (plan.has_file && ::geteuid() == 0) {
    const bool is_read = plan.reader != nullptr && plan.reader->uid != identity->uid;
    if (::fchown(1, identity->uid, is_read ? plan.reader->gid : identity->gid) != 0 ||
        ::fchmod(1, S_IRUSR | S_IWUSR | (is_read ? S_IRGRP : 0U)) != 0) {
      give_up(plan, Stage::output, errno);
    }
  }
  const auto failed = host::become_for_good(*identity);
  if (failed) give_up(plan, stage(*failed), failed->error_number);
}

/// Only in a copy of the keeper. What the job names is opened with the rights of its user.
void become_somebody(ChildPlan& plan) {
  const Terms& terms = *plan.terms;
  if (changes_identity(terms)) {
    become_user(plan);
    // A change of user clears it, and what comes next may hang for ever.
    die_with_keeper(plan);
  }
  if (!terms.stdin_file.empty()) {
    const int fd = ::open(terms.stdin_file.c_str(), O_RDONLY | O_NOCTTY | O_CLOEXEC);
    struct stat st {};
    if (fd < 0 || ::fstat(fd, &st) != 0) give_up(plan, Stage::input, errno);
    if (S_ISDIR(st.st_mode)) give_up(plan, Stage::input, EISDIR);
    if (::dup2(fd, 0) < 0) give_up(plan, Stage::input, errno);
    ::close(fd);
  }
  if (!terms.env_file.empty()) {
    tl::expected<std::vector<std::string>, int> file = host::read_env_file(terms.env_file);
    if (!file) give_up(plan, Stage::env_file, file.error());
    // Lives until the exec.
    static std::vector<std::string> all;
    all = host::merge_environment(*plan.variables, std::move(*file));
    plan.env = host::string_pointers(all);
  }
}

/// In the order of Resource.
constexpr __rlimit_resource kResources[] = {RLIMIT_AS,    RLIMIT_CPU,  RLIMIT_NOFILE,
                                            RLIMIT_NPROC, RLIMIT_CORE, RLIMIT_FSIZE};

/// As its user and so with its rights; last, since the child itself would feel some of them.
SCHEDCTL_IN_CHILD void take_share(ChildPlan& plan) {
  const Terms& terms = *plan.terms;
  if (terms.nice && ::setpriority(PRIO_PROCESS, 0, *terms.nice) != 0) {
    give_up(plan, Stage::nice, errno);
  }
  if (terms.io_class != IoClass::none) {
    // By hand, as glibc has no header for it and <linux/ioprio.h> of 6.1.192 is no C++:
    // ioprio_set(2).
    constexpr int kClassShift = 13;
    constexpr int kThisProcess = 1;
    const int priority = static_cast<int>(terms.io_class) << kClassShift | terms.io_level;
    if (::syscall(SYS_ioprio_set, kThisProcess, 0, priority) != 0) {
      give_up(plan, Stage::io_class, errno);
    }
  }
  for (const Limit& limit : terms.limits) {
    const rlimit both{limit.value, limit.value};
    if (::setrlimit(kResources[static_cast<std::size_t>(limit.resource)], &both) != 0) {
      give_up(plan, Stage::limits, errno);
    }
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
  const bool is_copy = plan.report_fd >= 0;
  if (is_copy) ::close(plan.lock_fd);
  die_with_keeper(plan);
  enter_cgroup(plan);
  set_descriptors(plan);
  if (::setsid() < 0) give_up(plan, Stage::setup, errno);
  ::umask(static_cast<mode_t>(plan.terms->umask));
  restore_limits(plan);
  if (is_copy) become_somebody(plan);
  if (::chdir(plan.cwd) != 0) give_up(plan, Stage::cwd, errno);
  take_share(plan);
  sigset_t none;
  ::sigemptyset(&none);
  if (::sigprocmask(SIG_SETMASK, &none, nullptr) != 0) give_up(plan, Stage::setup, errno);
  exec_first(plan);
}

}  // namespace schedctl::keeper
