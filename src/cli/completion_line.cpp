#include <cstdlib>

#include "src/cli/completion.hpp"

// Reading a line that is not finished: nothing may be taken for granted, nothing is an error.

namespace schedctl::cli {
namespace {

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// The value of the variable whose name, with or without braces, `text` begins with; `text` loses
/// it. A dollar sign before anything else is itself.
std::string variable(std::string_view& text) {
  const bool braces = text.starts_with('{');
  std::size_t end = braces ? 1 : 0;
  while (end < text.size() && is_name(text[end])) ++end;
  const std::string name(text.substr(braces ? 1 : 0, end - (braces ? 1 : 0)));
  if (name.empty() || (braces && (end == text.size() || text[end] != '}'))) return "$";
  text.remove_prefix(end + (braces ? 1 : 0));
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? "" : value;
}

const Option* find(const std::vector<Option>& options, std::string_view name) {
  for (const Option& option : options)
    if (option.name == name) return &option;
  return nullptr;
}

const Option* find_letter(const std::vector<Option>& options, char letter) {
  for (const Option& option : options)
    if (option.letter == letter) return &option;
  return nullptr;
}

class Reader {
 public:
  explicit Reader(Unfinished& line) : line_(line), call_(line.call) {}

  /// A word before the cursor.
  void take(const std::string& word) {
    if (word == "--" && !line_.after_dashes) {
      line_.after_dashes = true;
      line_.awaiting = nullptr;
    } else if (line_.awaiting != nullptr) {
      add(*line_.awaiting, word);
      line_.awaiting = nullptr;
    } else if (line_.after_dashes || word.size() < 2 || word[0] != '-') {
      take_plain(word);
    } else if (word[1] == '-') {
      take_flag(word.substr(2));
    } else {
      take_letters(std::string_view(word).substr(1));
    }
  }

  /// The word at the cursor.
  void take_last(const std::string& word) {
    line_.word = word;
    const std::size_t equals = word.find('=');
    if (line_.awaiting != nullptr || line_.after_dashes || !word.starts_with("--") ||
        equals == std::string::npos)
      return;
    const Option* option = known(word.substr(2, equals - 2));
    if (option == nullptr || option->value.empty()) return;
    line_.awaiting = option;
    line_.before = word.substr(0, equals + 1);
    line_.word = word.substr(equals + 1);
  }

 private:
  const Option* known(std::string_view name) const {
    const Option* option = find(global_options(), name);
    return option == nullptr && call_.command != nullptr ? find(call_.command->options, name)
                                                         : option;
  }

  void take_plain(const std::string& word) {
    if (call_.command == nullptr && call_.words.empty()) {
      call_.command = find_command(word);
      if (call_.command != nullptr) return;
    }
    // Without a command: one that is none, of which nothing follows.
    call_.words.push_back(word);
  }

  void take_flag(const std::string& flag) {
    const std::size_t equals = flag.find('=');
    const Option* option = known(flag.substr(0, equals));
    if (option == nullptr) return;
    if (option->value.empty())
      add(*option, "");
    else if (equals != std::string::npos)
      add(*option, flag.substr(equals + 1));
    else
      line_.awaiting = option;
  }

  void take_letters(std::string_view letters) {
    while (!letters.empty()) {
      const Option* option = find_letter(global_options(), letters[0]);
      if (option == nullptr && call_.command != nullptr)
        option = find_letter(call_.command->options, letters[0]);
      letters.remove_prefix(1);
      if (option == nullptr) return;
      if (option->value.empty()) {
        add(*option, "");
        continue;
      }
      if (letters.empty())
        line_.awaiting = option;
      else
        add(*option, std::string(letters));
      return;
    }
  }

  void add(const Option& option, const std::string& value) {
    call_.options[std::string(option.name)].push_back(value);
  }

  Unfinished& line_;
  Invocation& call_;
};

void take_globals(Invocation& call) {
  Globals& globals = call.globals;
  globals.config = call.value("config");
  globals.store = call.value("store");
  globals.own = call.has("own");
  globals.quiet = true;
  for (const std::string& pair : call.values("set")) {
    const std::size_t equals = pair.find('=');
    if (equals != std::string::npos && equals > 0)
      globals.set.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
  }
}

}  // namespace

std::string unquoted(std::string_view word) {
  std::string out;
  if (word.starts_with("~/") && std::getenv("HOME") != nullptr) {
    out = std::getenv("HOME");
    word.remove_prefix(1);
  }
  char quote = 0;
  while (!word.empty()) {
    const char c = word[0];
    word.remove_prefix(1);
    const bool escapes =
        quote == 0 || (quote == '"' && !word.empty() &&
                       std::string_view("\\\"$`").find(word[0]) != std::string_view::npos);
    if (c == quote) {
      quote = 0;
    } else if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == '\\' && quote != '\'' && escapes) {
      if (!word.empty()) {
        out += word[0];
        word.remove_prefix(1);
      }
    } else if (c == '$' && quote != '\'') {
      out += variable(word);
    } else {
      out += c;
    }
  }
  return out;
}

Unfinished read_unfinished(const std::vector<std::string>& words) {
  Unfinished line;
  Reader reader(line);
  for (std::size_t i = 0; i + 1 < words.size(); ++i) reader.take(unquoted(words[i]));
  reader.take_last(words.empty() ? "" : unquoted(words.back()));
  take_globals(line.call);
  return line;
}

}  // namespace schedctl::cli
