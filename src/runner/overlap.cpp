// What becomes of a run that is due while its job still runs. Its job's word decides (skip, queue,
// replace, allow), but a backfill is no reason to skip anything: what falls due beside it waits for
// the one run of it that lives, or starts beside them where they may be side by side.
//
// A run that is to wait is marked so in its row (`waits`), which keeps it out of the beats until
// its job is free; one that may start beside others is marked `forced`, and so are its retries.

#include <algorithm>

#include "schedctl/base/limits.hpp"
#include "schedctl/job/transition.hpp"
#include "work.hpp"

namespace schedctl::runner {
namespace {

using job::RunState;

/// Living runs of one job that are looked at: more than a backfill has, or a queue.
constexpr std::size_t kLooked = static_cast<std::size_t>(limits::kMaxParallel) + 100;

bool is_queued(const job::Run& run) {
  return run.state == RunState::pending && run.waits && !run.occupies_slot();
}

/// Whether what is in the way of `run` is a backfill and nothing else.
enum class Backfilling { no, one_by_one, side_by_side };
Backfilling backfilling(const std::vector<job::Run>& others) {
  bool any = false, side_by_side = true;
  for (const job::Run& other : others) {
    const bool of_backfill = other.cause == job::Cause::backfill;
    // One that waits already is enough: otherwise all that fell due behind a long run would follow
    // it in a row.
    if (!of_backfill && (other.occupies_slot() || other.waits)) return Backfilling::no;
    if (!of_backfill || !other.occupies_slot()) continue;
    any = true;
    side_by_side = side_by_side && other.forced;
  }
  if (!any) return Backfilling::no;
  return side_by_side ? Backfilling::side_by_side : Backfilling::one_by_one;
}

}  // namespace

Result<Runner::WhenBusy> Runner::when_busy(Work& work, job::Run& run) {
  TRY(std::vector<job::Run> others,
      store_.list_runs({.job_id = run.job_id,
                        .states = {RunState::pending, RunState::running},
                        .limit = kLooked}));
  std::erase_if(others, [&run](const job::Run& other) { return other.id == run.id; });
  switch (backfilling(others)) {
    case Backfilling::side_by_side:
      return WhenBusy::starts;
    case Backfilling::one_by_one:
      return let_wait(work, run, "backfill");
    case Backfilling::no:
      break;
  }
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
    case job::Overlap::allow: {
      const auto living = std::ranges::count_if(others, &job::Run::occupies_slot);
      return living < policy.max_instances ? WhenBusy::starts : WhenBusy::overlapped;
    }
    case job::Overlap::replace:
      for (job::Run& other : others) TRY_VOID(replace(work, std::move(other), run.id));
      return let_wait(work, run, "replace");
  }
  return WhenBusy::overlapped;
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
  if (other.state == RunState::pending) {
    // What is due in this beat as well has its own turn.
    if (!other.occupies_slot() && !other.waits) return {};
    other.replaced_by = by;
    return withdraw(work, std::move(other), job::Happening::replaced);
  }
  if (other.cancel_requested) return {};
  other.cancel_requested = true;
  other.replaced_by = by;
  TRY_VOID(store_.update_run(other, other.fence));
  work.dirty = work.again = true;
  return {};
}

}  // namespace schedctl::runner
