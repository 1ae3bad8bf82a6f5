#include "successor.hpp"

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

#include "codec.hpp"
#include "schedctl/base/fd_io.hpp"
#include "schedctl/base/text.hpp"
#include "schedctl/host/processes.hpp"

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
  if (!write_all(fd.get(), to_bytes(holdings))) {
    return fail(error_from_errno("cannot write what is held", errno));
  }
  return fd;
}

/// Returns only if it failed. The file itself, not the path, which may be another one by now.
void exec(int program, const std::vector<std::string>& argv, const std::string& holdings) {
  std::vector<std::string> variables{std::string(kVariable) + "=" + holdings};
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!std::string_view(*entry).starts_with(kVariable)) variables.emplace_back(*entry);
  }
  ::syscall(SYS_execveat, program, "", host::string_pointers(argv).data(),
            host::string_pointers(variables).data(), AT_EMPTY_PATH);
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
  if (paths.external) successor.argv_.emplace_back("--external");
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
  if (!read_to_hangup(answer_.get(), kLongestWords, said_)) return std::nullopt;
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
  if (::lseek(fd.get(), 0, SEEK_SET) != 0) return fail(error_from_errno("no holdings", errno));
  std::string bytes;
  const int error_number = read_to_end(fd.get(), kLongestHoldings, bytes);
  if (error_number != 0) return fail(error_from_errno("cannot read the holdings", error_number));
  return holdings_from(bytes);
}

std::string to_bytes(const Holdings& holdings) {
  std::string bytes = encoded(holdings.estate);
  for (const HeldRun& run : holdings.runs) Frames::encode(run, bytes);
  for (const Leftover& leftover : holdings.leftovers) Frames::encode(leftover, bytes);
  for (const Report& report : holdings.finished) Frames::encode(report, bytes);
  Frames::encode(InventoryEnd{}, bytes);
  return bytes;
}

Result<Holdings> holdings_from(std::string_view bytes) {
  Holdings holdings;
  TRY(Message first, decode(bytes));
  auto* estate = std::get_if<Estate>(&first);
  if (estate == nullptr || estate->version > kEstateVersion) {
    return fail(ErrorKind::failed, "a keeper of another version left this");
  }
  holdings.estate = std::move(*estate);
  while (true) {
    TRY(Message message, decode(bytes));
    if (auto* run = std::get_if<HeldRun>(&message)) {
      holdings.runs.push_back(std::move(*run));
    } else if (auto* leftover = std::get_if<Leftover>(&message)) {
      holdings.leftovers.push_back(std::move(*leftover));
    } else if (auto* failed = std::get_if<StartFailed>(&message)) {
      holdings.finished.emplace_back(std::move(*failed));
    } else if (auto* ended = std::get_if<Ended>(&message)) {
      holdings.finished.emplace_back(std::move(*ended));
    } else if (std::holds_alternative<InventoryEnd>(message) && bytes.empty()) {
      return holdings;
    } else {
      return fail(ErrorKind::failed, "what a keeper left makes no sense");
    }
  }
}

std::vector<int> descriptors_of(const Holdings& holdings) {
  const Estate& estate = holdings.estate;
  std::vector<int> fds{estate.lock, estate.keeper_dir, estate.listener, estate.output_dir};
  for (const HeldRun& run : holdings.runs) {
    if (run.output >= 0) fds.push_back(run.output);
    if (run.pending >= 0) fds.push_back(run.pending);
  }
  return fds;
}

}  // namespace schedctl::keeper
