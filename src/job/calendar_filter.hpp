#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "schedctl/job/calendar.hpp"
#include "schedctl/job/schedule.hpp"

namespace schedctl::job {

/// How far a search may go before it gives up.
struct Reach {
  Time until;          ///< nothing after it is looked for
  std::int64_t steps;  ///< borders and fires to look at
  bool spent() { return steps-- <= 0; }
};

/// The instants at which the calendars of a schedule let it fire: inside one of `only`, if there
/// are any, and inside none of `exclude`. Immutable; thread safe.
///
/// A calendar is read by a wall clock, so a clock that is changed moves in and out of it as its
/// readings do: a border that a gap removes is the instant after it, and both passes of a fold are
/// inside.
class CalendarFilter {
 public:
  /// Kind usage: a calendar or its zone is unknown; `where` is only or exclude.
  static Result<CalendarFilter> make(const Schedule& schedule, const ZonePtr& zone,
                                     const CalendarSource& calendars);

  bool allows(Time t) const;
  /// The first instant after `t` that is allowed, for a `t` that is not.
  std::optional<Time> next_open(Time t, Reach& reach) const;
  /// The first instant after `t` that is not allowed, for a `t` that is.
  std::optional<Time> next_closed(Time t, Reach& reach) const;
  /// Since when it has not been allowed, for a `t` that is not. Time::min(): for all that can be
  /// seen, always.
  Time closed_since(Time t) const;

  RuledOut why(Time t) const;  ///< for a `t` that is not allowed

 private:
  struct Part {
    std::string name;
    CalendarPtr calendar;
    ZonePtr zone;

    bool contains(Time t) const { return calendar->contains(zone->civil(t)); }
    std::optional<Time> next_border(Time t) const;
  };

  static bool any_contains(const std::vector<Part>& parts, Time t);

  std::vector<Part> only_;
  std::vector<Part> exclude_;
};

}  // namespace schedctl::job
