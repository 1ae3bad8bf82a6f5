// The time before `now` is cut in two at the misfire grace: everything before the cut is missed,
// and of what lies after it coalesce chooses. What calendars took away is laid between the rows.
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

/// The instant t with exactly `n` fires in (t, through], of at least so many after `after`.
Time before_last(const FireSeries& fires, Time after, Time through, std::int64_t n) {
  Time low = after, high = through;  // (low, through] has at least n, (high, through] fewer
  while (high - low > kTick) {
    const Time middle = low + (high - low) / 2;
    (fires.count(middle, through).count >= n ? low : high) = middle;
  }
  return low;
}

/// The rows, with one for the excluded fires of each gap before, between and after them.
std::vector<Planned> with_excluded(const FireSeries& fires, std::vector<Planned> rows, Time after,
                                   Time through) {
  if (fires.count_excluded(after, through).count == 0) return rows;
  std::vector<Planned> all;
  const auto gap = [&](Time from, Time to) {
    const FireSeries::Stretch excluded = fires.count_excluded(from, to);
    if (excluded.count > 0) all.push_back(not_run(excluded, RunState::skipped, Reason::excluded));
  };
  for (const Planned& row : rows) {
    gap(after, row.fire_time - kTick);
    all.push_back(row);
    after = row.last_fire_time.value_or(row.fire_time);
  }
  gap(after, through);
  return all;
}

/// All fires in (after, through], those that calendars take away included.
FireSeries::Stretch count_both(const FireSeries& fires, Time after, Time through) {
  FireSeries::Stretch all = fires.count(after, through);
  const FireSeries::Stretch excluded = fires.count_excluded(after, through);
  if (excluded.count == 0) return all;
  if (all.count == 0) return excluded;
  return {.count = all.count + excluded.count,
          .first = std::min(all.first, excluded.first),
          .last = std::max(all.last, excluded.last)};
}

/// Writes the rows of one call; `policy`, `seed` and `now` as plan() got them. `today` is when they
/// are written, and waiting begins.
struct Planner {
  const FireSeries& fires;
  const Policy& policy;
  std::uint64_t seed;
  Time now;
  Time today;
  Plan plan;

  Time due_at(Time fire_time) const {
    const Time due = add_saturated(fire_time, jitter_of(policy.jitter, seed, fire_time));
    if (policy.catchup_spread <= Duration::zero()) return due;
    if (subtract_saturated(today, limits::kOverdue) < due) return due;
    return std::max(due,
                    add_saturated(today, jitter_of(policy.catchup_spread, seed + 1, fire_time)));
  }

  void pending(Time fire_time, bool waits) {
    Planned row;
    row.fire_time = fire_time;
    row.due_at = due_at(fire_time);
    row.waits = waits;
    if (policy.max_wait > Duration::zero()) {
      row.give_up_at = add_saturated(std::max(row.due_at, today), policy.max_wait);
    }
    plan.rows.push_back(row);
  }

  /// The fires with after < fire <= through, as one row if there are any.
  void stretch(Time after, Time through, RunState state, Reason reason) {
    const FireSeries::Stretch found = fires.count(after, through);
    if (found.count > 0) plan.rows.push_back(not_run(found, state, reason));
  }

  /// The latest fires of the stretch, each pending; those before are one row.
  void each(Time after, std::int64_t count) {
    const std::int64_t take = std::min<std::int64_t>(count, policy.max_catchup);
    if (take < count) {
      const Time cut = before_last(fires, after, now, take);
      stretch(after, cut, RunState::skipped, Reason::coalesced);
      after = cut;
    }
    for (std::int64_t i = 0; i < take; ++i) {
      const std::optional<Time> fire = fires.next_after(after);
      if (!fire || *fire > now) return;
      pending(*fire, count > 1);
      after = *fire;
    }
  }

  void within_grace(Time after) {
    const FireSeries::Stretch due = fires.count(after, now);
    if (due.count == 0) return;
    switch (policy.coalesce) {
      case Coalesce::latest:
        stretch(after, due.last - kTick, RunState::skipped, Reason::coalesced);
        pending(due.last, false);
        return;
      case Coalesce::earliest:
        pending(due.first, false);
        stretch(due.first, now, RunState::skipped, Reason::coalesced);
        return;
      case Coalesce::all:
        each(after, due.count);
        return;
    }
  }
};

Plan plan_as_of(const FireSeries& fires, const Policy& policy, std::uint64_t seed,
                Time planned_through, Time now, Time today) {
  Planner planner{fires, policy, seed, now, today, {}};
  Plan& out = planner.plan;
  out.planned_through = planned_through;
  if (planned_through < now) {
    // The last instant whose fire comes too late.
    const Time cut =
        std::min(now, subtract_saturated(subtract_saturated(now, policy.misfire_grace), kTick));
    if (planned_through < cut) {
      planner.stretch(planned_through, cut, RunState::missed, Reason::misfire);
    }
    planner.within_grace(std::max(planned_through, cut));
    out.rows = with_excluded(fires, std::move(out.rows), planned_through, now);
    out.planned_through = now;
  }
  out.next_fire = fires.next_after(out.planned_through);
  return std::move(out);
}

}  // namespace

Plan plan(const FireSeries& fires, const Policy& policy, std::uint64_t seed, Time planned_through,
          Time now) {
  return plan_as_of(fires, policy, seed, planned_through, now, now);
}

Plan plan_until(const FireSeries& fires, const Policy& policy, std::uint64_t seed,
                Time planned_through, Time through, Time now) {
  // plan() judges as of the end of what it plans. A fire later than (grace) before `now` is later
  // than (grace - the rest) before `through`; below zero, all of them come too late.
  Policy stricter = policy;
  stricter.misfire_grace = std::max(policy.misfire_grace - (now - through), -kTick);
  return plan_as_of(fires, stricter, seed, planned_through, through, now);
}

Plan plan_paused(const FireSeries& fires, Time planned_through, Time now) {
  Plan out;
  out.planned_through = std::max(planned_through, now);
  if (planned_through < now) {
    const FireSeries::Stretch stretch = count_both(fires, planned_through, now);
    if (stretch.count > 0) {
      out.rows.push_back(not_run(stretch, RunState::skipped, Reason::paused));
    }
  }
  out.next_fire = fires.next_after(out.planned_through);
  return out;
}

FireSeries::Stretch count_planned(const FireSeries& fires, Reason reason, Time after,
                                  Time through) {
  if (reason == Reason::excluded) return fires.count_excluded(after, through);
  if (reason == Reason::paused) return count_both(fires, after, through);
  return fires.count(after, through);
}

Duration jitter_of(Duration jitter, std::uint64_t seed, Time fire_time) {
  if (jitter <= Duration::zero()) return Duration::zero();
  const std::uint64_t hash =
      stable_hash(std::to_string(seed) + "@" + std::to_string(to_us(fire_time)));
  return Duration{static_cast<std::int64_t>(hash % static_cast<std::uint64_t>(to_us(jitter)))};
}

}  // namespace schedctl::job
