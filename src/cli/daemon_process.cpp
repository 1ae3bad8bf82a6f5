#include "src/cli/daemon_process.hpp"

#include <poll.h>

#include <cerrno>

#include "schedctl/host/host.hpp"
#include "src/cli/errors.hpp"

// glibc 2.36 forgot it in this header.
extern "C" {
#include <sys/pidfd.h>
}

namespace schedctl::cli {

Result<std::optional<DaemonProcess>> DaemonProcess::find(const config::Config& config) {
  // The lock changes hands at most when a daemon ends and another starts, so this settles.
  constexpr int kTries = 10;
  for (int i = 0; i < kTries; ++i) {
    TRY(const pid_t pid, host::lock_holder(config.lock_file()));
    if (pid == 0) return std::nullopt;
    UniqueFd fd(::pidfd_open(pid, 0));
    if (!fd && errno != ESRCH)
      return fail(error_from_errno("cannot watch process " + std::to_string(pid), errno));
    // Only if it still holds the lock is the process behind the descriptor the daemon.
    TRY(const pid_t again, host::lock_holder(config.lock_file()));
    if (fd && again == pid) return DaemonProcess(pid, std::move(fd));
  }
  return fail(ErrorKind::failed, "the holder of " + config.lock_file() + " keeps changing");
}

Result<void> DaemonProcess::send(int signal) const {
  if (::pidfd_send_signal(fd_.get(), signal, nullptr, 0) == 0 || errno == ESRCH) return {};
  return fail(with_permission_hint(
      error_from_errno("cannot signal the daemon (pid " + std::to_string(pid_) + ")", errno)));
}

bool DaemonProcess::wait_gone(Duration patience) const {
  pollfd wait{fd_.get(), POLLIN, 0};
  return ::poll(&wait, 1, static_cast<int>(patience.count() / 1000)) > 0;
}

}  // namespace schedctl::cli
