// Runs that fall due one shortly after the other would each cost a commit of their own, and each
// would start only after its own. So a beat that has something to commit anyway takes along what
// falls due in the next moment: those runs are planned and claimed as of their fire times, and the
// executor starts each when its time has come, by the wall clock. Claimed before started they are
// all the same, and never early.
//
// Only for runs that nothing but the time can keep: nothing waits for a slot, some slots are left
// for what comes between, the job is idle, and neither its policy nor a pause has a say. All others
// are planned when they are due.

#include <algorithm>

#include "schedctl/base/limits.hpp"
#include "schedctl/job/plan.hpp"
#include "work.hpp"

namespace schedctl::runner {
namespace {

// Not to be taken by what is not due yet.
constexpr std::size_t kSpareSlots = 8;

}  // namespace

bool Runner::is_ahead() const {
  return clock_.elapsed() < watches_->ahead_until;
}

Result<void> Runner::look_ahead(Work& work) {
  const bool calm = work.dirty && !work.again && !work.adopted && !work.leaves_jobs_due();
  if (!calm || free_slots(work) <= kSpareSlots) return {};
  const Time until = work.now + kLookAhead;
  const std::size_t most = std::min(free_slots(work) - kSpareSlots, limits::kJobsPerBeat);
  TRY(std::vector<job::Job> soon, store_.due_jobs(until, most));
  if (soon.empty()) return {};
  TRY(const std::optional<std::size_t> slots, slots_at_once(work));
  if (!slots) return {};
  work.at_once = std::min(*slots, most);
  work.claims_until = until;
  for (const job::Job& job : soon) TRY_VOID(plan_ahead(work, job));
  return {};
}

Result<void> Runner::plan_ahead(Work& work, const job::Job& job) {
  const job::Policy policy = policy_of(job);
  if (!is_next_by_time(job, policy) || !job.next_fire || work.at_once == 0) return {};
  TRY(const bool busy, store_.is_busy(job.id));
  if (busy) return {};
  const auto fires = series_of(job);
  if (!fires) return {};
  return record_rows(work, job,
                     job::plan(*fires, policy, job.seed(), job.planned_through, *job.next_fire));
}

}  // namespace schedctl::runner
