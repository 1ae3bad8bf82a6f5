#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schedctl/base/result.hpp"
#include "schedctl/cli/cli.hpp"

namespace schedctl::cli {

/// A flag of a command, as parsing, help and completion see it.
struct Option {
  std::string_view name;        ///< without dashes
  std::string_view value = {};  ///< how help calls its value ("D"); empty: takes none
  std::string_view help = {};
  char letter = 0;  ///< "-n"; 0: none
  bool repeatable = false;
};

/// What every command understands.
struct Globals {
  std::optional<std::string> config;
  std::optional<std::string> store;
  bool own = false;
  std::vector<std::pair<std::string, std::string>> set;
  bool json = false;
  bool quiet = false;
  bool verbose = false;
  std::string color = "auto";
};

struct Command;

/// A command line that was understood.
struct Invocation {
  const Command* command = nullptr;  ///< null: only --help or --version
  Globals globals;
  bool help = false;
  bool version = false;
  std::vector<std::string> words;  ///< what is neither a flag nor a flag's value
  std::map<std::string, std::vector<std::string>, std::less<>> options;
  std::optional<std::vector<std::string>> argv;  ///< after "--", where the command takes one

  bool has(std::string_view name) const { return options.find(name) != options.end(); }
  /// The value of a flag that is given at most once.
  std::optional<std::string> value(std::string_view name) const {
    const auto found = options.find(name);
    if (found == options.end() || found->second.empty()) return std::nullopt;
    return found->second.front();
  }
  std::vector<std::string> values(std::string_view name) const {
    const auto found = options.find(name);
    return found == options.end() ? std::vector<std::string>{} : found->second;
  }
};

inline constexpr std::size_t kAnyNumber = static_cast<std::size_t>(-1);

/// One row of the table from which parsing, help and dispatch come.
struct Command {
  std::string_view name;
  std::string_view group = {};  ///< heading in the overview; empty: hidden
  std::string_view synopsis = {};
  std::string_view summary = {};
  std::vector<std::string_view> examples = {};
  std::vector<Option> options = {};
  std::size_t min_words = 0;
  std::size_t max_words = 0;
  std::string_view missing = {};  ///< said when there are too few words
  std::string_view extra = {};    ///< said of one too many
  bool takes_argv = false;        ///< a command to run follows "--"
  std::string_view exits = {};    ///< its own lines of EXIT STATUS
  Result<Outcome> (*function)(const Invocation&) = nullptr;
};

/// In the order of the overview.
const std::vector<Command>& commands();
const Command* find_command(std::string_view name);
const std::vector<Option>& global_options();

/// Why a word is no command: a later version's, a synonym's, a typo's.
Error unknown_command(const std::string& word);
/// Whether a flag belongs to a later version.
bool is_later_option(std::string_view name);

}  // namespace schedctl::cli
