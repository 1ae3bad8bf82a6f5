#include "schedctl/base/limits.hpp"
#include "tests/job/real_zones.hpp"

using namespace schedctl;
using namespace schedctl::job;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

constexpr Time kAnchor = std::chrono::sys_days{std::chrono::year{2026} / 3 / 1};

Schedule every(Duration period, Time anchor = kAnchor) {
  Schedule schedule;
  schedule.kind = ScheduleKind::every;
  schedule.every = period;
  schedule.anchor = anchor;
  return schedule;
}

}  // namespace

TEST_CASE("a period is a grid from its anchor, which fires itself") {
  const FireSeries fires = series_of(every(minutes(5)), "UTC");
  CHECK(*fires.next_after(kAnchor - hours(24)) == kAnchor);
  CHECK(*fires.next_after(kAnchor - Duration(1)) == kAnchor);
  CHECK(*fires.next_after(kAnchor) == kAnchor + minutes(5));
  CHECK(*fires.next_after(kAnchor + minutes(5) - Duration(1)) == kAnchor + minutes(5));
  CHECK(*fires.next_after(kAnchor + hours(24 * 365)) == kAnchor + hours(24 * 365) + minutes(5));
}

TEST_CASE("a period knows no daylight saving time") {
  const FireSeries fires = series_of(every(hours(24)), "Europe/Berlin");
  const Time before = kAnchor + hours(24 * 27);
  CHECK(*fires.next_after(before) == before + hours(24));
  CHECK(*fires.next_after(before + hours(24)) == before + hours(48));
}

TEST_CASE("the fires of a period are counted without walking") {
  const FireSeries fires = series_of(every(seconds(1), Time::min()), "UTC");
  const auto all = fires.count(Time::min(), Time::max());
  CHECK(all.count > 18'000'000'000'000);
  CHECK(all.first == Time::min() + seconds(1));
  CHECK(all.last <= Time::max());
  CHECK(fires.count(kAnchor, kAnchor).count == 0);
  CHECK(fires.count(kAnchor, kAnchor - hours(1)).count == 0);
}

TEST_CASE("a period ends where time does") {
  const FireSeries fires = series_of(every(limits::kLongestDuration, Time::min()), "UTC");
  CHECK_FALSE(fires.next_after(Time::max()).has_value());
  CHECK_FALSE(fires.next_after(Time::max() - seconds(1)).has_value());
  CHECK(fires.next_after(Time::min()).has_value());
  const FireSeries late = series_of(every(seconds(1), Time::max()), "UTC");
  CHECK(*late.next_after(Time::min()) == Time::max());
  CHECK_FALSE(late.next_after(Time::max()).has_value());
}

TEST_CASE("periods out of range are refused") {
  for (const Duration period : {Duration(0), Duration(-5), Duration(999'999), Duration::max(),
                                limits::kLongestDuration + Duration(1)}) {
    const auto fires = FireSeries::make(every(period), nullptr, 0);
    REQUIRE_FALSE(fires.has_value());
    CHECK(fires.error().kind == ErrorKind::usage);
    CHECK(fires.error().where == "every");
  }
}

TEST_CASE("a one-off fires once, a manual schedule never") {
  Schedule once;
  once.kind = ScheduleKind::at;
  once.at = kAnchor;
  const FireSeries fires = series_of(once, "UTC");
  CHECK(*fires.next_after(Time::min()) == kAnchor);
  CHECK_FALSE(fires.next_after(kAnchor).has_value());
  CHECK(fires.count(kAnchor - seconds(1), kAnchor).count == 1);
  CHECK(fires.count(kAnchor, kAnchor + seconds(1)).count == 0);
  const FireSeries manual = series_of(Schedule{}, "UTC");
  CHECK_FALSE(manual.next_after(Time::min()).has_value());
  CHECK(manual.count(Time::min(), Time::max()).count == 0);
}

TEST_CASE("a cron schedule without a zone, or that cannot be read, is an error") {
  CHECK(FireSeries::make(cron_schedule("* * * * *"), nullptr, 0).error().where == "timezone");
  CHECK(FireSeries::make(cron_schedule("61 * * * *"), zone_named("UTC"), 0).error().where ==
        "cron");
}

TEST_CASE("a schedule whose every match lies in a gap finds no fire and comes back") {
  Schedule schedule = cron_schedule("* 2 * 3 0L");
  const FireSeries fires = series_of(schedule, "Europe/Berlin");
  CHECK_FALSE(fires.next_after(kAnchor).has_value());
  CHECK(fires.count(kAnchor, kAnchor + hours(24 * 3650)).count == 0);
}

TEST_CASE("names of schedule kinds and rules read back") {
  for (const auto kind :
       {ScheduleKind::every, ScheduleKind::cron, ScheduleKind::at, ScheduleKind::manual}) {
    CHECK(parse_schedule_kind(to_string(kind)) == kind);
  }
  for (const auto gap : {DstGap::shift, DstGap::skip}) CHECK(parse_dst_gap(to_string(gap)) == gap);
  for (const auto fold : {DstFold::first, DstFold::second, DstFold::both}) {
    CHECK(parse_dst_fold(to_string(fold)) == fold);
  }
  CHECK_FALSE(parse_schedule_kind("").has_value());
  CHECK_FALSE(parse_dst_gap("Skip").has_value());
}
