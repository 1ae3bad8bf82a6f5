#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "schedctl/ops/ops.hpp"

namespace schedctl::ops {

/// All jobs laid over a span of time, as their schedules and past durations have it.
struct Simulation {
  Time from{};
  Time to{};
  Duration slot{};  ///< of `slots`: an hour, or more in a long span
  struct Slot {
    Time from{};
    std::int64_t fires = 0;
  };
  std::vector<Slot> slots;
  std::int64_t jobs = 0;
  std::int64_t fires = 0;

  struct Minute {
    Time at{};
    std::int64_t fires = 0;
    std::vector<std::string> jobs;  ///< the first kNamed of them
    std::int64_t job_count = 0;
  };
  std::vector<Minute> busiest;    ///< busiest first; only those that are busier than usual
  std::int64_t usual_minute = 0;  ///< fires of the minute in the middle of all
  bool minutes_cut = false;       ///< looked for in the first kMinutesSpan only

  /// A job that will often still run when it is due again.
  struct Overlap {
    std::string job;
    std::int64_t fires = 0;
    std::int64_t skipped = 0;  ///< if each run takes `p95`
    Duration median{};
    Duration p95{};
    std::int64_t sample = 0;  ///< runs of which the two come
  };
  std::vector<Overlap> overlaps;

  std::int64_t peak = 0;  ///< runs at once, if each takes its median; unknown ones take none
  Time peak_at{};
  int max_running = 0;

  struct Idle {
    std::string job;
    std::string why;
  };
  std::vector<Idle> idle;               ///< no fires in the span
  std::vector<std::string> unmeasured;  ///< fire, but have no run yet whose length is known

  static constexpr std::size_t kBusiest = 10;
  static constexpr std::size_t kNamed = 8;
  static constexpr Duration kMinutesSpan = std::chrono::hours(14 * 24);
  static constexpr Duration kLongest = std::chrono::hours(366 * 24);
};

/// Looks at [from, to), in slots of the clock of `zone`. Writes nothing. Kind usage: the span is
/// empty or longer than kLongest.
Result<Simulation> simulate(const Context& context, const job::Zone& zone, Time from, Time to);

}  // namespace schedctl::ops
