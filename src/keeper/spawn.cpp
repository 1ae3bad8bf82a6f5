#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "schedctl/base/unique_fd.hpp"
#include "schedctl/keeper/client.hpp"

// The keeper is started fresh and never forked: the caller has threads, secrets in its memory, and
// more of it than a process that forks all day should have.

namespace schedctl::keeper {
namespace {

/// The number that `schedctl keeper --ready-fd` is given.
constexpr int kReadyFd = 3;
/// A keeper is ready in milliseconds; this is for a machine that is starting everything at once.
constexpr std::chrono::seconds kPatience{20};

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

Result<pid_t> spawn(const std::string& program, const KeeperPaths& paths, int ready_fd) {
  std::vector<std::string> words{
      program,        "keeper",         "--keeper-dir", paths.keeper_dir,
      "--output-dir", paths.output_dir, "--ready-fd",   std::to_string(kReadyFd)};
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::string path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  std::string lang = "LANG=C.UTF-8";
  std::array<char*, 3> env{path.data(), lang.data(), nullptr};
  SpawnPlan plan;
  describe(plan, ready_fd);
  pid_t pid = 0;
  const int error_number = ::posix_spawn(&pid, program.c_str(), &plan.actions, &plan.attributes,
                                         argv.data(), env.data());
  if (error_number != 0) {
    return fail(error_from_errno("cannot start the keeper (" + program + ")", error_number));
  }
  return pid;
}

/// What the keeper says until it closes the pipe, or says that it is ready; nothing: it took too
/// long.
std::optional<std::string> listen_to(int fd) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  std::string said;
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0) return std::nullopt;
    pollfd poll{fd, POLLIN, 0};
    if (::poll(&poll, 1, static_cast<int>(left.count())) <= 0) continue;
    std::array<char, 1024> buffer{};
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return said;
    said.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

/// A keeper that ended earlier stays a zombie of this process until somebody asks.
void reap_last(std::atomic<pid_t>& last) {
  const pid_t pid = last.exchange(0);
  if (pid > 0 && ::waitpid(pid, nullptr, WNOHANG) == 0) last = pid;
}

}  // namespace

Result<void> spawn_keeper(const std::string& program, const KeeperPaths& paths) {
  static std::atomic<pid_t> last{0};
  if (const std::int64_t pid = living_keeper(paths.keeper_dir); pid != 0) {
    return fail(ErrorKind::conflict,
                "a keeper (process " + std::to_string(pid) + ") lives in " + paths.keeper_dir);
  }
  reap_last(last);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(error_from_errno("cannot make a pipe", errno));
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  TRY(const pid_t pid, spawn(program, paths, write_end.get()));
  write_end.reset();
  last = pid;
  const std::optional<std::string> said = listen_to(read_end.get());
  if (said == "R") return {};
  if (!said) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    last = 0;
    return fail(ErrorKind::unavailable, "the keeper did not get ready");
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  last = 0;
  if (!said->empty()) return fail(ErrorKind::failed, "the keeper could not start: " + *said);
  return fail(
      ErrorKind::failed,
      WIFSIGNALED(status)
          ? "the keeper was killed at its start by signal " + std::to_string(WTERMSIG(status))
          : "the keeper ended at its start with exit code " + std::to_string(WEXITSTATUS(status)));
}

}  // namespace schedctl::keeper
