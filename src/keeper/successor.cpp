#include "successor.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "schedctl/base/text.hpp"

// A new version of schedctl comes, and commands that began under the old one must go on. So the
// keeper's process execs the new program: pid, lock, listener, children, their output files and
// pending pipes stay as they are, and what only the old program's memory knew goes along in a
// memfd.
//
// The exec cannot be taken back: if the new program cannot run (a library is missing in the middle
// of an upgrade, it is the wrong file, it does not understand the memfd), the process ends, and its
// commands die with it. So a child tries the very file first, held open from then on; it reads the
// holdings of that moment and says "R". Only then, and after everything that can fail has been
// done, the keeper takes the step.
//
// If the successor fails all the same, that is a keeper's death like any other: its journal tells
// the next one what was running, and those runs are lost, and told.

namespace schedctl::keeper {
namespace {

/// "try" or the number of a descriptor. No setting has such a name.
constexpr std::string_view kVariable = "_SCHEDCTL_KEEPER_HOLDINGS";
constexpr std::string_view kTry = "try";
constexpr std::string_view kGood = "R";
constexpr int kTrialProgram = 3;
/// Of what a program says that is not good.
constexpr std::size_t kLongestWords = 4096;
constexpr std::size_t kLongestHoldings = std::size_t{256} * 1024 * 1024;

/// A root keeper must not become what somebody else could have written.
Result<UniqueFd> open_program(const std::string& path) {
  if (path.empty()) return fail(ErrorKind::failed, "it does not know where it was started from");
  UniqueFd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
  struct stat st {};
  if (!fd || ::fstat(fd.get(), &st) != 0) {
    return fail(error_from_errno("cannot open " + path, errno));
  }
  if (!S_ISREG(st.st_mode)) return fail(ErrorKind::failed, path + " is not a file");
  if (::geteuid() == 0 && (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)) {
    return fail(ErrorKind::not_allowed, path + " can be written by others than root");
  }
  return fd;
}

Result<UniqueFd> written_down(const Holdings& holdings) {
  UniqueFd fd(::memfd_create("schedctl-keeper", MFD_CLOEXEC));
  if (!fd) return fail(error_from_errno("cannot make a memfd", errno));
  const std::string bytes = to_bytes(holdings);
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t n = ::write(fd.get(), bytes.data() + at, bytes.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail(error_from_errno("cannot write what is held", errno));
    at += static_cast<std::size_t>(n);
  }
  return fd;
}

/// Returns only if it failed. The file itself, not the path, which may be another one by now.
void exec(int program, const std::vector<std::string>& argv, const std::string& holdings) {
  std::vector<std::string> variables{std::string(kVariable) + "=" + holdings};
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!std::string_view(*entry).starts_with(kVariable)) variables.emplace_back(*entry);
  }
  const auto pointers = [](const std::vector<std::string>& strings) {
    std::vector<char*> list;
    list.reserve(strings.size() + 1);
    // execve writes to none of them, whatever its type says.
    for (const std::string& s : strings) list.push_back(const_cast<char*>(s.c_str()));
    list.push_back(nullptr);
    return list;
  };
  ::syscall(SYS_execveat, program, "", pointers(argv).data(), pointers(variables).data(),
            AT_EMPTY_PATH);
}

struct Trial {
  int program = -1;
  int holdings = -1;
  int answer = -1;
  pid_t keeper = 0;
};

/// The child: nothing of the keeper's is left in it but what it is to try.
[[noreturn]] void run_trial(const Trial& trial, const std::vector<std::string>& argv) {
  const bool ready = ::dup2(trial.holdings, 0) == 0 && ::dup2(trial.answer, 1) == 1 &&
                     ::dup2(trial.answer, 2) == 2 &&
                     (trial.program == kTrialProgram ||
                      ::dup3(trial.program, kTrialProgram, O_CLOEXEC) == kTrialProgram) &&
                     ::close_range(kTrialProgram + 1, ~0U, 0) == 0 &&
                     ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && ::getppid() == trial.keeper;
  if (!ready) ::_exit(127);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  exec(kTrialProgram, argv, std::string(kTry));
  const std::string words = errno_text(errno);
  if (::write(1, words.data(), words.size()) < 0) ::_exit(127);
  ::_exit(127);
}

}  // namespace

Result<Successor> Successor::try_out(const std::string& program, const KeeperPaths& paths,
                                     const Holdings& holdings) {
  Successor successor;
  TRY(successor.program_, open_program(program));
  successor.argv_ = {program,          "keeper",       "--keeper-dir",
                     paths.keeper_dir, "--output-dir", paths.output_dir};
  if (!paths.config_file.empty()) {
    successor.argv_.insert(successor.argv_.end(), {"--config", paths.config_file});
  }
  if (paths.own) successor.argv_.emplace_back("--own");
  TRY(const UniqueFd written, written_down(holdings));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    return fail(error_from_errno("cannot make a pipe", errno));
  }
  successor.answer_.reset(ends[0]);
  const UniqueFd write_end(ends[1]);
  const Trial trial{successor.program_.get(), written.get(), write_end.get(), ::getpid()};
  const pid_t pid = ::fork();
  if (pid < 0) return fail(error_from_errno("cannot fork", errno));
  if (pid == 0) run_trial(trial, successor.argv_);
  // Nobody waits for it by name: it is taken away like an orphan.
  successor.process_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  return successor;
}

Successor::~Successor() {
  if (process_) ::syscall(SYS_pidfd_send_signal, process_.get(), SIGKILL, nullptr, 0);
}

std::optional<Result<void>> Successor::outcome() {
  std::array<char, 1024> buffer{};
  while (true) {
    const ssize_t got = ::read(answer_.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return std::nullopt;
    if (got <= 0) break;
    if (said_.size() < kLongestWords) said_.append(buffer.data(), static_cast<std::size_t>(got));
  }
  if (said_ == kGood) return Result<void>();
  return fail(ErrorKind::failed,
              "the new program is no good: " + (said_.empty() ? "it says nothing" : said_));
}

Error Successor::become(const Holdings& holdings) const {
  Result<UniqueFd> written = written_down(holdings);
  if (!written) return written.error();
  std::vector<int> fds = descriptors_of(holdings);
  fds.push_back(written->get());
  const std::string number = std::to_string(written->get());
  for (const int fd : fds) ::fcntl(fd, F_SETFD, 0);
  exec(program_.get(), argv_, number);
  const int error_number = errno;
  for (const int fd : fds) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  return error_from_errno("cannot execute the new program", error_number);
}

std::optional<Inheritance> inheritance() {
  const char* value = std::getenv(kVariable.data());
  if (value == nullptr) return std::nullopt;
  if (value == kTry) return Inheritance{true, 0};
  return Inheritance{false, static_cast<int>(parse_int(value).value_or(-1))};
}

Result<void> answer_trial() {
  const Result<Holdings> holdings = read_holdings(UniqueFd(0));
  const std::string answer = holdings ? std::string(kGood) : holdings.error().message;
  if (::write(1, answer.data(), answer.size()) < 0) {
    return fail(error_from_errno("cannot answer", errno));
  }
  return {};
}

Result<Holdings> read_holdings(UniqueFd fd) {
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return fail(error_from_errno("no holdings", errno));
  std::string bytes(std::min(static_cast<std::size_t>(st.st_size), kLongestHoldings), '\0');
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t n =
        ::pread(fd.get(), bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail(error_from_errno("cannot read the holdings", errno));
    at += static_cast<std::size_t>(n);
  }
  return holdings_from(bytes);
}

}  // namespace schedctl::keeper
