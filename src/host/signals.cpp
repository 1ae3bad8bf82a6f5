#include "schedctl/host/signals.hpp"

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace schedctl::host {

Result<UniqueFd> take_signals(std::initializer_list<int> heard) {
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action {};
    if (::sigaction(number, nullptr, &action) != 0) continue;
    if (action.sa_handler != SIG_IGN && number != SIGCHLD) continue;
    action = {};
    action.sa_handler = SIG_DFL;
    ::sigaction(number, &action, nullptr);
  }
  // glibc keeps two numbers to itself, and sigaction refuses them; ignored, they would pass on too.
  const std::array<unsigned long, 8> defaults{};  // a kernel sigaction: SIG_DFL, nothing else
  for (const int number : {32, 33}) {
    ::syscall(SYS_rt_sigaction, number, defaults.data(), nullptr, NSIG / 8);
  }
  sigset_t blocked;
  ::sigfillset(&blocked);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS}) {
    ::sigdelset(&blocked, fault);
  }
  ::sigprocmask(SIG_SETMASK, &blocked, nullptr);
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : heard) ::sigaddset(&set, number);
  UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail(error_from_errno("cannot make a signalfd", errno));
  return fd;
}

}  // namespace schedctl::host
