#pragma once

#include <functional>
#include <string>
#include <vector>

#include "schedctl/job/job.hpp"
#include "schedctl/job/plan.hpp"
#include "schedctl/store/store.hpp"

namespace schedctl::store {

/// What may be changed of a row before it is written: all but its identity.
using Finish = std::function<Result<void>(job::Run&)>;

/// Writes what planning found: a row for each Planned that has none yet, and the job's
/// planned_through and next_fire. To be called inside a transaction. Returns the rows it wrote.
Result<std::vector<job::Run>> record_plan(Store& store, const job::Job& job,
                                          const job::Policy& policy, const job::Plan& plan,
                                          Time now, const Finish& finish = {});

/// A pending run of the job, due at once, that is in no store yet.
job::Run new_run(const job::Job& job, const job::Policy& policy, job::Cause cause, Time fire_time,
                 Time now);

/// The key handed to every attempt of a run (UUIDv5 of the store, the job's id, the cause, and the
/// fire time or, for runs by hand, the run's id). `run.id` must be set.
std::string run_key(const std::string& store_id, const job::Run& run);

}  // namespace schedctl::store
