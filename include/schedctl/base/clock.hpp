#pragma once

#include "schedctl/base/time.hpp"

namespace schedctl {

/// The clocks, kept apart: wall time says when a schedule is due and may be set by anybody at any
/// time; elapsed time only goes forward and counts suspend. Thread safe.
class Clock {
 public:
  virtual ~Clock() = default;
  /// CLOCK_REALTIME.
  virtual Time wall() const = 0;
  /// CLOCK_BOOTTIME: time since boot, suspend included.
  virtual Duration elapsed() const = 0;
  /// CLOCK_MONOTONIC: time since boot without suspend. What elapsed() gains on it was slept.
  virtual Duration awake() const = 0;
};

class SystemClock final : public Clock {
 public:
  Time wall() const override;
  Duration elapsed() const override;
  Duration awake() const override;
};

/// A clock that stands still until it is moved. For tests. Not thread safe.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(Time start) : wall_(start) {}
  Time wall() const override { return wall_; }
  Duration elapsed() const override { return elapsed_; }
  Duration awake() const override { return awake_; }
  /// Time passes: all clocks move on.
  void advance(Duration d) { wall_ += d, elapsed_ += d, awake_ += d; }
  /// Time passes while the machine is suspended.
  void sleep(Duration d) { wall_ += d, elapsed_ += d; }
  /// Somebody sets the wall clock; no time passes.
  void set_wall(Time t) { wall_ = t; }

 private:
  Time wall_;
  Duration elapsed_{};
  Duration awake_{};
};

}  // namespace schedctl
