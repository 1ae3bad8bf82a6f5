#include "schedctl/host/successor.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "schedctl/base/fd_io.hpp"
#include "schedctl/base/text.hpp"
#include "schedctl/host/processes.hpp"

// A new version of the program comes, and commands that began under the old one must go on. So the
// process execs the new program: pid, locks, listeners, children, their output files and pending
// pipes stay as they are, and what only the old program's memory knew goes along in a memfd.
//
// The exec cannot be taken back: if the new program cannot run (a library is missing in the middle
// of an upgrade, it is the wrong file, it does not understand the memfd), the process ends, and its
// children die with it. So a child tries the very file first, held open from then on; it reads the
// holdings of that moment and says "R". Only then, and after everything that can fail has been
// done, the process takes the step.

namespace schedctl::host {
namespace {

/// What the variable says, or the number of a descriptor.
constexpr std::string_view kTry = "try";
constexpr std::string_view kGood = "R";
constexpr int kTrialProgram = 3;
/// Of what a program says that is not good.
constexpr std::size_t kLongestWords = 4096;
constexpr std::size_t kLongestHoldings = std::size_t{256} * 1024 * 1024;

/// A process of root must not become what somebody else could have written.
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

Result<UniqueFd> written_down(std::string_view holdings) {
  UniqueFd fd(::memfd_create("schedctl-holdings", MFD_CLOEXEC));
  if (!fd) return fail(error_from_errno("cannot make a memfd", errno));
  if (!write_all(fd.get(), holdings)) {
    return fail(error_from_errno("cannot write what is held", errno));
  }
  return fd;
}

/// Returns only if it failed. The file itself, not the path, which may be another one by now.
void exec(int program, const std::vector<std::string>& argv, const std::string& variable,
          const std::string& value) {
  std::vector<std::string> variables{variable + "=" + value};
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!std::string_view(*entry).starts_with(variable)) variables.emplace_back(*entry);
  }
  ::syscall(SYS_execveat, program, "", string_pointers(argv).data(),
            string_pointers(variables).data(), AT_EMPTY_PATH);
}

struct Trial {
  int program = -1;
  int holdings = -1;
  int answer = -1;
  pid_t parent = 0;
};

/// The child: nothing of its parent's is left in it but what it is to try.
[[noreturn]] void run_trial(const Trial& trial, const std::vector<std::string>& argv,
                            const std::string& variable) {
  const bool ready = ::dup2(trial.holdings, 0) == 0 && ::dup2(trial.answer, 1) == 1 &&
                     ::dup2(trial.answer, 2) == 2 &&
                     (trial.program == kTrialProgram ||
                      ::dup3(trial.program, kTrialProgram, O_CLOEXEC) == kTrialProgram) &&
                     ::close_range(kTrialProgram + 1, ~0U, 0) == 0 &&
                     ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && ::getppid() == trial.parent;
  if (!ready) ::_exit(127);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  exec(kTrialProgram, argv, variable, std::string(kTry));
  const std::string words = errno_text(errno);
  if (::write(1, words.data(), words.size()) < 0) ::_exit(127);
  ::_exit(127);
}

}  // namespace

Result<Successor> Successor::try_out(std::vector<std::string> argv, std::string variable,
                                     std::string_view holdings) {
  Successor successor;
  TRY(successor.program_, open_program(argv.front()));
  successor.argv_ = std::move(argv);
  successor.variable_ = std::move(variable);
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
  if (pid == 0) run_trial(trial, successor.argv_, successor.variable_);
  // Nobody waits for it by name: it is taken away like an orphan.
  successor.process_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  return successor;
}

Successor::~Successor() {
  if (process_) ::syscall(SYS_pidfd_send_signal, process_.get(), SIGKILL, nullptr, 0);
}

std::optional<Result<void>> Successor::outcome() {
  if (!read_to_hangup(answer_.get(), kLongestWords, said_)) return std::nullopt;
  if (said_ == kGood) return Result<void>();
  return fail(ErrorKind::failed,
              "the new program is no good: " + (said_.empty() ? "it says nothing" : said_));
}

Error Successor::become(std::string_view holdings, std::vector<int> fds) const {
  const Result<UniqueFd> written = written_down(holdings);
  if (!written) return written.error();
  fds.push_back(written->get());
  const std::string number = std::to_string(written->get());
  for (const int fd : fds) ::fcntl(fd, F_SETFD, 0);
  exec(program_.get(), argv_, variable_, number);
  const int error_number = errno;
  for (const int fd : fds) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  return error_from_errno("cannot execute the new program", error_number);
}

std::optional<Inheritance> inheritance(const std::string& variable) {
  const char* value = std::getenv(variable.c_str());
  if (value == nullptr) return std::nullopt;
  if (value == kTry) return Inheritance{true, 0};
  return Inheritance{false, static_cast<int>(parse_int(value).value_or(-1))};
}

Result<void> answer_trial(const Result<void>& verdict) {
  const std::string answer = verdict ? std::string(kGood) : verdict.error().message;
  if (::write(1, answer.data(), answer.size()) < 0) {
    return fail(error_from_errno("cannot answer", errno));
  }
  return {};
}

Result<std::string> read_holdings(UniqueFd fd) {
  if (::lseek(fd.get(), 0, SEEK_SET) != 0) return fail(error_from_errno("no holdings", errno));
  std::string bytes;
  const int error_number = read_to_end(fd.get(), kLongestHoldings, bytes);
  if (error_number != 0) return fail(error_from_errno("cannot read the holdings", error_number));
  return bytes;
}

}  // namespace schedctl::host
