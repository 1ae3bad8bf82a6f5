#include "schedctl/job/transition.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "schedctl/base/check.hpp"
#include "schedctl/base/limits.hpp"
#include "schedctl/base/text.hpp"
#include "src/job/instant.hpp"

namespace schedctl::job {
namespace {

/// What a cell of the table does.
enum class Do {
  nothing,  ///< cannot happen in this state: a late or doubled report
  run,      ///< running
  end,      ///< the state and reason of the cell
  drop,     ///< likewise, but one that has been tried goes on to its retry
  abandon,  ///< likewise, but one that has been tried did run: cancelled, with the cell's reason
  requeue,  ///< pending at once, though not before its fire time; same attempt
  restart,  ///< pending after a growing pause, same attempt; gives up as the cell says
  retry,    ///< pending after the policy's backoff, next attempt; gives up as the cell says
  recover,  ///< pending like a retry if on_lost = retry; else as the cell says
};

struct Cell {
  Do what = Do::nothing;
  RunState state = RunState::pending;
  Reason reason = Reason::none;
};

struct Row {
  Happening happening;
  Cell pending;
  Cell running;
};

using S = RunState;
using R = Reason;

/// Final states have no column: nothing happens to a run that has ended.
constexpr std::array<Row, kHappenings> kTable{{
    // clang-format off
    // happening                         pending                                 running
    {Happening::claimed,             {Do::run, S::running, R::none},              {}},
    {Happening::overlapped,          {Do::end, S::skipped, R::overlap},           {}},
    {Happening::queue_full,          {Do::end, S::skipped, R::queue_full},        {}},
    {Happening::replaced,            {Do::end, S::cancelled, R::replaced},
                                     {Do::end, S::cancelled, R::replaced}},
    {Happening::expired,             {Do::end, S::missed, R::expired},            {}},
    {Happening::withdrawn_changed,   {Do::drop, S::skipped, R::schedule_changed}, {}},
    {Happening::withdrawn_removed,   {Do::abandon, S::skipped, R::removed},       {}},
    {Happening::waited_too_long,     {Do::end, S::missed, R::waited_too_long},    {}},
    {Happening::exhausted,           {Do::end, S::skipped, R::max_runs},          {}},
    {Happening::cancelled_pending,   {Do::end, S::cancelled, R::operator_},       {}},
    {Happening::never_started,       {}, {Do::requeue, S::cancelled, R::operator_}},
    {Happening::start_refused,       {}, {Do::restart, S::failed, R::start_error}},
    {Happening::exec_failed,         {}, {Do::retry, S::failed, R::exec_error}},
    {Happening::exited_zero,         {}, {Do::end, S::succeeded, R::none}},
    {Happening::exited_nonzero,      {}, {Do::retry, S::failed, R::exit_status}},
    {Happening::wrong_output,        {}, {Do::retry, S::failed, R::output}},
    {Happening::killed_by_signal,    {}, {Do::retry, S::failed, R::signal}},
    {Happening::timed_out,           {}, {Do::retry, S::failed, R::timeout}},
    {Happening::stopped_by_operator, {}, {Do::end, S::cancelled, R::operator_}},
    {Happening::stopped_by_shutdown, {}, {Do::end, S::cancelled, R::shutdown}},
    {Happening::lost_keeper,         {}, {Do::recover, S::lost, R::keeper_died}},
    {Happening::lost_reboot,         {}, {Do::recover, S::lost, R::rebooted}},
    // clang-format on
}};

constexpr Duration kFirstStartPause = std::chrono::seconds(1);
constexpr Duration kLongestStartPause = std::chrono::minutes(1);

const Cell& cell_of(RunState state, Happening happening) {
  static constexpr Cell kNothing{};
  const auto index = static_cast<std::size_t>(happening);
  CHECK(index < kTable.size() && kTable[index].happening == happening);
  if (state == RunState::pending) return kTable[index].pending;
  if (state == RunState::running) return kTable[index].running;
  return kNothing;
}

/// `base` doubled `times` times, at most `cap`.
Duration doubled(Duration base, int times, Duration cap) {
  Duration delay = std::min(base, cap);
  for (int i = 0; i < times && delay > Duration::zero() && delay < cap; ++i) {
    delay = delay > cap / 2 ? cap : delay * 2;
  }
  return delay;
}

/// The policy's pause after a failed attempt. The part that is added differs from run to run, so
/// that jobs which failed together do not all come back together; it comes from a hash, so that the
/// same question has the same answer.
Duration backoff_after(const Run& run, const Policy& policy) {
  const Duration delay = doubled(policy.backoff, run.attempt - 1, policy.max_delay);
  const auto room = static_cast<std::uint64_t>(std::max<std::int64_t>(to_us(delay) / 5, 0)) + 1;
  const std::uint64_t hash =
      stable_hash(std::to_string(run.id.value) + "#" + std::to_string(run.attempt));
  return std::min(delay + Duration{static_cast<std::int64_t>(hash % room)}, policy.max_delay);
}

/// The run as it is, in another state.
Step step_to(const Run& run, RunState state, Reason reason) {
  return Step{.state = state,
              .reason = reason,
              .attempt = run.attempt,
              .lost_count = run.lost_count,
              .start_failures = run.start_failures,
              .due_at = std::nullopt};
}

/// A run that must not go on.
Step call_off(const Run& run) {
  return step_to(run, RunState::cancelled, run.replaced_by ? Reason::replaced : Reason::operator_);
}

Step wait_until(const Run& run, Time due_at) {
  Step step = step_to(run, RunState::pending, Reason::none);
  step.due_at = due_at;
  return step;
}

}  // namespace

std::optional<Step> transition(const Run& run, Happening happening, const Policy& policy,
                               Time now) {
  const Cell& cell = cell_of(run.state, happening);
  const Step end = step_to(run, cell.state, cell.reason);
  switch (cell.what) {
    case Do::nothing:
      return std::nullopt;
    case Do::run:
    case Do::end:
      return end;
    case Do::drop:
      if (run.has_been_tried()) return std::nullopt;
      return end;
    case Do::abandon:
      if (run.has_been_tried()) return step_to(run, RunState::cancelled, cell.reason);
      return end;
    case Do::requeue: {
      if (run.cancel_requested) return call_off(run);
      return wait_until(run, run.cause == Cause::schedule ? std::max(now, run.fire_time) : now);
    }
    case Do::restart: {
      if (run.cancel_requested) return call_off(run);
      if (run.start_failures + 1 >= limits::kMaxAttempts) return end;
      const Duration pause = doubled(kFirstStartPause, run.start_failures, kLongestStartPause);
      Step step = wait_until(run, add_saturated(now, pause));
      step.start_failures = run.start_failures + 1;
      return step;
    }
    case Do::retry: {
      if (run.cancel_requested || run.attempt >= policy.max_attempts) return end;
      Step step = wait_until(run, add_saturated(now, backoff_after(run, policy)));
      step.attempt = run.attempt + 1;
      step.start_failures = 0;
      return step;
    }
    case Do::recover: {
      if (run.cancel_requested || policy.on_lost != OnLost::retry ||
          run.lost_count >= limits::kMaxLost) {
        return end;
      }
      Step step = wait_until(run, add_saturated(now, backoff_after(run, policy)));
      step.attempt = run.attempt + 1;
      step.lost_count = run.lost_count + 1;
      step.start_failures = 0;
      return step;
    }
  }
  return std::nullopt;
}

void take(const Step& step, Run& run) {
  run.state = step.state;
  run.reason = step.reason;
  run.attempt = step.attempt;
  run.lost_count = step.lost_count;
  run.start_failures = step.start_failures;
  if (step.due_at) run.due_at = *step.due_at;
}

}  // namespace schedctl::job
