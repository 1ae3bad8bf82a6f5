#pragma once

#include "schedctl/job/job.hpp"
#include "schedctl/job/plan.hpp"
#include "schedctl/store/store.hpp"

namespace schedctl::store {

/// Writes what planning found: a row for each Planned that has none yet, and the job's
/// planned_through and next_fire. To be called inside a transaction. Returns the rows it wrote.
Result<std::vector<job::Run>> record_plan(Store& store, const job::Job& job, const job::Plan& plan,
                                          Time now);

/// The key handed to every attempt of a run (UUIDv5 of the store, the job's id, the cause, and the
/// fire time or, for runs by hand, the run's id). `run.id` must be set.
std::string run_key(const std::string& store_id, const job::Run& run);

}  // namespace schedctl::store
