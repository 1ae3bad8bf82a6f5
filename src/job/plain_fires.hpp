#pragma once

#include <optional>
#include <variant>

#include "schedctl/job/schedule.hpp"
#include "src/job/cron_fires.hpp"

/// What a schedule yields before calendars are asked.
namespace schedctl::job {

/// anchor, anchor + period, anchor + 2 periods ...
struct Grid {
  Time anchor;
  Duration period;

  std::optional<Time> next_after(Time t) const;
  FireSeries::Stretch count(Time after, Time through) const;
};

struct Once {
  Time at;

  std::optional<Time> next_after(Time t) const { return t < at ? std::optional(at) : std::nullopt; }
  FireSeries::Stretch count(Time after, Time through) const {
    if (at <= after || at > through) return {};
    return {.count = 1, .first = at, .last = at};
  }
};

struct Never {
  std::optional<Time> next_after(Time) const { return std::nullopt; }
  FireSeries::Stretch count(Time, Time) const { return {}; }
};

struct PlainFires {
  std::variant<Never, Grid, Once, CronFires> series;
  std::optional<Time> not_before = {};
  std::optional<Time> until = {};

  static Result<PlainFires> make(const Schedule& schedule, ZonePtr zone, std::uint64_t seed);
  std::optional<Time> next_after(Time t) const;
  FireSeries::Stretch count(Time after, Time through) const;
};

}  // namespace schedctl::job
