#include <doctest/doctest.h>

#include "schedctl/config/config.hpp"
#include "tests/config/scratch.hpp"

using namespace schedctl;
using config::test::Scratch;

namespace {

Result<config::Loaded> load(const Scratch& scratch, const std::string& text,
                            std::vector<std::pair<std::string, std::string>> set = {},
                            std::map<std::string, std::string> environment = {}) {
  config::Sources sources;
  sources.uid = ::geteuid();
  sources.own = true;
  sources.home = scratch.path("home");
  sources.system_config_file = scratch.path("none.toml");
  sources.host_timezone = "UTC";
  sources.config_file = scratch.write("test.toml", text);
  sources.set = std::move(set);
  sources.environment = std::move(environment);
  return config::load(sources);
}

job::Retention rules(const Result<config::Loaded>& loaded) {
  if (!loaded) FAIL(loaded.error().where << ": " << loaded.error().message);
  return loaded->config.retention;
}

std::string printed(const Result<config::Loaded>& loaded, const std::string& key) {
  REQUIRE(loaded.has_value());
  for (const config::Setting& setting : loaded->settings)
    if (setting.key == key) return setting.value;
  return "(none)";
}

}  // namespace

TEST_CASE("history has limits though nobody sets any") {
  const Scratch scratch;
  const auto loaded = load(scratch, "");
  CHECK(rules(loaded) == job::Retention{.max_age = std::chrono::hours(24 * 90),
                                        .max_runs = 10'000,
                                        .max_output_bytes = 10'737'418'240});
  CHECK(printed(loaded, "retention.max_age") == "90d");
  CHECK(printed(loaded, "retention.max_runs") == "10000");
  CHECK(printed(loaded, "retention.max_output_bytes") == "10GiB");
}

TEST_CASE("the limits of history are read from file, environment and flags") {
  const Scratch scratch;
  const std::string text =
      "[retention]\nmax_age = \"30d\"\nmax_runs = 100\nmax_output_bytes = \"500MB\"\n";
  CHECK(rules(load(scratch, text)) == job::Retention{.max_age = std::chrono::hours(24 * 30),
                                                     .max_runs = 100,
                                                     .max_output_bytes = 500'000'000});
  CHECK(rules(load(scratch, text, {}, {{"SCHEDCTL_RETENTION_MAX_RUNS", "7"}})).max_runs == 7);
  CHECK(rules(load(scratch, text, {{"retention.max_output_bytes", "1GiB"}})).max_output_bytes ==
        1'073'741'824);
  CHECK(rules(load(scratch, "[retention]\nmax_output_bytes = 4096\n")).max_output_bytes == 4096);
}

TEST_CASE("a zero is no limit") {
  const Scratch scratch;
  const auto loaded =
      load(scratch, "[retention]\nmax_age = 0\nmax_runs = 0\nmax_output_bytes = 0\n");
  CHECK(rules(loaded) ==
        job::Retention{.max_age = Duration::zero(), .max_runs = 0, .max_output_bytes = 0});
  CHECK(rules(load(scratch, "[retention]\nmax_age = \"0s\"\n")).max_age == Duration::zero());
  CHECK(printed(loaded, "retention.max_age") == "0s");
  CHECK(printed(loaded, "retention.max_output_bytes") == "0B");
}

TEST_CASE("limits of history that cannot be are refused at their place") {
  const Scratch scratch;
  const std::pair<std::string, const char*> cases[] = {
      {"max_age = \"23h\"", "at least 1d"},      {"max_age = \"soon\"", "max_age"},
      {"max_age = 90", "a unit is missing"},     {"max_runs = -1", "0 for no limit"},
      {"max_runs = \"many\"", "0 for no limit"}, {"max_output_bytes = \"10 GiB\"", "16MiB"},
      {"max_output_bytes = -1", "whole number"}, {"max_output_byte = 1", "max_output_bytes"},
  };
  for (const auto& [line, words] : cases) {
    CAPTURE(line);
    const auto loaded = load(scratch, "[retention]\n" + line + "\n");
    REQUIRE_FALSE(loaded);
    CHECK(loaded.error().kind == ErrorKind::config);
    CHECK(loaded.error().where.find("test.toml:2:") != std::string::npos);
    CHECK(loaded.error().message.find(words) != std::string::npos);
  }
  const auto no_table = load(scratch, "retention = 5\n");
  REQUIRE_FALSE(no_table);
  CHECK(no_table.error().message.find("[retention]") != std::string::npos);
}
