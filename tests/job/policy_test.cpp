#include "schedctl/job/policy.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace schedctl;
using namespace schedctl::job;
using std::chrono::hours;
using std::chrono::seconds;

TEST_CASE("each policy is set, shown and forgotten by its name") {
  const std::vector<std::pair<std::string, std::string>> values = {
      {"overlap", "queue"},      {"max_instances", "5"}, {"max_queued", "9"},
      {"misfire_grace", "2h"},   {"coalesce", "all"},    {"jitter", "30s"},
      {"timeout", "1h30m"},      {"kill_grace", "5s"},   {"max_attempts", "3"},
      {"backoff", "250ms"},      {"max_delay", "10m"},   {"success_codes", "0,2"},
      {"on_lost", "retry"},      {"alert_grace", "5m"},  {"max_catchup", "7"},
      {"catchup_spread", "10m"}, {"max_wait", "1h"},     {"max_runs", "3"}};
  CHECK(policy_keys().size() == values.size());
  PolicyDraft draft;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto& [key, value] = values[i];
    CHECK(policy_keys()[i] == key);
    CHECK_FALSE(policy_value(draft, key).has_value());
    CHECK(set_policy(draft, key, value).has_value());
    CHECK(policy_value(draft, key) == value);
  }
  for (const auto& [key, value] : values) CHECK(unset_policy(draft, key));
  CHECK(draft == PolicyDraft{});
  CHECK_FALSE(unset_policy(draft, "nice"));
  CHECK_FALSE(policy_value(draft, "nice").has_value());
}

TEST_CASE("a job's own word goes before the defaults, and those before the built-in values") {
  PolicyDraft own, defaults;
  own.timeout = seconds(5);
  defaults.timeout = seconds(7);
  defaults.coalesce = Coalesce::all;
  const Policy policy = resolve(own, defaults);
  CHECK(policy.timeout == seconds(5));
  CHECK(policy.coalesce == Coalesce::all);
  CHECK(policy.misfire_grace == hours(1));
  CHECK(policy.max_attempts == 1);
  CHECK(policy.on_lost == OnLost::fail);
}

TEST_CASE("bad policy values are refused, name their key and change nothing") {
  PolicyDraft draft;
  draft.max_attempts = 7;
  const PolicyDraft before = draft;
  for (const auto& [key, value] : std::vector<std::pair<std::string, std::string>>{
           {"overlap", ""},           {"overlap", "queued"},      {"max_instances", "0"},
           {"max_instances", "1001"}, {"max_queued", "0"},        {"misfire_grace", "1"},
           {"misfire_grace", "-5s"},  {"misfire_grace", "0s"},    {"misfire_grace", "999ms"},
           {"coalesce", "newest"},    {"jitter", "soon"},         {"max_attempts", "0"},
           {"max_attempts", "-1"},    {"max_attempts", "1001"},   {"max_attempts", "3x"},
           {"max_attempts", ""},      {"backoff", "9999999999d"}, {"success_codes", ""},
           {"success_codes", "0,"},   {"success_codes", "256"},   {"success_codes", "-1"},
           {"success_codes", "0 2"},  {"on_lost", "maybe"}}) {
    const auto set = set_policy(draft, key, value);
    INFO(key, " = ", value);
    REQUIRE_FALSE(set.has_value());
    CHECK(set.error().kind == ErrorKind::usage);
    CHECK(set.error().where == key);
    CHECK(draft == before);
  }
  CHECK(set_policy(draft, "overlap", "forbid")
            .error()
            .message.find("write skip, queue, replace or allow") != std::string::npos);
  CHECK(set_policy(draft, "misfire_grace", "1s").has_value());
  CHECK(set_policy(draft, "misfire_grace", "0s").error().message.ends_with("at least 1s"));
  CHECK(set_policy(draft, "misfire-grace", "1h")
            .error()
            .message.find("did you mean misfire_grace?") != std::string::npos);
}

TEST_CASE("success codes are a sorted set, and 0 is always one of them") {
  PolicyDraft draft;
  CHECK(set_policy(draft, "success_codes", "3, 2,3").has_value());
  CHECK(policy_value(draft, "success_codes") == "0,2,3");
  const Policy policy = resolve(draft, {});
  CHECK(policy.is_success(0));
  CHECK(policy.is_success(3));
  CHECK_FALSE(policy.is_success(1));
  CHECK(policy_value(builtin_draft(), "success_codes") == "0");
}

TEST_CASE("names of policies read back") {
  for (const auto v : {Overlap::skip, Overlap::queue, Overlap::replace, Overlap::allow}) {
    CHECK(parse_overlap(to_string(v)) == v);
  }
  for (const auto v : {Coalesce::latest, Coalesce::earliest, Coalesce::all}) {
    CHECK(parse_coalesce(to_string(v)) == v);
  }
  for (const auto v : {OnLost::fail, OnLost::retry}) CHECK(parse_on_lost(to_string(v)) == v);
}

TEST_CASE("the built-in values are said for every key") {
  for (const std::string& key : policy_keys()) {
    CAPTURE(key);
    CHECK(policy_value(builtin_draft(), key).has_value());
  }
}
