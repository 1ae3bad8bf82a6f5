#include "src/config/shell_words.hpp"

#include <algorithm>
#include <array>

namespace schedctl::config {
namespace {

constexpr std::string_view kEscapedQuote = "'\\''";
/// Words that stand before a command without being one.
constexpr auto kReserved = std::to_array<std::string_view>(
    {"if", "then", "elif", "else", "fi", "while", "until", "do", "done", "!", "{", "}", "esac"});

bool is_plain(std::string_view word) {
  return !word.empty() && word.find_first_not_of(
                              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                              "@%+=:,./_-") == std::string_view::npos;
}

bool is_assignment(std::string_view word) {
  const std::size_t equals = word.find('=');
  if (equals == 0 || equals == std::string_view::npos) return false;
  return word.substr(0, equals).find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") ==
         std::string_view::npos;
}

/// Cuts a line up, one character at a time.
class Cutter {
 public:
  explicit Cutter(std::string_view line) : line_(line) {}

  std::vector<std::vector<std::string>> cut() {
    while (at_ < line_.size()) step();
    end_command();
    return std::move(commands_);
  }

 private:
  void step() {
    const char c = line_[at_];
    if (c == '\'' || c == '"') return quoted(c);
    ++at_;
    switch (c) {
      case '\\':
        if (at_ < line_.size()) add(line_[at_++]);
        return;
      case ' ':
      case '\t':
        return end_word();
      case '$':
        return expansion();
      case '<':
      case '>':
        return redirection();
      case '#':
        if (in_word_) return add(c);
        at_ = line_.size();
        return;
      case ';':
      case '&':
      case '|':
      case '\n':
      case '(':
      case ')':
      case '`':
        return end_command();
      default:
        return add(c);
    }
  }

  void add(char c) {
    word_ += c;
    in_word_ = true;
  }

  void quoted(char quote) {
    in_word_ = true;
    for (++at_; at_ < line_.size() && line_[at_] != quote; ++at_) {
      if (quote == '"' && line_[at_] == '\\' && at_ + 1 < line_.size()) ++at_;
      word_ += line_[at_];
    }
    if (at_ < line_.size()) ++at_;
  }

  /// `$(...)` and `${...}` are parts of a word, whatever stands in them.
  void expansion() {
    add('$');
    if (at_ == line_.size() || (line_[at_] != '(' && line_[at_] != '{')) return;
    const char open = line_[at_];
    const char close = open == '(' ? ')' : '}';
    int depth = 0;
    while (at_ < line_.size()) {
      const char c = line_[at_++];
      add(c);
      if (c == open) ++depth;
      if (c == close && --depth == 0) return;
    }
  }

  /// `2>&1`, `>>file`, `< file`: neither the number before nor the word after is an argument.
  void redirection() {
    const bool numbered = in_word_ && word_.find_first_not_of("0123456789") == std::string::npos;
    if (numbered) drop_word();
    end_word();
    while (at_ < line_.size() && (line_[at_] == '>' || line_[at_] == '&' || line_[at_] == '<'))
      ++at_;
    while (at_ < line_.size() && (line_[at_] == ' ' || line_[at_] == '\t')) ++at_;
    skip_ = true;
  }

  void drop_word() {
    word_.clear();
    in_word_ = false;
  }

  void end_word() {
    if (!in_word_) return;
    const bool leads = command_.empty();
    const bool dropped =
        skip_ || (leads && (is_assignment(word_) || std::find(kReserved.begin(), kReserved.end(),
                                                              word_) != kReserved.end()));
    if (!dropped) command_.push_back(word_);
    skip_ = false;
    drop_word();
  }

  void end_command() {
    end_word();
    skip_ = false;
    if (!command_.empty()) commands_.push_back(std::move(command_));
    command_.clear();
  }

  std::string_view line_;
  std::size_t at_ = 0;
  std::string word_;
  bool in_word_ = false;  ///< also of an empty one, as in ''
  bool skip_ = false;     ///< the next word is a redirection's
  std::vector<std::string> command_;
  std::vector<std::vector<std::string>> commands_;
};

}  // namespace

std::string shell_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'')
      out += kEscapedQuote;
    else
      out += c;
  }
  return out + "'";
}

std::string shell_word(std::string_view text) {
  return is_plain(text) ? std::string(text) : shell_quoted(text);
}

std::optional<std::string> take_shell_quoted(std::string_view& text) {
  if (!text.starts_with('\'')) return std::nullopt;
  std::string word;
  std::string_view rest = text.substr(1);
  while (true) {
    const std::size_t end = rest.find('\'');
    if (end == std::string_view::npos) return std::nullopt;
    word += rest.substr(0, end);
    rest.remove_prefix(end);
    if (!rest.starts_with(kEscapedQuote)) break;
    word += '\'';
    rest.remove_prefix(kEscapedQuote.size());
  }
  text = rest.substr(1);
  return word;
}

std::vector<std::vector<std::string>> simple_commands(std::string_view line) {
  return Cutter(line).cut();
}

}  // namespace schedctl::config
