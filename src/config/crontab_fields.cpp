#include "src/config/crontab_fields.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "schedctl/base/text.hpp"

namespace schedctl::config {
namespace {

constexpr auto kMonths = std::to_array<std::string_view>(
    {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"});
constexpr auto kWeekdays =
    std::to_array<std::string_view>({"sun", "mon", "tue", "wed", "thu", "fri", "sat"});

constexpr std::size_t kMonthField = 3;
constexpr std::size_t kWeekdayField = 4;
/// The highest value of each field that is no synonym of another.
constexpr std::array<std::int64_t, 5> kTops{59, 23, 31, 12, 6};

std::vector<std::string> parts_of(std::string_view text, std::string_view separators) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t end = text.find_first_of(separators);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

template <std::size_t N>
std::optional<std::int64_t> position(const std::array<std::string_view, N>& names,
                                     const std::string& word) {
  const auto found = std::find(names.begin(), names.end(), word);
  if (found == names.end()) return std::nullopt;
  return found - names.begin();
}

/// The value of a number or a name.
std::optional<std::int64_t> value_of(const std::string& word, std::size_t field) {
  if (field == kMonthField)
    if (const auto month = position(kMonths, word)) return *month + 1;
  if (field == kWeekdayField)
    if (const auto day = position(kWeekdays, word)) return day;
  if (word.empty() || word.find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  return parse_int(word);
}

/// One item of a list; nothing if cron does not know it.
std::optional<std::string> debian_item(const std::string& item, std::size_t field) {
  if (item == "?") return "*";
  const std::size_t slash = item.find('/');
  const std::string base = item.substr(0, slash);
  const std::string step = slash == std::string::npos ? "" : item.substr(slash);
  if (!step.empty() && !value_of(step.substr(1), 0)) return std::nullopt;
  if (base == "*") return item;
  const std::size_t dash = base.find('-');
  const std::optional<std::int64_t> low = value_of(base.substr(0, dash), field);
  if (!low) return std::nullopt;
  if (dash == std::string::npos) {
    if (step.empty()) return item;
    return std::to_string(*low) + "-" + std::to_string(std::max(*low, kTops[field])) + step;
  }
  const std::string last = base.substr(dash + 1);
  const std::optional<std::int64_t> high = value_of(last, field);
  if (!high) return std::nullopt;
  // "fri-sun": to cron sun is 0 also there, and the range empty.
  if (*high < *low && last == kWeekdays[0]) return std::to_string(*low) + "-7" + step;
  return item;
}

}  // namespace

Result<std::string> debian_fields(std::string_view expression) {
  const std::string text = lowered(expression);
  std::vector<std::string> fields = parts_of(text, " \t");
  std::erase(fields, "");
  if (fields.size() == 1) return fields[0];  // a macro
  const std::string shown = "\"" + escape_control(expression) + "\"";
  if (fields.size() == kTops.size() + 1) {
    if (fields[0].find_first_not_of('0') != std::string::npos)
      return fail(ErrorKind::usage, "has no seconds: " + shown);
    fields.erase(fields.begin());
  }
  if (fields.size() != kTops.size()) return fail(ErrorKind::usage, "does not know " + shown);
  std::string out;
  for (std::size_t field = 0; field < fields.size(); ++field) {
    if (field > 0) out += ' ';
    std::string separator;
    for (const std::string& item : parts_of(fields[field], ",")) {
      const std::optional<std::string> known = debian_item(item, field);
      if (!known)
        return fail(ErrorKind::usage, "does not know \"" + escape_control(item) + "\" in " + shown);
      out += separator + *known;
      separator = ",";
    }
  }
  return out;
}

}  // namespace schedctl::config
