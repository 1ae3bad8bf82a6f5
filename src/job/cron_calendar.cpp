// Which readings of the wall clock an expression matches. Everything is a bit set: a month's
// matching days are one 32-bit word made from the month's length and its first weekday, so a search
// costs a few instructions a month, and a count needs no walk over fires.
#include <algorithm>
#include <bit>

#include "schedctl/base/limits.hpp"
#include "src/job/cron.hpp"

namespace schedctl::job {
namespace {

using std::chrono::day;
using std::chrono::days;
using std::chrono::local_days;
using std::chrono::month;
using std::chrono::seconds;
using std::chrono::year;
using std::chrono::year_month_day;

constexpr int kDaySeconds = 86'400;

struct MonthShape {
  unsigned length = 31;
  unsigned first_weekday = 0;  ///< 0 is Sunday
};

unsigned length_of(int y, unsigned m) {
  constexpr std::array<unsigned, 13> kLengths{0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return m == 2 && year{y}.is_leap() ? 29 : kLengths[m];
}

MonthShape shape_of(int y, unsigned m) {
  const local_days first{year_month_day{year{y}, month{m}, day{1}}};
  return {length_of(y, m), std::chrono::weekday{first}.c_encoding()};
}

/// Bit d-1 for each day of the month.
std::uint32_t days_in(MonthShape shape) {
  return 0xffffffffU >> (32 - shape.length);
}

/// The day of the month, 1 to 31, of the weekday nearest to day `d` in the same month.
unsigned nearest_weekday(unsigned d, MonthShape shape) {
  const unsigned weekday = (shape.first_weekday + d - 1) % 7;
  if (weekday == 6) return d == 1 ? 3 : d - 1;
  if (weekday == 0) return d == shape.length ? d - 2 : d + 1;
  return d;
}

/// Bit d-1 for each day of the month whose weekday is in `set`.
std::uint32_t days_on_weekdays(std::uint32_t set, MonthShape shape) {
  const std::uint32_t week =
      ((set >> shape.first_weekday) | (set << (7 - shape.first_weekday))) & 0x7f;
  return week | week << 7 | week << 14 | week << 21 | week << 28;
}

/// Bit d-1 for each day of the month that lies in a week which counts.
std::uint32_t days_in_weeks(const CronExpr& e, local_days first_of_month) {
  const local_days monday =
      e.week_anchor - (std::chrono::weekday{e.week_anchor} - std::chrono::Monday);
  const int period = 7 * e.weeks;
  // How far the month's first day is into its period; never negative.
  const auto gone = static_cast<int>((first_of_month - monday).count() % period);
  const int into = gone < 0 ? gone + period : gone;
  std::uint32_t out = 0;
  for (int start = -into; start < 31; start += period) {
    for (int d = std::max(start, 0); d < std::min(start + 7, 31); ++d) out |= 1U << d;
  }
  return out;
}

std::uint32_t days_by_date(const CronExpr& e, MonthShape shape) {
  std::uint32_t out = e.day_set;
  for (std::uint32_t left = e.from_end; left != 0; left &= left - 1) {
    const auto k = static_cast<unsigned>(std::countr_zero(left));
    if (k < shape.length) out |= 1U << (shape.length - 1 - k);
  }
  for (std::uint32_t left = e.weekday_near; left != 0; left &= left - 1) {
    const auto d = static_cast<unsigned>(std::countr_zero(left)) + 1;
    if (d <= shape.length) out |= 1U << (nearest_weekday(d, shape) - 1);
  }
  if (e.last_working_day) out |= 1U << (nearest_weekday(shape.length, shape) - 1);
  return out;
}

std::uint32_t days_by_weekday(const CronExpr& e, MonthShape shape) {
  std::uint32_t out = days_on_weekdays(e.weekday_set, shape);
  for (unsigned week = 0; week < e.nth_weekday_set.size(); ++week) {
    if (e.nth_weekday_set[week] == 0) continue;
    out |= days_on_weekdays(e.nth_weekday_set[week], shape) & (0x7fU << (7 * week));
  }
  if (e.last_weekday_set != 0) {
    const std::uint32_t all = days_in(shape);
    out |= days_on_weekdays(e.last_weekday_set, shape) & all & ~(all >> 7);
  }
  return out;
}

/// Days since 1970 of a year's month's first day, and walking from month to month.
struct MonthCursor {
  int y = 0;
  unsigned m = 1;
  explicit MonthCursor(year_month_day date)
      : y(static_cast<int>(date.year())), m(static_cast<unsigned>(date.month())) {}
  void next() {
    if (++m == 13) m = 1, ++y;
  }
  void previous() {
    if (--m == 0) m = 12, --y;
  }
  local_days date(unsigned d) const {
    return local_days{year_month_day{year{y}, month{m}, day{d}}};
  }
};

/// Set bits from `from` on.
template <class Word>
Word from_bit(Word set, int from) {
  return static_cast<Word>(set >> from << from);
}

/// Set bits below `to`.
template <class Word>
Word below_bit(Word set, int to) {
  return static_cast<Word>(set & ((Word{1} << to) - 1));
}

template <class Word>
int highest(Word set) {
  return static_cast<int>(std::bit_width(set)) - 1;
}

/// The first matching second of the day at or after `sod`; -1 if none.
int first_second_of_day(const CronExpr& e, int sod) {
  int h = sod / 3600, m = sod / 60 % 60;
  const int s = sod % 60;
  if ((e.hour_set >> h & 1) != 0) {
    if ((e.minute_set >> m & 1) != 0) {
      if (const auto later = from_bit(e.second_set, s))
        return h * 3600 + m * 60 + std::countr_zero(later);
    }
    const auto later = from_bit(e.minute_set, m + 1);
    if (later != 0) return h * 3600 + std::countr_zero(later) * 60 + std::countr_zero(e.second_set);
  }
  const auto later = from_bit(e.hour_set, h + 1);
  if (later == 0) return -1;
  return std::countr_zero(later) * 3600 + std::countr_zero(e.minute_set) * 60 +
         std::countr_zero(e.second_set);
}

/// The last matching second of the day before `sod`; -1 if none.
int last_second_of_day(const CronExpr& e, int sod) {
  if (sod == kDaySeconds) {
    return highest(e.hour_set) * 3600 + highest(e.minute_set) * 60 + highest(e.second_set);
  }
  const int h = sod / 3600, m = sod / 60 % 60, s = sod % 60;
  if ((e.hour_set >> h & 1) != 0) {
    if ((e.minute_set >> m & 1) != 0) {
      if (const auto earlier = below_bit(e.second_set, s))
        return h * 3600 + m * 60 + highest(earlier);
    }
    const auto earlier = below_bit(e.minute_set, m);
    if (earlier != 0) return h * 3600 + highest(earlier) * 60 + highest(e.second_set);
  }
  const auto earlier = below_bit(e.hour_set, h);
  if (earlier == 0) return -1;
  return highest(earlier) * 3600 + highest(e.minute_set) * 60 + highest(e.second_set);
}

/// How many matching seconds a matching day has before `sod`.
std::int64_t seconds_of_day_before(const CronExpr& e, int sod) {
  const int h = sod / 3600, m = sod / 60 % 60, s = sod % 60;
  const std::int64_t a_minute = std::popcount(e.second_set);
  const std::int64_t an_hour = std::popcount(e.minute_set) * a_minute;
  std::int64_t n = std::popcount(below_bit(e.hour_set, h)) * an_hour;
  if (h < 24 && (e.hour_set >> h & 1) != 0) {
    n += std::popcount(below_bit(e.minute_set, m)) * a_minute;
    if ((e.minute_set >> m & 1) != 0) n += std::popcount(below_bit(e.second_set, s));
  }
  return n;
}

struct Reading {
  local_days date;
  int sod = 0;
};

Reading split(CivilTime t) {
  const local_days date = std::chrono::floor<days>(t);
  return {date, static_cast<int>((t - date).count())};
}

constexpr CivilTime start_of_year(int y) {
  return local_days{year_month_day{year{y}, month{1}, day{1}}};
}

bool date_matches(const CronExpr& e, local_days date) {
  const year_month_day ymd{date};
  const auto d = static_cast<unsigned>(ymd.day());
  const auto m = static_cast<unsigned>(ymd.month());
  return (e.days_of(static_cast<int>(ymd.year()), m) >> (d - 1) & 1) != 0;
}

/// How many dates before `end`, from `begin` on, match.
std::int64_t count_dates(const CronExpr& e, local_days begin, local_days end) {
  std::int64_t n = 0;
  const year_month_day first{begin};
  auto from = static_cast<int>(static_cast<unsigned>(first.day())) - 1;
  for (MonthCursor at{first}; at.date(1) < end; at.next(), from = 0) {
    std::uint32_t set = from_bit(e.days_of(at.y, at.m), from);
    const auto left = (end - at.date(1)).count();
    if (left < 31) set = below_bit(set, static_cast<int>(left));
    n += std::popcount(set);
  }
  return n;
}

}  // namespace

std::uint32_t CronExpr::days_of(int y, unsigned m) const {
  if ((month_set >> m & 1) == 0) return 0;
  const MonthShape shape = shape_of(y, m);
  const std::uint32_t by_date = days_by_date(*this, shape);
  const std::uint32_t by_weekday = days_by_weekday(*this, shape);
  const std::uint32_t set = both_days ? by_date & by_weekday : by_date | by_weekday;
  if (weeks == 1) return set & days_in(shape);
  const local_days first{year_month_day{year{y}, month{m}, day{1}}};
  return set & days_in(shape) & days_in_weeks(*this, first);
}

bool CronExpr::matches(CivilTime t) const {
  const auto [date, sod] = split(t);
  return (hour_set >> (sod / 3600) & 1) != 0 && (minute_set >> (sod / 60 % 60) & 1) != 0 &&
         (second_set >> (sod % 60) & 1) != 0 && date_matches(*this, date);
}

std::optional<CivilTime> CronExpr::first_from(CivilTime t) const {
  t = std::max(t, start_of_year(kFirstYear));
  if (t >= start_of_year(kLastYear + 1)) return std::nullopt;
  const auto [date, sod] = split(t);
  const year_month_day ymd{date};
  MonthCursor at{ymd};
  auto from = static_cast<int>(static_cast<unsigned>(ymd.day())) - 1;
  std::uint32_t set = from_bit(days_of(at.y, at.m), from);
  if ((set >> from & 1) != 0) {
    const int second = first_second_of_day(*this, sod);
    if (second >= 0) return CivilTime{date} + seconds{second};
    set &= set - 1;
  }
  const int last_year =
      std::min(kLastYear, at.y + static_cast<int>(limits::kSearchHorizon.count()));
  while (set == 0) {
    at.next();
    if (at.y > last_year) return std::nullopt;
    set = days_of(at.y, at.m);
  }
  const auto d = static_cast<unsigned>(std::countr_zero(set)) + 1;
  return CivilTime{at.date(d)} + seconds{first_second_of_day(*this, 0)};
}

std::optional<CivilTime> CronExpr::last_before(CivilTime t, CivilTime floor) const {
  floor = std::max(floor, start_of_year(kFirstYear));
  t = std::min(t, start_of_year(kLastYear + 1));
  if (t <= floor) return std::nullopt;
  const auto [date, sod] = split(t);
  if (sod > 0 && date_matches(*this, date)) {
    const int second = last_second_of_day(*this, sod);
    if (second >= 0) {
      const CivilTime found = CivilTime{date} + seconds{second};
      return found >= floor ? std::optional(found) : std::nullopt;
    }
  }
  const year_month_day ymd{date};
  MonthCursor at{ymd};
  std::uint32_t set =
      below_bit(days_of(at.y, at.m), static_cast<int>(static_cast<unsigned>(ymd.day())) - 1);
  while (set == 0) {
    if (CivilTime{at.date(1)} <= floor) return std::nullopt;
    at.previous();
    set = days_of(at.y, at.m);
  }
  const CivilTime found = CivilTime{at.date(static_cast<unsigned>(highest(set)) + 1)} +
                          seconds{last_second_of_day(*this, kDaySeconds)};
  return found >= floor ? std::optional(found) : std::nullopt;
}

std::int64_t CronExpr::count(CivilTime from, CivilTime to) const {
  from = std::max(from, start_of_year(kFirstYear));
  to = std::min(to, start_of_year(kLastYear + 1));
  if (from >= to) return 0;
  const auto [first, first_sod] = split(from);
  const auto [last, last_sod] = split(to);
  std::int64_t n = count_dates(*this, first, last) * seconds_of_day_before(*this, kDaySeconds);
  if (date_matches(*this, first)) n -= seconds_of_day_before(*this, first_sod);
  if (last_sod > 0 && date_matches(*this, last)) n += seconds_of_day_before(*this, last_sod);
  return n;
}

bool CronExpr::can_fire() const {
  // 28 years without a century in between show every month with every length and first weekday.
  for (int y = 2000; y < 2028; ++y) {
    for (unsigned m = 1; m <= 12; ++m) {
      if (days_of(y, m) != 0) return true;
    }
  }
  return false;
}

}  // namespace schedctl::job
