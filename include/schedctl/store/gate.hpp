#pragma once

#include <string>
#include <vector>

#include "schedctl/job/job.hpp"
#include "schedctl/job/schedule.hpp"
#include "schedctl/store/store.hpp"

namespace schedctl::store {

/// A job that comes after others waits, at each of its own fires, until all of these have succeeded
/// for a fire of theirs (or a run by hand) that came after its own previous fire: the nightly
/// report of today waits for the nightly import of today, however late yesterday's was.
///
/// Of the jobs in `after`, those that `fire`, an occurrence of `job`, still waits for, in that
/// order. A name that no job has is among them.
Result<std::vector<std::string>> awaited_jobs(Store& store, const job::Job& job,
                                              const std::vector<std::string>& after,
                                              const job::FireSeries& fires, Time fire);

}  // namespace schedctl::store
