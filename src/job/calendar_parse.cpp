// The two small languages in which calendars are written. Whoever keeps a list of holidays makes
// slips in it, so each refusal says which part it means and what was expected there.
#include <algorithm>

#include "schedctl/base/text.hpp"
#include "schedctl/job/calendar.hpp"

namespace schedctl::job {
namespace {

using std::chrono::hours;
using std::chrono::local_days;
using std::chrono::minutes;
using std::chrono::month_day;
using std::chrono::seconds;

/// No such text is longer; one that is, is shown cut.
constexpr std::size_t kTextBytes = 128;
constexpr seconds kDay = hours{24};

constexpr std::array<std::string_view, 7> kDays{"monday", "tuesday",  "wednesday", "thursday",
                                                "friday", "saturday", "sunday"};

std::string quoted(std::string_view text) {
  return "'" + escape_control(utf8_prefix(text, kTextBytes)) + "'";
}

tl::unexpected<Error> no_date(std::string_view text, std::string_view why) {
  return fail(ErrorKind::usage, quoted(text) + " is no date of a calendar: " + std::string(why));
}

tl::unexpected<Error> no_window(std::string_view text, const std::string& why) {
  return fail(ErrorKind::usage, quoted(text) + " is no weekly window: " + why);
}

/// A number of exactly so many digits.
std::optional<int> number(std::string_view text, std::size_t digits) {
  if (text.size() != digits) return std::nullopt;
  int n = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    n = n * 10 + (c - '0');
  }
  return n;
}

/// One end of a span: with a year, or without.
struct End {
  std::optional<local_days> date;
  month_day day{std::chrono::January, std::chrono::day{1}};
};

Result<End> read_end(std::string_view text, std::string_view whole) {
  constexpr std::string_view kExpected =
      "expected 2026-12-25, or 12-25 for every year, or two of them with .. between";
  const std::size_t with_year = text.size() == 10 ? 5 : 0;
  if (text.size() != with_year + 5 || text[with_year + 2] != '-' ||
      (with_year != 0 && text[4] != '-')) {
    return no_date(whole, kExpected);
  }
  const auto month = number(text.substr(with_year, 2), 2);
  const auto day = number(text.substr(with_year + 3, 2), 2);
  const auto year = with_year != 0 ? number(text.substr(0, 4), 4) : std::optional<int>(2000);
  if (!month || !day || !year) return no_date(whole, kExpected);
  const std::chrono::year_month_day date{std::chrono::year{*year},
                                         std::chrono::month{static_cast<unsigned>(*month)},
                                         std::chrono::day{static_cast<unsigned>(*day)}};
  // A yearly date is measured by a leap year.
  if (!date.ok()) return no_date(whole, "there is no " + std::string(text));
  End end{.date = {}, .day = {date.month(), date.day()}};
  if (with_year != 0) end.date = local_days{date};
  return end;
}

/// 0 is Monday.
std::optional<std::size_t> read_day(std::string_view text) {
  const std::string word = lowered(text);
  for (std::size_t i = 0; i < kDays.size(); ++i) {
    if (word == kDays[i] || word == kDays[i].substr(0, 3)) return i;
  }
  return std::nullopt;
}

/// "mon-fri,sun"; a range may go over the end of the week.
Result<std::array<bool, 7>> read_days(std::string_view text, std::string_view whole) {
  std::array<bool, 7> days{};
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view part = trimmed(text.substr(0, comma));
    const std::size_t dash = part.find('-');
    const std::string_view first = trimmed(part.substr(0, dash));
    const std::string_view last =
        dash == std::string_view::npos ? first : trimmed(part.substr(dash + 1));
    for (const std::string_view word : {first, last}) {
      if (read_day(word)) continue;
      return no_window(whole, (word.empty() ? "a day is missing" : quoted(word) + " is no day") +
                                  "; the days are mon tue wed thu fri sat sun");
    }
    for (std::size_t day = *read_day(first);; day = (day + 1) % 7) {
      days[day] = true;
      if (day == *read_day(last)) break;
    }
    if (comma == std::string_view::npos) return days;
    text.remove_prefix(comma + 1);
  }
}

/// "09:00", "9:00", "09:00:30", "24:00"
std::optional<seconds> read_time(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || colon > 2) return std::nullopt;
  const auto hour = number(text.substr(0, colon), colon);
  const std::string_view rest = text.substr(colon + 1);
  if (rest.size() != 2 && (rest.size() != 5 || rest[2] != ':')) return std::nullopt;
  const auto minute = number(rest.substr(0, 2), 2);
  const auto second = rest.size() == 5 ? number(rest.substr(3), 2) : std::optional<int>(0);
  if (!hour || !minute || !second || *minute > 59 || *second > 59) return std::nullopt;
  const seconds time = hours{*hour} + minutes{*minute} + seconds{*second};
  return time <= kDay ? std::optional(time) : std::nullopt;
}

/// "09:00-17:00"
Result<WeeklyWindow> read_times(std::string_view text, std::string_view whole) {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) {
    return no_window(whole, quoted(text) + " should be two times, such as 09:00-17:00");
  }
  WeeklyWindow window;
  for (auto& [word, into] : {std::pair(trimmed(text.substr(0, dash)), &window.from),
                             std::pair(trimmed(text.substr(dash + 1)), &window.to)}) {
    const std::optional<seconds> time = read_time(word);
    if (!time) {
      return no_window(whole, (word.empty() ? "a time is missing" : quoted(word) + " is no time") +
                                  "; expected one from 00:00 to 24:00");
    }
    *into = *time;
  }
  if (window.from == window.to || window.from == kDay) {
    return no_window(whole, quoted(text) + " is empty; for whole days leave the times out");
  }
  if (window.to < window.from) window.to += kDay;
  return window;
}

bool names_a_day(std::string_view text) {
  return !text.empty() && std::isalpha(static_cast<unsigned char>(text.front())) != 0;
}

}  // namespace

Result<DateSpan> parse_date_span(std::string_view text) {
  const std::string_view whole = trimmed(text);
  const std::size_t dots = whole.find("..");
  const std::string_view left = trimmed(whole.substr(0, dots));
  const std::string_view right =
      dots == std::string_view::npos ? left : trimmed(whole.substr(dots + 2));
  TRY(const End first, read_end(left, whole));
  TRY(const End last, read_end(right, whole));
  if (first.date.has_value() != last.date.has_value()) {
    return no_date(whole, "both ends need a year, or neither of them");
  }
  if (!first.date) return DateSpan{.yearly = DateSpan::Yearly{first.day, last.day}};
  if (*last.date < *first.date) {
    return no_date(whole, std::string(right) + " lies before " + std::string(left));
  }
  return DateSpan{.once = DateSpan::Once{*first.date, *last.date}};
}

Result<std::vector<WeeklyWindow>> parse_weekly_windows(std::string_view text) {
  const std::string_view whole = trimmed(text);
  if (whole.empty()) {
    return no_window(whole, "expected days, times, or both, such as mon-fri 09:00-17:00");
  }
  // The days end where the first digit of a time begins.
  const std::size_t digit = std::min(whole.find_first_of("0123456789"), whole.size());
  const std::string_view day_part = trimmed(whole.substr(0, digit));
  std::string_view times = whole.substr(digit);
  std::array<bool, 7> days{true, true, true, true, true, true, true};
  if (!day_part.empty() || times.empty()) {
    if (!names_a_day(day_part)) {
      return no_window(whole, "expected days, times, or both, such as mon-fri 09:00-17:00");
    }
    TRY(days, read_days(day_part, whole));
  }
  if (times.empty()) return std::vector<WeeklyWindow>{{days, seconds{0}, kDay}};
  std::vector<WeeklyWindow> windows;
  while (true) {
    const std::size_t comma = times.find(',');
    TRY(WeeklyWindow window, read_times(trimmed(times.substr(0, comma)), whole));
    window.days = days;
    windows.push_back(window);
    if (comma == std::string_view::npos) return windows;
    times.remove_prefix(comma + 1);
  }
}

}  // namespace schedctl::job
