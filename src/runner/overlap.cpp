// What becomes of a run that is due while its job still runs. Its job's word decides (skip, queue,
// replace, allow), but a backfill is no reason to skip anything: what falls due beside it waits for
// the one run of it that lives; where they may be side by side, they are as good as not there.
//
// A run that is to wait is marked so in its row (`waits`), which keeps it out of the beats until
// its job is free; one that may start beside others is marked `forced`, and so are its retries.

#include <algorithm>

#include "schedctl/base/limits.hpp"
#include "schedctl/job/busy.hpp"
#include "schedctl/job/transition.hpp"
#include "work.hpp"

namespace schedctl::runner {
namespace {

using job::RunState;

/// Runs in one job's line: more than a backfill has, a queue, and what is caught up.
constexpr std::size_t kLooked = static_cast<std::size_t>(limits::kMaxParallel) +
                                std::size_t{2} * limits::kMaxInstances + limits::kMaxCatchup;

bool is_queued(const job::Run& run) {
  return run.state == RunState::pending && run.waits && !run.occupies_slot();
}

/// Whether what is in the way is a backfill and nothing else.
bool is_backfilling(const std::vector<job::Run>& others) {
  bool any = false;
  for (const job::Run& other : others) {
    const bool of_backfill = other.cause == job::Cause::backfill;
    // One that waits already is enough: otherwise all that fell due behind a long run would follow
    // it in a row.
    if (!of_backfill && (other.occupies_slot() || other.waits)) return false;
    any = any || (of_backfill && other.occupies_slot());
  }
  return any;
}

}  // namespace

// Of a thousand runs that are skipped in one beat each sees the same line: it is read again only
// when somebody has joined it.
Result<Runner::WhenBusy> Runner::when_busy(Work& work, job::Run& run) {
  if (!work.lines_of_jobs.contains(run.job_id)) {
    TRY(std::vector<job::Run> line,
        store_.list_runs({.job_id = run.job_id,
                          .states = {RunState::pending, RunState::running},
                          .in_line = true,
                          .limit = kLooked}));
    std::erase_if(line, job::is_beside_all);
    work.lines_of_jobs[run.job_id] = std::move(line);
  }
  TRY(const WhenBusy what, judge_busy(work, run, work.lines_of_jobs[run.job_id]));
  if (what == WhenBusy::starts || what == WhenBusy::waits) work.lines_of_jobs.erase(run.job_id);
  return what;
}

// `run` itself is not in line: it is due for the first time.
Result<Runner::WhenBusy> Runner::judge_busy(Work& work, job::Run& run,
                                            const std::vector<job::Run>& others) {
  if (is_backfilling(others)) return let_wait(work, run, "backfill");
  TRY(const std::optional<job::Job> job, store_.get_job(run.job_id));
  const job::Policy policy = policy_of(job);
  switch (policy.overlap) {
    case job::Overlap::skip:
      return WhenBusy::overlapped;
    case job::Overlap::queue: {
      const auto queued = std::ranges::count_if(others, is_queued);
      if (queued >= policy.max_queued) return WhenBusy::queue_full;
      return let_wait(work, run, "queue");
    }
    case job::Overlap::allow:
      return beside(work, run, others, policy.max_instances);
    case job::Overlap::replace:
      for (const job::Run& other : others) TRY_VOID(replace(work, other, run.id));
      return let_wait(work, run, "replace");
  }
  return WhenBusy::overlapped;
}

// Those that wait already (overdue ones that were caught up) go first: a job whose runs live beside
// each other may never be idle.
Result<Runner::WhenBusy> Runner::beside(Work& work, job::Run& run, std::vector<job::Run> others,
                                        int most) {
  auto room = most - std::ranges::count_if(others, [](const job::Run& other) {
                return other.occupies_slot() || other.forced;
              });
  if (room <= 0) return WhenBusy::overlapped;
  std::ranges::sort(others, {}, &job::Run::id);
  for (job::Run& other : others) {
    if (!is_queued(other) || other.forced || other.due_at > work.now) continue;
    if (room-- <= 0) return let_wait(work, run, "overlap");
    other.forced = true;
    TRY_VOID(store_.update_run(other, other.fence));
    work.dirty = work.again = true;
  }
  return room > 0 ? Result<WhenBusy>(WhenBusy::starts) : let_wait(work, run, "overlap");
}

Result<Runner::WhenBusy> Runner::let_wait(Work& work, job::Run& run, const char* reason) {
  run.waits = true;
  TRY_VOID(store_.update_run(run, run.fence));
  work.dirty = true;
  work.run_line(log::Level::info, "run-waits", run,
                {{"reason", reason}, {"fire", format_rfc3339(run.fire_time)}});
  return WhenBusy::waits;
}

// One that runs is ended like one that somebody cancels; its successor starts when it has ended.
Result<void> Runner::replace(Work& work, job::Run other, RunId by) {
  // What is due now takes the place of what was due before it, not of last year's.
  if (other.cause == job::Cause::backfill) return {};
  if (other.state == RunState::pending) {
    // What is due in this beat as well has its own turn.
    if (!other.occupies_slot() && !other.waits) return {};
    other.replaced_by = by;
    // Its successor can start now, and no end will say so.
    work.again = true;
    return withdraw(work, std::move(other), job::Happening::replaced);
  }
  if (other.cancel_requested) return {};
  other.cancel_requested = true;
  other.replaced_by = by;
  TRY_VOID(store_.update_run(other, other.fence));
  work.dirty = work.again = work.wishes = true;
  return {};
}

}  // namespace schedctl::runner
