#pragma once

#include "schedctl/job/run.hpp"

namespace schedctl::job {

/// Of a backfill whose runs may be side by side: it is in the way of nothing else of its job.
inline bool is_beside_all(const Run& run) {
  return run.cause == Cause::backfill && run.forced;
}

/// It keeps its job busy: what waits until its job is free waits for this one.
inline bool keeps_job_busy(const Run& run) {
  return run.occupies_slot() && !is_beside_all(run);
}

}  // namespace schedctl::job
