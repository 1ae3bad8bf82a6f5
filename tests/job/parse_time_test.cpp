#include <doctest/doctest.h>

#include <string>

#include "tests/job/real_zones.hpp"

using namespace schedctl;
using namespace schedctl::job;
using std::chrono::hours;
using std::chrono::minutes;

namespace {

struct Asked {
  const char* zone = "Europe/Berlin";
  const char* now = "2026-03-28 12:00";  ///< UTC
  DstGap gap = DstGap::shift;
  DstFold fold = DstFold::first;
};

Result<Time> read(const std::string& text, const Asked& asked = {}) {
  return parse_time(text, *zone_named(asked.zone), utc(asked.now), asked.gap, asked.fold);
}

std::string local(const std::string& text, const Asked& asked = {}) {
  const Result<Time> t = read(text, asked);
  return t ? format_local(*t, *zone_named(asked.zone)) : "error: " + t.error().message;
}

}  // namespace

TEST_CASE("moments are read as people write them") {
  CHECK(local("2026-05-01 02:30") == "2026-05-01T02:30:00+02:00");
  CHECK(local("2026-05-01 02:30:15") == "2026-05-01T02:30:15+02:00");
  CHECK(local("2026-05-01T02:30:15") == "2026-05-01T02:30:15+02:00");
  CHECK(local("2026-05-01T02:30:00Z") == "2026-05-01T04:30:00+02:00");
  CHECK(local("2026-05-01T02:30:00+05:30") == "2026-04-30T23:00:00+02:00");
  CHECK(local("2026-05-01 02:30-0800") == "2026-05-01T12:30:00+02:00");
  CHECK(local("2026-05-01") == "2026-05-01T00:00:00+02:00");
  CHECK(local("  2026-05-01 ") == "2026-05-01T00:00:00+02:00");
  CHECK(local("tomorrow 03:00") == "2026-03-29T03:00:00+02:00");
  CHECK(local("today 03:00") == "2026-03-28T03:00:00+01:00");
  CHECK(local("tomorrow") == "2026-03-29T00:00:00+01:00");
  CHECK(local("yesterday") == "2026-03-27T00:00:00+01:00");
  CHECK(*read("2026-05-01T02:30:00.25Z") == utc("2026-05-01 02:30") + Duration(250'000));
  CHECK(*read("1969-12-31T23:59:59.999999Z") == Time(Duration(-1)));
}

TEST_CASE("a time of day alone is the next one after now") {
  CHECK(local("14:00") == "2026-03-28T14:00:00+01:00");
  CHECK(local("13:00") == "2026-03-29T13:00:00+02:00");
  CHECK(local("12:59") == "2026-03-29T12:59:00+02:00");
  CHECK(local("02:30") == "2026-03-29T03:00:00+02:00");
  CHECK(local("02:30", {.gap = DstGap::skip}) == "2026-03-30T02:30:00+02:00");
  CHECK(local("12:00", {.zone = "Pacific/Apia", .now = "2011-12-30 09:00"}) ==
        "2011-12-31T12:00:00+14:00");
}

TEST_CASE("now takes a distance") {
  const Time now = utc("2026-03-28 12:00");
  CHECK(*read("now") == now);
  CHECK(*read("now+5m") == now + minutes(5));
  CHECK(*read("now-1h30m") == now - minutes(90));
  CHECK_FALSE(read("now5m").has_value());
  CHECK_FALSE(read("now+").has_value());
  CHECK_FALSE(read("now+5").has_value());
  CHECK(*parse_time("now+1d", *zone_named("UTC"), Time::max()) == Time::max());
}

TEST_CASE("readings that a gap removes or a fold repeats follow the rules") {
  CHECK(local("2026-03-29 02:30") == "2026-03-29T03:00:00+02:00");
  CHECK(local("2026-10-25 02:30") == "2026-10-25T02:30:00+02:00");
  CHECK(local("2026-10-25 02:30", {.fold = DstFold::second}) == "2026-10-25T02:30:00+01:00");
  CHECK(local("2026-10-25 02:30", {.fold = DstFold::both}) == "2026-10-25T02:30:00+02:00");
  CHECK(local("2018-11-04", {.zone = "America/Sao_Paulo"}) == "2018-11-04T01:00:00-02:00");
  const auto skipped = read("2026-03-29 02:30", {.gap = DstGap::skip});
  REQUIRE_FALSE(skipped.has_value());
  CHECK(skipped.error().kind == ErrorKind::usage);
  CHECK(skipped.error().message.find("03:00:00+02:00") != std::string::npos);
  const auto no_date = read("2011-12-30 12:00", {.zone = "Pacific/Apia"});
  REQUIRE_FALSE(no_date.has_value());
  CHECK(no_date.error().message.find("does not exist") != std::string::npos);
}

TEST_CASE("what is no time is refused and told how times look") {
  for (const char* text : {"",
                           " ",
                           "noon",
                           "2026-02-30",
                           "2026-13-01",
                           "2026-1-1",
                           "24:00",
                           "12:60",
                           "12:00:60",
                           "2026-05-01 25:00",
                           "2026-05-01T",
                           "2026-05-01x",
                           "2026-05-01 02:30 and more",
                           "2026-05-01 02:30+",
                           "2026-05-01 02:30+25:00",
                           "02:30Z",
                           "tomorrow3",
                           "2:30",
                           "12:00:00.",
                           "99999-01-01",
                           "-2026-01-01",
                           "1767225600"}) {
    const auto t = read(text);
    INFO(text);
    REQUIRE_FALSE(t.has_value());
    CHECK(t.error().kind == ErrorKind::usage);
    CHECK(t.error().message.find("expected for example") != std::string::npos);
  }
  CHECK_FALSE(read(std::string(100'000, '1')).has_value());
  CHECK(read("\x1b[31m").error().message.find('\x1b') == std::string::npos);
}

TEST_CASE("local times carry the offset in force") {
  const ZonePtr berlin = zone_named("Europe/Berlin");
  CHECK(format_local(utc("2026-03-29 00:59"), *berlin) == "2026-03-29T01:59:00+01:00");
  CHECK(format_local(utc("2026-03-29 01:00"), *berlin) == "2026-03-29T03:00:00+02:00");
  CHECK(format_local(Time(Duration(-1)), *zone_named("UTC")) == "1969-12-31T23:59:59+00:00");
  CHECK(format_local(utc("2026-01-01"), *zone_named("America/St_Johns")) ==
        "2025-12-31T20:30:00-03:30");
  CHECK(format_local(utc("1850-01-01"), *berlin) == "1850-01-01T00:53:28+00:53:28");
  CHECK_FALSE(format_local(Time::max(), *berlin).empty());
  CHECK_FALSE(format_local(Time::min(), *berlin).empty());
}

TEST_CASE("a date that no calendar has is told as such") {
  CHECK(read("2027-02-30 00:00").error().message.find("no such date") != std::string::npos);
  CHECK(read("2027-13-01").error().message.find("no such date") != std::string::npos);
  CHECK(read("nonsense").error().message.find("no such date") == std::string::npos);
}

TEST_CASE("a date without its leading zeros is told how it is written") {
  const auto says = [](const std::string& text, std::string_view words) {
    return read(text).error().message.find(words) != std::string::npos;
  };
  CHECK(says("2026-1-1", "month and day need two digits (2026-01-01)"));
  CHECK(says("2026-1-1 02:30", "month and day need two digits (2026-01-01)"));
  CHECK(says("2026-12-1T02:30Z", "month and day need two digits (2026-12-01)"));
  CHECK(says("2026-1-12", "month and day need two digits (2026-01-12)"));
  for (const char* text :
       {"2026-2-30", "2026-13-1", "2026-1-123", "2026-1", "2026-", "2026-1-", "2026-x-1"})
    CHECK(says(text, "there is no such date"));
}
