// Strings are written so that people can read them: 'literal' where quotes or backslashes would
// have to be escaped, '''over several lines''' for scripts, "basic" for everything else.
#include "schedctl/config/job_writer.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <string_view>

#include "schedctl/base/text.hpp"

namespace schedctl::config {
namespace {

using Kind = JobKey::Kind;

/// Longer lists and tables go over several lines.
constexpr std::size_t kColumns = 96;
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::array<std::string_view, 3> kRetryKeys{"max_attempts", "backoff", "max_delay"};
constexpr std::string_view kRetryPrefix = "retry.";
constexpr std::string_view kEnvPrefix = "env.";

// --- letters -----------------------------------------------------------------------------------

/// The character that begins at `at`, and its length; nothing for bytes that are no UTF-8.
struct Letter {
  char32_t code = 0;
  std::size_t size = 1;
};

std::optional<Letter> letter_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  if (first < 0x80) return Letter{first, 1};
  const std::size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || at + size > text.size()) return std::nullopt;
  char32_t code = first & (0xFFU >> (size + 1));
  for (std::size_t i = at + 1; i < at + size; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return std::nullopt;
    code = (code << 6U) | (byte(i) & 0x3FU);
  }
  constexpr std::array<char32_t, 5> kLowest{0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (code < kLowest[size] || code > 0x10FFFF || surrogate) return std::nullopt;
  return Letter{code, size};
}

bool is_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::optional<Letter> letter = letter_at(text, at);
    if (!letter) return false;
    at += letter->size;
  }
  return true;
}

/// Those that TOML wants escaped, those that do things to a terminal, and those that cannot be
/// seen but change what is (the marks of writing direction, U+2028, the byte order mark).
bool is_control(char32_t code) {
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || (code >= 0x200B && code <= 0x200F) ||
         (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069) || code == 0xFEFF;
}

bool has_control(std::string_view text, std::string_view except) {
  for (std::size_t at = 0; at < text.size();) {
    const std::optional<Letter> letter = letter_at(text, at);
    if (!letter) return true;
    const bool excepted = letter->size == 1 && except.find(text[at]) != std::string_view::npos;
    if (is_control(letter->code) && !excepted) return true;
    at += letter->size;
  }
  return false;
}

// --- values ------------------------------------------------------------------------------------

std::string escaped(char32_t code) {
  switch (code) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\n':
      return "\\n";
    case '\t':
      return "\\t";
    case '\r':
      return "\\r";
    default:
      break;
  }
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), code > 0xFFFF ? "\\U%08X" : "\\u%04X",
                static_cast<unsigned>(code));
  return text.data();
}

std::string basic_string(std::string_view text) {
  std::string out = "\"";
  for (std::size_t at = 0; at < text.size();) {
    const std::optional<Letter> letter = letter_at(text, at);
    if (!letter) {
      out += kReplacement;
      ++at;
      continue;
    }
    if (letter->code == '"' || letter->code == '\\' || is_control(letter->code))
      out += escaped(letter->code);
    else
      out += text.substr(at, letter->size);
    at += letter->size;
  }
  return out + '"';
}

std::string string_value(std::string_view text) {
  const bool escapes = text.find_first_of("\"\\") != std::string_view::npos;
  const bool literal = text.find('\'') == std::string_view::npos && !has_control(text, "");
  if (escapes && literal) return "'" + std::string(text) + "'";
  return basic_string(text);
}

/// A script of several lines as its author knows it.
std::string script_value(std::string_view text) {
  const bool lines = text.find('\n') != std::string_view::npos;
  const bool literal = text.find("'''") == std::string_view::npos && !text.ends_with('\'') &&
                       !has_control(text, "\n\t");
  if (lines && literal) return "'''\n" + std::string(text) + "'''";
  return string_value(text);
}

std::string list_value(const std::vector<std::string>& words) {
  std::string out = "[";
  for (const std::string& word : words) out += (out.size() > 1 ? ", " : "") + string_value(word);
  return out + "]";
}

std::string list_lines(const std::vector<std::string>& words) {
  std::string out = "[\n";
  for (const std::string& word : words) out += "  " + string_value(word) + ",\n";
  return out + "]";
}

// --- keys --------------------------------------------------------------------------------------

std::string moment_text(Time t, const job::Zone& zone) {
  std::string utc = format_rfc3339(t);
  const std::string local = job::format_local(t, zone);
  // "2026-03-29T03:00:00+02:00": those of other years, and of local mean times, are longer.
  constexpr std::size_t kUsual = 25;
  const bool usual = local.size() == kUsual && local.front() != '-' && !local.starts_with("0000");
  if (!usual || zone.offset(t) == std::chrono::seconds(0)) return utc;
  const std::size_t point = utc.find('.');
  const std::string fraction =
      point == std::string::npos ? "" : utc.substr(point, utc.size() - point - 1);
  return local.substr(0, 19) + fraction + local.substr(19);
}

/// Gathers the keys, leaving out what says nothing.
class Keys {
 public:
  void text(std::string key, std::string value) {
    keys_.push_back(
        {.key = std::move(key), .kind = Kind::text, .text = std::move(value), .list = {}});
  }
  void flag(std::string key) {
    keys_.push_back({.key = std::move(key), .kind = Kind::flag, .text = "true", .list = {}});
  }
  void list(std::string key, const std::vector<std::string>& words) {
    if (words.empty()) return;
    keys_.push_back({.key = std::move(key), .kind = Kind::list, .text = {}, .list = words});
  }
  /// A setting: a number if it is one.
  void setting(std::string key, std::string value) {
    const std::optional<std::int64_t> parsed = parse_int(value);
    // Digits that are no number to TOML stay text: 022.
    const bool number = parsed && std::to_string(*parsed) == value;
    const bool flag = value == "true" || value == "false";
    keys_.push_back({.key = std::move(key),
                     .kind = number ? Kind::number
                             : flag ? Kind::flag
                                    : Kind::text,
                     .text = std::move(value),
                     .list = {}});
  }

  std::vector<JobKey> take() { return std::move(keys_); }

 private:
  std::vector<JobKey> keys_;
};

void put_schedule(Keys& keys, const job::Schedule& schedule, const job::Zone& zone) {
  switch (schedule.kind) {
    case job::ScheduleKind::every:
      keys.text("every", format_duration(schedule.every));
      keys.text("anchor", moment_text(schedule.anchor, zone));
      break;
    case job::ScheduleKind::cron:
      keys.text("cron", schedule.cron);
      if (schedule.weeks > 1) {
        keys.setting("weeks", std::to_string(schedule.weeks));
        keys.text("anchor", format_date(schedule.week_anchor));
      }
      break;
    case job::ScheduleKind::at:
      keys.text("at", moment_text(schedule.at, zone));
      break;
    case job::ScheduleKind::reboot:
      keys.flag("on_reboot");
      break;
    case job::ScheduleKind::manual:
      keys.flag("manual");
      break;
  }
  if (!schedule.timezone.empty()) keys.text("timezone", schedule.timezone);
  if (schedule.dst_gap != job::DstGap::shift)
    keys.text("dst_gap", std::string(job::to_string(schedule.dst_gap)));
  if (schedule.dst_fold != job::DstFold::first)
    keys.text("dst_fold", std::string(job::to_string(schedule.dst_fold)));
  if (schedule.not_before) keys.text("not_before", moment_text(*schedule.not_before, zone));
  if (schedule.until) keys.text("until", moment_text(*schedule.until, zone));
  keys.list("only", schedule.only);
  keys.list("exclude", schedule.exclude);
  if (schedule.on_excluded != job::OnExcluded::skip)
    keys.text("on_excluded", std::string(job::to_string(schedule.on_excluded)));
}

/// Those about retries stand together.
void put_policy(Keys& keys, const job::PolicyDraft& policy) {
  const auto is_retry = [](const std::string& key) {
    return std::find(kRetryKeys.begin(), kRetryKeys.end(), key) != kRetryKeys.end();
  };
  for (const std::string& key : job::policy_keys()) {
    if (is_retry(key)) continue;
    if (auto value = job::policy_value(policy, key)) keys.setting(key, std::move(*value));
  }
  for (const std::string_view key : kRetryKeys) {
    if (auto value = job::policy_value(policy, key))
      keys.setting(std::string(kRetryPrefix).append(key), std::move(*value));
  }
}

// --- the table ---------------------------------------------------------------------------------

std::string value_over_lines(const JobKey& key) {
  if (key.key == "shell") return script_value(key.text);
  if (key.kind != Kind::list) return toml_value(key);
  std::string line = list_value(key.list);
  return key.key.size() + line.size() < kColumns ? line : list_lines(key.list);
}

std::string assignment(std::string_view key, const std::string& value) {
  return std::string(key) + " = " + value;
}

/// The keys with this prefix, which the others stand before.
struct Group {
  std::vector<std::string> assignments;
  void put(const JobKey& key, std::size_t prefix) {
    assignments.push_back(assignment(std::string_view(key.key).substr(prefix), toml_value(key)));
  }
  std::string inline_table() const {
    std::string out;
    for (const std::string& one : assignments) out += (out.empty() ? "{ " : ", ") + one;
    return out + " }";
  }
};

bool is_bare(std::string_view name) {
  return name.find('.') == std::string_view::npos;
}

Result<void> check_utf8(const std::string& name, const JobKey& key) {
  const bool good = is_utf8(key.text) && std::all_of(key.list.begin(), key.list.end(), is_utf8);
  if (good) return {};
  return fail(ErrorKind::failed,
              "job " + name + " cannot be written to a job file: its " + key.key +
                  " has bytes that are no UTF-8, and TOML holds nothing else",
              key.key);
}

}  // namespace

std::vector<JobKey> job_keys(const job::Definition& definition, const job::Zone& zone) {
  Keys keys;
  put_schedule(keys, definition.schedule, zone);
  keys.list("command", definition.action.command);
  if (!definition.action.shell.empty()) keys.text("shell", definition.action.shell);
  if (!definition.cwd.empty()) keys.text("cwd", definition.cwd);
  keys.list("tags", definition.tags);
  put_policy(keys, definition.policy);
  for (const auto& [name, value] : definition.env) keys.text(std::string(kEnvPrefix) + name, value);
  return keys.take();
}

std::string toml_value(const JobKey& key) {
  switch (key.kind) {
    case Kind::text:
      return string_value(key.text);
    case Kind::number:
    case Kind::flag:
      return key.text;
    case Kind::list:
      return list_value(key.list);
  }
  return {};
}

Result<std::string> job_text(const std::string& name, const job::Definition& definition,
                             const job::Zone& zone) {
  const std::string header = "job." + (is_bare(name) ? name : "\"" + name + "\"");
  std::string out = "[" + header + "]\n";
  Group retry, env;
  for (const JobKey& key : job_keys(definition, zone)) {
    TRY_VOID(check_utf8(name, key));
    if (key.key.starts_with(kRetryPrefix))
      retry.put(key, kRetryPrefix.size());
    else if (key.key.starts_with(kEnvPrefix))
      env.put(key, kEnvPrefix.size());
    else
      out += assignment(key.key, value_over_lines(key)) + "\n";
  }
  if (!retry.assignments.empty()) out += assignment("retry", retry.inline_table()) + "\n";
  if (env.assignments.empty()) return out;
  if (const std::string line = env.inline_table(); line.size() < kColumns)
    return out + assignment("env", line) + "\n";
  out += "[" + header + ".env]\n";
  for (const std::string& one : env.assignments) out += one + "\n";
  return out;
}

}  // namespace schedctl::config
