// A schedule in words. The sets that an expression stands for decide, not its spelling: `*/60` and
// `0` read the same. What has no plain words is told field by field, as the user wrote it.
#include <bit>
#include <cstdio>
#include <string>
#include <vector>

#include "schedctl/job/schedule.hpp"
#include "src/job/cron.hpp"

namespace schedctl::job {
namespace {

/// Times of the day, or minutes of the hour, that are still listed.
constexpr int kListed = 6;

constexpr std::uint64_t kSixty = (std::uint64_t{1} << 60) - 1;
constexpr std::uint32_t kAllHours = (1U << 24) - 1;
constexpr std::uint32_t kAllDays = 0x7fffffff;
constexpr std::uint16_t kAllMonths = 0x1ffe;
constexpr std::uint8_t kAllWeekdays = 0x7f;

constexpr std::string_view kMonths[] = {"",        "January",  "February", "March",  "April",
                                        "May",     "June",     "July",     "August", "September",
                                        "October", "November", "December"};
constexpr std::string_view kWeekdays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                          "Thursday", "Friday", "Saturday"};
constexpr std::string_view kOrdinals[] = {"first", "second", "third", "fourth", "fifth"};

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += i + 1 == parts.size() ? " and " : ", ";
    out += parts[i];
  }
  return out;
}

std::vector<int> members(std::uint64_t set) {
  std::vector<int> out;
  for (; set != 0; set &= set - 1) out.push_back(std::countr_zero(set));
  return out;
}

std::string numbers(std::uint64_t set) {
  std::vector<std::string> parts;
  for (const int n : members(set)) parts.push_back(std::to_string(n));
  return joined(parts);
}

bool single(std::uint64_t set) {
  return std::has_single_bit(set);
}

/// Whether the set is an unbroken run of two or more.
bool unbroken(std::uint64_t set) {
  return std::popcount(set) > 1 && std::popcount(set + (set & -set)) <= 1;
}

/// n if the set is 0, n, 2n ... and comes round evenly at `size`; else 0.
int even_step(std::uint64_t set, int size) {
  const int n = std::popcount(set);
  if (n == 0 || size % n != 0) return 0;
  std::uint64_t expected = 0;
  for (int v = 0; v < size; v += size / n) expected |= std::uint64_t{1} << v;
  return set == expected ? size / n : 0;
}

std::string every(int n, const std::string& unit) {
  return n == 1 ? "every " + unit : "every " + std::to_string(n) + " " + unit + "s";
}

std::string clock(int hour, int minute) {
  char text[16];
  std::snprintf(text, sizeof text, "%02d:%02d", hour, minute);
  return text;
}

/// "02:30", or with seconds "02:30:15".
std::string clock(int hour, int minute, int second) {
  char text[16];
  std::snprintf(text, sizeof text, ":%02d", second);
  return clock(hour, minute) + (second == 0 ? "" : text);
}

/// The time of the day. `daily`: it is said as times of a day, so "every day" may follow.
struct TimeWords {
  std::string text;
  bool daily = false;
};

TimeWords times_of_day(const CronExpr& e) {
  std::vector<std::string> times;
  for (const int h : members(e.hour_set)) {
    for (const int m : members(e.minute_set)) {
      for (const int s : members(e.second_set)) times.push_back(clock(h, m, s));
    }
  }
  return {"at " + joined(times), true};
}

/// Schedules that fire in every minute of an hour set, by their seconds.
TimeWords by_second(const CronExpr& e) {
  if (e.minute_set != kSixty || e.hour_set != kAllHours) return {};
  if (const int step = even_step(e.second_set, 60)) return {every(step, "second")};
  return {};
}

TimeWords in_every_hour(const CronExpr& e) {
  if (const int step = even_step(e.minute_set, 60)) {
    return {step == 60 ? "every hour" : every(step, "minute")};
  }
  if (std::popcount(e.minute_set) > kListed) return {};
  return {(single(e.minute_set) ? "at minute " : "at minutes ") + numbers(e.minute_set) +
          " of every hour"};
}

TimeWords in_some_hours(const CronExpr& e) {
  const int first = std::countr_zero(e.hour_set);
  const int last = static_cast<int>(std::bit_width(e.hour_set)) - 1;
  if (single(e.minute_set)) {
    const int minute = std::countr_zero(e.minute_set);
    if (const int step = even_step(e.hour_set, 24)) {
      return {every(step, "hour") + " from " + clock(0, minute)};
    }
    if (unbroken(e.hour_set)) {
      return {"every hour from " + clock(first, minute) + " to " + clock(last, minute)};
    }
    return {};
  }
  const int step = even_step(e.minute_set, 60);
  if (step == 0 || (!unbroken(e.hour_set) && !single(e.hour_set))) return {};
  return {every(step, "minute") + " from " + clock(first, 0) + " to " + clock(last, 60 - step)};
}

/// Whether the times are better told by their rhythm than one by one.
bool rhythmic(const CronExpr& e) {
  constexpr int kBeats = 4;
  const bool by_minute = even_step(e.minute_set, 60) > 0 && std::popcount(e.minute_set) >= kBeats;
  const bool by_hour = even_step(e.hour_set, 24) > 0 && std::popcount(e.hour_set) >= kBeats;
  return e.second_set == 1 && (by_minute || by_hour);
}

/// Empty if there are no plain words.
TimeWords time_words(const CronExpr& e) {
  const int times =
      std::popcount(e.second_set) * std::popcount(e.minute_set) * std::popcount(e.hour_set);
  if (e.second_set == 1 && e.hour_set == kAllHours) return in_every_hour(e);
  if (times <= kListed && !rhythmic(e)) return times_of_day(e);
  if (e.second_set != 1) return by_second(e);
  return in_some_hours(e);
}

std::string weekdays(std::uint8_t set) {
  // The week begins on Monday for people.
  const auto from_monday = static_cast<std::uint8_t>(set >> 1 | (set & 1) << 6);
  std::vector<std::string> names;
  for (const int d : members(from_monday)) names.emplace_back(kWeekdays[(d + 1) % 7]);
  if (names.size() > 2 && unbroken(from_monday)) return names.front() + " to " + names.back();
  return joined(names);
}

std::string months(std::uint16_t set) {
  std::vector<std::string> names;
  for (const int m : members(set)) names.emplace_back(kMonths[m]);
  if (names.size() > 2 && unbroken(set)) return names.front() + " to " + names.back();
  return joined(names);
}

/// "day 1", "days 1 and 15", "the last day"; what the day of month field asks for.
std::string dates(const CronExpr& e) {
  std::vector<std::string> parts;
  if (e.day_set != 0) {
    const std::uint64_t days = std::uint64_t{e.day_set} << 1;
    const std::vector<int> all = members(days);
    const bool range = all.size() > 2 && unbroken(days);
    parts.push_back((all.size() == 1 ? "day " : "days ") +
                    (range ? std::to_string(all.front()) + " to " + std::to_string(all.back())
                           : numbers(days)));
  }
  for (const int d : members(e.weekday_near)) {
    parts.push_back("the working day nearest to day " + std::to_string(d + 1));
  }
  for (const int k : members(e.from_end)) {
    parts.push_back(k == 0
                        ? "the last day"
                        : std::to_string(k) + (k == 1 ? " day" : " days") + " before the last day");
  }
  if (e.last_working_day) parts.emplace_back("the last working day");
  return joined(parts);
}

/// "the second Tuesday", "the last Friday"; what `#` and `L` of the weekday field ask for.
std::vector<std::string> counted_weekdays(const CronExpr& e) {
  std::vector<std::string> parts;
  for (std::size_t n = 0; n < e.nth_weekday_set.size(); ++n) {
    for (const int d : members(e.nth_weekday_set[n])) {
      parts.push_back("the " + std::string(kOrdinals[n]) + " " + std::string(kWeekdays[d]));
    }
  }
  for (const int d : members(e.last_weekday_set)) {
    parts.push_back("the last " + std::string(kWeekdays[d]));
  }
  return parts;
}

struct DayWords {
  std::string text;  ///< empty: every day
  bool plain = true;
};

DayWords day_words(const CronExpr& e) {
  const bool any_date = e.day_set == kAllDays;
  const bool any_weekday = e.weekday_set == kAllWeekdays;
  const std::string of_month =
      e.month_set == kAllMonths ? " of every month" : " of " + months(e.month_set);
  const std::string in_month = e.month_set == kAllMonths ? "" : " in " + months(e.month_set);
  if (any_date && any_weekday) return {in_month};
  // The star rule makes `*/2` in one day field a condition on the other: no plain words for that.
  if (e.both_days && !any_date && !any_weekday) return {"", false};
  std::vector<std::string> parts;
  if (!any_date) parts.push_back("on " + dates(e) + of_month);
  if (!any_weekday) {
    if (e.weekday_set != 0) parts.push_back("on " + weekdays(e.weekday_set) + in_month);
    const auto counted = counted_weekdays(e);
    if (!counted.empty()) parts.push_back("on " + joined(counted) + of_month);
  }
  return {" " + joined(parts)};
}

std::string field_by_field(std::string_view text) {
  constexpr std::string_view kNames[] = {"second",       "minute", "hour",
                                         "day of month", "month",  "day of week"};
  std::vector<std::string> fields;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = text.find_first_not_of(" \t", at);
    if (begin == std::string_view::npos) break;
    at = std::min(text.find_first_of(" \t", begin), text.size());
    fields.emplace_back(text.substr(begin, at - begin));
  }
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < fields.size() && fields.size() <= 6; ++i) {
    if (fields[i] == "*" || fields[i] == "?") continue;
    parts.push_back(std::string(kNames[i + 6 - fields.size()]) + " " + fields[i]);
  }
  return "at " + joined(parts);
}

std::string cron_words(const Schedule& schedule, const Zone& zone) {
  const Result<CronExpr> parsed = parse_cron(schedule.cron, 0);
  if (!parsed) return "cron " + schedule.cron;
  const CronExpr& e = *parsed;
  const std::string in_zone = zone.name() == "UTC" ? ", UTC" : ", " + zone.name() + " time";
  const TimeWords time = time_words(e);
  const DayWords day = day_words(e);
  if (e.seeded || time.text.empty() || !day.plain) return field_by_field(schedule.cron) + in_zone;
  std::string out = time.text;
  if (time.daily && (day.text.empty() || day.text.starts_with(" in "))) out += " every day";
  out += day.text;
  const bool same_everywhere = e.hour_set == kAllHours && day.text.empty();
  return same_everywhere ? out : out + in_zone;
}

std::string ordinal_week(int weeks) {
  return weeks == 2 ? "every other week" : "every " + std::to_string(weeks) + " weeks";
}

/// What narrows the fires.
std::string bounds_words(const Schedule& schedule, const Zone& zone) {
  std::string out;
  if (schedule.weeks > 1) {
    out += ", only " + ordinal_week(schedule.weeks) + ", counted from the week of " +
           format_date(schedule.week_anchor);
  }
  if (!schedule.only.empty()) out += ", only in " + joined(schedule.only);
  if (!schedule.exclude.empty()) out += ", except in " + joined(schedule.exclude);
  if (schedule.on_excluded == OnExcluded::next) out += " (then at the first allowed moment after)";
  if (schedule.not_before) out += ", not before " + format_local(*schedule.not_before, zone);
  if (schedule.until) out += ", until " + format_local(*schedule.until, zone);
  return out;
}

std::string period_words(Duration period) {
  struct Unit {
    Duration length;
    const char* name;
  };
  // "every 24 hours", not "every day": elapsed time knows no calendar.
  static const Unit kUnits[] = {{std::chrono::hours(24), "day"},
                                {std::chrono::hours(1), "hour"},
                                {std::chrono::minutes(1), "minute"},
                                {std::chrono::seconds(1), "second"}};
  for (const Unit& unit : kUnits) {
    if (period == std::chrono::hours(24) && unit.length == period) continue;
    const std::int64_t n = period / unit.length;
    // "1h1m1s" is easier to read than "3661 seconds".
    const bool readable = n >= 1 && (n <= 120 || unit.length == std::chrono::hours(24));
    if (readable && period % unit.length == Duration::zero()) {
      return every(static_cast<int>(n), unit.name);
    }
  }
  return "every " + format_duration(period);
}

}  // namespace

std::string describe(const Schedule& schedule, const Zone& zone) {
  switch (schedule.kind) {
    case ScheduleKind::every:
      return period_words(schedule.every) + bounds_words(schedule, zone);
    case ScheduleKind::cron:
      return cron_words(schedule, zone) + bounds_words(schedule, zone);
    case ScheduleKind::at:
      return "once at " + format_local(schedule.at, zone);
    case ScheduleKind::reboot:
      return "once after each boot of the machine";
    case ScheduleKind::manual:
      return "only when triggered by hand";
  }
  return "";
}

}  // namespace schedctl::job
