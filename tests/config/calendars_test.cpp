#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>

#include "schedctl/config/config.hpp"
#include "tests/config/scratch.hpp"

using namespace schedctl;
using config::test::Scratch;

namespace {

Result<config::Loaded> load(const Scratch& scratch, const std::string& text) {
  config::Sources sources;
  sources.uid = ::geteuid();
  sources.home = scratch.path("home");
  sources.own = true;
  sources.config_file = scratch.write("test.toml", text);
  return config::load(sources);
}

config::Loaded loaded(const Scratch& scratch, const std::string& text) {
  auto result = load(scratch, text);
  if (!result) FAIL(result.error().where << ": " << result.error().message);
  return std::move(*result);
}

/// "F:2:10: message" of a file F that is refused.
std::string refused(const std::string& text) {
  const Scratch scratch;
  const auto result = load(scratch, text);
  REQUIRE_FALSE(result);
  CHECK(result.error().kind == ErrorKind::config);
  std::string where = result.error().where;
  const std::string prefix = scratch.path("test.toml");
  if (where.starts_with(prefix)) where = "F" + where.substr(prefix.size());
  return where + ": " + result.error().message;
}

CivilTime day(int year, unsigned month, unsigned day, int hour = 12) {
  return std::chrono::local_days{std::chrono::year{year} / static_cast<int>(month) /
                                 static_cast<int>(day)} +
         std::chrono::hours(hour);
}

const config::Setting* setting(const config::Loaded& from, const std::string& key) {
  const auto found = std::find_if(from.settings.begin(), from.settings.end(),
                                  [&key](const config::Setting& s) { return s.key == key; });
  return found == from.settings.end() ? nullptr : &*found;
}

}  // namespace

TEST_CASE("calendars are read from the settings file, dates quoted or not") {
  const Scratch scratch;
  const config::Loaded got = loaded(scratch, R"([calendars.holidays]
dates = ["12-25", 2026-04-03, "2026-12-28..2026-12-30"]
[calendars.business-hours]
weekly = ["mon-fri 09:00-17:00"]
timezone = "Europe/Berlin"
[calendars."eu.tokyo"]
weekly = ["sat"]
)");
  REQUIRE(got.config.calendars.size() == 3);
  const job::Calendar& holidays = *got.config.calendars.at("holidays");
  CHECK(holidays.contains(day(2031, 12, 25)));
  CHECK(holidays.contains(day(2026, 4, 3)));
  CHECK(holidays.contains(day(2026, 12, 30)));
  CHECK_FALSE(holidays.contains(day(2027, 4, 3)));
  CHECK(holidays.timezone().empty());
  const job::Calendar& hours = *got.config.calendars.at("business-hours");
  CHECK(hours.contains(day(2026, 3, 2, 9)));
  CHECK_FALSE(hours.contains(day(2026, 3, 2, 17)));
  CHECK(hours.timezone() == "Europe/Berlin");
  CHECK(got.config.calendars.contains("eu.tokyo"));
}

TEST_CASE("the settings show what calendars say, where, and that only the file can say it") {
  const Scratch scratch;
  const config::Loaded got = loaded(scratch, R"([calendars.holidays]
dates = ["12-25", 2026-04-03]
[calendars."a.b"]
weekly = ["mon", "tue", "wed", "thu", "fri", "sat", "sun", "mon 01:00-02:00", "mon", "mon", "mon"]
)");
  const config::Setting* dates = setting(got, "calendars.holidays.dates");
  REQUIRE(dates != nullptr);
  CHECK(dates->value == "12-25, 2026-04-03");
  CHECK(dates->origin == scratch.path("test.toml") + ":2:1");
  CHECK(dates->variable.empty());
  const config::Setting* weekly = setting(got, "calendars.\"a.b\".weekly");
  REQUIRE(weekly != nullptr);
  CHECK(weekly->value == "mon, tue, wed, thu, fri, sat, sun, mon 01:00-02:00, mon, mon and 1 more");
}

TEST_CASE("dates may lie in a file, one or a range a line, with comments") {
  const Scratch scratch;
  const std::string list = scratch.write("holidays.txt",
                                         "# Germany\n\n2026-12-25  # Christmas\r\n"
                                         "\t12-31..01-01\n2027-05-01");
  const config::Loaded got =
      loaded(scratch, "[calendars.h]\nfile = \"" + list + "\"\ndates = [\"10-03\"]\n");
  const job::Calendar& h = *got.config.calendars.at("h");
  CHECK(h.contains(day(2026, 12, 25)));
  CHECK(h.contains(day(2040, 1, 1)));
  CHECK(h.contains(day(2027, 5, 1)));
  CHECK(h.contains(day(2040, 10, 3)));
  CHECK_FALSE(h.contains(day(2026, 12, 24)));
  CHECK(setting(got, "calendars.h.file")->value == list + " (3 lines)");
}

TEST_CASE("a byte order mark before the dates of a file is no part of them") {
  const Scratch scratch;
  const std::string list = scratch.write("holidays.txt",
                                         "\xef\xbb\xbf"
                                         "12-25\n");
  const config::Loaded got = loaded(scratch, "[calendars.h]\nfile = \"" + list + "\"\n");
  CHECK(got.config.calendars.at("h")->contains(day(2026, 12, 25)));
}

TEST_CASE("a wrong date in a list is placed by its line and column") {
  const Scratch scratch;
  const std::string list = scratch.write("holidays.txt", "2026-12-25\n\n  2026-02-30\n");
  const auto result = load(scratch, "[calendars.h]\nfile = \"" + list + "\"\n");
  REQUIRE_FALSE(result);
  CHECK(result.error().where == list + ":3:3");
  CHECK(result.error().message == "'2026-02-30' is no date of a calendar: there is no 2026-02-30");
}

TEST_CASE("a list that is missing, or that others can write, is refused") {
  const Scratch scratch;
  const std::string text = "[calendars.h]\nfile = \"" + scratch.path("gone.txt") + "\"\n";
  const auto missing = load(scratch, text);
  REQUIRE_FALSE(missing);
  CHECK(missing.error().kind == ErrorKind::config);
  CHECK(missing.error().where == scratch.path("test.toml") + ":2:8");
  CHECK(missing.error().message.find("cannot read " + scratch.path("gone.txt")) !=
        std::string::npos);
  scratch.write("gone.txt", "12-25\n", 0666);
  const auto open = load(scratch, text);
  REQUIRE_FALSE(open);
  CHECK(open.error().message.find("others can write it") != std::string::npos);
}

TEST_CASE("what is wrong in a calendar is named with its place") {
  CHECK(refused("[calendars.h]\ndates = [\n  \"12-25\",\n  \"13-25\",\n]\n") ==
        "F:4:3: '13-25' is no date of a calendar: there is no 13-25");
  CHECK(refused("[calendars.h]\nweekly = [\"mon-fry\"]\n").starts_with("F:2:11: 'mon-fry' is no"));
  CHECK(refused("[calendars.h]\nweekly = \"mon\"\n") ==
        "F:2:10: weekly must be a list, such as [\"mon-fri 09:00-17:00\", \"sat,sun\"], not a "
        "string");
  CHECK(refused("[calendars.h]\nweekly = [09:00:00]\n").starts_with("F:2:11: each part of weekly"));
  CHECK(refused("[calendars.h]\ndates = [1225]\n").starts_with("F:2:10: each part of dates must"));
  CHECK(refused("[calendars.h]\ndays = [\"12-25\"]\n") ==
        "F:2:1: 'days' is not a key of a calendar; did you mean dates?");
  CHECK(refused("[calendars.h]\ntimezone = \"UTC\"\n") ==
        "F:1:12: calendar h says neither dates nor weekly nor file");
  CHECK(refused("[calendars.h]\ntimezone = \"\"\ndates = []\n").starts_with("F:2:12: timezone"));
  CHECK(refused("[calendars.h]\nfile = \"holidays.txt\"\n").starts_with("F:2:8: file must be an"));
  CHECK(refused("[calendars.\"a b\"]\ndates = []\n").starts_with("F:1:12: 'a b' is no name"));
  CHECK(refused("[calendars]\ndates = [\"12-25\"]\n") ==
        "F:2:1: dates belongs to a calendar with a name: [calendars.NAME]");
  CHECK(refused("[calendars]\nh = [\"12-25\"]\n").starts_with("F:2:1: a calendar is a table"));
  CHECK(refused("calendars = 3\n").starts_with("F:1:1: calendars are tables"));
  CHECK(refused("[calendar.h]\ndates = []\n").find("did you mean calendars?") != std::string::npos);
}

TEST_CASE("a flag cannot define a calendar, and says so") {
  config::Sources sources;
  sources.own = true;
  sources.home = "/nonexistent";
  sources.set = {{"calendars.h.dates", "12-25"}};
  const auto result = config::load(sources);
  REQUIRE_FALSE(result);
  CHECK(result.error().message == "calendars are defined in the settings file only");
}
