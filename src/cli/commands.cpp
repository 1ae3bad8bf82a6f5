#include <algorithm>
#include <array>
#include <utility>

#include "schedctl/base/text.hpp"
#include "src/cli/command.hpp"
#include "src/cli/command_rows.hpp"

// The table of commands, and what is said of words that are in none of its rows.

namespace schedctl::cli {
namespace {

/// Words of the design that come with a later version.
constexpr auto kLaterCommands = std::to_array<std::string_view>(
    {"rerun", "nodes", "drain", "audit", "api", "message", "token"});

constexpr auto kLaterOptions = std::to_array<std::string_view>(
    {"http", "amqp", "redis", "celery", "header", "body", "description", "notify", "ping-url"});

/// What people who know other tools type.
constexpr std::array<std::pair<std::string_view, std::string_view>, 21> kSynonyms{{
    {"run", "trigger"},       {"enable", "resume"}, {"disable", "pause"}, {"rm", "remove"},
    {"delete", "remove"},     {"history", "runs"},  {"kill", "cancel"},   {"explain", "why"},
    {"ls", "list"},           {"log", "logs"},      {"create", "add"},    {"new", "add"},
    {"unpause", "resume"},    {"info", "show"},     {"describe", "show"}, {"daemon", "start"},
    {"version", "--version"}, {"update", "set"},    {"lint", "validate"}, {"jobs", "list"},
    {"tail", "logs"},
}};

bool is_later_command(std::string_view name) {
  return std::find(kLaterCommands.begin(), kLaterCommands.end(), name) != kLaterCommands.end();
}

}  // namespace

const std::vector<Command>& commands() {
  static const std::vector<Command> table = [] {
    std::vector<Command> all;
    for (std::vector<Command>& family :
         std::array{daemon_commands(), defining_commands(), holding_commands(), looking_commands(),
                    explaining_commands(), run_commands(), bulk_commands(), house_commands()})
      all.insert(all.end(), family.begin(), family.end());
    return all;
  }();
  return table;
}

const Command* find_command(std::string_view name) {
  for (const Command& command : commands())
    if (command.name == name) return &command;
  return nullptr;
}

const std::vector<Option>& global_options() {
  static const std::vector<Option> options{
      {"config", "F", "the configuration file to read"},
      {"store", "URL", "the store to use: sqlite:PATH"},
      {"own", "", "a daemon, store and jobs of your own, not the machine's"},
      {"set", "KEY=VALUE", "override a setting; may be repeated", 0, true},
      {"json", "", "print for programs"},
      {"quiet", "", "only data and errors", 'q'},
      {"verbose", "", "say more", 'v'},
      {"color", "WHEN", "auto, always or never"},
      {"help", "", "show help", 'h'},
      {"version", "", "show the version"},
  };
  return options;
}

Error unknown_command(const std::string& word) {
  const std::string quoted = "\"" + escape_control(word) + "\"";
  if (is_later_command(word))
    return {ErrorKind::usage, quoted + " is not available in this version"};
  std::string meant;
  for (const auto& [synonym, command] : kSynonyms)
    if (synonym == word) meant = command;
  if (meant.empty()) {
    std::vector<std::string> names;
    for (const Command& command : commands())
      if (!command.group.empty()) names.emplace_back(command.name);
    meant = nearest(word, names).value_or("");
  }
  if (meant.empty())
    return {ErrorKind::usage, quoted + " is no command; schedctl --help shows them all"};
  const std::string later = is_later_command(meant) ? " (not available in this version)" : "";
  return {ErrorKind::usage, quoted + " is no command; did you mean \"" + meant + "\"?" + later};
}

bool is_later_option(std::string_view name) {
  return std::find(kLaterOptions.begin(), kLaterOptions.end(), name) != kLaterOptions.end();
}

}  // namespace schedctl::cli
