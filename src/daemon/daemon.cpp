#include "schedctl/daemon/daemon.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "instance.hpp"
#include "schedctl/base/fd_io.hpp"
#include "schedctl/base/log.hpp"
#include "schedctl/base/text.hpp"

namespace schedctl::daemon {
namespace {

// What the process that became this one held, if one did.
std::optional<Inherited> take_inheritance() {
  const char* value = std::getenv(kInheritVariable);
  if (value == nullptr) return std::nullopt;
  std::vector<int> fds;
  std::string_view text(value);
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const auto fd = parse_int(text.substr(0, comma));
    // One that is not open: somebody else set the variable.
    if (!fd || ::fcntl(static_cast<int>(*fd), F_SETFD, FD_CLOEXEC) != 0) break;
    fds.push_back(static_cast<int>(*fd));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  ::unsetenv(kInheritVariable);
  if (fds.size() != 3 || !text.empty()) return std::nullopt;
  return Inherited{{host::FileLock::adopt(fds[0]), host::FileLock::adopt(fds[1])},
                   UniqueFd(fds[2])};
}

// A path on the command line is meant from where the command was typed; the daemon lives in "/".
void make_sources_absolute(StartOptions& options) {
  if (!options.loaded.config.config_file.empty() && options.sources.config_file) {
    options.sources.config_file = options.loaded.config.config_file;
  }
  if (options.sources.store) options.sources.store = options.loaded.config.store;
}

// The command line of the successor: that of this start, with every path made absolute.
std::vector<std::string> successor_argv(const StartOptions& options) {
  std::vector<std::string> argv{host::program_path()};
  // Which of the two it is must not depend on what is there when the successor looks.
  if (options.loaded.config.own) argv.emplace_back("--own");
  if (options.sources.config_file) argv.push_back("--config=" + *options.sources.config_file);
  if (options.sources.store) argv.push_back("--store=" + *options.sources.store);
  for (const auto& [key, value] : options.sources.set) {
    argv.emplace_back("--set");
    argv.push_back(key + "=" + value);
  }
  argv.emplace_back("start");
  if (options.foreground) argv.emplace_back("--foreground");
  return argv;
}

int run_here(StartOptions options, const Parts& parts, std::optional<Inherited> inherited,
             const std::function<void(const Result<void>&)>& ready) {
  host::set_process_title("schedctl: daemon");
  Result<void> begun;
  int code = 1;
  {
    Instance instance(std::move(options), parts);
    begun = instance.become_ready(std::move(inherited));
    if (begun) {
      ready(begun);
      return instance.serve();
    }
    if (instance.is_orphaned()) code = kExitLeft;
  }
  log::flush();
  // Not before the locks are free: whoever hears of the failure may try again at once.
  ready(begun);
  return code;
}

void write_all(int fd, const std::string& text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const ssize_t n = ::write(fd, text.data() + at, text.size() - at);
    if (n <= 0) return;
    at += static_cast<std::size_t>(n);
  }
}

// The second child of the double fork: everything is its own from here on.
[[noreturn]] void become_background(StartOptions options, const Parts& parts, UniqueFd report) {
  // Nothing of the caller's may be kept open (its terminal, a pipe that it waits on).
  const int fd = report.get();
  const int null = ::open("/dev/null", O_RDWR);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null, standard);
  if (null > STDERR_FILENO) ::close(null);
  if (fd > 3) ::close_range(3, static_cast<unsigned>(fd - 1), 0);
  ::close_range(static_cast<unsigned>(fd + 1), ~0U, 0);
  [[maybe_unused]] const int moved = ::chdir("/");
  const int code =
      run_here(std::move(options), parts, std::nullopt, [&](const Result<void>& ready) {
        // "R PID", or "E KIND" and the message on the lines after it.
        write_all(fd, ready ? "R " + std::to_string(::getpid())
                            : "E " + std::to_string(static_cast<int>(ready.error().kind)) + "\n" +
                                  ready.error().where + "\n" + ready.error().message);
        report.reset();
      });
  // The parts' destructors have run; those of the caller's stack belong to the calling process.
  std::fflush(nullptr);
  ::_exit(code);
}

std::string read_to_end(int fd) {
  std::string all;
  std::array<char, 4096> part{};
  for (;;) {
    const ssize_t n = ::read(fd, part.data(), part.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return all;
    all.append(part.data(), static_cast<std::size_t>(n));
  }
}

Result<int> judge(const std::string& answer) {
  if (answer.starts_with("R ")) {
    std::fprintf(stderr, "schedctl is running (pid %s)\n", answer.c_str() + 2);
    return 0;
  }
  const std::size_t line = answer.find('\n');
  const std::size_t second = line == std::string::npos ? line : answer.find('\n', line + 1);
  if (!answer.starts_with("E ") || second == std::string::npos) {
    return fail(
        ErrorKind::failed,
        "the daemon died while it was starting; `schedctl start --foreground` may show why");
  }
  const auto kind = parse_int(std::string_view(answer).substr(2, line - 2)).value_or(0);
  return fail(static_cast<ErrorKind>(kind), answer.substr(second + 1),
              answer.substr(line + 1, second - line - 1));
}

Result<int> start_in_background(StartOptions options, const Parts& parts) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(error_from_errno("pipe", errno));
  UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) return fail(error_from_errno("cannot start the daemon", errno));
  if (child == 0) {
    ::setsid();
    // Forked again: the daemon leads no session, so that it can never get a terminal.
    const pid_t grandchild = ::fork();
    if (grandchild != 0) ::_exit(grandchild < 0 ? 1 : 0);
    reading.reset();
    become_background(std::move(options), parts, std::move(writing));
  }
  writing.reset();
  ::waitpid(child, nullptr, 0);
  return judge(read_to_end(reading.get()));
}

}  // namespace

Result<int> start(StartOptions options, const Parts& parts) {
  ::umask(022);
  // As the first process of a container it gets every orphan there is: those of a keeper that was
  // killed, those of whoever looked in. Ignored, they leave no zombie; the daemon has no children
  // but keepers, whose ends it learns from their sockets.
  if (::getpid() == 1) ::signal(SIGCHLD, SIG_IGN);
  fill_standard_descriptors();
  make_sources_absolute(options);
  options.argv = successor_argv(options);
  std::optional<Inherited> inherited = take_inheritance();
  if (!options.foreground && !inherited) {
    auto started = start_in_background(std::move(options), parts);
    // Somebody was first: what was asked for is so.
    if (!started && started.error().kind == ErrorKind::conflict &&
        started.error().message.starts_with("schedctl is already running (")) {
      std::fprintf(stderr, "%s\n", started.error().message.c_str());
      return 0;
    }
    return started;
  }
  std::optional<Error> error;
  const bool restarted = inherited.has_value();
  const int code =
      run_here(std::move(options), parts, std::move(inherited), [&](const Result<void>& ready) {
        if (!ready) error = ready.error();
      });
  // Its log says why; a service manager starts daemon and keeper anew after this code.
  if (error && restarted && code == kExitLeft) return code;
  if (error && error->kind == ErrorKind::conflict) error->kind = ErrorKind::failed;
  if (error) return fail(*error);
  return code;
}

}  // namespace schedctl::daemon
