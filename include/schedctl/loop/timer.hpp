#pragma once

#include <optional>

#include "schedctl/base/result.hpp"
#include "schedctl/base/time.hpp"
#include "schedctl/base/unique_fd.hpp"

namespace schedctl::loop {

/// A timerfd on CLOCK_REALTIME that is cancelled when somebody sets the clock, so that whoever
/// sleeps until a wall-clock instant wakes at once and can look again. Readable when it has expired
/// or was cancelled.
class WallTimer {
 public:
  static Result<WallTimer> create();
  int fd() const { return fd_.get(); }
  /// Nothing: no deadline, but a set clock still makes it readable.
  void arm(std::optional<Time> at);
  /// Reads it: true if the clock was set since it was armed.
  bool drain();

 private:
  UniqueFd fd_;
  bool clock_was_set_ = false;  ///< arm() has heard of it; drain() has not told it yet
};

/// A one-shot timerfd on CLOCK_MONOTONIC (time that stands still in suspend).
class MonotonicTimer {
 public:
  static Result<MonotonicTimer> create();
  int fd() const { return fd_.get(); }
  void arm(Duration from_now);
  void disarm();
  void drain();

 private:
  UniqueFd fd_;
};

}  // namespace schedctl::loop
