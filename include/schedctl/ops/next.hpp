#pragma once

#include <string>
#include <vector>

#include "schedctl/job/job.hpp"
#include "schedctl/ops/ops.hpp"

namespace schedctl::ops {

/// The next `n` fires of a job after `from`, with notes of what a clock change, a calendar, its
/// jitter, a pause or a bound makes of them. Ends where max_runs or until end it.
Result<std::vector<Fire>> next_of_job(const Context& context, const job::Job& job, Time from,
                                      std::size_t n);

/// What is noted of the fire of a moment (`at`) that the clock of `zone` leaves out: "clock goes
/// forward at 02:00: 02:30 does not exist, runs at 03:00". "" of any other. A stored schedule has
/// the instant only, so this is told from what somebody wrote.
std::string note_of_moment(const std::string& at, const job::Zone& zone, Time now);

}  // namespace schedctl::ops
