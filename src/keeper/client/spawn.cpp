#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "schedctl/base/fd_io.hpp"
#include "schedctl/base/unique_fd.hpp"
#include "schedctl/host/processes.hpp"
#include "schedctl/keeper/client.hpp"

// The keeper is started fresh and never forked: the caller has threads, secrets in its memory, and
// more of it than a process that forks all day should have.

namespace schedctl::keeper {
namespace {

/// The number that `schedctl keeper --ready-fd` is given.
constexpr int kReadyFd = 3;
/// A keeper is ready in milliseconds; this is for a machine that is starting everything at once.
constexpr std::chrono::seconds kPatience{20};
/// Of what it says when it cannot start.
constexpr std::size_t kLongestWords = 4096;

/// Stays a zombie of this process after its end, until somebody asks.
std::atomic<pid_t> last_spawned{0};

/// posix_spawn's two objects, which have to be destroyed.
class SpawnPlan {
 public:
  SpawnPlan() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;
  ~SpawnPlan() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};
};

void describe(SpawnPlan& plan, int ready_fd) {
  // The pipe first: its number may be one of those that are overwritten next.
  ::posix_spawn_file_actions_adddup2(&plan.actions, ready_fd, kReadyFd);
  ::posix_spawn_file_actions_addopen(&plan.actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&plan.actions, 1, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addopen(&plan.actions, 2, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addclosefrom_np(&plan.actions, kReadyFd + 1);
  sigset_t none;
  sigset_t all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&plan.attributes, &none);
  ::posix_spawnattr_setsigdefault(&plan.attributes, &all);
  ::posix_spawnattr_setflags(&plan.attributes,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

/// Where the tests of survival want the keeper to die. Only the first one: its successor shall
/// live.
std::string crash_variable() {
#ifdef SCHEDCTL_CRASH_POINTS
  static std::atomic<bool> used{false};
  const char* value = std::getenv("_SCHEDCTL_CRASH_AT");
  if (value == nullptr || !std::string_view(value).starts_with("keeper.")) return {};
  if (!used.exchange(true)) return std::string("_SCHEDCTL_CRASH_AT=") + value;
#endif
  return {};
}

Result<pid_t> spawn(const std::string& program, const KeeperPaths& paths, int ready_fd) {
  std::vector<std::string> words = command_line(program, paths);
  words.insert(words.end(), {"--ready-fd", std::to_string(kReadyFd)});
  std::vector<std::string> env{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                               "LANG=C.UTF-8"};
  if (std::string crash = crash_variable(); !crash.empty()) env.push_back(std::move(crash));
  SpawnPlan plan;
  describe(plan, ready_fd);
  pid_t pid = 0;
  const int error_number =
      ::posix_spawn(&pid, program.c_str(), &plan.actions, &plan.attributes,
                    host::string_pointers(words).data(), host::string_pointers(env).data());
  if (error_number != 0) {
    return fail(error_from_errno("cannot start the keeper (" + program + ")", error_number));
  }
  return pid;
}

void reap_last() {
  const pid_t pid = last_spawned.exchange(0);
  if (pid > 0 && ::waitpid(pid, nullptr, WNOHANG) == 0) last_spawned = pid;
}

}  // namespace

std::vector<std::string> command_line(const std::string& program, const KeeperPaths& paths) {
  std::vector<std::string> words{program,          "keeper",       "--keeper-dir",
                                 paths.keeper_dir, "--output-dir", paths.output_dir};
  if (!paths.config_file.empty()) words.insert(words.end(), {"--config", paths.config_file});
  if (paths.own) words.emplace_back("--own");
  if (paths.external) words.emplace_back("--external");
  return words;
}

Result<Spawning> Spawning::begin(const std::string& program, const KeeperPaths& paths) {
  if (const std::int64_t pid = living_keeper(paths.keeper_dir); pid != 0) {
    return fail(ErrorKind::conflict,
                "a keeper (process " + std::to_string(pid) + ") lives in " + paths.keeper_dir);
  }
  reap_last();
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(error_from_errno("cannot make a pipe", errno));
  Spawning spawning;
  spawning.pipe_.reset(ends[0]);
  const UniqueFd write_end(ends[1]);
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  TRY(const pid_t pid, spawn(program, paths, write_end.get()));
  spawning.pid_ = pid;
  last_spawned = pid;
  spawning.process_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!spawning.process_) {
    const int error_number = errno;
    ::kill(pid, SIGKILL);
    return fail(error_from_errno("cannot watch the keeper's start", error_number));
  }
  return spawning;
}

std::optional<Result<void>> Spawning::outcome() {
  if (pipe_ && !read_to_hangup(pipe_.get(), kLongestWords, said_)) return std::nullopt;
  pipe_.reset();
  if (said_ == "R") return Result<void>();
  // It has said why it cannot, or nothing at all; how it ended says the rest.
  int status = 0;
  const pid_t ended = ::waitpid(static_cast<pid_t>(pid_), &status, WNOHANG);
  if (ended == 0) return std::nullopt;
  last_spawned = 0;
  // The first process of a container does not hear how its children end.
  if (ended < 0 && said_.empty()) {
    return fail(ErrorKind::failed, "the keeper ended at its start");
  }
  return fail(why_it_ended(status));
}

void Spawning::kill() {
  // Its zombie is taken away when the next one is spawned: the end of a process can take time.
  ::syscall(SYS_pidfd_send_signal, process_.get(), SIGKILL, nullptr, 0);
}

Error Spawning::why_it_ended(int wait_status) const {
  if (!said_.empty()) return {ErrorKind::failed, "the keeper could not start: " + said_};
  if (WIFSIGNALED(wait_status)) {
    return {ErrorKind::failed, "the keeper was killed at its start by signal " +
                                   std::to_string(WTERMSIG(wait_status))};
  }
  return {ErrorKind::failed, "the keeper ended at its start with exit code " +
                                 std::to_string(WEXITSTATUS(wait_status))};
}

Result<void> spawn_keeper(const std::string& program, const KeeperPaths& paths) {
  TRY(Spawning spawning, Spawning::begin(program, paths));
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (true) {
    if (const std::optional<Result<void>> outcome = spawning.outcome()) return *outcome;
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0) break;
    pollfd poll{spawning.fd(), POLLIN, 0};
    ::poll(&poll, 1, static_cast<int>(left.count()));
  }
  spawning.kill();
  return fail(ErrorKind::unavailable, "the keeper did not get ready");
}

}  // namespace schedctl::keeper
