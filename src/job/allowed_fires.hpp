#pragma once

#include <optional>

#include "src/job/calendar_filter.hpp"
#include "src/job/plain_fires.hpp"

namespace schedctl::job {

/// The fires of a schedule as its calendars leave them. Goes from one change of the calendars to
/// the next, and never looks at one in which nothing fires.
struct AllowedFires {
  PlainFires plain;
  CalendarFilter filter;
  OnExcluded mode = OnExcluded::skip;

  std::optional<Time> next_after(Time t) const;
  FireSeries::Stretch count(Time after, Time through) const;
  FireSeries::Stretch count_excluded(Time after, Time through) const;
  FireSeries::Stretch moved_to(Time fire) const;

 private:
  std::optional<Time> search(Time t, Reach& reach) const;
  std::optional<Time> next_skipping(Time t, Reach& reach) const;
  std::optional<Time> next_moving(Time t, Reach& reach) const;
};

}  // namespace schedctl::job
