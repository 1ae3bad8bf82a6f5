#pragma once

#include <cstdint>
#include <string>

#include "schedctl/job/schedule.hpp"

namespace schedctl::ops {

/// What people should know of a fire that is not simply what the schedule says: near a change of
/// the clock, or where calendars had a hand in it.
class FireNotes {
 public:
  FireNotes(job::Schedule schedule, job::ZonePtr zone, std::uint64_t seed);

  /// "clock goes forward at 02:00: 02:30 does not exist, runs at 03:00", "holidays: moved from
  /// 2026-12-25 02:30"; "" for most. `series` is the schedule's.
  std::string of(const job::FireSeries& series, Time fire) const;
  /// "2 before it left out (holidays)": what calendars took away in (after, fire).
  std::string left_out(const job::FireSeries& series, Time after, Time fire) const;
  /// "at 02:00 the clock goes forward to 03:00, so 02:30 is left out (dst_gap = skip)": of a gap
  /// that begins in [from, to) and removes fires; "" if none does.
  std::string lost_in_gap(Time from, Time to) const;

 private:
  std::string moved(const job::FireSeries& series, Time fire) const;
  std::string clock_change(Time fire) const;
  std::string fold(Time fire, const job::CivilMeaning& meaning) const;
  std::string gap(const job::ZoneChange& change) const;
  /// What a clock without the change would show in the gap.
  struct Removed {
    CivilTime first;
    std::int64_t count = 0;
  };
  Removed removed_by(const job::ZoneChange& change) const;

  job::Schedule schedule_;  ///< without its calendars: a clock knows none
  job::ZonePtr zone_;
  std::uint64_t seed_;
};

/// "holidays, vacation": the calendars that forbid `t`; "" if none does.
std::string calendars_at(const job::FireSeries& series, Time t);

}  // namespace schedctl::ops
