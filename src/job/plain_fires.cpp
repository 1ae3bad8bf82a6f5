#include "src/job/plain_fires.hpp"

#include <algorithm>

#include "schedctl/base/limits.hpp"
#include "src/job/instant.hpp"

namespace schedctl::job {
namespace {

constexpr Duration kTick{1};

}  // namespace

/// Differences are taken unsigned: two ends of Time are further apart than a Duration reaches.
std::optional<Time> Grid::next_after(Time t) const {
  if (t < anchor) return anchor;
  const auto start = static_cast<std::uint64_t>(to_us(anchor));
  const auto step = static_cast<std::uint64_t>(to_us(period));
  const std::uint64_t index = (static_cast<std::uint64_t>(to_us(t)) - start) / step + 1;
  const std::uint64_t room = static_cast<std::uint64_t>(to_us(Time::max())) - start;
  if (index > room / step) return std::nullopt;
  return time_from_us(static_cast<std::int64_t>(start + index * step));
}

FireSeries::Stretch Grid::count(Time after, Time through) const {
  const std::optional<Time> first = next_after(after);
  if (!first || *first > through) return {};
  const auto begin = static_cast<std::uint64_t>(to_us(*first));
  const auto step = static_cast<std::uint64_t>(to_us(period));
  const std::uint64_t steps = (static_cast<std::uint64_t>(to_us(through)) - begin) / step;
  return {.count = static_cast<std::int64_t>(steps + 1),
          .first = *first,
          .last = time_from_us(static_cast<std::int64_t>(begin + steps * step))};
}

Result<PlainFires> PlainFires::make(const Schedule& schedule, ZonePtr zone, std::uint64_t seed) {
  const auto of = [&schedule](auto fires) {
    return PlainFires{std::move(fires), schedule.not_before, schedule.until};
  };
  switch (schedule.kind) {
    case ScheduleKind::reboot:
    case ScheduleKind::manual:
      return of(Never{});
    case ScheduleKind::at:
      return of(Once{schedule.at});
    case ScheduleKind::every:
      if (schedule.every < limits::kShortestEvery || schedule.every > limits::kLongestDuration) {
        return fail(ErrorKind::usage,
                    "every " + format_duration(schedule.every) + " is out of range; from " +
                        format_duration(limits::kShortestEvery) + " to " +
                        format_duration(limits::kLongestDuration),
                    "every");
      }
      return of(Grid{schedule.anchor, schedule.every});
    case ScheduleKind::cron: {
      if (!zone) return fail(ErrorKind::usage, "a cron schedule needs a time zone", "timezone");
      TRY(CronExpr expr, parse_cron(schedule.cron, seed));
      expr.weeks = std::clamp(schedule.weeks, 1, limits::kMaxWeeks);
      expr.week_anchor = schedule.week_anchor;
      return of(CronFires{expr, std::move(zone), schedule.dst_gap, schedule.dst_fold});
    }
  }
  return fail(ErrorKind::usage, "the schedule is of no known kind");
}

std::optional<Time> PlainFires::next_after(Time t) const {
  if (not_before) t = std::max(t, subtract_saturated(*not_before, kTick));
  const std::optional<Time> fire =
      std::visit([t](const auto& one) { return one.next_after(t); }, series);
  return fire && until && *fire > *until ? std::nullopt : fire;
}

FireSeries::Stretch PlainFires::count(Time after, Time through) const {
  if (not_before) after = std::max(after, subtract_saturated(*not_before, kTick));
  if (until) through = std::min(through, *until);
  if (after >= through) return {};
  return std::visit([&](const auto& one) { return one.count(after, through); }, series);
}

}  // namespace schedctl::job
