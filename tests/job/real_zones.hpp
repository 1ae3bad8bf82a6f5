#pragma once

#include <doctest/doctest.h>

#include <string>

#include "schedctl/job/schedule.hpp"
#include "schedctl/zone/system_zones.hpp"

/// Zones of the tz database, and times as the tests write them.
namespace schedctl::job {

inline ZonePtr zone_named(const std::string& name) {
  static const std::unique_ptr<ZoneSource> kZones = zone::system_zones();
  Result<ZonePtr> zone = kZones->find(name);
  REQUIRE_MESSAGE(zone.has_value(), name);
  return *zone;
}

/// "2026-03-29", "2026-03-29 02:30": UTC.
inline Time utc(const std::string& text) {
  const Result<Time> t = parse_time(text, *zone_named("UTC"), Time{});
  REQUIRE_MESSAGE(t.has_value(), text);
  return *t;
}

inline Schedule cron_schedule(const std::string& expression) {
  Schedule schedule;
  schedule.kind = ScheduleKind::cron;
  schedule.cron = expression;
  return schedule;
}

inline FireSeries series_of(const Schedule& schedule, const std::string& zone,
                            std::uint64_t seed = 0) {
  Result<FireSeries> series = FireSeries::make(schedule, zone_named(zone), seed);
  REQUIRE_MESSAGE(series.has_value(), (series ? std::string() : series.error().message));
  return std::move(*series);
}

}  // namespace schedctl::job
