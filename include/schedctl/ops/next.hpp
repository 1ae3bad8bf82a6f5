#pragma once

#include <vector>

#include "schedctl/job/job.hpp"
#include "schedctl/ops/ops.hpp"

namespace schedctl::ops {

/// The next `n` fires of a job after `from`, with notes of what a clock change, a calendar, its
/// jitter, a pause or a bound makes of them. Ends where max_runs or until end it.
Result<std::vector<Fire>> next_of_job(const Context& context, const job::Job& job, Time from,
                                      std::size_t n);

}  // namespace schedctl::ops
