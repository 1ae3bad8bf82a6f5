#include <doctest/doctest.h>

#include <csignal>

#include "schedctl/base/signals.hpp"
#include "schedctl/zone/system_zones.hpp"
#include "src/cli/errors.hpp"
#include "src/cli/help.hpp"
#include "src/cli/json.hpp"
#include "src/cli/run_text.hpp"
#include "src/cli/table.hpp"
#include "src/cli/target.hpp"
#include "src/cli/times.hpp"

namespace schedctl::cli {
namespace {

using namespace std::chrono_literals;

const Time kNoon = Time{std::chrono::sys_days{std::chrono::year{2026} / 3 / 28} + 12h};

TEST_CASE("relative times are rounded to what matters") {
  const std::pair<Duration, const char*> cases[] = {
      {0s, "now"},         {400ms, "now"},         {45s, "in 45s"},        {-45s, "45s ago"},
      {3min, "in 3m"},     {3min + 5s, "in 3m5s"}, {12min + 5s, "in 12m"}, {-2h, "2h ago"},
      {90min, "in 1h30m"}, {25h, "in 1d1h"},       {24h * 400, "in 400d"}};
  for (const auto& [offset, text] : cases) CHECK(relative(kNoon + offset, kNoon) == text);
}

TEST_CASE("lengths of time are rough") {
  CHECK(rough(Duration(12)) == "12us");
  CHECK(rough(12ms) == "12ms");
  CHECK(rough(1500ms) == "1.5s");
  CHECK(rough(59s) == "59s");
  CHECK(rough(200s) == "3m20s");
  CHECK(rough(-12ms) == "-12ms");
}

TEST_CASE("no two instants are too far apart to be told") {
  CHECK(since(kNoon, kNoon + 90s) == 90s);
  CHECK(since(kNoon + 90s, kNoon) == -90s);
  for (const Time edge : {Time::min(), Time::max()}) {
    for (const Time other : {Time::min(), kNoon, Time::max()}) {
      const Duration apart = since(edge, other);
      CHECK((apart > 0s) == (other > edge));
      CHECK(since(other, edge) == -apart);
      CHECK_FALSE(rough(apart).empty());
      CHECK_FALSE(relative(edge, other).empty());
    }
  }
}

TEST_CASE("absolute times carry the offset in force then") {
  const auto zones = zone::system_zones();
  const auto berlin = zones->find("Europe/Berlin");
  REQUIRE(berlin);
  CHECK(absolute(kNoon, **berlin) == "2026-03-28 13:00:00+01:00");
  CHECK(absolute(kNoon + 24h, **berlin) == "2026-03-29 14:00:00+02:00");
  const auto newfoundland = zones->find("America/St_Johns");
  REQUIRE(newfoundland);
  CHECK(absolute(kNoon - 60 * 24h, **newfoundland) == "2026-01-27 08:30:00-03:30");
}

TEST_CASE("tables align their columns, escape what strangers wrote and leave no spaces behind") {
  Table table({{.title = "NAME"}, {.title = "N", .right = true}, {.title = "LAST"}});
  table.add({{"a"}, {"1"}, {"x"}});
  table.add({{"größer"}, {"123"}, {""}});
  table.add({{"e\x1b[31m\n"}, {"7"}, {"y"}});
  CHECK(table.render(0) ==
        "NAME           N  LAST\n"
        "a              1  x\n"
        "größer       123\n"
        "e\\x1b[31m\\n    7  y\n");
}

TEST_CASE("only a terminal cuts columns, and only flexible ones") {
  Table table({{.title = "NAME"}, {.title = "TEXT", .flexible = true}});
  table.add({{"a-rather-long-name"}, {"a text that is much too long for this"}});
  CHECK(table.render(40).find("a-rather-long-name  a text that is much…\n") != std::string::npos);
  CHECK(table.render(5).find("a-rather-long-name  a text that…\n") != std::string::npos);
  CHECK(table.render(0).find("for this\n") != std::string::npos);
}

TEST_CASE("the outcome of a run says why") {
  job::Run run;
  run.state = job::RunState::failed;
  run.reason = job::Reason::exit_status;
  run.result.exit_code = 3;
  CHECK(outcome_text(run) == "failed (exit 3)");
  run.reason = job::Reason::signal;
  run.result.signal = SIGKILL;
  CHECK(outcome_text(run) == "failed (SIGKILL)");
  run.reason = job::Reason::timeout;
  CHECK(outcome_text(run) == "failed (timeout)");
  run.state = job::RunState::missed;
  run.reason = job::Reason::misfire;
  run.count = 12;
  CHECK(outcome_text(run) == "missed (misfire) 12 times");
}

TEST_CASE("signals have names") {
  CHECK(signal_name(SIGTERM) == "SIGTERM");
  CHECK(signal_name(SIGRTMIN + 2) == "SIGRTMIN+2");
}

TEST_CASE("a run is named with or without its #") {
  CHECK(run_target("#42")->id == RunId(42));
  CHECK_FALSE(run_target("#42")->bare);
  CHECK(run_target("42")->bare);
  for (const char* word : {"", "#", "#0", "0", "-1", "#x", "4x", "backup", "99999999999999999999"})
    CHECK_FALSE(run_target(word).has_value());
}

TEST_CASE("every kind of error has its exit code") {
  CHECK(exit_code(ErrorKind::failed) == 1);
  CHECK(exit_code(ErrorKind::usage) == 2);
  CHECK(exit_code(ErrorKind::not_found) == 3);
  CHECK(exit_code(ErrorKind::conflict) == 5);
  CHECK(exit_code(ErrorKind::unavailable) == 69);
  CHECK(exit_code(ErrorKind::not_allowed) == 77);
  CHECK(exit_code(ErrorKind::config) == 78);
}

TEST_CASE("fields become the flags that a person typed") {
  const auto flag = [](const char* where) {
    return with_flag(Error{ErrorKind::usage, "", where}).where;
  };
  CHECK(flag("cron") == "--cron");
  CHECK(flag("misfire_grace") == "--misfire-grace");
  CHECK(flag("retry.max_attempts") == "--max-attempts");
  CHECK(flag("max_attempts") == "--max-attempts");
  CHECK(flag("tags") == "--tag");
  CHECK(flag("command") == "the command after --");
  CHECK(flag("/etc/x.toml:3:1") == "/etc/x.toml:3:1");
}

TEST_CASE("an error keeps its lines, so that a caret stays under its character") {
  CHECK(error_line({ErrorKind::usage, "minute 61 is out of range\n  61 * * * *\n  ^", "--cron"}) ==
        "schedctl: --cron: minute 61 is out of range\n  61 * * * *\n  ^");
  CHECK(error_line({ErrorKind::failed, "a\x1b[31mb"}) == "schedctl: a\\x1b[31mb");
}

TEST_CASE("what is escaped already is not escaped again, and a path is not named twice") {
  CHECK(cli::error_line({ErrorKind::usage, "unexpected '\\x1b'", "--cron"}) ==
        "schedctl: --cron: unexpected '\\x1b'");
  CHECK(cli::error_line({ErrorKind::config, "cannot read /x/y: no such file", "/x/y"}) ==
        "schedctl: cannot read /x/y: no such file");
  CHECK(cli::error_line({ErrorKind::config, "wrong", "/x/y:1:2"}) == "schedctl: /x/y:1:2: wrong");
}

TEST_CASE("an error does not repeat a whole argument") {
  const Error error = cli::clipped({ErrorKind::usage, std::string(100'000, 'x') + "; the end", ""});
  CHECK(error.message.size() < 5'000);
  CHECK(error.message.ends_with("; the end"));
}

TEST_CASE("commands are shown as a shell would want them") {
  CHECK(quote_command({"/bin/echo", "a b", "", "it's"}) == "/bin/echo 'a b' '' 'it'\\''s'");
}

TEST_CASE("help leads with examples and names every option and exit code") {
  for (const Command& command : commands()) {
    const std::string help = help_of(command);
    CAPTURE(help);
    if (!command.examples.empty()) CHECK(help.find("examples") < help.find("usage"));
    CHECK(help.find("exit status") != std::string::npos);
    for (const Option& option : command.options)
      CHECK(help.find("--" + std::string(option.name)) != std::string::npos);
    for (std::size_t start = 0; start < help.size();) {
      const std::size_t end = help.find('\n', start);
      if (help.substr(start, 10).find("schedctl") == std::string::npos) CHECK(end - start <= 100);
      start = end + 1;
    }
  }
  CHECK(overview().find("keeper") == std::string::npos);
}

}  // namespace
}  // namespace schedctl::cli
