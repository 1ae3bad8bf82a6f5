#include "src/job/cron.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "tests/job/real_zones.hpp"

using namespace schedctl;
using namespace schedctl::job;

namespace {

CronExpr parsed(const std::string& text, std::uint64_t seed = 0) {
  const Result<CronExpr> expr = parse_cron(text, seed);
  REQUIRE_MESSAGE(expr.has_value(), (expr ? std::string() : expr.error().message));
  return *expr;
}

std::string refusal(const std::string& text) {
  const Result<CronExpr> expr = parse_cron(text, 0);
  REQUIRE_MESSAGE(!expr.has_value(), text);
  CHECK(expr.error().kind == ErrorKind::usage);
  CHECK(expr.error().where == "cron");
  return expr.error().message;
}

/// Whether the message begins as told and its caret stands under byte `column` of the expression.
void check_refused(const std::string& text, const std::string& begin, std::size_t column) {
  const std::string message = refusal(text);
  INFO(message);
  CHECK(message.starts_with(begin));
  CHECK(message.ends_with("\n  " + text + "\n  " + std::string(column, ' ') + "^"));
}

std::set<int> minutes_of(const std::string& field, std::uint64_t seed = 0) {
  std::set<int> out;
  const std::uint64_t set = parsed(field + " 0 * * *", seed).minute_set;
  for (int m = 0; m < 60; ++m) {
    if ((set >> m & 1) != 0) out.insert(m);
  }
  return out;
}

std::set<int> days_of(const std::string& day, const std::string& weekday, int year,
                      unsigned month) {
  std::set<int> out;
  const std::uint32_t set = parsed("0 0 " + day + " * " + weekday).days_of(year, month);
  for (int d = 1; d <= 31; ++d) {
    if ((set >> (d - 1) & 1) != 0) out.insert(d);
  }
  return out;
}

using Days = std::set<int>;

}  // namespace

TEST_CASE("fields take values, ranges, steps and lists") {
  CHECK(minutes_of("5") == Days{5});
  CHECK(minutes_of("1-4") == Days{1, 2, 3, 4});
  CHECK(minutes_of("*/20") == Days{0, 20, 40});
  CHECK(minutes_of("10-30/10") == Days{10, 20, 30});
  CHECK(minutes_of("40/10") == Days{40, 50});
  CHECK(minutes_of("3,1,50-51,*/30") == Days{0, 1, 3, 30, 50, 51});
  CHECK(minutes_of("*/60") == Days{0});
  CHECK(minutes_of("007") == Days{7});
}

TEST_CASE("five fields mean second zero, six begin with the seconds") {
  CHECK(parsed("* * * * *").second_set == 1);
  CHECK(parsed("*/30 * * * * *").second_set == (1ULL | 1ULL << 30));
  CHECK(parsed("\t 1  2\t3 4 * ").hour_set == 1U << 2);
}

TEST_CASE("months and weekdays have names in any case") {
  CHECK(parsed("0 0 1 JAN,mar-May *").month_set == (1U << 1 | 1U << 3 | 1U << 4 | 1U << 5));
  CHECK(parsed("0 0 * * Mon-FRI").weekday_set == 0x3e);
  CHECK(parsed("0 0 * * fri-sun").weekday_set == (1 << 5 | 1 << 6 | 1));
  CHECK(parsed("0 0 * * sun-sun").weekday_set == 1);
  CHECK(parsed("0 0 * * 0-sun").weekday_set == 1);
}

TEST_CASE("Sunday is 0 and 7") {
  CHECK(parsed("0 0 * * 0").weekday_set == 1);
  CHECK(parsed("0 0 * * 7").weekday_set == 1);
  CHECK(parsed("0 0 * * 5-7").weekday_set == (1 << 5 | 1 << 6 | 1));
  CHECK(parsed("0 0 * * 0-7").weekday_set == 0x7f);
  CHECK(parsed("0 0 * * */2").weekday_set == (1 | 1 << 2 | 1 << 4 | 1 << 6));
  CHECK(parsed("0 0 ? * 7L").last_weekday_set == 1);
  CHECK(parsed("0 0 ? * 7#1").nth_weekday_set[0] == 1);
}

TEST_CASE("macros stand for their expressions") {
  CHECK(parsed("@hourly").wildcard);
  CHECK(parsed("@daily").hour_set == 1);
  CHECK(parsed("@MIDNIGHT").hour_set == 1);
  CHECK(parsed("@weekly").weekday_set == 1);
  CHECK(parsed("@monthly").day_set == 1);
  CHECK(parsed(" @yearly ").month_set == 2);
  CHECK(parsed("@annually").month_set == 2);
}

TEST_CASE("the day fields are OR-ed unless one starts with a star or is a question mark") {
  // March 2026: the 13th is a Friday, the 1st a Sunday.
  CHECK(days_of("13", "5", 2026, 3) == Days{6, 13, 20, 27});
  CHECK(days_of("14", "5", 2026, 3) == Days{6, 13, 14, 20, 27});
  CHECK(days_of("*", "5", 2026, 3) == Days{6, 13, 20, 27});
  CHECK(days_of("?", "5", 2026, 3) == Days{6, 13, 20, 27});
  CHECK(days_of("13", "*", 2026, 3) == Days{13});
  CHECK(days_of("13", "?", 2026, 3) == Days{13});
  CHECK(days_of("*/2", "5", 2026, 3) == Days{13, 27});
  CHECK(days_of("1-7", "*/6", 2026, 3) == Days{1, 7});
  CHECK(days_of("1-31/2", "5", 2026, 3).size() == 16 + 2);
}

TEST_CASE("L, W and # count from the month's shape") {
  CHECK(days_of("L", "*", 2026, 2) == Days{28});
  CHECK(days_of("L", "*", 2024, 2) == Days{29});
  CHECK(days_of("L-3", "*", 2026, 4) == Days{27});
  CHECK(days_of("1,L", "*", 2026, 4) == Days{1, 30});
  CHECK(days_of("L-30", "*", 2026, 4) == Days{});
  // May 2026 ends on a Sunday; August begins on a Saturday and November on a Sunday.
  CHECK(days_of("LW", "*", 2026, 5) == Days{29});
  CHECK(days_of("1W", "*", 2026, 8) == Days{3});
  CHECK(days_of("1W", "*", 2026, 11) == Days{2});
  CHECK(days_of("31W", "*", 2026, 5) == Days{29});
  CHECK(days_of("15W", "*", 2026, 8) == Days{14});
  CHECK(days_of("31W", "*", 2026, 6) == Days{});
  CHECK(days_of("*", "6L", 2026, 5) == Days{30});
  CHECK(days_of("?", "friL", 2026, 5) == Days{29});
  CHECK(days_of("*", "6#3", 2026, 5) == Days{16});
  CHECK(days_of("*", "mon#5", 2026, 5) == Days{});
  CHECK(days_of("*", "fri#5", 2026, 5) == Days{29});
  CHECK(days_of("*", "1,6#3", 2026, 5) == Days{4, 11, 16, 18, 25});
}

TEST_CASE("H and ~ are spread by the seed and stay where they are") {
  std::set<int> seen;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    const auto minutes = minutes_of("H", seed);
    REQUIRE(minutes.size() == 1);
    CHECK(minutes == minutes_of("H", seed));
    seen.insert(*minutes.begin());
    CHECK(*minutes_of("H(10-19)", seed).begin() / 10 == 1);
    CHECK(*minutes_of("5~7", seed).begin() / 5 == 1);
    CHECK(*minutes_of("~9", seed).begin() <= 9);
    CHECK(*minutes_of("50~", seed).begin() >= 50);
    const auto quarters = minutes_of("H/15", seed);
    CHECK(quarters.size() == 4);
    CHECK(*quarters.rbegin() - *quarters.begin() == 45);
    CHECK(parsed("0 0 H 2 *", seed).can_fire());
    CHECK(parsed("0 0 ~ 2 *", seed).can_fire());
  }
  CHECK(seen.size() == 60);
  // Two fields of one expression are spread apart.
  int same = 0;
  for (std::uint64_t seed = 0; seed < 240; ++seed) {
    const CronExpr e = parsed("H(0-23) H * * *", seed);
    same += e.minute_set == e.hour_set ? 1 : 0;
  }
  CHECK(same < 40);
  CHECK_FALSE(parsed("H 2 * * *").wildcard);
}

TEST_CASE("the spread of H never changes between versions") {
  CHECK(minutes_of("H", 42) == Days{31});
  CHECK(parsed("0 H * * *", 42).hour_set == 1U << 18);
}

TEST_CASE("a schedule is wildcard if its minute or hour starts with a star") {
  CHECK(parsed("*/5 2 * * *").wildcard);
  CHECK(parsed("30 * * * *").wildcard);
  CHECK_FALSE(parsed("30 2 * * *").wildcard);
  CHECK_FALSE(parsed("0-59 2 * * *").wildcard);
  CHECK_FALSE(parsed("* 30 2 * * *").wildcard);
}

TEST_CASE("a value out of range is pointed at with its range") {
  check_refused("61 * * * *", "minute 61 is out of range 0-59", 0);
  check_refused("* 24 * * *", "hour 24 is out of range 0-23", 2);
  check_refused("* * 0 * *", "day of month 0 is out of range 1-31", 4);
  check_refused("* * * 13 *", "month 13 is out of range 1-12", 6);
  check_refused("* * * * 8", "day of week 8 is out of range 0-7", 8);
  check_refused("1,2,99 * * * *", "minute 99 is out of range 0-59", 4);
  check_refused("99999999999999999999 * * * *", "minute 99999999999999999999 is out of range", 0);
  check_refused("60 * * * * *", "second 60 is out of range 0-59", 0);
}

TEST_CASE("what cannot be read is pointed at with what was expected") {
  check_refused("x * * * *", "unexpected 'x'; expected minute 0-59", 0);
  check_refused("5x * * * *", "unexpected 'x'; expected ',', '-', '/' or the end of the minute", 1);
  check_refused("-5 * * * *", "unexpected '-'; expected minute 0-59", 0);
  check_refused("* * * foo *", "unexpected 'f'; expected month 1-12 or jan-dec", 6);
  check_refused("* * * * monday", "unexpected 'd' after 'mon': names have three letters", 11);
  check_refused("* * * january *", "unexpected 'u' after 'jan': names have three letters", 9);
  check_refused("5- * * * *", "unexpected end of field; expected minute 0-59", 2);
  check_refused("*/ * * * *", "unexpected end of field; expected a step", 2);
  check_refused("*5 * * * *", "unexpected '5'", 1);
  check_refused("1-2-3 * * * *", "unexpected '-'", 3);
  check_refused(
      "1\xe2\x80\x93"
      "5 * * * *",
      "unexpected '\xe2\x80\x93' (a dash that is no '-')", 1);
  check_refused("0 0 * * *\xc2\xa0", "unexpected '\xc2\xa0' (a no-break space)", 9);
  check_refused("H( * * * *", "unexpected end of field", 2);
  check_refused("H(1-5 * * * *", "expected ')'", 5);
  check_refused("1-5W * * * *", "unexpected 'W'", 3);
  check_refused("* * 1-5W * *", "unexpected 'W'", 7);
}

TEST_CASE("what is expected next is only what could stand there") {
  check_refused("1-2-3 * * * *", "unexpected '-'; expected ',', '/' or the end", 3);
  check_refused("*-5 * * * *", "unexpected '-'; expected ',', '/' or the end", 1);
  check_refused("*/5/5 * * * *", "unexpected '/'; expected ',' or the end", 3);
  check_refused("H-5 * * * *", "unexpected '-'; expected ',', '/' or the end", 1);
  check_refused("* * 15W/2 * *", "unexpected '/'; expected ',' or the end", 7);
  check_refused("* * L/2 * *", "unexpected '/'; expected ',', '-' or the end", 5);
  check_refused("* * L-3/2 * *", "unexpected '/'; expected ',' or the end", 7);
  check_refused("* * LW-3 * *", "unexpected '-'; expected ',' or the end", 6);
  check_refused("* * * * 5#1-2", "unexpected '-'; expected ',' or the end", 11);
  check_refused("1,2-3- * * * *", "unexpected '-'; expected ',', '/' or the end", 5);
}

TEST_CASE("a range that runs backwards is told in its own words, with what to write") {
  check_refused("* * * * sat-mon",
                "day of week range sat-mon runs backwards; write it as two: "
                "sat-sun,mon\n",
                12);
  check_refused("* * * * 6-2", "day of week range 6-2 runs backwards; write it as two: 6-7,1-2\n",
                10);
  check_refused("* * * dec-feb *",
                "month range dec-feb runs backwards; write it as two: "
                "dec,jan-feb\n",
                10);
  check_refused("50-10 * * * *", "minute range 50-10 runs backwards; write it as two: 50-59,0-10\n",
                3);
  check_refused("H(50-10) * * * *",
                "minute range 50-10 runs backwards; its lower end comes first\n", 5);
  CHECK(parse_cron("0 0 * * sat-sun,mon", 0)->weekday_set == (1 << 6 | 1 | 1 << 1));
  CHECK(parse_cron("0 0 * * 6-7,1-2", 0)->weekday_set == (1 << 6 | 1 | 1 << 1 | 1 << 2));
}

TEST_CASE("a range of H and ~ may end with the Sunday that follows, like any other") {
  for (const char* range : {"H(fri-sun)", "fri~sun"}) {
    std::set<int> seen;
    for (std::uint64_t seed = 0; seed < 200; ++seed)
      seen.insert(parsed(std::string("0 0 * * ") + range, seed).weekday_set);
    CHECK(seen == std::set<int>{1 << 5, 1 << 6, 1});
  }
}

TEST_CASE("H and ~ choose among what can fire, so that no job is refused for its number") {
  for (const char* text : {"0 0 29~31 2 *", "H H 31 H *", "0 0 30,31 H *", "0 0 ~ 2 ?"}) {
    INFO(text);
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
      const CronExpr expr = parsed(text, seed);
      REQUIRE(expr.can_fire());
      REQUIRE(expr.month_set == parsed(text, seed).month_set);
      REQUIRE(expr.day_set == parsed(text, seed).day_set);
    }
  }
  CHECK(refusal("0 0 30~31 2 *").starts_with("this never fires"));
}

TEST_CASE("empty fields, backward ranges and useless steps are refused") {
  check_refused("1,,2 * * * *", "nothing before this ','", 2);
  check_refused("1, * * * *", "nothing before the end of the minute field", 2);
  check_refused(", * * * *", "nothing before this ','", 0);
  check_refused("30-10 * * * *", "minute range 30-10 runs backwards", 3);
  check_refused("* * * * 5-0", "day of week range 5-0 runs backwards; write 7", 10);
  check_refused("* * * dec-jan *", "month range dec-jan runs backwards", 10);
  check_refused("9~5 * * * *", "minute range 9-5 runs backwards", 2);
  check_refused("*/0 * * * *", "a step of 0", 2);
  check_refused("*/61 * * * *", "step 61 is larger than the range 0-59", 2);
  check_refused("10-12/5 * * * *", "step 5 is larger than the range 10-12", 6);
  check_refused("H/90 * * * *", "step 90 is larger", 2);
  check_refused("*/99999999999 * * * *",
                "step 99999999999 is larger than the range 0-59; expected at most 60\n", 2);
}

TEST_CASE("marks are refused where they mean nothing") {
  check_refused("? * * * *", "'?' is for the day of month and day of week fields only", 0);
  check_refused("* * ?,1 * *", "'?' must be alone", 4);
  check_refused("L * * * *", "L is for the day fields only", 0);
  check_refused("* * * * L", "L needs a weekday before it", 8);
  check_refused("* * L-31 * *", "L-31 is out of range 0-30", 6);
  check_refused("* * * * 5#6", "a month has no weekday number 6", 10);
  check_refused("* * * * 5#0", "a month has no weekday number 0", 10);
  check_refused("* * 5#1 * *", "unexpected '#'", 5);
}

TEST_CASE("a wrong number of fields says how many were found") {
  check_refused("* * * *", "4 fields found; expected 5", 7);
  check_refused("*", "1 field found; expected 5", 1);
  check_refused("* * * * * * *", "7 fields found; expected 5", 12);
  CHECK(refusal("").starts_with("no fields found"));
  CHECK(refusal("  \t ").starts_with("no fields found"));
}

TEST_CASE("macros and zones that are no expressions get a hint") {
  CHECK(refusal("@every 5m").find("--every") != std::string::npos);
  CHECK(refusal("@reboot").find("use --on-reboot") != std::string::npos);
  CHECK(refusal("@fortnightly").starts_with("unknown macro"));
  CHECK(refusal("@daily extra").starts_with("nothing may follow a macro"));
  CHECK(refusal("CRON_TZ=Europe/Berlin 0 2 * * *").find("--timezone") != std::string::npos);
  CHECK(refusal("TZ=UTC @daily").find("--timezone") != std::string::npos);
}

TEST_CASE("control characters are shown escaped, with the caret still in place") {
  const std::string message = refusal("1\n2 * * * *");
  CHECK(message.find('\x1b') == std::string::npos);
  CHECK(message.ends_with("\n  1\\n2 * * * *\n   ^"));
  CHECK(refusal("0 0 * * *\n").starts_with("unexpected '\\n'; expected one line"));
  CHECK(refusal("0 0\n* * *").starts_with("unexpected '\\n'; expected one line"));
  CHECK(refusal("\x1b[31m * * * *").find('\x1b') == std::string::npos);
  CHECK(refusal(std::string("1\0 * * * *", 10)).find('\0') == std::string::npos);
}

TEST_CASE("an over-long expression is refused") {
  std::string text = "0";
  while (text.size() < 1200) text += ",0";
  CHECK(refusal(text + " * * * *").find("at most 1024") != std::string::npos);
}

TEST_CASE("a date that never comes is refused") {
  check_refused("0 0 30 2 *", "this never fires", 4);
  check_refused("0 0 31 4,6,9,11 *", "this never fires", 4);
  check_refused("0 0 0 31 feb ?", "this never fires", 6);
  check_refused("0 0 31W 2 *", "this never fires", 4);
  check_refused("0 0 1-5 * */1#0", "unexpected '#'", 13);
  CHECK(parse_cron("0 0 30 2 1", 0).has_value());
  CHECK(parse_cron("0 0 29 2 *", 0).has_value());
  CHECK(parse_cron("0 0 31 2,3 *", 0).has_value());
  CHECK(check_cron("0 0 29~31 2 *").has_value());
  CHECK_FALSE(check_cron("0 0 30 2 *").has_value());
}

TEST_CASE("29 February on a given weekday is found, across a century too") {
  const FireSeries sundays = series_of(cron_schedule("0 0 29 2 */7"), "UTC");
  CHECK(*sundays.next_after(utc("2088-03-01")) == utc("2128-02-29 00:00"));
}

TEST_CASE("random bytes are read or refused, never worse") {
  std::uint64_t state = 88172645463325252ULL;
  const std::string alphabet = "0123456789*/,-?LWH#~()@ \tabcjanmonTZ=\n\xc3\xa9";
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (int n = static_cast<int>(state >> 59); n >= 0; --n) {
      state ^= state << 13, state ^= state >> 7, state ^= state << 17;
      text += alphabet[state % alphabet.size()];
    }
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    if (i % 2 == 0) text += " * * * *";
    const Result<CronExpr> expr = parse_cron(text, state);
    if (expr) {
      CHECK(expr->can_fire());
    } else {
      CHECK(expr.error().kind == ErrorKind::usage);
    }
  }
}
