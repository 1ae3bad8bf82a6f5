// Most runs start in the very beat that plans them: none waits before them, and nothing is in their
// way. Their rows are written once, as running, instead of once as pending and once as running.
// Whatever is any different takes the way of all that waits, in claim.cpp.

#include "work.hpp"

namespace schedctl::runner {

// None, unless there is a slot for each job that is due, so that their order does not matter.
Result<std::size_t> Runner::slots_at_once(const Work& work, std::size_t jobs) {
  const KeeperWatch& keeper = watches_->keeper;
  if (jobs == 0 || !keeper.is_connected() || !keeper.is_well(work.elapsed)) return std::size_t{0};
  const std::size_t free = free_slots(work);
  if (free < jobs) return std::size_t{0};
  TRY(const std::vector<store::DueRun> waiting, store_.due_runs(work.now, 1, {}));
  return waiting.empty() ? free : 0;
}

Result<void> Runner::claim_at_once(Work& work, const job::Policy& policy, job::Run& run) {
  const bool is_plain = run.state == job::RunState::pending && run.due_at <= work.now &&
                        !run.waits && policy.after.empty() && policy.group.empty() &&
                        policy.max_runs == 0;
  if (work.at_once == 0 || !is_plain || work.busy_jobs.contains(run.job_id)) return {};
  TRY(const bool busy, store_.is_busy(run.job_id));
  if (busy) return {};
  if (mark_claimed(work, run, policy)) --work.at_once;
  return {};
}

}  // namespace schedctl::runner
