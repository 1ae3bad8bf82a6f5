// A job's name is what people would call the line: after the first command in it that is not there
// to test, prepare or wrap. `cd / && run-parts --report /etc/cron.daily` is run-parts-cron.daily,
// `test -x /usr/bin/certbot && perl -e 'sleep 9' && certbot -q renew` is certbot.
#include <algorithm>
#include <array>

#include "schedctl/config/crontab.hpp"
#include "src/config/shell_words.hpp"

namespace schedctl::config {
namespace {

/// Leaves room in a name of 128 for the file's name and a number.
constexpr std::size_t kNameBytes = 60;

using Words = std::vector<std::string>;

template <std::size_t N>
bool is_one_of(std::string_view word, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// Commands that prepare for another one.
bool prepares(std::string_view program) {
  static constexpr auto kWords = std::to_array<std::string_view>(
      {"test",   "[",      "[[",  "cd",     "true",   "false", ":",      "exit",  "echo",
       "printf", "sleep",  "set", "unset",  "export", "umask", "ulimit", "which", "type",
       "date",   "logger", ".",   "source", "mkdir",  "cat",   "grep",   "egrep", "kill",
       "trap",   "read",   "for", "case",   "wait",   "return"});
  return is_one_of(program, kWords);
}

/// Commands whose words after the options are another command.
bool wraps(std::string_view program) {
  static constexpr auto kWords = std::to_array<std::string_view>(
      {"nice",   "ionice",  "chrt",        "nohup",   "sudo",    "doas",    "env",
       "time",   "timeout", "exec",        "flock",   "setsid",  "chronic", "eval",
       "stdbuf", "command", "systemd-cat", "setlock", "taskset", "cronic",  "systemd-run"});
  return is_one_of(program, kWords);
}

bool interprets(std::string_view program) {
  static constexpr auto kWords =
      std::to_array<std::string_view>({"sh", "bash", "dash", "ksh", "zsh", "fish", "perl", "php",
                                       "ruby", "node", "java", "rscript", "lua", "tclsh"});
  return is_one_of(program, kWords) || program.starts_with("python") || program.starts_with("php");
}

std::string base_name(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return std::string(path.substr(path.rfind('/') + 1));
}

/// Options, and the numbers, assignments and lock files that wrappers take.
std::size_t skip_wrapping(const Words& words, std::size_t at, std::string_view wrapper) {
  bool lock = wrapper == "flock" || wrapper == "setlock";
  for (; at < words.size(); ++at) {
    const std::string& word = words[at];
    const bool number = !word.empty() && word[0] >= '0' && word[0] <= '9';
    if (word.starts_with('-') || number || word.find('=') != std::string::npos) continue;
    if (!lock) break;
    lock = false;
  }
  return at;
}

struct Subject {
  std::string name;
  bool weak = false;  ///< only if the line has no better one
};

/// What an interpreter runs: a script, a module; or a program in the line, which has no name.
Subject script_of(const Words& words, std::size_t at) {
  const std::string interpreter = base_name(words[at]);
  while (++at < words.size()) {
    const std::string& word = words[at];
    if (word == "-m" && at + 1 < words.size()) return {words[at + 1]};
    if (word == "-c" || word == "-e" || word == "-r") return {interpreter, true};
    if (word == "-jar" || word == "-f" || !word.starts_with('-')) {
      if (word.starts_with('-')) continue;
      return {base_name(word)};
    }
  }
  return {interpreter};
}

Subject subject_of(const Words& words) {
  std::size_t at = 0;
  while (at < words.size() && wraps(base_name(words[at]))) {
    const std::string wrapper = base_name(words[at]);
    const bool only_asks = wrapper == "command" && at + 1 < words.size() && words[at + 1] == "-v";
    const std::size_t next = skip_wrapping(words, at + 1, wrapper);
    if (only_asks || next >= words.size()) return {wrapper, true};
    at = next;
  }
  const std::string program = base_name(words[at]);
  if (prepares(program)) return {program, true};
  if (interprets(program)) return script_of(words, at);
  if (program != "run-parts") return {program};
  for (++at; at < words.size(); ++at)
    if (!words[at].starts_with('-')) return {program + "-" + base_name(words[at])};
  return {program};
}

/// Only what a job's name may have: "$HOME/bin/a b" is "a-b".
std::string cleaned(std::string_view text) {
  std::string name;
  for (const char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter || (!name.empty() && (c == '.' || c == '_' || c == '-')))
      name += c;
    else if (!name.empty() && name.back() != '-')
      name += '-';
    if (name.size() == kNameBytes) break;
  }
  while (!name.empty() && (name.back() == '-' || name.back() == '.')) name.pop_back();
  return name;
}

}  // namespace

std::string crontab_job_name(const CrontabEntry& entry) {
  std::string weak;
  for (const Words& words : simple_commands(entry.command)) {
    const Subject subject = subject_of(words);
    std::string name = cleaned(subject.name);
    if (name.empty()) continue;
    if (!subject.weak) return name;
    if (weak.empty()) weak = std::move(name);
  }
  return weak.empty() ? "job" : weak;
}

}  // namespace schedctl::config
