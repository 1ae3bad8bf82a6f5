#include "src/cli/daemon_process.hpp"

#include <poll.h>

#include <cerrno>

#include "schedctl/host/control.hpp"
#include "schedctl/host/host.hpp"
#include "src/cli/errors.hpp"
#include "src/cli/session.hpp"

// glibc 2.36 forgot it in this header.
extern "C" {
#include <sys/pidfd.h>
}

namespace schedctl::cli {
namespace {

/// The holder of the database's lock, if it is the daemon that this configuration's runtime_dir
/// belongs to, or did before somebody cleaned up there; else 0.
Result<pid_t> cut_off_daemon(Session& session) {
  const config::Config& config = session.config();
  // Whoever may not look into that directory has nothing to do with the daemon either.
  const pid_t holder = host::lock_holder(config.sqlite_path() + ".lock").value_or(0);
  if (holder == 0) return 0;
  Result<void> opened;
  if (!session.store) opened = session.open_store(Access::read);
  const auto nodes = opened ? session.store->list_nodes() : fail(opened.error());
  if (!nodes)
    return fail(nodes.error().kind,
                "process " + std::to_string(holder) + " holds the lock of " + config.sqlite_path() +
                    ", which does not tell whether it is the daemon: " + nodes.error().message);
  for (const store::Node& node : *nodes) {
    // Another process may well hold the lock: `db restore` does.
    if (node.pid != holder) continue;
    if (node.control_path == config.control_socket()) return holder;
    return fail(ErrorKind::conflict, "the daemon (pid " + std::to_string(holder) +
                                         ") of the database " + config.sqlite_path() +
                                         " is reached at " + node.control_path + ", not at " +
                                         config.control_socket() + ": use its own runtime_dir");
  }
  return 0;
}

}  // namespace

Result<std::optional<DaemonProcess>> DaemonProcess::find(Session& session) {
  const std::string lock = session.config().lock_file();
  // The lock changes hands at most when a daemon ends and another starts, so this settles.
  constexpr int kTries = 10;
  for (int i = 0; i < kTries; ++i) {
    TRY(const pid_t direct, host::lock_holder(lock));
    const bool cut_off = direct == 0;
    TRY(const pid_t pid, cut_off ? cut_off_daemon(session) : Result<pid_t>(direct));
    if (pid == 0) return std::nullopt;
    UniqueFd fd(::pidfd_open(pid, 0));
    if (!fd && errno != ESRCH)
      return fail(error_from_errno("cannot watch process " + std::to_string(pid), errno));
    // Only if it still holds the lock is the process behind the descriptor the daemon.
    TRY(const pid_t again, cut_off ? cut_off_daemon(session) : host::lock_holder(lock));
    if (fd && again == pid) return DaemonProcess(pid, std::move(fd));
  }
  return fail(ErrorKind::failed, "the holder of " + lock + " keeps changing");
}

Result<void> DaemonProcess::send(int signal) const {
  if (::pidfd_send_signal(fd_.get(), signal, nullptr, 0) == 0 || errno == ESRCH) return {};
  return fail(with_permission_hint(
      error_from_errno("cannot signal the daemon (pid " + std::to_string(pid_) + ")", errno)));
}

bool DaemonProcess::is_deaf(const std::string& control_socket, Duration patience) const {
  constexpr Duration kLook = std::chrono::milliseconds(20);
  for (Duration waited{}; !host::is_socket(control_socket); waited += kLook) {
    if (waited >= patience) return true;
    if (wait_gone(kLook)) return false;
  }
  return false;
}

bool DaemonProcess::wait_gone(Duration patience) const {
  pollfd wait{fd_.get(), POLLIN, 0};
  return ::poll(&wait, 1, static_cast<int>(patience.count() / 1000)) > 0;
}

}  // namespace schedctl::cli
