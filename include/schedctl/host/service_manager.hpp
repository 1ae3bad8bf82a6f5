#pragma once

#include <optional>
#include <string>

#include "schedctl/base/time.hpp"

namespace schedctl::host {

/// Tells systemd, or whoever speaks its protocol (sd_notify(3)), how the daemon is. Where nobody
/// listens (NOTIFY_SOCKET is not set) nothing is said. A datagram each; never waits. Thread safe.
class ServiceManager {
 public:
  /// What the environment says. It is left there for a program that this process becomes.
  static ServiceManager from_environment();

  bool listens() const { return !socket_.empty(); }
  /// How often still_alive() must be said at least; nothing: it need not be.
  std::optional<Duration> watchdog() const { return watchdog_; }

  void ready() const { tell("READY=1"); }
  /// ready() is to follow.
  void reloading() const;
  void stopping() const { tell("STOPPING=1"); }
  void still_alive() const { tell("WATCHDOG=1"); }
  /// Whatever goes on may take so long from now.
  void needs_more_time(Duration at_most) const;
  /// One line for people.
  void status(const std::string& text) const { tell("STATUS=" + text); }

 private:
  void tell(const std::string& message) const;

  std::string socket_;  ///< path, or '@' and the name of an abstract one
  std::optional<Duration> watchdog_;
};

}  // namespace schedctl::host
