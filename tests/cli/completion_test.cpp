#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "schedctl/base/signals.hpp"
#include "schedctl/config/config.hpp"
#include "schedctl/job/policy.hpp"
#include "schedctl/job/run.hpp"
#include "schedctl/job/schedule.hpp"
#include "src/cli/completion.hpp"

namespace schedctl::cli {
namespace {

using Words = std::vector<std::string>;

/// The candidates alone, as bash gets them.
Words offered(Words line, const std::string& shell = "bash") {
  line.insert(line.begin(), {"schedctl", "__complete", shell});
  const std::string text = complete(line);
  Words words;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = text.find('\n', start);
    words.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return words;
}

bool has(const Words& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

TEST_CASE("every flag that takes a value, and every word of a command, is somebody's to complete") {
  std::set<std::string_view> flags;
  std::set<std::string_view> names;
  for (const Option& option : global_options())
    if (!option.value.empty()) flags.insert(option.name);
  for (const Command& command : commands()) {
    if (command.max_words > 0) names.insert(command.name);
    for (const Option& option : command.options) {
      if (!option.value.empty()) flags.insert(option.name);
    }
  }
  for (const std::string_view flag : flags) {
    CAPTURE(flag);
    CHECK(completes_flag(flag) != nullptr);
  }
  const auto& known_flags = completed_flags();
  CHECK(std::set<std::string_view>(known_flags.begin(), known_flags.end()) == flags);
  const auto& known_names = completed_commands();
  CHECK(std::set<std::string_view>(known_names.begin(), known_names.end()) == names);
}

TEST_CASE("what is offered as a policy is what policies take") {
  int looked_at = 0;
  for (const std::string& key : job::policy_keys()) {
    std::string flag = key;
    std::replace(flag.begin(), flag.end(), '_', '-');
    const Completes* completes = completes_flag(flag);
    if (completes == nullptr) continue;
    for (const std::string& word : completes->words) {
      CAPTURE(key);
      CAPTURE(word);
      job::PolicyDraft draft;
      CHECK(job::set_policy(draft, key, word));
      ++looked_at;
    }
  }
  CHECK(looked_at > 30);
}

TEST_CASE("what is offered as a setting is what the settings take") {
  int looked_at = 0;
  for (const Candidate& candidate : setting_keys()) {
    const std::string key = candidate.word.substr(0, candidate.word.size() - 1);
    for (const std::string& word : completes_setting(key).words) {
      CAPTURE(key);
      CAPTURE(word);
      config::Sources sources;
      sources.home = "/dev/null";
      sources.own = true;
      sources.host_timezone = "UTC";
      sources.set = {{key, word}};
      CHECK(config::load(sources));
      ++looked_at;
    }
  }
  CHECK(looked_at > 20);
}

TEST_CASE("every word of an enumeration is offered, and nothing else") {
  CHECK(offered({"add", "x", "--overlap", ""}) == Words{"skip", "queue", "replace", "allow"});
  CHECK(offered({"add", "x", "--dst-fold", ""}) == Words{"first", "second", "both"});
  CHECK(offered({"add", "x", "--output=", ""}).empty());
  CHECK(offered({"runs", "--cause", ""}) == Words{"schedule", "manual", "backfill", "reboot"});
  const Words states = offered({"runs", "--state", ""});
  CHECK(states.size() == 8);
  for (const std::string& state : states) CHECK(job::parse_run_state(state));
  for (const std::string& signal : offered({"signal", "x", ""})) CHECK(parse_signal(signal));
}

TEST_CASE("commands and flags come from the table of commands") {
  const Words names = offered({""});
  CHECK(has(names, "add"));
  CHECK(has(names, "completion"));
  CHECK_FALSE(has(names, "keeper"));
  CHECK_FALSE(has(names, "__complete"));
  CHECK(offered({"pau"}) == Words{"pause"});
  CHECK(offered({"--quiet", "--color", "never", "pau"}) == Words{"pause"});
  for (const Command& command : commands()) {
    const Words flags = offered({std::string(command.name), "--"});
    CAPTURE(command.name);
    CHECK(flags.size() ==
          command.options.size() + global_options().size() + (command.takes_argv ? 1 : 0));
    for (const Option& option : command.options) CHECK(has(flags, "--" + std::string(option.name)));
  }
  CHECK(has(offered({"logs", "-"}), "-f"));
  CHECK(offered({"--col"}) == Words{"--color"});
}

TEST_CASE("a flag that was given is not offered again, unless it may be repeated") {
  const Words flags = offered({"add", "x", "--overlap", "skip", "--tag=a", "--timeout=1m", "--"});
  CHECK_FALSE(has(flags, "--overlap"));
  CHECK_FALSE(has(flags, "--timeout"));
  CHECK(has(flags, "--tag"));
}

TEST_CASE("a value after = is completed with its flag, one of a list with those before it") {
  CHECK(offered({"add", "x", "--overlap=re"}) == Words{"--overlap=replace"});
  CHECK(offered({"runs", "--state", "failed,lo"}) == Words{"failed,lost"});
  CHECK(offered({"runs", "--state=failed,lo"}) == Words{"--state=failed,lost"});
  CHECK(offered({"--set", "stop_t"}) == Words{"stop_timeout="});
  CHECK(offered({"--set", "defaults.overlap=r"}) == Words{"defaults.overlap=replace"});
  CHECK(offered({"--set=on_sigterm=d"}) == Words{"--set=on_sigterm=drain"});
}

TEST_CASE("the shell is asked for what it knows better") {
  CHECK(offered({"--config", "/e"}) == Words{":files "});
  CHECK(offered({"--config=/e"}) == Words{":files --config="});
  CHECK(offered({"--store", ""}) == Words{"sqlite:"});
  CHECK(offered({"--store", "sqlite:/v"}) == Words{":files sqlite:"});
  CHECK(offered({"--store=sqlite:/v"}) == Words{":files --store=sqlite:"});
  CHECK(offered({"add", "x", "--cwd", "/"}) == Words{":directories "});
  CHECK(offered({"add", "x", "--user", "b"}) == Words{":users "});
  CHECK(offered({"add", "x", "--user", "bob:d"}) == Words{":groups bob:"});
  CHECK(offered({"apply", ""}) == Words{":files "});
  CHECK(offered({"db", "backup", ""}) == Words{":files "});
  CHECK(offered({"db", "ba"}) == Words{"backup"});
  CHECK(offered({"db", "check", ""}).empty());
}

TEST_CASE("after -- stands a command, where the schedctl command takes one") {
  CHECK(offered({"add", "x", "--every", "1h", "--", ""}) == Words{":command "});
  CHECK(offered({"add", "x", "--cron", "--", "ls", "--overlap="}) == Words{":command "});
  CHECK(offered({"db", "--", "ba"}) == Words{"backup"});
}

TEST_CASE("of what is no line of schedctl's nothing follows") {
  CHECK(offered({"frobnicate", ""}).empty());
  CHECK(offered({"frobnicate", "--"}).empty());
  CHECK(offered({"frobnicate", "show", ""}).empty());
  CHECK(offered({"rename", "a", ""}).empty());
  CHECK(offered({"ps", ""}).empty());
  CHECK(offered({"add", "x", "--every", ""}).empty());
  CHECK(complete({"schedctl", "__complete"}).empty());
  CHECK(complete({"schedctl", "__complete", "bash"}).empty());
}

TEST_CASE("a word is what the shell will make of it, without executing anything") {
  ::setenv("COMPLETION_TEST", "a b", 1);
  ::setenv("HOME", "/home/anna", 1);
  CHECK(unquoted("plain") == "plain");
  CHECK(unquoted("'a \"b'") == "a \"b");
  CHECK(unquoted("\"a 'b\\\"\\x\"") == "a 'b\"\\x");
  CHECK(unquoted("\\#4\\ 2") == "#4 2");
  CHECK(unquoted("'open") == "open");
  CHECK(unquoted("open\\") == "open");
  CHECK(unquoted("~/x") == "/home/anna/x");
  CHECK(unquoted("'~/x'") == "~/x");
  CHECK(unquoted("$COMPLETION_TEST/x") == "a b/x");
  CHECK(unquoted("\"${COMPLETION_TEST}x\"") == "a bx");
  CHECK(unquoted("'$COMPLETION_TEST'") == "$COMPLETION_TEST");
  CHECK(unquoted("$(touch /x)`y`$") == "$(touch /x)`y`$");
  CHECK(unquoted("${open") == "${open");
}

TEST_CASE("zones are offered by their names") {
  const Words zones = offered({"add", "x", "--timezone", "Europe/Be"});
  CHECK(has(zones, "Europe/Berlin"));
  CHECK_FALSE(has(offered({"add", "x", "--timezone", ""}), "posix"));
}

TEST_CASE("notes are for shells that show them") {
  CHECK(offered({"pau"}, "fish").size() > 30);
  CHECK(has(offered({"pau"}, "fish"), "pause\tno new fires until resume"));
  CHECK(has(offered({"pau"}, "zsh"), "pause\tno new fires until resume"));
}

}  // namespace
}  // namespace schedctl::cli
