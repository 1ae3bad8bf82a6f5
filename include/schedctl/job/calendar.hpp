#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "schedctl/base/time.hpp"
#include "schedctl/job/zone.hpp"

namespace schedctl::job {

/// Dates of a calendar: whole days from `first` to `last`, both of them included.
struct DateSpan {
  /// Of one year only ("2026-12-24..2027-01-02").
  struct Once {
    std::chrono::local_days first, last;
  };
  /// Of every year ("12-24..01-02"), over the new year if `last` lies before `first`. 29 February
  /// is a day of leap years only.
  struct Yearly {
    std::chrono::month_day first, last;
  };
  std::optional<Once> once = {};
  std::optional<Yearly> yearly = {};
};

/// A window of the week: on each of `days` from `from` to `to`, which is no longer part of it. One
/// that ends on the day after it began has a `to` of more than 24 hours.
struct WeeklyWindow {
  std::array<bool, 7> days{};  ///< from Monday on: days on which it begins
  std::chrono::seconds from{}, to{};
};

/// "2026-12-25", "2026-12-24..2027-01-02", "12-25", "12-24..01-02". Kind usage.
Result<DateSpan> parse_date_span(std::string_view text);
/// "mon-fri 09:00-17:00", "sat,sun" (whole days), "22:00-06:00" (every day, into the next one),
/// "mon-fri 09:00-12:00,13:00-17:00". Kind usage.
Result<std::vector<WeeklyWindow>> parse_weekly_windows(std::string_view text);

/// A named set of readings of the wall clock: dates, and windows of the week. A reading belongs to
/// it if it lies in one of either. Immutable; thread safe.
class Calendar {
 public:
  /// `timezone` is the zone by whose clock it is read; empty: by that of each job.
  Calendar(const std::vector<DateSpan>& dates, const std::vector<WeeklyWindow>& windows,
           std::string timezone = "");

  const std::string& timezone() const { return timezone_; }
  bool contains(CivilTime reading) const;
  /// The first reading after `reading` that belongs to it if that one does not, and the other way
  /// round. Nothing: none within limits::kSearchHorizon.
  std::optional<CivilTime> next_border(CivilTime reading) const;

  bool operator==(const Calendar&) const = default;
  /// The same for equal calendars, in every version; for a store that is to notice a change.
  std::uint64_t fingerprint() const;

 private:
  using Days = std::chrono::local_days;
  /// [begin, end)
  template <class T>
  using Spans = std::vector<std::pair<T, T>>;

  bool is_listed(Days day) const;
  std::optional<Days> next_listed(Days day) const;
  std::optional<Days> next_unlisted(Days day) const;
  std::optional<Days> next_yearly(Days day, bool wanted) const;

  std::string timezone_;
  Spans<Days> days_;                 ///< in order, apart from each other
  std::bitset<366> yearly_;          ///< by the day's place in a leap year
  Spans<CivilTime::duration> week_;  ///< since Monday 00:00; in order, apart, none over its end
};

using CalendarPtr = std::shared_ptr<const Calendar>;
/// By name, as the configuration defines them.
using Calendars = std::map<std::string, CalendarPtr>;

/// Whether the two define the same.
bool same_calendars(const Calendars& a, const Calendars& b);

/// Finds calendars by name, and the zones they are read in. Both outlive it. Thread safe.
class CalendarSource {
 public:
  CalendarSource(const Calendars& calendars, const ZoneSource& zones)
      : calendars_(calendars), zones_(zones) {}

  struct Found {
    CalendarPtr calendar;
    ZonePtr zone;  ///< the calendar's own, or the job's
  };
  /// Kind usage: there is no such calendar (with a near match, and how to define it), or its zone
  /// is unknown.
  Result<Found> find(const std::string& name, const ZonePtr& job_zone) const;

 private:
  const Calendars& calendars_;
  const ZoneSource& zones_;
};

/// What a calendar's name may be: as a job's. Kind usage.
Result<void> check_calendar_name(std::string_view name);

}  // namespace schedctl::job
