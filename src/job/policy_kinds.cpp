#include "policy_kinds.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "schedctl/base/bytes.hpp"
#include "schedctl/base/limits.hpp"
#include "schedctl/base/pattern.hpp"
#include "schedctl/base/signals.hpp"
#include "schedctl/base/text.hpp"
#include "schedctl/job/job.hpp"

namespace schedctl::job::kinds {
namespace {

std::string quoted(std::string_view text) {
  return "'" + escape_control(utf8_prefix(text, 128)) + "'";
}

tl::unexpected<Error> bad(std::string_view text, const std::string& why) {
  return fail(ErrorKind::usage, quoted(text) + why);
}

/// The daemon looks at a fire some milliseconds after its time, on a busy machine some hundred:
/// with less grace than this a job would be missed every time, or now and then.
constexpr Duration kShortestGrace = std::chrono::seconds(1);

/// So much of anything is no limit any more.
constexpr std::int64_t kMostOfACount = 1'000'000'000'000;

template <class Visit>
Result<void> for_each_part(std::string_view text, const Visit& visit) {
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    TRY_VOID(visit(trimmed(text.substr(begin, end - begin))));
    begin = end + 1;
  }
  return {};
}

bool is_account_name(std::string_view name) {
  const auto is_first = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  if (name.empty() || name.size() > 64 || !is_first(name.front())) return false;
  if (name.back() == '$') name.remove_suffix(1);
  return std::ranges::all_of(
      name, [&](char c) { return is_first(c) || (c >= '0' && c <= '9') || c == '-' || c == '.'; });
}

}  // namespace

Result<Duration> Length::parse(std::string_view text) {
  return parse_duration(text);
}

std::string Length::format(Duration value) {
  return format_duration(value);
}

Result<Duration> Grace::parse(std::string_view text) {
  TRY(const Duration value, parse_duration(text));
  if (value >= kShortestGrace) return value;
  return bad(text,
             " is too short: a fire is seen a little after its time, and would be missed; "
             "at least " +
                 format_duration(kShortestGrace));
}

Result<std::int64_t> parse_number(std::string_view text, std::int64_t low, std::int64_t high,
                                  std::string_view meaning_of_lowest) {
  const std::optional<std::int64_t> value = parse_int(text);
  if (value && *value >= low && *value <= high) return *value;
  return bad(text, " is not a number from " + std::to_string(low) + " to " + std::to_string(high) +
                       std::string(meaning_of_lowest));
}

Result<Overlap> OverlapWord::parse(std::string_view text) {
  if (const auto value = parse_overlap(text)) return *value;
  return bad(text, " is not an overlap policy; write skip, queue, replace or allow");
}

Result<Coalesce> CoalesceWord::parse(std::string_view text) {
  if (const auto value = parse_coalesce(text)) return *value;
  return bad(text, " is not one of latest, earliest, all");
}

Result<OnLost> OnLostWord::parse(std::string_view text) {
  if (const auto value = parse_on_lost(text)) return *value;
  return bad(text, " is not one of fail, retry");
}

Result<Output> OutputWord::parse(std::string_view text) {
  if (const auto value = parse_output(text)) return *value;
  return bad(text, " is not one of file, discard, log");
}

Result<bool> Flag::parse(std::string_view text) {
  if (text == "true" || text == "yes" || text == "1") return true;
  if (text == "false" || text == "no" || text == "0") return false;
  return bad(text, " is not one of true, false");
}

Result<std::vector<int>> ExitCodes::parse(std::string_view text) {
  std::vector<int> codes{0};
  TRY_VOID(for_each_part(text, [&](std::string_view word) -> Result<void> {
    const std::optional<std::int64_t> code = parse_int(word);
    if (!code || *code < 0 || *code > 255)
      return bad(word, " is not an exit code; write numbers from 0 to 255, such as 0,2");
    codes.push_back(static_cast<int>(*code));
    return {};
  }));
  std::ranges::sort(codes);
  codes.erase(std::unique(codes.begin(), codes.end()), codes.end());
  return codes;
}

std::string ExitCodes::format(const std::vector<int>& value) {
  std::string text;
  for (const int code : value) text += (text.empty() ? "" : ",") + std::to_string(code);
  return text;
}

Result<std::vector<std::string>> JobNames::parse(std::string_view text) {
  std::vector<std::string> names;
  if (trimmed(text).empty()) return names;
  TRY_VOID(for_each_part(text, [&](std::string_view word) -> Result<void> {
    Result<void> known = check_name(word);
    if (known && std::ranges::find(names, word) == names.end()) names.emplace_back(word);
    return known;
  }));
  if (names.size() <= limits::kMaxAfter) return names;
  return fail(ErrorKind::usage, "it names " + std::to_string(names.size()) + " jobs, and " +
                                    std::to_string(limits::kMaxAfter) + " are the most");
}

std::string JobNames::format(const std::vector<std::string>& value) {
  std::string text;
  for (const std::string& name : value) text += (text.empty() ? "" : ",") + name;
  return text;
}

Result<std::int64_t> Bytes::parse(std::string_view text) {
  if (text == kNone) return 0;
  return parse_bytes(text);
}

std::string Bytes::format(std::int64_t value) {
  return value == 0 ? std::string(kNone) : format_bytes(value);
}

Result<std::int64_t> ByteLimit::parse(std::string_view text) {
  if (text == kNone) return kNoLimit;
  return parse_bytes(text);
}

std::string ByteLimit::format(std::int64_t value) {
  return value == kNoLimit ? std::string(kNone) : format_bytes(value);
}

Result<std::int64_t> CountLimit::parse(std::string_view text) {
  if (text == kNone) return kNoLimit;
  const std::optional<std::int64_t> value = parse_int(text);
  if (value && *value >= 1 && *value <= kMostOfACount) return *value;
  return bad(text, " is not a number from 1 on, or none");
}

std::string CountLimit::format(std::int64_t value) {
  return value == kNoLimit ? std::string(kNone) : std::to_string(value);
}

Result<std::int64_t> SecondsLimit::parse(std::string_view text) {
  if (text == kNone) return kNoLimit;
  TRY(const Duration value, parse_duration(text));
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(value);
  if (whole == value && whole.count() >= 1) return whole.count();
  return bad(text, " is not a number of whole seconds; the kernel counts no others");
}

std::string SecondsLimit::format(std::int64_t value) {
  return value == kNoLimit ? std::string(kNone) : format_duration(std::chrono::seconds(value));
}

Result<std::int64_t> CpuLimit::parse(std::string_view text) {
  if (text == kNone) return kNoLimit;
  const bool percent = text.ends_with('%');
  const std::string_view number = percent ? text.substr(0, text.size() - 1) : text;
  double value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value,
                                            std::chars_format::fixed);
  const double whole = std::round(percent ? value : value * 100);
  if (error == std::errc{} && end == number.data() + number.size() && whole >= 1 && whole <= 1e6)
    return static_cast<std::int64_t>(whole);
  return bad(text, " is no share of a processor; write 50% or 1.5, or none");
}

std::string CpuLimit::format(std::int64_t value) {
  return value == kNoLimit ? std::string(kNone) : std::to_string(value) + "%";
}

Result<std::string> GroupName::parse(std::string_view text) {
  if (text.empty() || check_name(text)) return std::string(text);
  return bad(text, " is not the name of a group; it looks like the name of a job");
}

Result<std::string> UserName::parse(std::string_view text) {
  const std::size_t colon = text.find(':');
  const bool good = is_account_name(text.substr(0, colon)) &&
                    (colon == std::string_view::npos || is_account_name(text.substr(colon + 1)));
  if (text.empty() || good) return std::string(text);
  return bad(text, " is not a user; write its name, or NAME:GROUP, not a number");
}

Result<std::string> FilePath::parse(std::string_view text) {
  const bool has_nul = text.find('\0') != std::string_view::npos;
  if (text.empty() || (text.starts_with('/') && text.size() < 4096 && !has_nul))
    return std::string(text);
  return bad(text, " is not the absolute path of a file");
}

Result<std::string> InputText::parse(std::string_view text) {
  if (text.size() <= limits::kStdinText) return std::string(text);
  return fail(ErrorKind::usage, "it has " + std::to_string(text.size()) + " bytes, and " +
                                    std::to_string(limits::kStdinText) +
                                    " are the most; put it into a file (stdin_file)");
}

Result<std::string> IoClass::parse(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const bool has_level = name == "best-effort" || name == "realtime";
  const std::string_view level = colon == std::string_view::npos ? "4" : text.substr(colon + 1);
  const bool good_level = level.size() == 1 && level[0] >= '0' && level[0] <= '7';
  if (text.empty() || text == "idle") return std::string(text);
  if (has_level && good_level) return std::string(name) + ":" + std::string(level);
  return bad(text, " is not one of idle, best-effort:N, realtime:N with N from 0 to 7");
}

Result<std::string> Expression::parse(std::string_view text) {
  const std::string expression(text);
  if (!text.empty()) TRY_VOID(Pattern::compile(expression));
  return expression;
}

Result<int> FileMode::parse(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 8);
  if (error == std::errc{} && end == text.data() + text.size() && value >= 0 && value <= 0777)
    return value;
  return bad(text, " is not a file mode mask; write octal digits such as 027");
}

std::string FileMode::format(int value) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "%04o", static_cast<unsigned>(value));
  return text.data();
}

Result<int> Signal::parse(std::string_view text) {
  if (const auto number = parse_signal(text)) return *number;
  return bad(text, " is not a signal; write it like TERM, INT or QUIT");
}

std::string Signal::format(int value) {
  return signal_name(value);
}

}  // namespace schedctl::job::kinds
