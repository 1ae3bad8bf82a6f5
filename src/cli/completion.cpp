#include "src/cli/completion.hpp"

#include <algorithm>
#include <exception>

#include "src/cli/output.hpp"

// `schedctl completion SHELL` prints that shell's script; `schedctl __complete SHELL WORD...` is
// what the script asks.

namespace schedctl::cli {
namespace {

constexpr std::string_view kStorePrefix = "sqlite:";

/// What can stand at the cursor.
struct Answer {
  std::string asks;     ///< ":files" and the like: what the shell itself is to look for
  std::string settled;  ///< what of the word belongs to none of the candidates
  std::vector<Candidate> candidates = {};
};

std::vector<Candidate> plain(const std::vector<std::string>& words) {
  std::vector<Candidate> candidates;
  candidates.reserve(words.size());
  for (const std::string& word : words) candidates.push_back({word});
  return candidates;
}

std::vector<Candidate> command_names() {
  std::vector<Candidate> names;
  for (const Command& command : commands())
    if (!command.group.empty())
      names.push_back({std::string(command.name), std::string(command.summary)});
  return names;
}

/// Flags that may still be given. A letter is offered where nothing but a dash is typed.
std::vector<Candidate> flags_of(const Unfinished& line) {
  std::vector<Candidate> flags;
  const Command* command = line.call.command;
  std::vector<Option> options =
      command == nullptr ? std::vector<Option>{} : std::vector<Option>(command->options);
  options.insert(options.end(), global_options().begin(), global_options().end());
  for (const Option& option : options) {
    if (!option.repeatable && line.call.has(option.name)) continue;
    const std::string note(option.help);
    flags.push_back({"--" + std::string(option.name), note});
    if (option.letter != 0 && line.word == "-")
      flags.push_back({std::string("-") + option.letter, note});
  }
  if (command != nullptr && command->takes_argv)
    flags.push_back({"--", "what follows is the command to run"});
  return flags;
}

Answer users_of(const std::string& word) {
  const std::size_t colon = word.find(':');
  if (colon == std::string::npos) return {.asks = ":users", .settled = {}};
  return {.asks = ":groups", .settled = word.substr(0, colon + 1)};
}

Answer store_of(const std::string& word) {
  if (word.starts_with(kStorePrefix))
    return {.asks = ":files", .settled = std::string(kStorePrefix)};
  return {.asks = {}, .settled = {}, .candidates = {{std::string(kStorePrefix), "a file"}}};
}

Answer answer_of(const Completes& completes, const Unfinished& line);

/// KEY=VALUE
Answer setting_of(const Unfinished& line) {
  const std::size_t equals = line.word.find('=');
  if (equals == std::string::npos) return {.asks = {}, .settled = {}, .candidates = setting_keys()};
  const std::string key = line.word.substr(0, equals);
  Unfinished value = line;
  value.word = line.word.substr(equals + 1);
  Answer answer = answer_of(completes_setting(key), value);
  answer.settled.insert(0, key + "=");
  return answer;
}

/// The names, without those that are on the line already.
std::vector<Candidate> names_for(Kind kind, const Unfinished& line) {
  std::vector<Candidate> names = names_of(kind, line.call);
  const std::vector<std::string>& words = line.call.words;
  if (line.awaiting == nullptr)
    std::erase_if(names, [&](const Candidate& candidate) {
      return std::find(words.begin(), words.end(), candidate.word) != words.end();
    });
  // A number needs no "#", which has to be quoted.
  const bool is_number = !line.word.empty() && line.word[0] >= '0' && line.word[0] <= '9';
  if (is_number)
    for (Candidate& candidate : names)
      if (candidate.word[0] == '#') candidate.word.erase(0, 1);
  return names;
}

Answer answer_of(const Completes& completes, const Unfinished& line) {
  Answer answer;
  switch (completes.kind) {
    case Kind::nothing:
      return answer;
    case Kind::words:
      answer.candidates = plain(completes.words);
      break;
    case Kind::groups:
      answer.candidates = names_of(completes.kind, line.call);
      if (line.call.has("user")) answer.asks = ":groups";
      break;
    case Kind::jobs:
    case Kind::paused_jobs:
    case Kind::living:
    case Kind::open_alerts:
    case Kind::tags:
    case Kind::calendars:
      answer.candidates = names_for(completes.kind, line);
      break;
    case Kind::zones:
      answer.candidates = zone_names();
      break;
    case Kind::settings:
      return setting_of(line);
    case Kind::store:
      return store_of(line.word);
    case Kind::commands:
      answer.candidates = command_names();
      break;
    case Kind::files:
      answer.asks = ":files";
      return answer;
    case Kind::directories:
      answer.asks = ":directories";
      return answer;
    case Kind::users:
      return users_of(line.word);
  }
  const std::size_t comma = line.word.rfind(',');
  if (completes.list && comma != std::string::npos) answer.settled = line.word.substr(0, comma + 1);
  return answer;
}

Answer look(const Unfinished& line) {
  const Command* command = line.call.command;
  if (line.after_dashes && command != nullptr && command->takes_argv)
    return {.asks = ":command", .settled = {}};
  Answer answer;
  if (line.awaiting != nullptr) {
    const Completes* completes = completes_flag(line.awaiting->name);
    if (completes != nullptr) answer = answer_of(*completes, line);
    answer.settled.insert(0, line.before);
    return answer;
  }
  if (!line.after_dashes && line.word.starts_with('-')) {
    const bool is_command = command != nullptr || line.call.words.empty();
    if (is_command) answer.candidates = flags_of(line);
    return answer;
  }
  return answer_of(completes_word(line.call), line);
}

/// zsh and fish have ways of their own to match what is typed; bash gets only what begins with it.
std::string text_of(const Answer& answer, const Unfinished& line, bool for_bash) {
  std::string text;
  if (!answer.asks.empty()) text = answer.asks + " " + answer.settled + "\n";
  const std::string typed = line.before + line.word;
  for (const Candidate& candidate : answer.candidates) {
    const std::string word = answer.settled + candidate.word;
    if (for_bash && !word.starts_with(typed)) continue;
    text += word;
    if (!for_bash && !candidate.note.empty()) text += "\t" + candidate.note;
    text += '\n';
  }
  return text;
}

}  // namespace

std::string complete(const std::vector<std::string>& argv) {
  // Program, __complete, shell, and at least the word at the cursor.
  if (argv.size() < 4) return {};
  try {
    const Unfinished line = read_unfinished({argv.begin() + 3, argv.end()});
    return text_of(look(line), line, argv[2] == "bash");
  } catch (const std::exception&) {
    // Whoever presses Tab wants no message, least of all in the middle of a line.
    return {};
  }
}

}  // namespace schedctl::cli
