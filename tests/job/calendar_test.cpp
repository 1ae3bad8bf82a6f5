#include "schedctl/job/calendar.hpp"

#include "schedctl/base/limits.hpp"
#include "tests/job/real_zones.hpp"

using namespace schedctl;
using namespace schedctl::job;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

CalendarPtr calendar(const std::vector<std::string>& dates, const std::vector<std::string>& weekly,
                     const std::string& timezone = "") {
  std::vector<DateSpan> spans;
  for (const std::string& text : dates) {
    const auto span = parse_date_span(text);
    REQUIRE_MESSAGE(span.has_value(), text);
    spans.push_back(*span);
  }
  std::vector<WeeklyWindow> windows;
  for (const std::string& text : weekly) {
    const auto more = parse_weekly_windows(text);
    REQUIRE_MESSAGE(more.has_value(), text);
    windows.insert(windows.end(), more->begin(), more->end());
  }
  return std::make_shared<Calendar>(spans, windows, timezone);
}

/// "2026-03-29 02:30", as a clock shows it.
CivilTime reading(const std::string& text) {
  return CivilTime{utc(text).time_since_epoch() / seconds(1) * seconds(1)};
}

std::string next_border(const CalendarPtr& calendar, const std::string& from) {
  const auto border = calendar->next_border(reading(from));
  if (!border) return "never";
  return format_rfc3339(Time{border->time_since_epoch()});
}

std::string refusal(const std::string& text) {
  const bool date = text.find("..") != std::string::npos || text.find('-') == 4;
  if (!date) return parse_weekly_windows(text).error().message;
  return parse_date_span(text).error().message;
}

class NoZones final : public ZoneSource {
 public:
  Result<ZonePtr> find(const std::string& name) const override {
    return fail(ErrorKind::usage, "unknown time zone '" + name + "'", "timezone");
  }
};

const ZoneSource& zones() {
  static const std::unique_ptr<ZoneSource> kZones = zone::system_zones();
  return *kZones;
}

FireSeries series(const Schedule& schedule, const Calendars& calendars, const std::string& zone) {
  auto made = FireSeries::make(schedule, zone_named(zone), 0, CalendarSource(calendars, zones()));
  REQUIRE_MESSAGE(made.has_value(), (made ? std::string() : made.error().message));
  return std::move(*made);
}

std::vector<std::string> fires(const FireSeries& series, const std::string& from, std::size_t n) {
  std::vector<std::string> texts;
  std::optional<Time> t = utc(from);
  while (texts.size() < n && (t = series.next_after(*t))) texts.push_back(format_rfc3339(*t));
  return texts;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("a calendar holds whole days, of one year or of every year") {
  const CalendarPtr days = calendar({"2026-12-25", "2027-04-01..2027-04-03", "05-01"}, {});
  CHECK(days->contains(reading("2026-12-25 00:00")));
  CHECK(days->contains(reading("2026-12-25 23:59:59")));
  CHECK_FALSE(days->contains(reading("2026-12-26 00:00")));
  CHECK_FALSE(days->contains(reading("2027-12-25 12:00")));
  CHECK(days->contains(reading("2027-04-03 12:00")));
  CHECK_FALSE(days->contains(reading("2027-04-04 00:00")));
  CHECK(days->contains(reading("1999-05-01 12:00")));
  CHECK(days->contains(reading("2400-05-01 12:00")));
}

TEST_CASE("a yearly range may go over the new year, and 29 February is there in leap years only") {
  const CalendarPtr turn = calendar({"12-24..01-02"}, {});
  CHECK(turn->contains(reading("2026-12-31 12:00")));
  CHECK(turn->contains(reading("2027-01-02 12:00")));
  CHECK_FALSE(turn->contains(reading("2027-01-03 00:00")));
  CHECK(next_border(turn, "2026-12-25") == "2027-01-03T00:00:00Z");
  CHECK(next_border(turn, "2027-01-03") == "2027-12-24T00:00:00Z");
  const CalendarPtr leap = calendar({"02-29"}, {});
  CHECK(next_border(leap, "2026-01-01") == "2028-02-29T00:00:00Z");
  CHECK(next_border(leap, "2028-02-29 12:00") == "2028-03-01T00:00:00Z");
  CHECK(next_border(leap, "1896-03-01") == "1904-02-29T00:00:00Z");
  const CalendarPtr around = calendar({"02-28..03-01"}, {});
  CHECK(next_border(around, "2027-02-28") == "2027-03-02T00:00:00Z");
  CHECK(next_border(around, "2028-02-28") == "2028-03-02T00:00:00Z");
}

TEST_CASE("a weekly window is open from its first second to before its last") {
  const CalendarPtr work = calendar({}, {"mon-fri 09:00-17:00"});  // 2026-03-02 is a Monday
  CHECK_FALSE(work->contains(reading("2026-03-02 08:59:59")));
  CHECK(work->contains(reading("2026-03-02 09:00")));
  CHECK(work->contains(reading("2026-03-02 16:59:59")));
  CHECK_FALSE(work->contains(reading("2026-03-02 17:00")));
  CHECK_FALSE(work->contains(reading("2026-03-07 12:00")));
  CHECK(next_border(work, "2026-03-06 12:00") == "2026-03-06T17:00:00Z");
  CHECK(next_border(work, "2026-03-06 17:00") == "2026-03-09T09:00:00Z");
}

TEST_CASE("a window that ends before it begins ends on the next day, over the week's end, too") {
  const CalendarPtr night = calendar({}, {"22:00-06:00"});
  CHECK(night->contains(reading("2026-03-08 23:00")));
  CHECK(night->contains(reading("2026-03-09 05:59:59")));
  CHECK_FALSE(night->contains(reading("2026-03-09 06:00")));
  CHECK(next_border(night, "2026-03-08 23:00") == "2026-03-09T06:00:00Z");
  const CalendarPtr sunday = calendar({}, {"sun 22:00-06:00"});
  CHECK(sunday->contains(reading("2026-03-09 05:00")));
  CHECK_FALSE(sunday->contains(reading("2026-03-10 05:00")));
  CHECK(next_border(sunday, "2026-03-09 06:00") == "2026-03-15T22:00:00Z");
}

TEST_CASE("days may be listed, go over the week's end, and stand alone; times may be several") {
  const CalendarPtr weekend = calendar({}, {"sat,sun"});
  CHECK(next_border(weekend, "2026-03-06 12:00") == "2026-03-07T00:00:00Z");
  CHECK(next_border(weekend, "2026-03-07") == "2026-03-09T00:00:00Z");
  CHECK(*calendar({}, {"Fri-Mon"}) == *calendar({}, {"friday,saturday", "sun,mon"}));
  const CalendarPtr lunch = calendar({}, {"mon-fri 9:00-12:00, 13:00-17:00:30"});
  CHECK(next_border(lunch, "2026-03-02 10:00") == "2026-03-02T12:00:00Z");
  CHECK(next_border(lunch, "2026-03-02 14:00") == "2026-03-02T17:00:30Z");
}

TEST_CASE("what adjoins or overlaps is one stretch") {
  const CalendarPtr all = calendar({"2026-12-24..2026-12-26", "12-26..12-31", "2027-01-01"},
                                   {"fri 12:00-24:00", "sat 00:00-12:00"});
  // 2027-01-02 is a Saturday.
  CHECK(next_border(all, "2026-12-24") == "2027-01-02T12:00:00Z");
  CHECK(next_border(calendar({}, {"mon-sun"}), "2026-01-01") == "never");
  CHECK(next_border(calendar({"01-01..12-31"}, {}), "2026-01-01") == "never");
  CHECK(next_border(calendar({"2020-01-01"}, {}), "2026-01-01") == "never");
  CHECK(next_border(calendar({}, {}), "2026-01-01") == "never");
  CHECK(next_border(calendar({"2020-01-01", "03-01..02-28"}, {"thu"}), "2026-01-01") ==
        "2028-02-29T00:00:00Z");
}

TEST_CASE("what is no date is refused, with what was expected") {
  CHECK(refusal("2026-02-30..2026-03-01") ==
        "'2026-02-30..2026-03-01' is no date of a calendar: there is no 2026-02-30");
  CHECK(parse_date_span("02-30").error().message ==
        "'02-30' is no date of a calendar: there is no 02-30");
  CHECK(parse_date_span("2027-02-29").error().message.find("there is no 2027-02-29") !=
        std::string::npos);
  CHECK(refusal("2026-12-24..01-02").find("both ends need a year, or neither of them") !=
        std::string::npos);
  CHECK(refusal("2026-12-24..2026-12-20").find("2026-12-20 lies before 2026-12-24") !=
        std::string::npos);
  for (const char* text : {"", "25.12.2026", "2026-12-25 09:00", "christmas", "12-25..", "..", "12",
                           "2026/12/25", "2026-1-5", "+026-01-01", "12-2\n"}) {
    const auto span = parse_date_span(text);
    REQUIRE_FALSE_MESSAGE(span.has_value(), text);
    CHECK(span.error().kind == ErrorKind::usage);
    CHECK(span.error().message.find("expected 2026-12-25, or 12-25") != std::string::npos);
  }
}

TEST_CASE("what is no window is refused, with the part that is wrong") {
  CHECK(refusal("mon-fry 09:00-17:00") ==
        "'mon-fry 09:00-17:00' is no weekly window: 'fry' is no day; the days are mon tue wed thu "
        "fri sat sun");
  CHECK(refusal("mon 09:00-25:00").find("'25:00' is no time; expected one from 00:00 to 24:00") !=
        std::string::npos);
  CHECK(refusal("mon 09:00").find("'09:00' should be two times, such as 09:00-17:00") !=
        std::string::npos);
  CHECK(refusal("mon 09:00-09:00").find("for whole days leave the times out") != std::string::npos);
  for (const char* text :
       {"", ",", "mon,", "-", "mon-", "mon 9-17", "mon 24:00-06:00", "mon 09:60-10:00",
        "mon 09:00-10:00,", "09:00-17:00 mon", "* 09:00-17:00", "mon 24:01-25:00"}) {
    const auto windows = parse_weekly_windows(text);
    REQUIRE_FALSE_MESSAGE(windows.has_value(), text);
    CHECK(windows.error().kind == ErrorKind::usage);
  }
}

TEST_CASE("a calendar that is not defined is named, with a near match or how to define it") {
  const Calendars known{{"holidays", calendar({"12-25"}, {})}};
  Schedule schedule = cron_schedule("0 9 * * *");
  schedule.exclude = {"hollidays"};
  const CalendarSource source(known, zones());
  const auto typo = FireSeries::make(schedule, zone_named("UTC"), 0, source);
  REQUIRE_FALSE(typo.has_value());
  CHECK(typo.error().kind == ErrorKind::usage);
  CHECK(typo.error().where == "exclude");
  CHECK(typo.error().message == "there is no calendar 'hollidays'; did you mean holidays?");
  schedule.exclude = {};
  schedule.only = {"office"};
  const auto unknown = FireSeries::make(schedule, zone_named("UTC"), 0, source);
  CHECK(unknown.error().where == "only");
  CHECK(unknown.error().message ==
        "there is no calendar 'office'; define it in schedctl.toml as [calendars.office] with "
        "dates = [...] or weekly = [...], and reload");
  schedule.only = {"a.b"};
  CHECK(FireSeries::make(schedule, zone_named("UTC"), 0, source)
            .error()
            .message.find("[calendars.\"a.b\"]") != std::string::npos);
  CHECK_FALSE(FireSeries::make(schedule, zone_named("UTC"), 0).has_value());
}

TEST_CASE("a calendar's zone that is unknown is an error that names the calendar") {
  const Calendars known{{"tokyo", calendar({}, {"mon"}, "Asia/Tokio")}};
  Schedule schedule = cron_schedule("0 9 * * *");
  schedule.only = {"tokyo"};
  const auto made =
      FireSeries::make(schedule, zone_named("UTC"), 0, CalendarSource(known, NoZones()));
  CHECK(made.error().message == "calendar tokyo: unknown time zone 'Asia/Tokio'");
}

TEST_CASE("excluded fires do not happen, and are counted apart") {
  const Calendars known{{"holidays", calendar({"12-25", "12-26"}, {})}};
  Schedule schedule = cron_schedule("30 2 * * *");
  schedule.exclude = {"holidays"};
  const FireSeries nights = series(schedule, known, "UTC");
  CHECK(fires(nights, "2026-12-24", 3) ==
        Texts{"2026-12-24T02:30:00Z", "2026-12-27T02:30:00Z", "2026-12-28T02:30:00Z"});
  const auto kept = nights.count(utc("2026-12-01"), utc("2027-01-01"));
  CHECK(kept.count == 29);
  CHECK(kept.last == utc("2026-12-31 02:30"));
  const auto lost = nights.count_excluded(utc("2026-12-01"), utc("2027-01-01"));
  CHECK(lost.count == 2);
  CHECK(lost.first == utc("2026-12-25 02:30"));
  CHECK(lost.last == utc("2026-12-26 02:30"));
  CHECK(nights.ruled_out(utc("2026-12-25 12:00"))->calendars == Texts{"holidays"});
  CHECK_FALSE(nights.ruled_out(utc("2026-12-25 12:00"))->outside);
  CHECK_FALSE(nights.ruled_out(utc("2026-12-27 12:00")).has_value());
}

TEST_CASE("only one of several calendars needs to hold a fire, and none of the excluded ones") {
  const Calendars known{{"work", calendar({}, {"mon-fri 09:00-17:00"})},
                        {"sale", calendar({"2026-03-07"}, {})},
                        {"lunch", calendar({}, {"12:00-13:00"})}};
  Schedule schedule = cron_schedule("0 */4 * * *");
  schedule.only = {"work", "sale"};
  schedule.exclude = {"lunch"};
  CHECK(fires(series(schedule, known, "UTC"), "2026-03-06", 7) ==
        Texts{"2026-03-06T16:00:00Z", "2026-03-07T00:00:00Z", "2026-03-07T04:00:00Z",
              "2026-03-07T08:00:00Z", "2026-03-07T16:00:00Z", "2026-03-07T20:00:00Z",
              "2026-03-09T16:00:00Z"});
  CHECK(series(schedule, known, "UTC").ruled_out(utc("2026-03-08"))->outside);
}

TEST_CASE("moved fires are one at the instant that is allowed again") {
  const Calendars known{{"holidays", calendar({"2026-12-25..2026-12-26"}, {})}};
  Schedule schedule = cron_schedule("30 2,14 * * *");
  schedule.exclude = {"holidays"};
  schedule.on_excluded = OnExcluded::next;
  const FireSeries moved = series(schedule, known, "Europe/Berlin");
  const Texts expected{"2026-12-24T13:30:00Z", "2026-12-26T23:00:00Z", "2026-12-27T01:30:00Z"};
  CHECK(fires(moved, "2026-12-24 12:00", 3) == expected);
  // Asked in the middle of it, too.
  CHECK(fires(moved, "2026-12-26 20:00", 1) == Texts{"2026-12-26T23:00:00Z"});
  const auto from = moved.moved_to(utc("2026-12-26 23:00"));
  CHECK(from.count == 4);
  CHECK(from.first == utc("2026-12-25 01:30"));
  CHECK(from.last == utc("2026-12-26 13:30"));
  CHECK(moved.moved_to(utc("2026-12-27 01:30")).count == 0);
  CHECK(moved.count(utc("2026-12-24 12:00"), utc("2026-12-27 02:00")).count == 3);
  CHECK(moved.count_excluded(utc("2026-12-24"), utc("2026-12-28")).count == 0);
}

TEST_CASE("a moved fire that meets a regular one is that one; one past until does not happen") {
  const Calendars known{{"holidays", calendar({"2026-12-25"}, {})}};
  Schedule schedule = cron_schedule("0 0,12 * * *");
  schedule.exclude = {"holidays"};
  schedule.on_excluded = OnExcluded::next;
  const FireSeries met = series(schedule, known, "UTC");
  CHECK(fires(met, "2026-12-24 12:00", 2) == Texts{"2026-12-26T00:00:00Z", "2026-12-26T12:00:00Z"});
  CHECK(met.moved_to(utc("2026-12-26")).count == 0);
  CHECK(met.count(utc("2026-12-24 12:00"), utc("2026-12-26")).count == 1);
  schedule.until = utc("2026-12-25 18:00");
  CHECK(fires(series(schedule, known, "UTC"), "2026-12-24 12:00", 2).empty());
}

TEST_CASE("a closed stretch in which nothing would have fired moves nothing") {
  const Calendars known{{"work", calendar({}, {"mon-fri 09:00-17:00"})}};
  Schedule schedule = cron_schedule("0 10 * * mon-fri");
  schedule.only = {"work"};
  schedule.on_excluded = OnExcluded::next;
  CHECK(fires(series(schedule, known, "UTC"), "2026-03-06 12:00", 2) ==
        Texts{"2026-03-09T10:00:00Z", "2026-03-10T10:00:00Z"});
}

TEST_CASE("a calendar with a zone of its own is read by that clock") {
  const Calendars known{{"tokyo", calendar({"2026-03-03"}, {}, "Asia/Tokyo")}};
  Schedule schedule;
  schedule.kind = ScheduleKind::every;
  schedule.every = hours(1);
  schedule.anchor = utc("2026-03-01");
  schedule.only = {"tokyo"};
  const FireSeries hourly = series(schedule, known, "Europe/Berlin");
  const auto day = hourly.count(utc("2026-03-01"), utc("2026-03-10"));
  CHECK(day.count == 24);
  CHECK(day.first == utc("2026-03-02 15:00"));
}

TEST_CASE("a window border that a gap removes is the instant after it; a fold is inside twice") {
  const Calendars known{{"early", calendar({}, {"02:30-04:00"})}};
  Schedule schedule = cron_schedule("*/10 * * * *");
  schedule.only = {"early"};
  const FireSeries often = series(schedule, known, "Europe/Berlin");
  CHECK(fires(often, "2026-03-29 00:00", 1) == Texts{"2026-03-29T01:00:00Z"});
  CHECK(often.count(utc("2026-03-29 00:00"), utc("2026-03-29 12:00")).count == 6);
  // 02:30 to 03:00 twice, 03:00 to 04:00 once.
  CHECK(often.count(utc("2026-10-24 12:00"), utc("2026-10-25 12:00")).count == 3 + 3 + 6);
}

TEST_CASE("a schedule whose every fire is excluded ends, and so does one that nothing allows") {
  const Calendars known{{"work", calendar({}, {"mon-fri 09:00-17:00"})},
                        {"all", calendar({}, {"mon-sun"})},
                        {"past", calendar({"2001-01-01"}, {})},
                        {"tens", calendar({}, {"00:00-00:10,01:00-01:10,02:00-02:10,03:00-03:10,"
                                               "04:00-04:10,05:00-05:10,06:00-06:10"})}};
  const auto none = [&](const char* cron, const char* only, const char* exclude) {
    Schedule schedule = cron_schedule(cron);
    if (*only != '\0') schedule.only = {only};
    if (*exclude != '\0') schedule.exclude = {exclude};
    for (const OnExcluded mode : {OnExcluded::skip, OnExcluded::next}) {
      schedule.on_excluded = mode;
      const FireSeries fires = series(schedule, known, "Europe/Berlin");
      if (mode == OnExcluded::next && *only != '\0' && *exclude == '\0' &&
          std::string(only) != "past") {
        CHECK(fires.next_after(utc("2026-01-01")).has_value());
      } else {
        CHECK_FALSE(fires.next_after(utc("2026-01-01")).has_value());
      }
    }
  };
  none("0 20 * * *", "work", "");
  none("30 * * * *", "tens", "");
  none("* * * * *", "past", "");
  none("* * * * *", "", "all");
  none("* * * * *", "work", "all");
}

TEST_CASE("the ends of time are survived") {
  const Calendars known{{"work", calendar({"12-25"}, {"mon-fri 09:00-17:00"})}};
  Schedule schedule;
  schedule.kind = ScheduleKind::every;
  schedule.every = hours(1);
  schedule.anchor = Time::min();
  schedule.only = {"work"};
  for (const OnExcluded mode : {OnExcluded::skip, OnExcluded::next}) {
    schedule.on_excluded = mode;
    const FireSeries hourly = series(schedule, known, "Europe/Berlin");
    CHECK(hourly.next_after(Time::min()).has_value());
    static_cast<void>(hourly.next_after(Time::max()));
    static_cast<void>(hourly.next_after(Time::max() - hours(100)));
    static_cast<void>(hourly.count(Time::max() - hours(100), Time::max()));
    static_cast<void>(hourly.moved_to(Time::max()));
    static_cast<void>(hourly.moved_to(Time::min()));
    CHECK(hourly.count(Time::min(), Time::min() + hours(1000)).count > 100);
  }
}

TEST_CASE("calendars are the same if they mean the same") {
  const Calendars one{{"a", calendar({"12-25", "12-26"}, {"mon"})}};
  CHECK(same_calendars(one, {{"a", calendar({"12-25..12-26"}, {"mon 00:00-24:00"})}}));
  CHECK_FALSE(same_calendars(one, {{"a", calendar({"12-25"}, {"mon"})}}));
  CHECK_FALSE(same_calendars(one, {{"b", calendar({"12-25..12-26"}, {"mon"})}}));
  CHECK_FALSE(same_calendars(one, {{"a", calendar({"12-25..12-26"}, {"mon"}, "UTC")}}));
  CHECK_FALSE(same_calendars(one, {}));
}
