#include "schedctl/host/signals.hpp"

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

namespace schedctl::host {
namespace {

/// In a process of its own, since the change is for good. True: all of it was as it should be.
bool in_a_child(bool (*act)()) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(act() ? 0 : 1);
  int status = -1;
  return ::waitpid(pid, &status, 0) == pid && status == 0;
}

TEST_CASE("signals are heard through the descriptor, and others do nothing") {
  CHECK(in_a_child([] {
    const Result<UniqueFd> fd = take_signals({SIGTERM, SIGHUP});
    signalfd_siginfo info{};
    if (!fd || ::read(fd->get(), &info, sizeof info) >= 0) return false;
    for (const int number : {SIGPIPE, SIGINT, SIGUSR1, SIGTERM}) ::raise(number);
    return ::read(fd->get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info) &&
           info.ssi_signo == SIGTERM && ::read(fd->get(), &info, sizeof info) < 0;
  }));
}

TEST_CASE("what was ignored before is not, and faults still end the process") {
  CHECK(in_a_child([] {
    ::signal(SIGPIPE, SIG_IGN);
    ::signal(SIGCHLD, SIG_IGN);
    if (!take_signals({SIGCHLD})) return false;
    for (const int number : {SIGPIPE, SIGCHLD}) {
      struct sigaction action {};
      if (::sigaction(number, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) return false;
    }
    sigset_t blocked;
    return ::sigprocmask(SIG_BLOCK, nullptr, &blocked) == 0 &&
           ::sigismember(&blocked, SIGUSR2) == 1 && ::sigismember(&blocked, SIGSEGV) == 0;
  }));
}

}  // namespace
}  // namespace schedctl::host
