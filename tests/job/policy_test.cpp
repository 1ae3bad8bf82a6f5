#include "schedctl/job/policy.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace schedctl;
using namespace schedctl::job;
using std::chrono::hours;
using std::chrono::seconds;

TEST_CASE("each policy is set, shown and forgotten by its name") {
  const std::vector<std::pair<std::string, std::string>> values = {{"overlap", "queue"},
                                                                   {"max_instances", "5"},
                                                                   {"max_queued", "9"},
                                                                   {"misfire_grace", "2h"},
                                                                   {"coalesce", "all"},
                                                                   {"jitter", "30s"},
                                                                   {"timeout", "1h30m"},
                                                                   {"stop_signal", "SIGQUIT"},
                                                                   {"kill_grace", "5s"},
                                                                   {"keep_children", "true"},
                                                                   {"max_attempts", "3"},
                                                                   {"backoff", "250ms"},
                                                                   {"max_delay", "10m"},
                                                                   {"success_codes", "0,2"},
                                                                   {"success_match", "^all done$"},
                                                                   {"fail_match", "ERROR|panic"},
                                                                   {"min_output", "10B"},
                                                                   {"on_lost", "retry"},
                                                                   {"alert_grace", "5m"},
                                                                   {"max_catchup", "7"},
                                                                   {"catchup_spread", "10m"},
                                                                   {"max_wait", "1h"},
                                                                   {"max_runs", "3"},
                                                                   {"group", "db"},
                                                                   {"priority", "-5"},
                                                                   {"after", "extract,load"},
                                                                   {"user", "postgres:ssl-cert"},
                                                                   {"umask", "0027"},
                                                                   {"env_file", "/etc/a.env"},
                                                                   {"stdin_file", "/srv/in put"},
                                                                   {"stdin", "a\nb"},
                                                                   {"nice", "-5"},
                                                                   {"ionice", "best-effort:7"},
                                                                   {"limit_as", "1GiB"},
                                                                   {"limit_core", "0B"},
                                                                   {"limit_cpu", "10m"},
                                                                   {"limit_fsize", "none"},
                                                                   {"limit_nofile", "64"},
                                                                   {"limit_nproc", "10"},
                                                                   {"oom_score_adj", "500"},
                                                                   {"memory_max", "512MiB"},
                                                                   {"cpu_max", "150%"},
                                                                   {"pids_max", "20"},
                                                                   {"output", "discard"},
                                                                   {"max_output", "1MiB"}};
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
  CHECK_FALSE(unset_policy(draft, "niceness"));
  CHECK_FALSE(policy_value(draft, "niceness").has_value());
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
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, std::string>>{{"overlap", ""},
                                                        {"overlap", "queued"},
                                                        {"max_instances", "0"},
                                                        {"max_instances", "1001"},
                                                        {"max_queued", "0"},
                                                        {"misfire_grace", "1"},
                                                        {"misfire_grace", "-5s"},
                                                        {"misfire_grace", "0s"},
                                                        {"misfire_grace", "999ms"},
                                                        {"coalesce", "newest"},
                                                        {"jitter", "soon"},
                                                        {"max_attempts", "0"},
                                                        {"max_attempts", "-1"},
                                                        {"max_attempts", "1001"},
                                                        {"max_attempts", "3x"},
                                                        {"max_attempts", ""},
                                                        {"backoff", "9999999999d"},
                                                        {"success_codes", ""},
                                                        {"success_codes", "0,"},
                                                        {"success_codes", "256"},
                                                        {"success_codes", "-1"},
                                                        {"success_codes", "0 2"},
                                                        {"on_lost", "maybe"},
                                                        {"stop_signal", "0"},
                                                        {"stop_signal", "65"},
                                                        {"stop_signal", "HUPP"},
                                                        {"stop_signal", ""},
                                                        {"keep_children", ""},
                                                        {"success_match", "("},
                                                        {"fail_match", "(?<=a)b"},
                                                        {"min_output", "-1"},
                                                        {"group", "a b"},
                                                        {"priority", "1001"},
                                                        {"priority", "1.5"},
                                                        {"after", "a,,b"},
                                                        {"after", "../x"},
                                                        {"user", "0"},
                                                        {"user", "1000:1000"},
                                                        {"user", ":g"},
                                                        {"user", "root:"},
                                                        {"user", "a b"},
                                                        {"user", "root\n"},
                                                        {"umask", "8"},
                                                        {"umask", "1000"},
                                                        {"umask", "-1"},
                                                        {"env_file", "a.env"},
                                                        {"stdin_file", "~/x"},
                                                        {"stdin", std::string(65537, 'x')},
                                                        {"nice", "20"},
                                                        {"nice", "-21"},
                                                        {"ionice", "realtime:8"},
                                                        {"ionice", "idle:1"},
                                                        {"ionice", "fast"},
                                                        {"limit_as", "-1"},
                                                        {"limit_as", "lots"},
                                                        {"limit_cpu", "0s"},
                                                        {"limit_cpu", "1500ms"},
                                                        {"limit_nofile", "0"},
                                                        {"limit_nofile", "1k"},
                                                        {"oom_score_adj", "1001"},
                                                        {"memory_max", "1 GiB"},
                                                        {"cpu_max", "0%"},
                                                        {"cpu_max", "nan"},
                                                        {"cpu_max", "%"},
                                                        {"pids_max", "0"},
                                                        {"output", "syslog"},
                                                        {"max_output", "1.5MiB"}}) {
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

TEST_CASE("policies are read in the words of other tools, too") {
  const auto reads_as = [](const char* key, const char* text) {
    PolicyDraft draft;
    CHECK(set_policy(draft, key, text).has_value());
    return policy_value(draft, key).value_or("nothing");
  };
  CHECK(reads_as("stop_signal", "int") == "SIGINT");
  CHECK(reads_as("stop_signal", "9") == "SIGKILL");
  CHECK(reads_as("stop_signal", "RTMIN+3") == "SIGRTMIN+3");
  CHECK(reads_as("cpu_max", "1.5") == "150%");
  CHECK(reads_as("cpu_max", "0.5") == "50%");
  CHECK(reads_as("ionice", "best-effort") == "best-effort:4");
  CHECK(reads_as("after", " b , a, b") == "b,a");
  CHECK(reads_as("umask", "77") == "0077");
  CHECK(reads_as("keep_children", "no") == "false");
  CHECK(reads_as("max_output", "none") == "none");
  CHECK(reads_as("limit_cpu", "90s") == "1m30s");
}

TEST_CASE("a job can take back what the defaults say") {
  PolicyDraft own, defaults;
  for (const char* key : {"user", "group", "after", "env_file", "ionice", "fail_match"})
    CHECK(set_policy(own, key, "").has_value());
  for (const char* key : {"limit_as", "memory_max", "cpu_max", "pids_max"})
    CHECK(set_policy(own, key, "none").has_value());
  defaults.user = defaults.group = "app";
  defaults.after = std::vector<std::string>{"x"};
  defaults.memory_max = defaults.limit_as = 1;
  const Policy policy = resolve(own, defaults);
  CHECK(policy.user.empty());
  CHECK(policy.group.empty());
  CHECK(policy.after.empty());
  CHECK(policy.memory_max == kNoLimit);
  CHECK(policy.limit_as == kNoLimit);
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
