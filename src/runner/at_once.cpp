// Most runs start in the very beat that plans them: none waits before them, and nothing is in their
// way. Their rows are written once, as running, instead of once as pending and once as running. If
// the keeper has not been heard of for a while, they stay due until it has answered. Whatever is
// any different takes the way of all that waits, in claim.cpp.
//
// In a burst more jobs are due than there are slots, and slots become free by the dozen. Then the
// beats plan in step with the slots: a job that a slot will be free for in a moment stays due until
// then, and starts in the beat that plans it, like any other. That must make no difference but to
// the number of writes. So it is only for jobs whose order is that of their fire times, and not for
// so long that an occurrence would be coalesced with the next; the time counts for no misfire; and
// now and then those that are due are looked at, for such as cannot be left.

#include <algorithm>

#include "schedctl/base/limits.hpp"
#include "work.hpp"

namespace schedctl::runner {
namespace {

// Slots turn over if a beat takes or frees so many; of fewer, each is worth a row for what waits.
constexpr std::size_t kBurst = 8;
// If none has for so long, they are held by what runs longer.
constexpr Duration kTurnover = std::chrono::milliseconds(100);
// While they do; each look reads all that are due.
constexpr Duration kBetweenLooks = std::chrono::milliseconds(300);
constexpr Duration kLeftAtMost = std::chrono::seconds(5);

bool is_within(const std::optional<Duration>& instant, Duration now, Duration span) {
  return instant && now - *instant < span;
}

/// Whether a slot is all that a run of the job can wait for, itself apart.
bool needs_only_slot(const job::Policy& policy) {
  return policy.after.empty() && policy.group.empty() && policy.max_runs == 0;
}

}  // namespace

bool is_next_by_time(const job::Job& job, const job::Policy& policy) {
  return !job.paused && policy.priority == 0 && policy.jitter == Duration::zero() &&
         policy.max_wait == Duration::zero() && needs_only_slot(policy);
}

bool Runner::can_be_left(const job::Job& job, Time now) const {
  const job::Policy policy = policy_of(job);
  const Time due = job.next_fire.value_or(now);
  // As it will be when it is looked at again.
  const Duration left = now - due + 2 * kBetweenLooks;
  // Who is to be told of a late start is told by its row.
  if (!is_next_by_time(job, policy) || left >= std::min(kLeftAtMost, policy.alert_grace))
    return false;
  if (left < limits::kShortestEvery) return true;
  const auto fires = series_of(job);
  if (!fires) return false;
  const std::optional<Time> next = fires->next_after(due);
  return !next || *next > due + left;
}

std::size_t Runner::jobs_to_read(Work& work) const {
  const bool leaves = watches_->in_step && watches_->keeper.is_well(work.elapsed) &&
                      is_within(watches_->turned_over_at, work.elapsed, kTurnover);
  work.looks = !leaves || !is_within(watches_->looked_at, work.elapsed, kBetweenLooks);
  return work.looks ? limits::kJobsPerBeat : std::min(free_slots(work), limits::kJobsPerBeat);
}

// Takes away from `due`, of which `asked` were asked for, what is left for the next beats.
Result<void> Runner::fall_in_step(Work& work, std::vector<job::Job>& due, std::size_t asked) {
  const bool may_be_more = due.size() == asked;
  work.in_step = !work.looks && may_be_more;
  if (due.empty()) return {};
  if (watches_->keeper.answers_soon(work.elapsed) && !work.adopted) {
    due.clear();
    work.asks_first = work.wants_keeper = true;
    return {};
  }
  TRY(const std::optional<std::size_t> slots, slots_at_once(work));
  if (!slots) work.in_step = false;
  // With fewer slots than jobs rank decides, and not the order of planning.
  if (slots && *slots >= due.size()) work.at_once = *slots;
  if (slots && *slots < due.size()) TRY_VOID(leave_some(work, due, *slots));
  if (may_be_more && !work.in_step) work.again = true;
  return {};
}

Result<void> Runner::leave_some(Work& work, std::vector<job::Job>& due, std::size_t slots) {
  const bool turn_over =
      slots >= kBurst || is_within(watches_->turned_over_at, work.elapsed, kTurnover);
  if (!turn_over) return {};
  TRY(const bool ranked, store_.is_ranked_job_due(work.now));
  if (ranked) return {};
  for (const job::Job& job : due) {
    if (!can_be_left(job, work.now)) return {};
  }
  std::vector<job::Job> now;
  std::size_t behind = 0;
  for (job::Job& job : due) {
    TRY(const bool busy, store_.is_busy(job.id));
    if (busy || behind++ < slots) now.push_back(std::move(job));
  }
  due = std::move(now);
  work.at_once = slots;
  work.in_step = true;
  return {};
}

// Once it is done; before what has begun is handed on.
void Runner::note_turnover(const Work& work) {
  if (work.looks) watches_->looked_at = work.elapsed;
  if (work.starts.size() + work.over.size() >= kBurst) watches_->turned_over_at = work.elapsed;
  watches_->in_step = work.in_step;
  if (!work.leaves_jobs_due()) watches_->left_since.reset();
  if (work.leaves_jobs_due() && !watches_->left_since) watches_->left_since = work.elapsed;
}

Duration Runner::left_for(const Work& work) const {
  if (!watches_->left_since) return {};
  return std::min(work.elapsed - *watches_->left_since, kLeftAtMost + kBetweenLooks);
}

Time Runner::next_look(const Work& work) {
  return work.now + kTurnover;
}

// None, unless those that are due may have slots before all that waits.
Result<std::optional<std::size_t>> Runner::slots_at_once(const Work& work) {
  const KeeperWatch& keeper = watches_->keeper;
  if (!keeper.is_connected() || !keeper.is_well(work.elapsed)) return std::nullopt;
  TRY(const std::vector<store::DueRun> waiting, store_.due_runs(work.now, 1, {}));
  if (!waiting.empty()) return std::nullopt;
  return free_slots(work);
}

Result<void> Runner::claim_at_once(Work& work, const job::Policy& policy, job::Run& run) {
  const bool is_plain = run.state == job::RunState::pending && run.due_at <= work.claims_until &&
                        !run.waits && needs_only_slot(policy);
  if (work.at_once == 0 || !is_plain || work.busy_jobs.contains(run.job_id)) return {};
  TRY(const bool busy, store_.is_busy(run.job_id));
  if (busy) return {};
  if (mark_claimed(work, run, policy)) --work.at_once;
  return {};
}

}  // namespace schedctl::runner
