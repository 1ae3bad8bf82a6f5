#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/cli/command.hpp"

/// What a shell asks when somebody presses Tab. The scripts in completions/ know no command and no
/// flag: they hand the line to `schedctl __complete SHELL WORD...`, so what is offered comes from
/// the table of commands of the very program that will be run, and there is one parser of
/// unfinished lines, not one in each shell's language.
namespace schedctl::cli {

/// The hidden command's name.
inline constexpr std::string_view kComplete = "__complete";

/// A command line up to the cursor, as far as it can be understood: nothing in it is an error.
struct Unfinished {
  Invocation call;                   ///< what stands before the cursor's word
  const Option* awaiting = nullptr;  ///< the cursor's word is this flag's value
  std::string before;                ///< what of the cursor's word is settled: "--overlap="
  std::string word;                  ///< the rest of it
  bool after_dashes = false;         ///< a "--" stands before it
};

/// `words`: after the program's name, the last one up to the cursor; as they were typed, quotes
/// and all.
Unfinished read_unfinished(const std::vector<std::string>& words);

/// What a shell makes of a word: quotes and backslashes go, "~/", $NAME and ${NAME} become what
/// they stand for. Nothing is executed.
std::string unquoted(std::string_view word);

/// A word that could stand at the cursor.
struct Candidate {
  std::string word = {};
  std::string note = {};
};

/// What stands at the cursor, and who knows it.
enum class Kind {
  nothing,  ///< whatever people like
  words,    ///< one of a few, which are listed
  jobs,
  paused_jobs,
  living,       ///< jobs, and "#42" of living runs
  open_alerts,  ///< jobs, and "#7" of open alerts
  tags,         ///< of jobs that there are
  calendars,    ///< of the settings
  groups,       ///< of the settings, or (with --user) the machine's
  zones,        ///< of the machine
  settings,     ///< KEY=VALUE
  store,        ///< sqlite:PATH
  commands,     ///< of schedctl
  files,        ///< the shell knows
  directories,  ///< the shell knows
  users,        ///< USER or USER:GROUP; the shell knows
};
struct Completes {
  Kind kind = Kind::nothing;
  std::vector<std::string> words = {};  ///< Kind::words
  bool list = false;                    ///< several of them, with commas between
};

/// What completes a flag's value. Nullptr: nobody has said, which a test takes for an error.
const Completes* completes_flag(std::string_view flag);
/// What completes the value of a setting, by its TOML name.
Completes completes_setting(std::string_view key);
/// What completes the next word of a command, after those in `call.words`.
Completes completes_word(const Invocation& call);
/// The flags and the commands of which somebody has said so.
const std::vector<std::string_view>& completed_flags();
const std::vector<std::string_view>& completed_commands();

/// Names and numbers from the settings and the store that the line is about. None, without a word
/// about it, where they cannot be had; the store is only looked at.
std::vector<Candidate> names_of(Kind kind, const Invocation& call);
/// "Europe/Berlin" and so on.
std::vector<Candidate> zone_names();
/// Keys of settings, with "=".
std::vector<Candidate> setting_keys();

/// The answer to `schedctl __complete SHELL WORD...`: a candidate a line, "WORD" or
/// "WORD<tab>NOTE"; before them, where the shell knows more, a line ":KIND SETTLED" (see
/// completions/).
std::string complete(const std::vector<std::string>& argv);

}  // namespace schedctl::cli
