// Allowed and excluded time take turns: an open stretch, a closed one, an open one.
//
//   skip   fires of closed stretches do not happen
//   next   they happen as one, at the instant that ends the closed stretch, unless something fires
//          then anyway
#include "src/job/allowed_fires.hpp"

#include <algorithm>
#include <limits>

#include "schedctl/base/limits.hpp"
#include "src/job/instant.hpp"

namespace schedctl::job {
namespace {

using Stretch = FireSeries::Stretch;

constexpr Duration kTick{1};

void append(Stretch& sum, const Stretch& more) {
  if (more.count == 0) return;
  if (sum.count == 0) sum.first = more.first;
  sum.count += more.count;
  sum.last = more.last;
}

/// What lies between two instants is looked at whole, however much it is.
Reach whole(Time through) {
  return {through, std::numeric_limits<std::int64_t>::max()};
}

}  // namespace

std::optional<Time> AllowedFires::next_after(Time t) const {
  Reach reach{add_saturated(t, limits::kSearchHorizon), limits::kCalendarSteps};
  return search(t, reach);
}

std::optional<Time> AllowedFires::search(Time t, Reach& reach) const {
  switch (mode) {
    case OnExcluded::skip:
      return next_skipping(t, reach);
    case OnExcluded::next:
      return next_moving(t, reach);
  }
  return std::nullopt;
}

std::optional<Time> AllowedFires::next_skipping(Time t, Reach& reach) const {
  while (!reach.spent()) {
    const std::optional<Time> fire = plain.next_after(t);
    if (!fire || filter.allows(*fire)) return fire;
    const std::optional<Time> open = filter.next_open(*fire, reach);
    if (!open) return std::nullopt;
    t = *open - kTick;
  }
  return std::nullopt;
}

std::optional<Time> AllowedFires::next_moving(Time t, Reach& reach) const {
  // What is owed at the end of the closed stretch in which t lies may be older than t.
  const Time from = filter.allows(t) ? t : subtract_saturated(filter.closed_since(t), kTick);
  const std::optional<Time> fire = plain.next_after(from);
  if (!fire || filter.allows(*fire)) return fire;
  const std::optional<Time> open = filter.next_open(std::max(*fire, t), reach);
  return open && plain.until && *open > *plain.until ? std::nullopt : open;
}

Stretch AllowedFires::count(Time after, Time through) const {
  Stretch sum;
  Reach reach = whole(through);
  while (after < through) {
    const std::optional<Time> fire = search(after, reach);
    if (!fire || *fire > through) break;
    const std::optional<Time> closed = filter.next_closed(*fire, reach);
    const Time end = closed ? std::min(*closed - kTick, through) : through;
    Stretch open = plain.count(*fire - kTick, end);
    // One that was moved here comes before those that belong here.
    if (open.count == 0 || open.first != *fire) {
      append(sum, {.count = 1, .first = *fire, .last = *fire});
    }
    append(sum, open);
    after = end;
  }
  return sum;
}

Stretch AllowedFires::count_excluded(Time after, Time through) const {
  Stretch sum;
  if (mode != OnExcluded::skip) return sum;
  Reach reach = whole(through);
  while (after < through) {
    const std::optional<Time> fire = plain.next_after(after);
    if (!fire || *fire > through) break;
    const bool open = filter.allows(*fire);
    const std::optional<Time> change =
        open ? filter.next_closed(*fire, reach) : filter.next_open(*fire, reach);
    const Time end = change ? std::min(*change - kTick, through) : through;
    if (!open) append(sum, plain.count(*fire - kTick, end));
    after = end;
  }
  return sum;
}

Stretch AllowedFires::moved_to(Time fire) const {
  const Time before = subtract_saturated(fire, kTick);
  if (mode != OnExcluded::next || filter.allows(before) || !filter.allows(fire)) return {};
  if (plain.next_after(before) == fire) return {};
  return plain.count(subtract_saturated(filter.closed_since(before), kTick), before);
}

}  // namespace schedctl::job
