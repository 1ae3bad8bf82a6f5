#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "schedctl/base/time.hpp"
#include "schedctl/job/policy.hpp"
#include "schedctl/job/run.hpp"
#include "schedctl/job/schedule.hpp"

namespace schedctl::job {

/// One row that planning wants written: a single occurrence, or a stretch of `count` that did not
/// run, from fire_time to last_fire_time.
struct Planned {
  Time fire_time{};
  Time due_at{};  ///< fire_time + jitter; equal to fire_time for rows that will not run
  RunState state = RunState::pending;  ///< pending, missed or skipped
  Reason reason = Reason::none;        ///< misfire, coalesced, excluded or paused if not pending
  std::int64_t count = 1;
  std::optional<Time> last_fire_time;  ///< set if count > 1
  bool waits = false;                  ///< coalesce = all and more than one due: they queue up
  std::optional<Time> give_up_at;      ///< pending: not started by then, it is missed (max_wait)
};

struct Plan {
  std::vector<Planned> rows;      ///< in order of fire time, without overlap
  Time planned_through{};         ///< never before the old one
  std::optional<Time> next_fire;  ///< the first fire after planned_through
};

/// Turns the fires in (planned_through, now] into rows, each fire into exactly one. Those that
/// calendars take away are one row, skipped, reason excluded, for each gap between the others;
/// where they lie between the fires of a stretch, that covers them, uncounted. Judges the
/// misfire grace: a fire more than `misfire_grace` before `now` is missed (one stretch row for all
/// of them); one exactly that late is still planned. Of the others coalesce says which run; the
/// rest are one stretch row, skipped, reason coalesced. A single one simply is pending. Never plans
/// past `now`. Stretches are counted, not walked, so they may be of any length; only coalesce = all
/// makes a row a fire, for the latest max_catchup of them. Overdue ones are due within
/// catchup_spread from now, each at its own stable moment. If the wall clock was set back (now <
/// planned_through), there are no rows. Pure.
Plan plan(const FireSeries& fires, const Policy& policy, std::uint64_t seed, Time planned_through,
          Time now);

/// The same up to `through` only, which is not after `now`; the grace is judged as of `now`.
Plan plan_until(const FireSeries& fires, const Policy& policy, std::uint64_t seed,
                Time planned_through, Time through, Time now);

/// The same for a job that was paused: everything in (planned_through, now] is one stretch of
/// skipped, reason paused, also what calendars would have taken away.
Plan plan_paused(const FireSeries& fires, Time planned_through, Time now);

/// The fires in (after, through] of which a row of this reason speaks.
FireSeries::Stretch count_planned(const FireSeries& fires, Reason reason, Time after, Time through);

/// Stable delay in [0, jitter) of one fire; 0 for no jitter.
Duration jitter_of(Duration jitter, std::uint64_t seed, Time fire_time);

}  // namespace schedctl::job
