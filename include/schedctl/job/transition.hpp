#pragma once

#include <optional>

#include "schedctl/base/time.hpp"
#include "schedctl/job/policy.hpp"
#include "schedctl/job/run.hpp"

namespace schedctl::job {

/// Everything that can happen to a run.
enum class Happening {
  claimed,            ///< a slot was free: it is about to be started
  overlapped,         ///< due while its job still ran
  queue_full,         ///< likewise, and as many wait for it as may (max_queued)
  replaced,           ///< a newer occurrence takes its place (overlap = replace)
  expired,            ///< asked for by hand and nobody came in time
  withdrawn_changed,  ///< the schedule was changed while it was pending
  withdrawn_removed,  ///< the job was removed while it was pending
  waited_too_long,    ///< found no slot within max_wait
  exhausted,          ///< the job has had all the runs it may have (max_runs)
  cancelled_pending,  ///< `cancel` of a run that does not run
  never_started,      ///< the keeper never got the order: back to pending, same attempt
  start_refused,      ///< the machine could not fork: pending again later, same attempt
  exec_failed,        ///< the command cannot be executed
  exited_zero,
  exited_nonzero,
  wrong_output,         ///< it exited well, and its output is not as its job demands
  killed_by_signal,     ///< by somebody else
  timed_out,            ///< ended by us, for its timeout
  stopped_by_operator,  ///< ended by us, for `cancel`
  stopped_by_shutdown,  ///< ended by us, for `stop`
  lost_keeper,          ///< nobody knows how it ended: the keeper died
  lost_reboot,          ///< likewise: the machine went down
};
inline constexpr int kHappenings = 22;

/// What becomes of the run.
struct Step {
  RunState state = RunState::pending;
  Reason reason = Reason::none;
  int attempt = 1;
  int lost_count = 0;
  int start_failures = 0;
  std::optional<Time> due_at;  ///< set when it is pending again: not before
};

/// The transition table (drawn in schedctl(7)), with retries: a failed attempt is pending again
/// while attempt < policy.max_attempts, backoff * 2^(attempt-1) later, jittered by up to a fifth
/// (never shorter than that, never over max_delay); `start_refused` the same attempt, with a
/// backoff of 1 s doubling to 1 min; a lost run likewise only if on_lost is retry, at most
/// limits::kMaxLost times. Nothing: this cannot happen to a run in this state (a late or doubled
/// report), and the caller leaves it alone. An operator's cancel that reaches a run which ended by
/// itself with exit 0 is still success: pass what happened, not what was asked for. But a run with
/// cancel_requested is never pending again: a failure is final, and one that was not started is
/// cancelled. A retry that waits is not withdrawn by a new schedule, and ends as cancelled, not as
/// skipped, when its job is removed: it has run. Pure.
std::optional<Step> transition(const Run& run, Happening happening, const Policy& policy, Time now);

/// Puts the run where the step leads.
void take(const Step& step, Run& run);

}  // namespace schedctl::job
