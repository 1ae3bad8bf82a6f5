#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "schedctl/base/result.hpp"
#include "schedctl/base/time.hpp"

namespace schedctl::job {

/// Longest cron expression that is read.
inline constexpr std::size_t kCronBytes = 1024;
/// Cron fires lie in these years (of the wall clock).
inline constexpr int kFirstYear = 1;
inline constexpr int kLastYear = 9999;

/// A parsed cron expression: sets of wall-clock readings. It knows nothing of zones.
struct CronExpr {
  std::uint64_t second_set = 0;
  std::uint64_t minute_set = 0;
  std::uint32_t hour_set = 0;
  std::uint32_t day_set = 0;                      ///< bit d-1 is day d
  std::uint32_t weekday_near = 0;                 ///< `dW`: the weekday nearest to day d; bit d-1
  std::uint32_t from_end = 0;                     ///< `L-k`: k days before the month's last; bit k
  std::uint16_t month_set = 0;                    ///< bit m is month m, 1 to 12
  std::uint8_t weekday_set = 0;                   ///< bit 0 is Sunday
  std::uint8_t last_weekday_set = 0;              ///< `5L`: the last Friday
  std::array<std::uint8_t, 5> nth_weekday_set{};  ///< `5#2`: the second Friday is bit 5 of [1]
  bool last_working_day = false;                  ///< `LW`
  bool both_days = false;  ///< both day fields must match (classic cron's star rule)
  bool wildcard = false;   ///< minute or hour starts with `*`
  bool seeded = false;     ///< has `H` or `~`
  /// Not part of the text: only every Nth week, Monday to Sunday, counted from the anchor's.
  int weeks = 1;
  std::chrono::local_days week_anchor{};

  /// The days of a month that match, bit d-1 for day d; 0 if the month does not match.
  std::uint32_t days_of(int year, unsigned month) const;
  bool matches(CivilTime t) const;
  /// The first match at or after `t`. Nothing if there is none within limits::kSearchHorizon or
  /// before the year 10000.
  std::optional<CivilTime> first_from(CivilTime t) const;
  /// The last match before `t`, not earlier than `floor`.
  std::optional<CivilTime> last_before(CivilTime t, CivilTime floor) const;
  /// How many readings in [from, to) match.
  std::int64_t count(CivilTime from, CivilTime to) const;
  /// Whether any date of the calendar matches.
  bool can_fire() const;
};

/// Reads an expression of 5 fields, 6 with seconds first, or a macro like @daily. `seed` decides
/// `H` and `~`, among what can fire. Errors are of kind usage; the message has three lines: what is
/// wrong and what was expected, the expression, a caret under the first wrong character.
Result<CronExpr> parse_cron(std::string_view text, std::uint64_t seed);

/// Whether any job could have this expression: parse_cron() with an unimportant seed.
Result<void> check_cron(std::string_view text);

}  // namespace schedctl::job
