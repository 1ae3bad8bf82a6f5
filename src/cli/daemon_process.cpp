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

/// For the control socket of a daemon that is starting and has taken its lock.
constexpr Duration kStarting = std::chrono::seconds(2);
constexpr Duration kLook = std::chrono::milliseconds(20);

/// Whether the store names the process as the daemon whose control socket this configuration means.
/// Kind conflict: it is the daemon, of another runtime_dir.
Result<bool> is_known(Session& session, pid_t pid) {
  const config::Config& config = session.config();
  Result<void> opened;
  if (!session.store) opened = session.open_store(Access::read);
  const auto nodes = opened ? session.store->list_nodes() : fail(opened.error());
  if (!nodes)
    return fail(nodes.error().kind, "process " + std::to_string(pid) +
                                        " holds the lock, and the store does not tell whether it "
                                        "is the daemon: " +
                                        nodes.error().message);
  for (const store::Node& node : *nodes) {
    if (node.pid != pid) continue;
    if (node.control_path == config.control_socket()) return true;
    return fail(ErrorKind::conflict, "the daemon (pid " + std::to_string(pid) +
                                         ") of the database " + config.sqlite_path() +
                                         " is reached at " + node.control_path + ", not at " +
                                         config.control_socket() + ": use its own runtime_dir");
  }
  return false;
}

/// The holder of the database's lock, if it is the daemon that this configuration's runtime_dir
/// belongs to, or did before somebody cleaned up there; else 0.
Result<pid_t> cut_off_daemon(Session& session) {
  // Whoever may not look into that directory has nothing to do with the daemon either.
  const pid_t holder = host::lock_holder(session.config().sqlite_path() + ".lock").value_or(0);
  if (holder == 0) return 0;
  // Another process may well hold the lock: `db restore` does.
  TRY(const bool known, is_known(session, holder));
  return known ? holder : 0;
}

}  // namespace

Result<std::optional<DaemonProcess>> DaemonProcess::find(Session& session) {
  const std::string lock = session.config().lock_file();
  const std::string socket = session.config().control_socket();
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
    if (!fd || again != pid) continue;
    DaemonProcess found(pid, std::move(fd));
    found.deaf_ = cut_off || !found.makes_socket(socket);
    if (!found.deaf_ || cut_off) return found;
    if (found.wait_gone(Duration::zero())) continue;
    TRY(const bool known, is_known(session, pid));
    if (known) return found;
    return fail(ErrorKind::conflict, "process " + std::to_string(pid) + " holds " + lock +
                                         ", and is no daemon that the store knows");
  }
  return fail(ErrorKind::failed, "the holder of " + lock + " keeps changing");
}

bool DaemonProcess::makes_socket(const std::string& path) const {
  for (Duration waited{}; !host::is_socket(path); waited += kLook)
    if (waited >= kStarting || wait_gone(kLook)) return false;
  return true;
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
