// The rules are those of load_env(), load_entry() and child_process() in Debian's cron 3.0pl1:
//   a line is blank, a comment (# first), NAME = VALUE, or fields [user] command
//   NAME and VALUE may each stand in quotes of one kind, in which nothing is escaped
//   in a command  \% is %, \\ is \ and the first other % ends it
//   in its input  \% is %, and another % is a newline; one is added at the end
// Where that cron would ignore a whole crontab (an error in it, no newline at its end), only the
// lines concerned are left out here.
#include "schedctl/config/crontab.hpp"

#include <algorithm>

#include "schedctl/base/text.hpp"

namespace schedctl::config {
namespace {

constexpr std::size_t kFields = 5;
/// What some editors put before the text.
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
/// What of a line is quoted in a message.
constexpr std::size_t kQuotedBytes = 60;

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}
bool is_space(char c) {
  return is_blank(c) || c == '\r' || c == '\v' || c == '\f';
}

std::string quoted(std::string_view text) {
  const std::string_view shown = utf8_prefix(text, kQuotedBytes);
  return "\"" + escape_control(shown) + (shown.size() < text.size() ? "..." : "") + "\"";
}

std::size_t skip_blanks(std::string_view text, std::size_t at) {
  while (at < text.size() && is_blank(text[at])) ++at;
  return at;
}
std::size_t skip_word(std::string_view text, std::size_t at) {
  while (at < text.size() && !is_blank(text[at])) ++at;
  return at;
}

struct Setting {
  std::string name;
  std::string value;
};

/// The quoted or bare NAME at the front; `at` is left behind it. Nothing if the line is no setting.
std::optional<std::string> setting_name(std::string_view line, std::size_t& at) {
  const char quote = line[at] == '"' || line[at] == '\'' ? line[at] : '\0';
  if (quote != '\0') {
    const std::size_t end = line.find(quote, at + 1);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view name = line.substr(at + 1, end - at - 1);
    if (name.find('=') != std::string_view::npos) return std::nullopt;
    at = end + 1;
    return std::string(name);
  }
  const std::size_t begin = at;
  while (at < line.size() && line[at] != '=' && !is_space(line[at])) ++at;
  return std::string(line.substr(begin, at - begin));
}

/// `line` has no leading blanks. Nothing if it is no setting.
std::optional<Setting> read_setting(std::string_view line) {
  std::size_t at = 0;
  std::optional<std::string> name = setting_name(line, at);
  if (!name) return std::nullopt;
  while (at < line.size() && is_space(line[at])) ++at;
  if (at == line.size() || line[at] != '=') return std::nullopt;
  ++at;
  while (at < line.size() && is_space(line[at])) ++at;
  std::string_view value = line.substr(at);
  while (!value.empty() && is_space(value.back())) value.remove_suffix(1);
  if (value.empty() || (value.front() != '"' && value.front() != '\''))
    return Setting{std::move(*name), std::string(value)};
  // In quotes: nothing may follow the second one, and it may be missing in no case.
  const std::size_t end = value.find(value.front(), 1);
  if (end == std::string_view::npos || end + 1 != value.size()) return std::nullopt;
  return Setting{std::move(*name), std::string(value.substr(1, end - 1))};
}

/// Parts a command from its input, and resolves the escapes of both.
void split_command(std::string_view text, CrontabEntry& entry) {
  std::size_t at = 0;
  bool had_two_backslashes = false;
  for (; at < text.size() && text[at] != '%'; ++at) {
    if (text[at] == '\\' && at + 1 < text.size()) {
      const char next = text[++at];
      had_two_backslashes |= next == '\\';
      if (next != '%' && next != '\\') entry.command += '\\';
      entry.command += next;
    } else {
      entry.command += text[at];
    }
  }
  if (had_two_backslashes)
    entry.notes.emplace_back(
        "two backslashes in a row are read as one, as Debian's cron does; cronie keeps both");
  if (at == text.size()) return;
  for (++at; at < text.size(); ++at) {
    const bool escape = text[at] == '\\' && at + 1 < text.size() && text[at + 1] == '%';
    if (escape) ++at;
    entry.input += text[at] == '%' && !escape ? '\n' : text[at];
  }
  if (!entry.input.empty() && entry.input.back() != '\n') entry.input += '\n';
}

class Reader {
 public:
  explicit Reader(bool system) : system_(system) {}

  Crontab read(std::string_view text) {
    if (text.starts_with(kByteOrderMark)) {
      text.remove_prefix(kByteOrderMark.size());
      line_ = 1;
      note(1, "the byte order mark at the beginning is left out");
      line_ = 0;
    }
    while (!text.empty()) {
      if (line_++ == kCrontabLines) {
        refuse(1, "this line and those after it are not read: a crontab has at most " +
                      std::to_string(kCrontabLines) + " lines");
        break;
      }
      const std::size_t end = std::min(text.find('\n'), text.size());
      read_line(text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    return std::move(out_);
  }

 private:
  void refuse(std::size_t column, std::string message) {
    out_.unread.push_back({line_, column, std::move(message)});
  }
  void note(std::size_t column, std::string message) {
    out_.notes.push_back({line_, column, std::move(message)});
  }

  void read_line(std::string_view line) {
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
      if (!had_cr_) note(line.size() + 1, "the carriage returns at the ends of lines are left out");
      had_cr_ = true;
    }
    const std::size_t begin = skip_blanks(line, 0);
    if (begin == line.size() || line[begin] == '#') return;
    if (line.size() > kCrontabLineBytes) {
      return refuse(kCrontabLineBytes + 1, "the line has " + std::to_string(line.size()) +
                                               " bytes; at most " +
                                               std::to_string(kCrontabLineBytes) +
                                               " are read: put the command into a script");
    }
    if (const std::size_t nul = line.find('\0'); nul != std::string_view::npos)
      return refuse(nul + 1, "there is a NUL byte in the line; is this a crontab?");
    if (std::optional<Setting> setting = read_setting(line.substr(begin)))
      return take_setting(begin, std::move(*setting));
    read_entry(line, begin);
  }

  void take_setting(std::size_t begin, Setting setting) {
    if (setting.name.empty()) return refuse(begin + 1, "the variable has no name");
    if (setting.name == "LOGNAME") {
      return note(begin + 1,
                  "LOGNAME is not taken over: it is the user's name, whatever a crontab says");
    }
    const auto known = std::find_if(variables_.begin(), variables_.end(),
                                    [&](const auto& one) { return one.first == setting.name; });
    if (known != variables_.end())
      known->second = std::move(setting.value);
    else
      variables_.emplace_back(std::move(setting.name), std::move(setting.value));
  }

  void read_entry(std::string_view line, std::size_t begin) {
    CrontabEntry entry;
    entry.line = line_;
    entry.variables = variables_;
    std::size_t at = begin;
    if (line[at] == '-') {
      // As cronie and SUSE's cron have it.
      entry.notes.emplace_back(
          "a leading - keeps cron from logging; schedctl has a row of every run");
      ++at;
    }
    entry.column = at + 1;
    const std::size_t fields = at < line.size() && line[at] == '@' ? 1 : kFields;
    for (std::size_t field = 0; field < fields; ++field) {
      const std::size_t end = skip_word(line, at);
      if (at == end) return refuse(at + 1, too_short(line.substr(begin), field));
      if (field > 0) entry.schedule += ' ';
      entry.schedule += line.substr(at, end - at);
      at = skip_blanks(line, end);
    }
    if (at < line.size() && line[at] == '*') return refuse(at + 1, six_fields(entry));
    if (system_) {
      const std::size_t end = skip_word(line, at);
      entry.user = line.substr(at, end - at);
      at = skip_blanks(line, end);
    }
    if (at == line.size()) return refuse(at + 1, nothing_to_run(entry));
    if (line[at] == '*') return refuse(at + 1, six_fields(entry));
    if (!system_ && line.substr(at, skip_word(line, at) - at) == "root")
      return refuse(at + 1,
                    "the command begins with \"root\", as in a system crontab, which is "
                    "read with --system");
    split_command(line.substr(at), entry);
    if (entry.command.find_first_not_of(" \t") == std::string::npos)
      return refuse(at + 1, "there is no command before the %");
    out_.entries.push_back(std::move(entry));
  }

  static std::string too_short(std::string_view line, std::size_t found) {
    const std::size_t equals = line.find('=');
    if (equals < line.find_first_of(" \t"))
      return quoted(line) +
             " sets no variable: a value that begins with a quote ends with the next";
    return quoted(line) +
           " is neither NAME=VALUE nor a schedule and a command: " + std::to_string(found) +
           " of the five fields minute, hour, day of month, month and " + "day of week are there";
  }

  std::string nothing_to_run(const CrontabEntry& entry) const {
    if (!system_) return "there is no command after the schedule " + quoted(entry.schedule);
    if (entry.user.empty()) return "user and command are missing after the schedule";
    std::string message = "there is no command after the user's name " + quoted(entry.user);
    if (entry.user.find('/') != std::string::npos)
      message += ", which is none: a user's crontab, without names, is read without --system";
    return message;
  }

  static std::string six_fields(const CrontabEntry& entry) {
    return "after " + quoted(entry.schedule) +
           " there is one field too many: the schedule of a crontab has five";
  }

  const bool system_;
  Crontab out_;
  std::size_t line_ = 0;
  bool had_cr_ = false;
  std::vector<std::pair<std::string, std::string>> variables_;
};

}  // namespace

Crontab read_crontab(std::string_view text, bool system) {
  return Reader(system).read(text);
}

}  // namespace schedctl::config
