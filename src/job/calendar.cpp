// A calendar is three sets laid over one another: days of one year, days of every year, and
// stretches of the week. Each can say where it next begins or ends in a few steps; the borders of
// their union follow from going from one to the other.
#include "schedctl/job/calendar.hpp"

#include <algorithm>

#include "schedctl/base/limits.hpp"
#include "schedctl/base/text.hpp"
#include "schedctl/job/job.hpp"

namespace schedctl::job {
namespace {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::local_days;
using std::chrono::seconds;

constexpr seconds kDay = days{1};
constexpr seconds kWeek = days{7};
constexpr std::size_t kDaysOfYear = 366;
/// The place of 29 February.
constexpr std::size_t kLeapDay = 59;
/// The calendar repeats itself after 400 years, weekdays included.
constexpr std::int64_t kEraDays = 146'097;
/// 29 February comes back within eight years, 1896 to 1904.
constexpr int kLongestWait = 8 * 366 + 1;

std::size_t place_in_leap_year(std::chrono::month_day day) {
  const std::chrono::sys_days date{std::chrono::year{2000} / day.month() / day.day()};
  return static_cast<std::size_t>(
      (date - std::chrono::sys_days{std::chrono::year{2000} / 1 / 1}).count());
}

/// A day as yearly dates see it; goes on from day to day.
struct YearDay {
  explicit YearDay(local_days day) {
    // chrono's years end long before Time's do.
    std::int64_t in_era = day.time_since_epoch().count() % kEraDays;
    if (in_era < 0) in_era += kEraDays;
    const std::chrono::year_month_day date{local_days{days{in_era}}};
    year = date.year();
    place = place_in_leap_year({date.month(), date.day()});
  }
  void go_on() {
    ++place;
    if (place == kLeapDay && !year.is_leap()) ++place;
    if (place < kDaysOfYear) return;
    place = 0;
    ++year;
  }

  std::chrono::year year{};
  std::size_t place = 0;
};

/// In order and apart from each other.
template <class T>
void normalise(std::vector<std::pair<T, T>>& spans) {
  std::sort(spans.begin(), spans.end());
  std::vector<std::pair<T, T>> merged;
  for (const auto& [begin, end] : spans) {
    if (!merged.empty() && begin <= merged.back().second) {
      merged.back().second = std::max(merged.back().second, end);
    } else {
      merged.emplace_back(begin, end);
    }
  }
  spans = std::move(merged);
}

/// The first span that ends after `at`: the only one that may contain it, or the next one.
template <class T>
typename std::vector<std::pair<T, T>>::const_iterator after(
    const std::vector<std::pair<T, T>>& spans, T at) {
  return std::upper_bound(spans.begin(), spans.end(), at,
                          [](T value, const std::pair<T, T>& span) { return value < span.second; });
}

template <class T>
bool is_in(const std::vector<std::pair<T, T>>& spans, T at) {
  const auto span = after(spans, at);
  return span != spans.end() && span->first <= at;
}

/// As TOML wants it: a name with dots is quoted.
std::string header_of(const std::string& name) {
  if (!check_calendar_name(name)) return "[calendars.NAME]";
  const std::string quote = name.find('.') == std::string::npos ? "" : "\"";
  return "[calendars." + quote + name + quote + "]";
}

/// Monday 00:00 of the reading's week.
CivilTime week_of(CivilTime reading) {
  constexpr local_days kMonday{days{4}};  // 1970-01-05
  return kMonday + floor<std::chrono::weeks>(reading - kMonday);
}

}  // namespace

Calendar::Calendar(const std::vector<DateSpan>& dates, const std::vector<WeeklyWindow>& windows,
                   std::string timezone)
    : timezone_(std::move(timezone)) {
  for (const DateSpan& span : dates) {
    if (span.once) days_.emplace_back(span.once->first, span.once->last + days{1});
    if (!span.yearly) continue;
    const std::size_t last = place_in_leap_year(span.yearly->last);
    for (std::size_t place = place_in_leap_year(span.yearly->first);;
         place = (place + 1) % kDaysOfYear) {
      yearly_.set(place);
      if (place == last) break;
    }
  }
  normalise(days_);
  for (const WeeklyWindow& window : windows) {
    for (std::size_t day = 0; day < window.days.size(); ++day) {
      if (!window.days[day]) continue;
      const seconds begin = kDay * static_cast<int>(day) + window.from;
      const seconds end = kDay * static_cast<int>(day) + window.to;
      week_.emplace_back(begin, std::min(end, kWeek));
      if (end > kWeek) week_.emplace_back(seconds{0}, end - kWeek);
    }
  }
  normalise(week_);
}

std::uint64_t Calendar::fingerprint() const {
  std::string text = timezone_ + "/" + yearly_.to_string();
  for (const auto& [begin, end] : days_) {
    text += "/" + std::to_string(begin.time_since_epoch().count()) + "-" +
            std::to_string(end.time_since_epoch().count());
  }
  for (const auto& [begin, end] : week_) {
    text += "/" + std::to_string(begin.count()) + "+" + std::to_string(end.count());
  }
  return stable_hash(text);
}

bool Calendar::contains(CivilTime reading) const {
  if (!week_.empty() && is_in(week_, reading - week_of(reading))) return true;
  return is_listed(floor<days>(reading));
}

std::optional<CivilTime> Calendar::next_border(CivilTime reading) const {
  const auto end_of_window = [this](CivilTime at) -> std::optional<CivilTime> {
    const CivilTime week = week_of(at);
    const auto window = after(week_, at - week);
    if (window == week_.end() || week + window->first > at) return std::nullopt;
    return week + window->second;
  };
  const Days day = floor<days>(reading);
  if (!is_listed(day) && !end_of_window(reading)) {
    std::optional<CivilTime> begin = next_listed(day + days{1});
    if (!week_.empty()) {
      const CivilTime week = week_of(reading);
      const auto window = after(week_, reading - week);
      const CivilTime opens =
          window != week_.end() ? week + window->first : week + kWeek + week_.front().first;
      begin = std::min(begin.value_or(opens), opens);
    }
    return begin && *begin - reading <= limits::kSearchHorizon ? begin : std::nullopt;
  }
  if (!week_.empty() && week_.front() == std::pair(seconds{0}, kWeek)) return std::nullopt;
  CivilTime end = reading;
  while (end - reading <= limits::kSearchHorizon) {
    if (is_listed(floor<days>(end))) {
      const std::optional<Days> unlisted = next_unlisted(floor<days>(end));
      if (!unlisted) return std::nullopt;
      end = *unlisted;
    } else if (const auto later = end_of_window(end)) {
      end = *later;
    } else {
      return end;
    }
  }
  return std::nullopt;
}

bool Calendar::is_listed(Days day) const {
  if (is_in(days_, day)) return true;
  return yearly_.any() && yearly_.test(YearDay(day).place);
}

/// The first listed day from `day` on.
std::optional<Calendar::Days> Calendar::next_listed(Days day) const {
  std::optional<Days> next = next_yearly(day, true);
  if (const auto span = after(days_, day); span != days_.end()) {
    const Days listed = std::max(day, span->first);
    next = std::min(next.value_or(listed), listed);
  }
  return next;
}

std::optional<Calendar::Days> Calendar::next_unlisted(Days day) const {
  while (true) {
    if (is_in(days_, day)) {
      day = after(days_, day)->second;
      continue;
    }
    const std::optional<Days> next = next_yearly(day, false);
    if (!next || *next == day) return next;
    day = *next;
  }
}

/// The first day from `day` on that is, or is not, one of the days of every year.
std::optional<Calendar::Days> Calendar::next_yearly(Days day, bool wanted) const {
  if (yearly_.none()) return wanted ? std::nullopt : std::optional(day);
  YearDay at(day);
  for (int i = 0; i < kLongestWait; ++i, ++day, at.go_on()) {
    if (yearly_.test(at.place) == wanted) return day;
  }
  return std::nullopt;
}

bool same_calendars(const Calendars& a, const Calendars& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && *x.second == *y.second;
  });
}

Result<CalendarSource::Found> CalendarSource::find(const std::string& name,
                                                   const ZonePtr& job_zone) const {
  const auto found = calendars_.find(name);
  if (found == calendars_.end()) {
    std::vector<std::string> names;
    for (const auto& [known, unused] : calendars_) names.push_back(known);
    std::string message = "there is no calendar '" + escape_control(name) + "'";
    if (const auto near = nearest(name, names)) {
      message += "; did you mean " + *near + "?";
    } else {
      message += "; define it in schedctl.toml as " + header_of(name) +
                 " with dates = [...] or weekly = [...], and reload";
    }
    return fail(ErrorKind::usage, std::move(message));
  }
  const std::string& timezone = found->second->timezone();
  if (timezone.empty()) return Found{found->second, job_zone};
  Result<ZonePtr> zone = zones_.find(timezone);
  if (!zone) {
    return fail(ErrorKind::usage, "calendar " + name + ": " + zone.error().message);
  }
  return Found{found->second, std::move(*zone)};
}

Result<void> check_calendar_name(std::string_view name) {
  if (check_name(name)) return {};
  return fail(ErrorKind::usage, "'" + escape_control(utf8_prefix(name, limits::kJobName)) +
                                    "' is no name for a calendar; a name is made of letters, "
                                    "digits, . _ and -, begins with a letter or digit and has at "
                                    "most " +
                                    std::to_string(limits::kJobName) + " characters");
}

}  // namespace schedctl::job
