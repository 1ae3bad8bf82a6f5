#include <doctest/doctest.h>

#include "src/cli/parse.hpp"

namespace schedctl::cli {
namespace {

Result<Invocation> parse_words(std::vector<std::string> words) {
  words.insert(words.begin(), "schedctl");
  return parse(words);
}

/// "WHERE: MESSAGE" of a refusal, "understood" otherwise.
std::string refusal(std::vector<std::string> words) {
  const Result<Invocation> call = parse_words(std::move(words));
  if (call) return "understood";
  CHECK(call.error().kind == ErrorKind::usage);
  return (call.error().where.empty() ? "" : call.error().where + ": ") + call.error().message;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("global options are understood before and after the command") {
  for (const auto& words :
       {std::vector<std::string>{"--own", "--json", "--store", "sqlite:x", "list"},
        std::vector<std::string>{"list", "--own", "--json", "--store=sqlite:x"},
        std::vector<std::string>{"--own", "list", "--store", "sqlite:x", "--json"}}) {
    const auto call = parse_words(words);
    REQUIRE(call);
    CHECK(call->command->name == "list");
    CHECK(call->globals.own);
    CHECK(call->globals.json);
    CHECK(call->globals.store == "sqlite:x");
    CHECK(call->words.empty());
  }
}

TEST_CASE("what follows -- is the job's command, with its own flags and dashes") {
  const auto call = parse_words({"add", "x", "--every=5m", "--", "rm", "--json", "--", "-rf", ""});
  REQUIRE(call);
  CHECK(call->words == std::vector<std::string>{"x"});
  CHECK(call->value("every") == "5m");
  CHECK(call->argv == std::vector<std::string>{"rm", "--json", "--", "-rf", ""});
  CHECK_FALSE(call->globals.json);
}

TEST_CASE("for a command that runs nothing, what follows -- is words") {
  const auto call = parse_words({"remove", "a", "--", "--b"});
  REQUIRE(call);
  CHECK(call->words == std::vector<std::string>{"a", "--b"});
  CHECK_FALSE(call->argv.has_value());
}

TEST_CASE("a value may stand beside its flag or behind an equals sign, and may look like a flag") {
  CHECK(parse_words({"next", "x", "-n", "3"})->value("count") == "3");
  CHECK(parse_words({"next", "x", "-n3"})->value("count") == "3");
  CHECK(parse_words({"next", "x", "-n", "-3"})->value("count") == "-3");
  CHECK(parse_words({"next", "x", "--count=-3"})->value("count") == "-3");
  CHECK(parse_words({"add", "x", "--env", "A=b=c", "--env=D=", "--manual"})->values("env") ==
        std::vector<std::string>{"A=b=c", "D="});
  CHECK(parse_words({"pause", "x", "--reason", "a  b"})->value("reason") == "a  b");
}

TEST_CASE("settings of --set are pairs, and come in order") {
  const auto call = parse_words({"--set", "a=1", "list", "--set=b=x=y"});
  REQUIRE(call);
  CHECK(call->globals.set ==
        std::vector<std::pair<std::string, std::string>>{{"a", "1"}, {"b", "x=y"}});
  CHECK(contains(refusal({"list", "--set", "a"}), "--set: \"a\" is not KEY=VALUE"));
}

TEST_CASE("a flag with one value is not given twice, a repeatable one may be") {
  CHECK(refusal({"add", "x", "--every", "5m", "--every", "6m"}) == "--every: is given twice");
  CHECK(refusal({"list", "--store", "a", "--store", "b"}) == "--store: is given twice");
  CHECK(refusal({"add", "x", "--tag", "a", "--tag", "b"}) == "understood");
}

TEST_CASE("values that are missing or too much are named with their flag") {
  CHECK(contains(refusal({"add", "x", "--every"}), "--every: needs a value: --every D"));
  CHECK(contains(refusal({"add", "x", "--every", "--cron", "y"}), "--every: needs a value"));
  CHECK(contains(refusal({"list", "--json=yes"}), "--json: takes no value"));
  CHECK(contains(refusal({"runs", "-n"}), "needs a value"));
}

TEST_CASE("unknown options get the nearest one, or where to look") {
  CHECK(refusal({"add", "x", "--evry", "5m"}) == "--evry: unknown option; did you mean --every?");
  CHECK(contains(refusal({"add", "x", "--qqqqqqq"}), "goes after \"--\""));
  CHECK(contains(refusal({"list", "--qqqqqqq"}), "schedctl list --help"));
  CHECK(contains(refusal({"--every", "5m", "add", "x"}),
                 "--every: is not a global option; the options of a command come after its name"));
}

TEST_CASE("no option may be shortened") {
  CHECK(contains(refusal({"add", "x", "--ever", "5m"}), "did you mean --every?"));
  CHECK(contains(refusal({"list", "--js"}), "unknown option"));
}

TEST_CASE("words and options of later versions are called that") {
  for (const char* word : {"rerun", "nodes", "drain", "audit"})
    CHECK(refusal({word}) == "\"" + std::string(word) + "\" is not available in this version");
  for (const char* flag : {"--http", "--amqp", "--header", "--notify"})
    CHECK(refusal({"add", "x", flag, "y"}) ==
          std::string(flag) + ": is not available in this version");
}

TEST_CASE("words of other tools and near misses are answered with ours") {
  const std::pair<const char*, const char*> cases[] = {
      {"run", "trigger"},    {"enable", "resume"}, {"disable", "pause"}, {"rm", "remove"},
      {"history", "runs"},   {"kill", "cancel"},   {"explain", "why"},   {"lst", "list"},
      {"triger", "trigger"}, {"statsu", "status"}};
  for (const auto& [typed, meant] : cases) {
    CAPTURE(typed);
    CHECK(contains(refusal({typed}), "did you mean \"" + std::string(meant) + "\"?"));
  }
  CHECK(contains(refusal({"zzzzzzzzzz"}), "schedctl --help"));
}

TEST_CASE("commands about the daemon take no job name and say what does") {
  CHECK(contains(refusal({"stop", "backup"}), "cancel"));
  CHECK(contains(refusal({"stop", "backup"}), "pause"));
  CHECK(contains(refusal({"start", "backup"}), "trigger"));
  CHECK(contains(refusal({"restart", "backup"}), "cancel"));
  CHECK(contains(refusal({"reload", "backup"}), "cancel"));
}

TEST_CASE("the number of words is checked, and a command without -- is explained") {
  CHECK(contains(refusal({"show"}), "the job's name is missing; usage: schedctl show NAME"));
  CHECK(contains(refusal({"show", "a", "b"}), "\"b\" is too much"));
  CHECK(contains(refusal({"add", "x", "--every", "5m", "echo", "hi"}), "goes after \"--\""));
  CHECK(refusal({"remove", "a", "b", "c"}) == "understood");
}

TEST_CASE("help and version are understood everywhere and excuse what is missing") {
  CHECK(parse_words({"--help"})->help);
  CHECK(parse_words({"-h"})->help);
  CHECK(parse_words({"--version"})->version);
  for (const Command& command : commands())
    CHECK(parse_words({std::string(command.name), "--help"})->help);
}

TEST_CASE("numbers are whole, positive and bounded") {
  const auto number = [](const char* text) {
    const auto call = parse_words({"runs", "-n", text});
    REQUIRE(call);
    return number_option(*call, "count", 7, 1, 100);
  };
  CHECK(number("12") == 12);
  for (const char* text : {"0", "-1", "101", "x", "1x", " 1", "1.5", "99999999999999999999", ""}) {
    const auto result = number(text);
    REQUIRE_FALSE(result);
    CHECK(result.error().kind == ErrorKind::usage);
    CHECK(result.error().where == "-n");
  }
  CHECK(number_option(*parse_words({"runs"}), "count", 7, 1, 100) == 7);
}

TEST_CASE("--json is noticed even where the line cannot be parsed") {
  CHECK(wants_json({"schedctl", "nonsense", "--json"}));
  CHECK_FALSE(wants_json({"schedctl", "add", "x", "--", "y", "--json"}));
}

TEST_CASE("every row of the table can be called and explained") {
  for (const Command& command : commands()) {
    CAPTURE(command.name);
    CHECK((command.function != nullptr));
    CHECK_FALSE(command.summary.empty());
    CHECK(find_command(command.name) == &command);
    if (command.min_words > 0) CHECK_FALSE(command.missing.empty());
    if (!command.group.empty()) CHECK_FALSE(command.examples.empty());
    for (const Option& option : command.options) {
      CHECK_FALSE(is_later_option(option.name));
      CHECK_FALSE(option.help.empty());
    }
  }
}

}  // namespace
}  // namespace schedctl::cli
