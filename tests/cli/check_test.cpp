#include <doctest/doctest.h>

#include "src/cli/check.hpp"
#include "src/cli/daemon_health.hpp"

namespace schedctl::cli {
namespace {

using namespace std::chrono_literals;
using State = CheckState;

TEST_CASE("a daemon's answer is read, whatever the order of its words") {
  for (const char* reply : {"ok store=ok keeper=silent beat_age_us=812",
                            "ok  beat_age_us=812   keeper=silent store=ok "}) {
    CAPTURE(reply);
    const auto health = parse_health(reply);
    REQUIRE(health);
    CHECK(health->store == "ok");
    CHECK(health->keeper == "silent");
    CHECK(health->beat_age == 812us);
    CHECK(health->why.empty());
  }
}

TEST_CASE("why a store fails is the rest of the answer, spaces and all") {
  const auto health =
      parse_health("ok store=failing keeper=ok beat_age_us=1 why=no space left: keeper=lost a=b");
  REQUIRE(health);
  CHECK(health->store == "failing");
  CHECK(health->keeper == "ok");
  CHECK(health->why == "no space left: keeper=lost a=b");
}

TEST_CASE("words of a newer daemon are left out") {
  const auto health = parse_health("ok mood=fine store=ok nonsense keeper=ok leases=3");
  REQUIRE(health);
  CHECK(health->store == "ok");
  CHECK(health->keeper == "ok");
  CHECK(health->beat_age == 0us);
}

TEST_CASE("an age that is no number is none") {
  const auto health = parse_health("ok store=ok keeper=ok beat_age_us=9x");
  REQUIRE(health);
  CHECK(health->beat_age == 0us);
}

TEST_CASE("an answer of another shape tells nothing of health") {
  for (const char* reply :
       {"", "ok", "ok 4711", "ok store=ok", "ok keeper=ok", "okay store=ok keeper=ok",
        "error 2 unknown request", "store=ok keeper=ok", "ok store= keeper=ok"}) {
    CAPTURE(reply);
    CHECK_FALSE(parse_health(reply));
  }
}

TEST_CASE("of nothing but good the line says what is well, and the numbers behind a bar") {
  CheckReport report;
  report.measure("jobs", 12);
  report.measure("overdue", 0);
  report.all_is_well("12 jobs, next fire in 4m");
  CHECK(report.state() == State::ok);
  CHECK(report.line() == "OK - 12 jobs, next fire in 4m | jobs=12 overdue=0");
}

TEST_CASE("without numbers there is no bar") {
  CheckReport report;
  report.add(State::critical, "no daemon is running");
  CHECK(report.line() == "CRITICAL - no daemon is running");
}

TEST_CASE("the worst state wins and is told first, whatever the order") {
  const struct {
    std::vector<State> found;
    State worst;
    const char* line;
  } cases[] = {
      {{State::ok, State::warning}, State::warning, "WARNING - w; o"},
      {{State::warning, State::unknown}, State::unknown, "UNKNOWN - u; w"},
      {{State::unknown, State::warning}, State::unknown, "UNKNOWN - u; w"},
      {{State::unknown, State::critical}, State::critical, "CRITICAL - c; u"},
      {{State::critical, State::unknown}, State::critical, "CRITICAL - c; u"},
      {{State::warning, State::critical, State::ok, State::unknown},
       State::critical,
       "CRITICAL - c; u; w; o"},
  };
  for (const auto& one : cases) {
    CheckReport report;
    report.all_is_well("all is well");
    for (const State state : one.found)
      report.add(state, state == State::ok         ? "o"
                        : state == State::warning  ? "w"
                        : state == State::critical ? "c"
                                                   : "u");
    CAPTURE(one.line);
    CHECK(report.state() == one.worst);
    CHECK(report.line() == one.line);
  }
}

TEST_CASE("states are the exit codes of monitoring plug-ins") {
  CHECK(static_cast<int>(State::ok) == 0);
  CHECK(static_cast<int>(State::warning) == 1);
  CHECK(static_cast<int>(State::critical) == 2);
  CHECK(static_cast<int>(State::unknown) == 3);
}

TEST_CASE("what strangers wrote ends neither the line nor begins the numbers") {
  CheckReport report;
  report.add(State::critical, "a\nb|c=1\x1b[31m\r\xff");
  report.measure("jobs", 1);
  CHECK(report.line() == "CRITICAL - a\\nb/c=1\\x1b[31m\\x0d\\xff | jobs=1");
}

TEST_CASE("a long message is cut between two characters, and the numbers stay") {
  CheckReport report;
  std::string words;
  for (int i = 0; i < 600; ++i) words += "ü";
  report.add(State::warning, "x" + words);
  report.measure("jobs", 1);
  const std::string line = report.line();
  CHECK(report.message().size() <= 1003);
  CHECK(report.message().ends_with("ü..."));
  CHECK(line.ends_with("ü... | jobs=1"));
  CHECK(line.find("\\x") == std::string::npos);
}

TEST_CASE("a command line asks for check only as a command") {
  CHECK(is_check({"schedctl", "check"}));
  CHECK(is_check({"schedctl", "--json", "check", "backup"}));
  CHECK(is_check({"schedctl", "--config", "list", "check", "--nonsense"}));
  CHECK_FALSE(is_check({"schedctl", "list", "check"}));
  CHECK_FALSE(is_check({"schedctl", "--config", "check"}));
  CHECK_FALSE(is_check({"schedctl", "add", "check", "--", "check"}));
  CHECK_FALSE(is_check({"schedctl", "--", "check"}));
  CHECK_FALSE(is_check({"schedctl"}));
}

}  // namespace
}  // namespace schedctl::cli
