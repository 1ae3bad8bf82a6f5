// The time before `now` is cut in two at the misfire grace: everything before the cut is missed,
// and of what lies after it coalesce chooses.
#include "schedctl/job/plan.hpp"

#include <algorithm>
#include <string>

#include "schedctl/base/limits.hpp"
#include "schedctl/base/text.hpp"
#include "src/job/instant.hpp"

namespace schedctl::job {
namespace {

constexpr Duration kTick{1};

/// A row for fires that will not run.
Planned not_run(const FireSeries::Stretch& stretch, RunState state, Reason reason) {
  Planned row;
  row.fire_time = stretch.first;
  row.due_at = stretch.first;
  row.state = state;
  row.reason = reason;
  row.count = stretch.count;
  if (stretch.count > 1) row.last_fire_time = stretch.last;
  return row;
}

/// Writes the rows of one call; `policy` and `seed` as plan() got them.
struct Planner {
  const FireSeries& fires;
  const Policy& policy;
  std::uint64_t seed;
  Plan plan;

  void pending(Time fire_time, bool waits) {
    Planned row;
    row.fire_time = fire_time;
    row.due_at = add_saturated(fire_time, jitter_of(policy.jitter, seed, fire_time));
    row.waits = waits;
    plan.rows.push_back(row);
  }

  /// The fires with after < fire <= through, as one row if there are any.
  void stretch(Time after, Time through, RunState state, Reason reason) {
    const FireSeries::Stretch found = fires.count(after, through);
    if (found.count > 0) plan.rows.push_back(not_run(found, state, reason));
  }

  /// The oldest fires of the stretch, each pending. A call that cannot take all leaves at least two
  /// for the next one, which then sees a series too. Returns how far it came.
  Time each(Time after, Time now, std::int64_t count) {
    std::int64_t take = std::min(count, limits::kFiresPerPlan);
    if (count - take == 1) --take;
    Time at = after;
    for (std::int64_t i = 0; i < take; ++i) {
      const std::optional<Time> fire = fires.next_after(at);
      if (!fire || *fire > now) return now;
      pending(*fire, count > 1);
      at = *fire;
    }
    return take < count ? at : now;
  }

  /// Plans what is within the grace; returns the instant through which everything has its row.
  Time within_grace(Time after, Time now) {
    const FireSeries::Stretch due = fires.count(after, now);
    if (due.count == 0) return now;
    switch (policy.coalesce) {
      case Coalesce::latest:
        stretch(after, due.last - kTick, RunState::skipped, Reason::coalesced);
        pending(due.last, false);
        return now;
      case Coalesce::earliest:
        pending(due.first, false);
        stretch(due.first, now, RunState::skipped, Reason::coalesced);
        return now;
      case Coalesce::all:
        return each(after, now, due.count);
    }
    return now;
  }
};

}  // namespace

Plan plan(const FireSeries& fires, const Policy& policy, std::uint64_t seed, Time planned_through,
          Time now) {
  Planner planner{fires, policy, seed, {}};
  Plan& out = planner.plan;
  out.planned_through = planned_through;
  if (planned_through < now) {
    // The last instant whose fire comes too late.
    const Time cut =
        std::min(now, subtract_saturated(subtract_saturated(now, policy.misfire_grace), kTick));
    if (planned_through < cut) {
      planner.stretch(planned_through, cut, RunState::missed, Reason::misfire);
    }
    out.planned_through = planner.within_grace(std::max(planned_through, cut), now);
  }
  out.next_fire = fires.next_after(out.planned_through);
  return std::move(out);
}

Plan plan_paused(const FireSeries& fires, Time planned_through, Time now) {
  Plan out;
  out.planned_through = std::max(planned_through, now);
  if (planned_through < now) {
    const FireSeries::Stretch stretch = fires.count(planned_through, now);
    if (stretch.count > 0) {
      out.rows.push_back(not_run(stretch, RunState::skipped, Reason::paused));
    }
  }
  out.next_fire = fires.next_after(out.planned_through);
  return out;
}

Duration jitter_of(Duration jitter, std::uint64_t seed, Time fire_time) {
  if (jitter <= Duration::zero()) return Duration::zero();
  const std::uint64_t hash =
      stable_hash(std::to_string(seed) + "@" + std::to_string(to_us(fire_time)));
  return Duration{static_cast<std::int64_t>(hash % static_cast<std::uint64_t>(to_us(jitter)))};
}

}  // namespace schedctl::job
