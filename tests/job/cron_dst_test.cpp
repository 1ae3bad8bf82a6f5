#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "schedctl/job/schedule.hpp"
#include "schedctl/zone/system_zones.hpp"

using namespace schedctl;
using namespace schedctl::job;

namespace {

ZonePtr zone_named(const std::string& name) {
  static const std::unique_ptr<ZoneSource> kZones = zone::system_zones();
  const Result<ZonePtr> zone = kZones->find(name);
  REQUIRE_MESSAGE(zone.has_value(), name);
  return *zone;
}

struct Case {
  const char* zone;
  const char* cron;
  DstGap gap = DstGap::shift;
  DstFold fold = DstFold::first;
};

/// The fires in (from, to], as local times.
std::vector<std::string> fires(const Case& c, const char* from, const char* to) {
  const ZonePtr zone = zone_named(c.zone);
  const ZonePtr utc = zone_named("UTC");
  Schedule schedule;
  schedule.kind = ScheduleKind::cron;
  schedule.cron = c.cron;
  schedule.dst_gap = c.gap;
  schedule.dst_fold = c.fold;
  const auto series = FireSeries::make(schedule, zone, 0);
  REQUIRE_MESSAGE(series.has_value(), (series ? "" : series.error().message));
  const auto begin = parse_time(from, *utc, Time{});
  const auto end = parse_time(to, *utc, Time{});
  REQUIRE(begin.has_value());
  REQUIRE(end.has_value());
  std::vector<std::string> out;
  for (auto t = series->next_after(*begin); t && *t <= *end; t = series->next_after(*t)) {
    out.push_back(format_local(*t, *zone));
    REQUIRE(out.size() < 2000);
  }
  const FireSeries::Stretch stretch = series->count(*begin, *end);
  CHECK(stretch.count == static_cast<std::int64_t>(out.size()));
  if (!out.empty()) {
    CHECK(format_local(stretch.first, *zone) == out.front());
    CHECK(format_local(stretch.last, *zone) == out.back());
  }
  return out;
}

using Fires = std::vector<std::string>;

}  // namespace

TEST_CASE("a fixed fire inside a gap happens once, at the first instant after it") {
  CHECK(
      fires({"Europe/Berlin", "30 2 * * *"}, "2026-03-28", "2026-03-31") ==
      Fires{"2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"});
  CHECK(fires({"America/New_York", "15,45 2 8 3 *"}, "2026-03-01", "2026-03-31") ==
        Fires{"2026-03-08T03:00:00-04:00"});
  CHECK(fires({"Europe/Berlin", "30 2 * * *", DstGap::skip}, "2026-03-28", "2026-03-31") ==
        Fires{"2026-03-28T02:30:00+01:00", "2026-03-30T02:30:00+02:00"});
}

TEST_CASE("fires that a gap moves to an instant that fires anyway are merged with it") {
  CHECK(fires({"Europe/Berlin", "0,30 2,3 29 3 *"}, "2026-03-28", "2026-03-31") ==
        Fires{"2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00"});
}

TEST_CASE("a fixed fire inside a fold happens the first time unless asked otherwise") {
  const char* from = "2026-10-24";
  const char* to = "2026-10-26T12:00Z";
  CHECK(fires({"Europe/Berlin", "30 2 * * *"}, from, to) == Fires{"2026-10-24T02:30:00+02:00",
                                                                  "2026-10-25T02:30:00+02:00",
                                                                  "2026-10-26T02:30:00+01:00"});
  CHECK(fires({"Europe/Berlin", "30 2 25 * *", DstGap::shift, DstFold::second}, from, to) ==
        Fires{"2026-10-25T02:30:00+01:00"});
  CHECK(fires({"Europe/Berlin", "20,40 2 25 * *", DstGap::shift, DstFold::both}, from, to) ==
        Fires{"2026-10-25T02:20:00+02:00", "2026-10-25T02:40:00+02:00", "2026-10-25T02:20:00+01:00",
              "2026-10-25T02:40:00+01:00"});
}

TEST_CASE("a wildcard schedule follows elapsed time through gap and fold") {
  CHECK(fires({"Europe/Berlin", "*/30 2 * * *"}, "2026-03-29", "2026-03-30T12:00Z") ==
        Fires{"2026-03-30T02:00:00+02:00", "2026-03-30T02:30:00+02:00"});
  CHECK(fires({"Europe/Berlin", "*/30 2 25 10 *"}, "2026-10-24", "2026-10-27") ==
        Fires{"2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-25T02:00:00+01:00",
              "2026-10-25T02:30:00+01:00"});
  CHECK(fires({"Europe/Berlin", "0 * * * *"}, "2026-10-24T22:00Z", "2026-10-25T03:00Z").size() ==
        5);
  CHECK(fires({"Europe/Berlin", "0 * * * *"}, "2026-03-28T23:00Z", "2026-03-29T03:00Z").size() ==
        4);
}
