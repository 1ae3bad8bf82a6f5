#pragma once

#include "schedctl/base/time.hpp"

/// Arithmetic on instants that stops at the ends of what Time can hold, instead of overflowing.
namespace schedctl::job {

inline Time add_saturated(Time t, Duration d) {
  std::int64_t sum = 0;
  if (!__builtin_add_overflow(to_us(t), to_us(d), &sum)) return time_from_us(sum);
  return to_us(d) < 0 ? Time::min() : Time::max();
}

inline Time subtract_saturated(Time t, Duration d) {
  std::int64_t difference = 0;
  if (!__builtin_sub_overflow(to_us(t), to_us(d), &difference)) return time_from_us(difference);
  return to_us(d) > 0 ? Time::min() : Time::max();
}

}  // namespace schedctl::job
