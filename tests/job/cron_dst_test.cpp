#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/job/real_zones.hpp"

using namespace schedctl;
using namespace schedctl::job;

namespace {

struct Case {
  const char* zone;
  const char* cron;
  DstGap gap = DstGap::shift;
  DstFold fold = DstFold::first;
};

/// The fires in (from, to], as local times.
std::vector<std::string> fires(const Case& c, const char* from, const char* to) {
  const ZonePtr zone = zone_named(c.zone);
  Schedule schedule = cron_schedule(c.cron);
  schedule.dst_gap = c.gap;
  schedule.dst_fold = c.fold;
  const FireSeries series = series_of(schedule, c.zone);
  const Time begin = utc(from);
  const Time end = utc(to);
  std::vector<std::string> out;
  for (auto t = series.next_after(begin); t && *t <= end; t = series.next_after(*t)) {
    out.push_back(format_local(*t, *zone));
    REQUIRE(out.size() < 2000);
  }
  const FireSeries::Stretch stretch = series.count(begin, end);
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

TEST_CASE("what lies in the second pass of a fold is asked for from there") {
  Schedule schedule = cron_schedule("*/30 * * * *");
  const FireSeries wildcard = series_of(schedule, "Europe/Berlin");
  const Time change = utc("2026-10-25 01:00");  // 03:00 CEST becomes 02:00 CET
  const std::chrono::minutes half_hour(30);
  CHECK(*wildcard.next_after(change - half_hour) == change);
  CHECK(*wildcard.next_after(change - Duration(1)) == change);
  CHECK(*wildcard.next_after(change) == change + half_hour);
  CHECK(*wildcard.next_after(change + half_hour) == change + 2 * half_hour);

  const FireSeries fixed = series_of(cron_schedule("0,30 2 * * *"), "Europe/Berlin");
  CHECK(*fixed.next_after(change - half_hour - Duration(1)) == change - half_hour);
  // Nothing of the second pass, from anywhere in it.
  const Time tomorrow = utc("2026-10-26 01:00");
  for (int minute = -30; minute < 60; minute += 7) {
    CHECK(*fixed.next_after(change + std::chrono::minutes(minute)) == tomorrow);
  }
}

TEST_CASE("fractions of a second before a fire do not lose it") {
  const FireSeries series = series_of(cron_schedule("30 2 * * *"), "Europe/Berlin");
  const Time gap_end = utc("2026-03-29 01:00");
  CHECK(*series.next_after(gap_end - Duration(1)) == gap_end);
  CHECK(*series.next_after(gap_end - std::chrono::seconds(1)) == gap_end);
  CHECK(*series.next_after(gap_end) == utc("2026-03-30 00:30"));
  CHECK(*series.next_after(gap_end + Duration(1)) == utc("2026-03-30 00:30"));
  const Time before_1970 = utc("1969-12-30 01:30");
  CHECK(*series.next_after(before_1970 - Duration(1)) == before_1970);
  CHECK(*series.next_after(before_1970) == utc("1969-12-31 01:30"));
}

TEST_CASE("a half-hour change of offset moves fires by half an hour") {
  // Lord Howe: 02:00 becomes 02:30 in October, 02:00 becomes 01:30 in April.
  CHECK(fires({"Australia/Lord_Howe", "15 2 4 10 *"}, "2026-10-01", "2026-10-10") ==
        Fires{"2026-10-04T02:30:00+11:00"});
  CHECK(fires({"Australia/Lord_Howe", "45 1 5 4 *"}, "2026-04-01", "2026-04-10") ==
        Fires{"2026-04-05T01:45:00+11:00"});
  CHECK(fires({"Australia/Lord_Howe", "*/15 1 5 4 *"}, "2026-04-01", "2026-04-10") ==
        Fires{"2026-04-05T01:00:00+11:00", "2026-04-05T01:15:00+11:00", "2026-04-05T01:30:00+11:00",
              "2026-04-05T01:45:00+11:00", "2026-04-05T01:30:00+10:30",
              "2026-04-05T01:45:00+10:30"});
}

TEST_CASE("a change of two hours moves fires by up to two hours") {
  // Troll: 01:00 becomes 03:00 in March, 03:00 becomes 01:00 in October.
  CHECK(fires({"Antarctica/Troll", "10 1,2 29 3 *"}, "2026-03-28", "2026-03-31") ==
        Fires{"2026-03-29T03:00:00+02:00"});
  CHECK(fires({"Antarctica/Troll", "10 1,2 25 10 *"}, "2026-10-24", "2026-10-27") ==
        Fires{"2026-10-25T01:10:00+02:00", "2026-10-25T02:10:00+02:00"});
  CHECK(fires({"Antarctica/Troll", "10 1,2 25 10 *", DstGap::shift, DstFold::both}, "2026-10-24",
              "2026-10-27") == Fires{"2026-10-25T01:10:00+02:00", "2026-10-25T02:10:00+02:00",
                                     "2026-10-25T01:10:00+00:00", "2026-10-25T02:10:00+00:00"});
}

TEST_CASE("a date that a gap removes has no fires") {
  CHECK(fires({"Pacific/Apia", "0 6 * * *"}, "2011-12-28T20:00Z", "2011-12-31T12:00Z") ==
        Fires{"2011-12-29T06:00:00-10:00", "2011-12-31T06:00:00+14:00"});
  CHECK(fires({"Pacific/Apia", "0 0 30 12 *"}, "2011-01-01", "2013-01-01") ==
        Fires{"2012-12-30T00:00:00+14:00"});
  CHECK(
      fires({"Pacific/Apia", "0 * * * *"}, "2011-12-30T08:00Z", "2011-12-30T11:00Z") ==
      Fires{"2011-12-29T23:00:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T01:00:00+14:00"});
  CHECK(fires({"Pacific/Kiritimati", "0 12 * * *"}, "1994-12-30", "1995-01-01") ==
        Fires{"1994-12-30T12:00:00-10:00", "1995-01-01T12:00:00+14:00"});
}

TEST_CASE("a midnight that a gap removes fires when the day begins") {
  CHECK(
      fires({"America/Sao_Paulo", "0 0 * * *"}, "2018-11-03", "2018-11-05T12:00Z") ==
      Fires{"2018-11-03T00:00:00-03:00", "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"});
  CHECK(fires({"America/Sao_Paulo", "@daily", DstGap::skip}, "2018-11-04", "2018-11-05") ==
        Fires{});
  // The fold of February 2018 repeats 23:00 to midnight.
  CHECK(fires({"America/Sao_Paulo", "30 23 17 2 *"}, "2018-02-17", "2018-02-20") ==
        Fires{"2018-02-17T23:30:00-02:00"});
}

TEST_CASE("daylight saving time that is the winter's works the same") {
  CHECK(fires({"Europe/Dublin", "30 1 29 3 *"}, "2026-03-28", "2026-03-31") ==
        Fires{"2026-03-29T02:00:00+01:00"});
  CHECK(fires({"Europe/Dublin", "30 1 25 10 *"}, "2026-10-24", "2026-10-27") ==
        Fires{"2026-10-25T01:30:00+01:00"});
  // Ramadan in Morocco.
  CHECK(fires({"Africa/Casablanca", "30 2 * * *"}, "2026-02-14T12:00Z", "2026-02-16") ==
        Fires{"2026-02-15T02:30:00+01:00"});
  CHECK(fires({"Africa/Casablanca", "30 2 * * *"}, "2026-03-21T12:00Z", "2026-03-22T12:00Z") ==
        Fires{"2026-03-22T03:00:00+01:00"});
}

TEST_CASE("zones far from whole hours and far from UTC keep their own midnight") {
  CHECK(fires({"Asia/Kathmandu", "0 0 * * *"}, "2026-01-01", "2026-01-02") ==
        Fires{"2026-01-02T00:00:00+05:45"});
  CHECK(
      *series_of(cron_schedule("0 0 1 1 *"), "Pacific/Kiritimati").next_after(utc("2026-06-01")) ==
      utc("2026-12-31 10:00"));
}

TEST_CASE("the rules of a zone go on after 2037") {
  CHECK(fires({"Europe/Berlin", "30 2 * * *"}, "2060-03-27T12:00Z", "2060-03-29") ==
        Fires{"2060-03-28T03:00:00+02:00"});
  CHECK(fires({"America/New_York", "30 1 6 11 *", DstGap::shift, DstFold::both}, "2050-11-01",
              "2050-11-30") == Fires{"2050-11-06T01:30:00-04:00", "2050-11-06T01:30:00-05:00"});
}

TEST_CASE("the ends of time are no fires and no overflow") {
  for (const char* zone : {"UTC", "Europe/Berlin", "Pacific/Kiritimati", "America/New_York"}) {
    for (const char* cron : {"* * * * * *", "0 0 1 1 *", "0 0 29 2 1"}) {
      const FireSeries series = series_of(cron_schedule(cron), zone);
      CHECK_FALSE(series.next_after(Time::max()).has_value());
      CHECK_FALSE(series.next_after(Time::max() - Duration(1)).has_value());
      const auto first = series.next_after(Time::min());
      REQUIRE(first.has_value());
      CHECK(*first < utc("0010-01-01"));
      CHECK(*first > utc("0001-01-01") - std::chrono::hours(48));
      CHECK(series.count(Time::max(), Time::max()).count == 0);
      CHECK(series.count(Time::max(), Time::min()).count == 0);
      CHECK(series.count(utc("9999-12-25"), Time::max()).count >= 0);
      CHECK(series.count(Time::min(), utc("0002-01-01")).count >= 0);
    }
  }
}
