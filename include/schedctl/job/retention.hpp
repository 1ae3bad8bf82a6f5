#pragma once

#include <cstdint>

#include "schedctl/base/time.hpp"

namespace schedctl::job {

/// How much of the past is kept ([retention]). Whatever it says, these stay: what has not ended,
/// everything younger than limits::kKeptAlways, the last run of a job, and runs that an alert or an
/// open backfill speaks of.
struct Retention {
  Duration max_age = std::chrono::hours(24 * 90);          ///< of all history; 0: no limit
  std::int64_t max_runs = 10'000;                          ///< of each job; 0: no limit
  std::int64_t max_output_bytes = std::int64_t{10} << 30;  ///< all output files; 0: no limit

  bool operator==(const Retention&) const = default;
};

}  // namespace schedctl::job
