#pragma once

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "schedctl/executor/executor.hpp"
#include "schedctl/loop/timer.hpp"

namespace schedctl::executor {

/// Starts that were ordered a moment ahead, until their time by the wall clock has come. Used on
/// the io thread, which watches fd().
class HeldStarts {
 public:
  static Result<HeldStarts> create() {
    TRY(loop::WallTimer timer, loop::WallTimer::create());
    // A set clock is noticed from now on, even before the first of them is here.
    timer.arm(std::nullopt);
    return HeldStarts(std::move(timer));
  }

  /// Readable when take_due() has something, or was_clock_set().
  int fd() const { return timer_.fd(); }
  std::optional<Time> next() const {
    return by_time_.empty() ? std::nullopt : std::optional(by_time_.begin()->first);
  }
  void hold(StartRequest request) {
    const Time at = request.not_before;
    by_time_.emplace(at, std::move(request));
  }
  /// To be called when something was held or taken.
  void arm() { timer_.arm(next()); }
  /// Reads fd(); true if somebody set the clock, so that what is held is of another time.
  bool was_clock_set() { return timer_.drain(); }

  std::vector<StartRequest> take_due(Time now) { return take_until(by_time_.upper_bound(now)); }
  std::vector<StartRequest> take_all() { return take_until(by_time_.end()); }
  std::optional<StartRequest> take(RunId run, std::int64_t fence) {
    for (auto it = by_time_.begin(); it != by_time_.end(); ++it) {
      if (it->second.run != run || it->second.fence != fence) continue;
      StartRequest request = std::move(it->second);
      by_time_.erase(it);
      return request;
    }
    return std::nullopt;
  }

 private:
  using ByTime = std::multimap<Time, StartRequest>;
  explicit HeldStarts(loop::WallTimer timer) : timer_(std::move(timer)) {}
  std::vector<StartRequest> take_until(ByTime::iterator end) {
    std::vector<StartRequest> taken;
    for (auto it = by_time_.begin(); it != end; ++it) taken.push_back(std::move(it->second));
    by_time_.erase(by_time_.begin(), end);
    return taken;
  }

  loop::WallTimer timer_;
  ByTime by_time_;
};

}  // namespace schedctl::executor
