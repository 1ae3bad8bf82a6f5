#pragma once

#include <sys/types.h>

#include <optional>

#include "schedctl/base/result.hpp"
#include "schedctl/base/time.hpp"
#include "schedctl/base/unique_fd.hpp"
#include "schedctl/config/config.hpp"

namespace schedctl::cli {

/// A living daemon, held by a pidfd, so that no stranger who gets its number later is ever meant.
class DaemonProcess {
 public:
  /// The holder of the configuration's lock; nothing if nobody holds it.
  static Result<std::optional<DaemonProcess>> find(const config::Config& config);

  pid_t pid() const { return pid_; }
  /// Kind not_allowed, with a hint, for somebody else's daemon. One that has just ended is no
  /// error.
  Result<void> send(int signal) const;
  /// Waits for its end; false if it still lives after `patience`.
  bool wait_gone(Duration patience) const;

 private:
  DaemonProcess(pid_t pid, UniqueFd fd) : pid_(pid), fd_(std::move(fd)) {}
  pid_t pid_;
  UniqueFd fd_;
};

}  // namespace schedctl::cli
