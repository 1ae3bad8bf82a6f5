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
  /// Kind conflict: the database has a daemon, of another runtime_dir.
  static Result<std::optional<DaemonProcess>> find(Session& session);

  pid_t pid() const { return pid_; }
  /// Kind not_allowed, with a hint, for somebody else's daemon. One that has just ended is no
  /// error.
  Result<void> send(int signal) const;
  /// Whether its control socket's file was removed, so that it hears nothing but signals. A daemon
  /// that is starting makes it a moment after it has taken its lock: that is waited for, for at
  /// most `patience`. A restart keeps the file.
  bool is_deaf(const std::string& control_socket, Duration patience) const;
  /// Waits for its end; false if it still lives after `patience`.
  bool wait_gone(Duration patience) const;

 private:
  DaemonProcess(pid_t pid, UniqueFd fd) : pid_(pid), fd_(std::move(fd)) {}
  pid_t pid_;
  UniqueFd fd_;
};

}  // namespace schedctl::cli
