#include "launcher.hpp"

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

#include "schedctl/base/fd_io.hpp"
#include "schedctl/base/limits.hpp"
#include "schedctl/host/processes.hpp"

// Two ways to make a process, with the same code in the child (child.cpp).
//
// Sharing memory (clone with CLONE_VM and CLONE_VFORK: a vfork with a stack of its own) is by far
// the cheapest, but the keeper stands still until the child execs. So it is used only when nothing
// that the child touches can make it wait (host/at_hand.hpp).
//
// Forking is for all other cases: an NFS home, a path that nobody has looked up for a while,
// another user, files that the job names. The child may hang there as long as it likes; a pipe that
// closes at its exec tells how it went.

namespace schedctl::keeper {
namespace {

/// What the child of a shared memory uses is a few frames; execve's work is on the kernel's stack.
constexpr std::size_t kStackBytes = std::size_t{64} * 1024;
/// A running command costs one descriptor, a connection one; the usual soft limit is 1024.
constexpr rlim_t kFiles = 65'536;
/// Below nearly everything else, but above what must never be killed.
constexpr std::string_view kOomScore = "-900";

bool has_nul(const std::vector<std::string>& strings) {
  return std::any_of(strings.begin(), strings.end(),
                     [](const std::string& s) { return s.find('\0') != std::string::npos; });
}

/// Raises the soft limit of descriptors; gives back the old one if that changed it.
std::optional<rlimit> raise_files() {
  rlimit old{};
  if (::getrlimit(RLIMIT_NOFILE, &old) != 0) return std::nullopt;
  rlimit raised = old;
  raised.rlim_cur = std::max(old.rlim_cur, std::min(old.rlim_max, kFiles));
  if (raised.rlim_cur == old.rlim_cur || ::setrlimit(RLIMIT_NOFILE, &raised) != 0) {
    return std::nullopt;
  }
  return old;
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

/// What takes memory, or may wait, is not for a child that shares the keeper's memory.
bool needs_copy(const Terms& terms) {
  return changes_identity(terms) || !terms.stdin_file.empty() || !terms.env_file.empty();
}

/// What a root keeper refuses, the kernel refuses others.
bool is_sane(const Terms& terms) {
  const bool both = !terms.stdin_file.empty() && terms.stdin_text;
  const bool levels = terms.io_level >= 0 && terms.io_level <= 7;
  const bool ends = terms.stop_signal > 0 && terms.stop_signal < NSIG;
  return !both && levels && ends && (terms.umask & ~0777) == 0 && terms.memory_max >= 0 &&
         terms.cpu_max >= 0 && terms.pids_max >= 0 && terms.max_output >= 0;
}

}  // namespace

bool is_settled(const UniqueFd& pending) {
  pollfd poll{pending.get(), POLLIN, 0};
  return ::poll(&poll, 1, 0) > 0;
}

std::optional<LaunchFailure> outcome_of(const UniqueFd& pending) {
  ChildReport report;
  ssize_t got = 0;
  do {
    got = ::read(pending.get(), &report, sizeof report);
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(sizeof report)) return std::nullopt;
  return LaunchFailure{static_cast<Stage>(report.stage), report.error_number};
}

Result<Launcher> Launcher::create(int lock_fd, Rules rules, std::optional<host::Account> reader,
                                  const Before* before) {
  Launcher launcher;
  launcher.lock_fd_ = lock_fd;
  launcher.rules_ = std::move(rules);
  launcher.reader_ = std::move(reader);
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

std::optional<LaunchFailure> Launcher::objection(const StartOrder& order) const {
  const Terms& terms = order.terms;
  // What an exec could not be told at all.
  if (order.argv.empty() || has_nul(order.argv) || has_nul(order.env) ||
      has_nul({order.cwd, terms.user, terms.group, terms.stdin_file, terms.env_file})) {
    return LaunchFailure{Stage::exec, EINVAL};
  }
  if (!is_sane(terms)) return LaunchFailure{Stage::setup, EINVAL};
  if (::geteuid() != 0) return std::nullopt;  // its child finds out what the kernel allows
  const std::string& user = terms.user.empty() ? rules_.job_user : terms.user;
  const auto& allowed = rules_.allow_users;
  // Without a rule for it, an order that names nobody means the keeper's own user: not for a daemon
  // that is another one.
  if (user.empty() && reader_) return LaunchFailure{Stage::user, EPERM};
  if (user != rules_.job_user && std::find(allowed.begin(), allowed.end(), user) == allowed.end()) {
    return LaunchFailure{Stage::user, EPERM};
  }
  // Set before the child becomes its user, so the kernel would not mind.
  const bool is_root = user.empty() || user == "root";
  if (terms.oom_score_adj.value_or(0) < 0 && !is_root) {
    return LaunchFailure{Stage::oom_score, EACCES};
  }
  return std::nullopt;
}

tl::expected<Launch, LaunchFailure> Launcher::launch(const StartOrder& order,
                                                     const Belongings& belongings) {
  // Whom jobs run as that name nobody is not for the daemon to say.
  std::optional<Terms> completed;
  if (order.terms.user.empty() && !rules_.job_user.empty()) {
    completed = order.terms;
    completed->user = rules_.job_user;
  }
  const Terms& terms = completed ? *completed : order.terms;
  ChildPlan plan;
  plan.programs = host::candidates(order.argv.front(), order.env);
  plan.argv = host::string_pointers(order.argv);
  plan.env = host::string_pointers(order.env);
  plan.variables = &order.env;
  plan.cwd = order.cwd.c_str();
  plan.terms = &terms;
  UniqueFd text;
  if (terms.stdin_text) {
    if (terms.stdin_text->size() > limits::kStdinText) {
      return tl::unexpected(LaunchFailure{Stage::input, E2BIG});
    }
    text = sealed_file(*terms.stdin_text);
    if (!text) return tl::unexpected(LaunchFailure{Stage::input, errno});
  }
  plan.stdin_fd = text ? text.get() : null_.get();
  plan.has_file = belongings.output_fd >= 0;
  plan.output_fd = plan.has_file ? belongings.output_fd : null_.get();
  plan.reader = reader_ ? &*reader_ : nullptr;
  plan.cgroup_fd = belongings.cgroup_fd;
  plan.lock_fd = lock_fd_;
  plan.keeper = ::getpid();
  plan.files = before_.files ? &*before_.files : nullptr;
  std::string oom_score;
  if (terms.oom_score_adj) oom_score = std::to_string(*terms.oom_score_adj);
  plan.oom_score = terms.oom_score_adj ? &oom_score
                   : before_.oom_score ? &*before_.oom_score
                                       : nullptr;
  if (!needs_copy(terms) && at_hand_.has(order.cwd, plan.programs)) return launch_sharing(plan);
  return launch_forking(plan);
}

tl::expected<Launch, LaunchFailure> Launcher::launch_sharing(ChildPlan& plan) {
  const pid_t pid =
      ::clone(become_command, stack_ + kStackBytes, CLONE_VM | CLONE_VFORK | SIGCHLD, &plan);
  if (pid < 0) return tl::unexpected(LaunchFailure{Stage::fork, errno});
  if (plan.failed_stage < 0) return Launch{pid, {}};
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return tl::unexpected(LaunchFailure{static_cast<Stage>(plan.failed_stage), plan.failed_errno});
}

tl::expected<Launch, LaunchFailure> Launcher::launch_forking(ChildPlan& plan) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    return tl::unexpected(LaunchFailure{Stage::setup, errno});
  }
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  plan.report_fd = write_end.get();
  const pid_t pid = ::fork();
  if (pid < 0) return tl::unexpected(LaunchFailure{Stage::fork, errno});
  if (pid == 0) become_command(&plan);
  return Launch{pid, std::move(read_end)};
}

}  // namespace schedctl::keeper
