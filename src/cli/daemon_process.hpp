#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "schedctl/base/result.hpp"
#include "schedctl/base/time.hpp"
#include "schedctl/base/unique_fd.hpp"

namespace schedctl::cli {

class Session;

/// A living daemon, held by a pidfd, so that no stranger who gets its number later is ever meant.
class DaemonProcess {
 public:
  /// The holder of the configuration's lock; nothing if nobody holds it. Where the lock's file is
  /// gone, the daemon that the store names, if it holds the database's lock, which lies elsewhere.
  /// Kind conflict: the database has a daemon, of another runtime_dir; or whoever holds the lock
  /// neither has a control socket nor is known to the store, so that nobody should signal it.
  static Result<std::optional<DaemonProcess>> find(Session& session);

  pid_t pid() const { return pid_; }
  /// Its control socket's file was removed: it hears nothing but signals.
  bool is_deaf() const { return deaf_; }
  /// Kind not_allowed, with a hint, for somebody else's daemon. One that has just ended is no
  /// error.
  Result<void> send(int signal) const;
  /// Waits for its end; false if it still lives after `patience`.
  bool wait_gone(Duration patience) const;

 private:
  DaemonProcess(pid_t pid, UniqueFd fd) : pid_(pid), fd_(std::move(fd)) {}
  /// Waits for the socket of one that is starting; a restart keeps the file.
  bool makes_socket(const std::string& path) const;

  pid_t pid_;
  UniqueFd fd_;
  bool deaf_ = false;
};

}  // namespace schedctl::cli
