#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>

#include "schedctl/base/result.hpp"
#include "schedctl/base/time.hpp"
#include "schedctl/base/unique_fd.hpp"

namespace schedctl::loop {

/// An epoll event loop: descriptors and what to do when they are ready. Everything is called on the
/// one thread that runs it; other threads wake it through a Mailbox or an eventfd.
class Loop {
 public:
  using Handler = std::function<void(std::uint32_t events)>;

  static Result<std::unique_ptr<Loop>> create();

  /// Calls `handler` with the ready events (EPOLLIN, ...; level triggered; HUP and ERR always).
  /// The loop does not own the descriptor. Watching one that is watched already replaces it.
  Result<void> watch(int fd, std::uint32_t events, Handler handler);
  /// Takes it out of the set. Always before closing it: a closed descriptor that a child between
  /// vfork and exec still holds goes on reporting. Safe inside a handler, also for other fds.
  void unwatch(int fd);

  /// Waits for readiness (nothing: for ever) and runs the handlers. A signal is no error.
  Result<void> run_once(std::optional<Duration> timeout = std::nullopt);
  /// run_once until stop() is called from a handler.
  Result<void> run();
  void stop() { stopped_ = true; }

 private:
  struct Watch {
    Handler handler;
    std::uint32_t serial = 0;  ///< tells a descriptor from an earlier one of the same number
  };
  UniqueFd epoll_;
  // Shared, so that a handler may unwatch itself while it runs.
  std::unordered_map<int, std::shared_ptr<Watch>> watches_;
  std::uint32_t last_serial_ = 0;
  bool stopped_ = false;
};

}  // namespace schedctl::loop
