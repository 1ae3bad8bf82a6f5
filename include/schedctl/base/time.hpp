#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "schedctl/base/result.hpp"

namespace schedctl {

/// A length of time, in microseconds. Rows, limits and policies all use this unit.
using Duration = std::chrono::microseconds;

/// An instant on the UTC time line, in microseconds since 1970-01-01T00:00:00Z (no leap seconds).
using Time = std::chrono::sys_time<Duration>;

/// A reading of a wall clock on some calendar, in seconds, without a zone.
using CivilTime = std::chrono::local_seconds;

constexpr std::int64_t to_us(Duration d) {
  return d.count();
}
constexpr std::int64_t to_us(Time t) {
  return t.time_since_epoch().count();
}
constexpr Time time_from_us(std::int64_t us) {
  return Time{Duration{us}};
}

/// "2026-03-29T01:00:00Z", with ".250000" before the Z only where there is a fraction.
/// The form has years of four digits: an instant outside 0000 to 9999 is shown as the nearest one.
std::string format_rfc3339(Time t);

/// "2026-03-29".
std::string format_date(std::chrono::local_days date);

/// "1m30s", "1h30m", "2d", "250ms", "0s": the largest units first, as parse_duration reads it back
/// exactly. A negative one, which parse_duration refuses, has a minus in front.
std::string format_duration(Duration d);

/// Reads durations as people write them: one or more of number+unit with units us ms s m h d w,
/// largest first or in any order, no spaces, no sign ("1h30m", "90s", "1.5h" is refused). A bare
/// number is refused with a hint at the units. Overflow and anything over 100 years is an error of
/// kind usage.
Result<Duration> parse_duration(std::string_view text);

}  // namespace schedctl
