#include "schedctl/base/time.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>

#include "schedctl/base/clock.hpp"
#include "schedctl/base/limits.hpp"

using namespace schedctl;
using namespace std::chrono_literals;

namespace {

std::string complaint(std::string_view text) {
  const auto parsed = parse_duration(text);
  REQUIRE_FALSE(parsed);
  CHECK(parsed.error().kind == ErrorKind::usage);
  return parsed.error().message;
}

bool mentions(const std::string& text, const std::string& word) {
  return text.find(word) != std::string::npos;
}

}  // namespace

TEST_CASE("every unit of a duration is read") {
  CHECK(parse_duration("1us") == Duration(1));
  CHECK(parse_duration("250ms") == 250ms);
  CHECK(parse_duration("90s") == 90s);
  CHECK(parse_duration("5m") == 5min);
  CHECK(parse_duration("3h") == 3h);
  CHECK(parse_duration("2d") == 48h);
  CHECK(parse_duration("1w") == 168h);
  CHECK(parse_duration("0s") == 0s);
}

TEST_CASE("a duration has parts in any order") {
  CHECK(parse_duration("1h30m") == 90min);
  CHECK(parse_duration("30m1h") == 90min);
  CHECK(parse_duration("1w1d1h1m1s1ms1us") == 168h + 24h + 1h + 1min + 1s + 1ms + Duration(1));
  CHECK(parse_duration("007s") == 7s);
}

TEST_CASE("what is no duration is refused with what to do about it") {
  CHECK(mentions(complaint(""), "empty"));
  CHECK(mentions(complaint("90"), "unit is missing"));
  CHECK(mentions(complaint("1h30"), "unit is missing"));
  CHECK(mentions(complaint("s"), "number is expected"));
  CHECK(mentions(complaint("-5s"), "number is expected"));
  CHECK(mentions(complaint("+5s"), "number is expected"));
  CHECK(mentions(complaint("1.5h"), "whole numbers"));
  CHECK(mentions(complaint("1 h"), "whole numbers"));
  CHECK(mentions(complaint("5S"), "whole numbers"));
  CHECK(mentions(complaint("2months"), "\"months\" is not a unit"));
  CHECK(mentions(complaint("5s "), "number is expected"));
  CHECK(mentions(complaint(std::string_view("5s\0", 3)), "number is expected"));
  for (const char* text : {"1y", "abc"}) CHECK(mentions(complaint(text), "1h30m"));
}

TEST_CASE("a duration that is too long is refused, however it gets there") {
  CHECK(parse_duration("36500d") == limits::kLongestDuration);
  for (const char* text : {"36501d", "36500d1us", "9223372036854775807us", "9223372036854775807w",
                           "9223372036854775808us", "99999999999999999999999999s", "36500d36500d",
                           "9223372036854us9223372036854775807us"}) {
    CAPTURE(text);
    CHECK(mentions(complaint(text), "100 years"));
  }
}

TEST_CASE("a complaint about a duration cannot do anything to a terminal") {
  const std::string said = complaint("\x1b[2J\xff" + std::string(1000, 'x'));
  CHECK_FALSE(mentions(said, "\x1b"));
  CHECK_FALSE(mentions(said, "\xff"));
  CHECK(mentions(said, "\\x1b[2J\\xff"));
  CHECK(said.size() < 300);
}

TEST_CASE("durations are written with the largest units first") {
  CHECK(format_duration(0s) == "0s");
  CHECK(format_duration(Duration(1)) == "1us");
  CHECK(format_duration(250ms) == "250ms");
  CHECK(format_duration(90s) == "1m30s");
  CHECK(format_duration(90min) == "1h30m");
  CHECK(format_duration(48h) == "2d");
  CHECK(format_duration(168h) == "1w");
  CHECK(format_duration(-90s) == "-1m30s");
  CHECK(format_duration(Duration::max()).ends_with("us"));
  CHECK(format_duration(Duration::min()).starts_with("-"));
}

TEST_CASE("a duration that is written and read again is the same") {
  std::mt19937_64 random(20260329);
  for (int i = 0; i < 20'000; ++i) {
    // Of all magnitudes: as many bits as i says.
    const std::uint64_t bits = random() >> (i % 63);
    const Duration d(static_cast<std::int64_t>(
        bits % static_cast<std::uint64_t>(to_us(limits::kLongestDuration) + 1)));
    CAPTURE(d.count());
    CHECK(parse_duration(format_duration(d)) == d);
  }
}

TEST_CASE("instants are written as RFC 3339 in UTC") {
  CHECK(format_rfc3339(time_from_us(0)) == "1970-01-01T00:00:00Z");
  CHECK(format_rfc3339(time_from_us(1'774'746'000'000'000)) == "2026-03-29T01:00:00Z");
  CHECK(format_rfc3339(time_from_us(1'774'746'000'250'000)) == "2026-03-29T01:00:00.250000Z");
  CHECK(format_rfc3339(time_from_us(1)) == "1970-01-01T00:00:00.000001Z");
  CHECK(format_rfc3339(time_from_us(951'782'400'000'000)) == "2000-02-29T00:00:00Z");
}

TEST_CASE("instants before 1970 are written right") {
  CHECK(format_rfc3339(time_from_us(-1)) == "1969-12-31T23:59:59.999999Z");
  CHECK(format_rfc3339(time_from_us(-1'000'000)) == "1969-12-31T23:59:59Z");
  CHECK(format_rfc3339(time_from_us(-62'167'219'200'000'000)) == "0000-01-01T00:00:00Z");
}

TEST_CASE("an instant that RFC 3339 has no year for is shown as the nearest it has") {
  CHECK(format_rfc3339(time_from_us(253'402'300'799'999'999)) == "9999-12-31T23:59:59.999999Z");
  CHECK(format_rfc3339(time_from_us(253'402'300'800'000'000)) == "9999-12-31T23:59:59.999999Z");
  CHECK(format_rfc3339(Time::max()) == "9999-12-31T23:59:59.999999Z");
  CHECK(format_rfc3339(time_from_us(-62'167'219'200'000'001)) == "0000-01-01T00:00:00Z");
  CHECK(format_rfc3339(Time::min()) == "0000-01-01T00:00:00Z");
}

TEST_CASE("the fake clock keeps wall and elapsed time apart") {
  FakeClock clock(time_from_us(1'000'000));
  clock.advance(5s);
  CHECK(clock.wall() == time_from_us(6'000'000));
  CHECK(clock.elapsed() == 5s);
  clock.set_wall(time_from_us(0));
  CHECK(clock.wall() == time_from_us(0));
  CHECK(clock.elapsed() == 5s);
}

TEST_CASE("the system's clocks go forward") {
  const SystemClock clock;
  const Duration before = clock.elapsed();
  CHECK(clock.wall() > time_from_us(1'700'000'000'000'000));
  CHECK(clock.elapsed() >= before);
}
