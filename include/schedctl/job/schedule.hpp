#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schedctl/base/time.hpp"
#include "schedctl/job/zone.hpp"

namespace schedctl::job {

enum class ScheduleKind { every, cron, at, reboot, manual };
/// What a fire inside a gap does: runs once at the first instant after it, or not at all.
enum class DstGap { shift, skip };
/// What a fixed fire inside a fold does: runs the first time, the second, or both.
enum class DstFold { first, second, both };
/// What becomes of a fire that a calendar rules out: it does not happen, or it moves to the first
/// instant after it that is allowed.
enum class OnExcluded { skip, next };

/// When a job fires: plain data, as stored. Which members mean something depends on `kind`.
struct Schedule {
  ScheduleKind kind = ScheduleKind::manual;
  Duration every{};  ///< every: the period, at least limits::kShortestEvery
  Time anchor{};     ///< every: the first point of the grid; nothing fires before it
  int weeks = 1;     ///< cron: fires only in every Nth week, Monday to Sunday by the wall clock
  std::chrono::local_days week_anchor{};  ///< cron, weeks > 1: a date in a week that fires
  std::string cron;                       ///< cron: the expression as the user wrote it
  std::string timezone;                   ///< cron, at: IANA name; never empty in a stored job
  Time at{};                              ///< at: the instant
  DstGap dst_gap = DstGap::shift;
  DstFold dst_fold = DstFold::first;
  std::optional<Time> not_before = {};    ///< every, cron: nothing fires before
  std::optional<Time> until = {};         ///< every, cron: the last instant that may fire
  std::vector<std::string> only = {};     ///< calendars: fires must lie in one of them
  std::vector<std::string> exclude = {};  ///< calendars: fires must lie in none of them
  OnExcluded on_excluded = OnExcluded::skip;
  bool operator==(const Schedule&) const = default;
};

std::string_view to_string(ScheduleKind kind);
std::string_view to_string(DstGap gap);
std::string_view to_string(DstFold fold);
std::string_view to_string(OnExcluded on_excluded);
std::optional<ScheduleKind> parse_schedule_kind(std::string_view text);
std::optional<DstGap> parse_dst_gap(std::string_view text);
std::optional<DstFold> parse_dst_fold(std::string_view text);
std::optional<OnExcluded> parse_on_excluded(std::string_view text);

/// The schedule in words: "every 5 minutes", "at 02:30 every day, Europe/Berlin time". For cron
/// expressions that have no plain words, the fields one by one. `zone` is the schedule's.
std::string describe(const Schedule& schedule, const Zone& zone);

class CalendarSource;

/// Which calendars of a schedule rule an instant out.
struct RuledOut {
  std::vector<std::string> calendars;
  bool outside = false;  ///< it lies in none of them (`only`); else in each of them (`exclude`)
};

/// The instants a schedule yields, ready to be asked: expression parsed, zone and calendars bound.
/// Immutable; thread safe. Rules: DESIGN section 4.6 (elapsed time for wildcard schedules, the
/// first instant after a gap for fixed ones, classic cron's star rule for the two day fields).
class FireSeries {
 public:
  /// `seed` is the job's stable hash, for `H` and `~` fields. Errors are of kind usage; those of a
  /// cron expression show the expression with a caret under the first wrong character and say what
  /// was expected there. An expression that can never fire (30 February) is an error too.
  /// A calendar that is not defined is an error whose `where` is only or exclude.
  static Result<FireSeries> make(const Schedule& schedule, ZonePtr zone, std::uint64_t seed,
                                 const CalendarSource& calendars);
  /// The same for a schedule that names no calendars.
  static Result<FireSeries> make(const Schedule& schedule, ZonePtr zone, std::uint64_t seed);

  /// The first fire strictly after `t`. Nothing: no more, or none within limits::kSearchHorizon.
  /// Bounded: never walks minute by minute over days without a match. Cron fires lie in the years 1
  /// to 9999; `every` ends where Time does.
  ///
  /// Fires are those that calendars leave. Under on_excluded = next the excluded ones of a closed
  /// stretch together are one fire at the instant that ends it, or none if something fires then
  /// anyway, or if that is after `until`. With calendars the search ends after
  /// limits::kCalendarSteps, too.
  std::optional<Time> next_after(Time t) const;

  /// The last fire strictly before `t`, at most 40 years before; nothing: none.
  std::optional<Time> last_before(Time t) const;

  struct Stretch {
    std::int64_t count = 0;
    Time first{};
    Time last{};
  };
  /// All fires in (after, through], exactly. They are counted by day and by change of offset, never
  /// walked: a second-by-second schedule over a year takes microseconds.
  /// With calendars, in steps of their borders: a year of working hours takes milliseconds.
  Stretch count(Time after, Time through) const;
  /// What calendars take away in (after, through], under on_excluded = skip; else nothing.
  Stretch count_excluded(Time after, Time through) const;
  /// The excluded fires that became the one at `fire`; none if it belongs there.
  Stretch moved_to(Time fire) const;
  /// Why nothing may fire at `t`; nothing if calendars allow it.
  std::optional<RuledOut> ruled_out(Time t) const;

  FireSeries(FireSeries&&) noexcept;
  FireSeries& operator=(FireSeries&&) noexcept;
  FireSeries(const FireSeries&) = delete;
  FireSeries& operator=(const FireSeries&) = delete;
  ~FireSeries();

 private:
  struct Impl;
  explicit FireSeries(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

/// Whether the two can fire at different instants: a label changed on a fixed grid does not count.
bool fires_differ(const Schedule& a, const Schedule& b);

/// Reads a moment as people write it, in `zone` unless it carries an offset:
/// "2026-03-29 02:30[:00]", "2026-03-29T02:30:00Z", "...+02:00", "2026-03-29" (midnight), "02:30"
/// (the next one after `now`), "tomorrow 03:00", "now+5m". A reading that a gap removes or a fold
/// repeats is resolved as gap and fold say (skip: an error of kind usage).
Result<Time> parse_time(std::string_view text, const Zone& zone, Time now,
                        DstGap gap = DstGap::shift, DstFold fold = DstFold::first);

}  // namespace schedctl::job
