#include <doctest/doctest.h>

#include <string>

#include "tests/job/real_zones.hpp"

using namespace schedctl;
using namespace schedctl::job;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

std::string words(const std::string& cron) {
  std::string text = describe(cron_schedule(cron), *zone_named("UTC"));
  if (text.ends_with(", UTC")) text.resize(text.size() - 5);
  return text;
}

std::string period(Duration d) {
  Schedule schedule;
  schedule.kind = ScheduleKind::every;
  schedule.every = d;
  return describe(schedule, *zone_named("UTC"));
}

}  // namespace

TEST_CASE("common cron expressions have plain words") {
  CHECK(words("30 2 * * *") == "at 02:30 every day");
  CHECK(words("@daily") == "at 00:00 every day");
  CHECK(words("15 30 2 * * *") == "at 02:30:15 every day");
  CHECK(words("0 9,17 * * *") == "at 09:00 and 17:00 every day");
  CHECK(words("0 9 * * 1-5") == "at 09:00 on Monday to Friday");
  CHECK(words("0 9 * * 0,6") == "at 09:00 on Saturday and Sunday");
  CHECK(words("0 9 * * mon") == "at 09:00 on Monday");
  CHECK(words("0 0 1 * *") == "at 00:00 on day 1 of every month");
  CHECK(words("0 0 1,15 * *") == "at 00:00 on days 1 and 15 of every month");
  CHECK(words("0 0 1-7 * *") == "at 00:00 on days 1 to 7 of every month");
  CHECK(words("0 0 1 1 *") == "at 00:00 on day 1 of January");
  CHECK(words("0 0 1 */6 *") == "at 00:00 on day 1 of January and July");
  CHECK(words("0 6 * 6-8 *") == "at 06:00 every day in June to August");
  CHECK(words("0 6 * 12 1") == "at 06:00 on Monday in December");
  CHECK(words("0 0 L * *") == "at 00:00 on the last day of every month");
  CHECK(words("0 0 LW * *") == "at 00:00 on the last working day of every month");
  CHECK(words("0 0 15W * *") == "at 00:00 on the working day nearest to day 15 of every month");
  CHECK(words("0 0 * * 2#2") == "at 00:00 on the second Tuesday of every month");
  CHECK(words("0 0 ? * 5L") == "at 00:00 on the last Friday of every month");
  CHECK(words("0 0 13 * 5") == "at 00:00 on day 13 of every month and on Friday");
}

TEST_CASE("repeating cron expressions have plain words") {
  CHECK(words("* * * * *") == "every minute");
  CHECK(words("*/15 * * * *") == "every 15 minutes");
  CHECK(words("0,30 * * * *") == "every 30 minutes");
  CHECK(words("0 * * * *") == "every hour");
  CHECK(words("5 * * * *") == "at minute 5 of every hour");
  CHECK(words("5,20 * * * *") == "at minutes 5 and 20 of every hour");
  CHECK(words("0 */2 * * *") == "every 2 hours from 00:00");
  CHECK(words("10 */6 * * *") == "every 6 hours from 00:10");
  CHECK(words("0 */12 * * *") == "at 00:00 and 12:00 every day");
  CHECK(words("*/15 9-17 * * 1-5") == "every 15 minutes from 09:00 to 17:45 on Monday to Friday");
  CHECK(words("*/10 2 * * *") == "every 10 minutes from 02:00 to 02:50");
  CHECK(words("0 8-18 * * *") == "every hour from 08:00 to 18:00");
  CHECK(words("* * * * * *") == "every second");
  CHECK(words("*/10 * * * * *") == "every 10 seconds");
}

TEST_CASE("what has no plain words is told field by field, as it was written") {
  CHECK(words("H 2 * * *") == "at minute H and hour 2");
  CHECK(words("*/7 1-5,9 * * *") == "at minute */7 and hour 1-5,9");
  CHECK(words("0 0 */2 * 5") == "at minute 0, hour 0, day of month */2 and day of week 5");
  CHECK(words("*/7 5 * * * *") == "at second */7 and minute 5");
}

TEST_CASE("the zone is named where it matters") {
  const ZonePtr berlin = zone_named("Europe/Berlin");
  CHECK(describe(cron_schedule("30 2 * * *"), *berlin) == "at 02:30 every day, Europe/Berlin time");
  CHECK(describe(cron_schedule("*/5 * * * *"), *berlin) == "every 5 minutes");
  CHECK(describe(cron_schedule("30 2 * * *"), *zone_named("UTC")) == "at 02:30 every day, UTC");
}

TEST_CASE("periods, one-offs and manual schedules have words") {
  CHECK(period(seconds(1)) == "every second");
  CHECK(period(seconds(90)) == "every 90 seconds");
  CHECK(period(minutes(5)) == "every 5 minutes");
  CHECK(period(hours(1)) == "every hour");
  CHECK(period(minutes(90)) == "every 90 minutes");
  CHECK(period(hours(24)) == "every 24 hours");
  CHECK(period(hours(48)) == "every 2 days");
  CHECK(period(hours(24 * 36500)) == "every 36500 days");
  CHECK(period(Duration(1'500'000)) == "every " + format_duration(Duration(1'500'000)));
  CHECK(period(seconds(3661)) == "every 1h1m1s");
  Schedule once;
  once.kind = ScheduleKind::at;
  once.at = utc("2026-03-29 01:00");
  CHECK(describe(once, *zone_named("Europe/Berlin")) == "once at 2026-03-29T03:00:00+02:00");
  CHECK(describe(Schedule{}, *zone_named("UTC")) == "only when triggered by hand");
}

TEST_CASE("an expression that cannot be read is shown as it is") {
  CHECK(words("61 * * * *") == "cron 61 * * * *");
}
