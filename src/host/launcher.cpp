#include "schedctl/host/launcher.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <string_view>
#include <utility>
#include <vector>

#include "child.hpp"
#include "schedctl/base/fd_io.hpp"
#include "schedctl/base/limits.hpp"
#include "schedctl/host/processes.hpp"

// Two ways to make a process, with the same code in the child (child.cpp).
//
// Sharing memory (clone with CLONE_VM and CLONE_VFORK: a vfork with a stack of its own) is by far
// the cheapest, but this process stands still until the child execs. So it is used only when
// nothing that the child touches can make it wait (host/at_hand.hpp).
//
// Forking is for all other cases: an NFS home, a path that nobody has looked up for a while,
// another user, files that the command names. The child may hang there as long as it likes; a pipe
// that closes at its exec tells how it went.

namespace schedctl::host {
namespace {

/// What the child of a shared memory uses is a few frames; execve's work is on the kernel's stack.
constexpr std::size_t kStackBytes = std::size_t{64} * 1024;
/// A running command costs one descriptor, a connection one; the usual soft limit is 1024.
constexpr rlim_t kFiles = 65'536;
/// Below nearly everything else, but above what must never be killed.
constexpr std::string_view kOomScore = "-900";

/// Raises the soft limit of descriptors; gives back the old one if that changed it.
std::optional<std::pair<std::uint64_t, std::uint64_t>> raise_files() {
  rlimit old{};
  if (::getrlimit(RLIMIT_NOFILE, &old) != 0) return std::nullopt;
  rlimit raised = old;
  raised.rlim_cur = std::max(old.rlim_cur, std::min(old.rlim_max, kFiles));
  if (raised.rlim_cur == old.rlim_cur || ::setrlimit(RLIMIT_NOFILE, &raised) != 0) {
    return std::nullopt;
  }
  return std::pair(old.rlim_cur, old.rlim_max);
}

/// The same for the score by which the kernel picks whom to kill; only root may lower it. A service
/// manager that has done so (OOMScoreAdjust=) spares this process, not whatever it runs.
std::optional<std::string> lower_oom_score() {
  std::string old;
  std::ifstream("/proc/self/oom_score_adj") >> old;
  if (old.empty()) return std::nullopt;
  const bool spared = old.starts_with('-');
  if (spared) old = "0";
  std::optional<std::string> unchanged = spared ? std::optional(old) : std::nullopt;
  if (::geteuid() != 0) return unchanged;
  std::ofstream out("/proc/self/oom_score_adj");
  out << kOomScore << std::flush;
  return out ? old : unchanged;
}

/// What takes memory, or may wait, is not for a child that shares its parent's memory.
bool needs_copy(const Command& command) {
  return !command.user.empty() || !command.group.empty() || !command.stdin_file.empty() ||
         !command.env_file.empty();
}

tl::expected<Launch, NotLaunched> launch_sharing(ChildPlan& plan, char* stack_top) {
  const pid_t pid = ::clone(become_command, stack_top, CLONE_VM | CLONE_VFORK | SIGCHLD, &plan);
  if (pid < 0) return tl::unexpected(NotLaunched{Step::fork, errno});
  if (plan.failed_step < 0) return Launch{pid, {}};
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return tl::unexpected(NotLaunched{static_cast<Step>(plan.failed_step), plan.failed_errno});
}

tl::expected<Launch, NotLaunched> launch_forking(ChildPlan& plan) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    return tl::unexpected(NotLaunched{Step::setup, errno});
  }
  UniqueFd read_end(ends[0]);
  const UniqueFd write_end(ends[1]);
  plan.report_fd = write_end.get();
  const pid_t pid = ::fork();
  if (pid < 0) return tl::unexpected(NotLaunched{Step::fork, errno});
  if (pid == 0) become_command(&plan);
  return Launch{pid, std::move(read_end)};
}

}  // namespace

bool is_settled(const UniqueFd& pending) {
  pollfd poll{pending.get(), POLLIN, 0};
  return ::poll(&poll, 1, 0) > 0;
}

std::optional<NotLaunched> outcome_of(const UniqueFd& pending) {
  ChildReport report;
  ssize_t got = 0;
  do {
    got = ::read(pending.get(), &report, sizeof report);
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(sizeof report)) return std::nullopt;
  return NotLaunched{static_cast<Step>(report.step), report.error_number};
}

Result<Launcher> Launcher::create(int lock_fd, const Before* before) {
  Launcher launcher;
  launcher.lock_fd_ = lock_fd;
  launcher.null_.reset(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!launcher.null_) return fail(error_from_errno("cannot open /dev/null", errno));
  void* stack = ::mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return fail(error_from_errno("cannot map a stack", errno));
  launcher.stack_ = static_cast<char*>(stack);
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
    return fail(error_from_errno("cannot become a subreaper", errno));
  }
  if (before != nullptr) {
    launcher.before_ = *before;
  } else {
    launcher.before_ = {raise_files(), lower_oom_score()};
  }
  return launcher;
}

tl::expected<Launch, NotLaunched> Launcher::launch(const Command& command) {
  ChildPlan plan;
  plan.command = &command;
  plan.programs = candidates(command.argv.front(), command.env);
  plan.argv = string_pointers(command.argv);
  plan.env = string_pointers(command.env);
  UniqueFd text;
  if (command.stdin_text) {
    if (command.stdin_text->size() > limits::kStdinText) {
      return tl::unexpected(NotLaunched{Step::input, E2BIG});
    }
    text = sealed_file(*command.stdin_text);
    if (!text) return tl::unexpected(NotLaunched{Step::input, errno});
  }
  plan.stdin_fd = text ? text.get() : null_.get();
  plan.output_fd = command.output_fd >= 0 ? command.output_fd : null_.get();
  plan.lock_fd = lock_fd_;
  plan.parent = ::getpid();
  rlimit files{};
  if (before_.files) {
    files = {before_.files->first, before_.files->second};
    plan.files = &files;
  }
  std::optional<std::string> oom_score = before_.oom_score;
  if (command.oom_score_adj) oom_score = std::to_string(*command.oom_score_adj);
  if (oom_score) plan.oom_score = &*oom_score;
  if (!needs_copy(command) && at_hand_.has(command.cwd, plan.programs)) {
    return launch_sharing(plan, stack_ + kStackBytes);
  }
  return launch_forking(plan);
}

}  // namespace schedctl::host
