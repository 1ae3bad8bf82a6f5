// Going from border to border: where several calendars rule a moment out, nothing is allowed before
// the last of them lets go, so that no border in between is looked at.
#include "src/job/calendar_filter.hpp"

#include <algorithm>
#include <tuple>

#include "schedctl/base/limits.hpp"
#include "src/job/instant.hpp"

namespace schedctl::job {
namespace {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::seconds;

/// To look back for the beginning of a closed stretch: most are nights, weekends and holidays.
constexpr Duration kFirstLookBack = days{1};
/// Beyond it a border might lie past the end of Time.
constexpr Time kLatest = Time::max() - limits::kSearchHorizon - days{2};

Error at_field(Error error, const char* key) {
  error.where = key;
  return error;
}

}  // namespace

Result<CalendarFilter> CalendarFilter::make(const Schedule& schedule, const ZonePtr& zone,
                                            const CalendarSource& calendars) {
  CalendarFilter filter;
  for (auto& [names, key, parts] : {std::tuple(&schedule.only, "only", &filter.only_),
                                    std::tuple(&schedule.exclude, "exclude", &filter.exclude_)}) {
    for (const std::string& name : *names) {
      auto found = calendars.find(name, zone);
      if (!found) return fail(at_field(std::move(found).error(), key));
      parts->push_back({name, std::move(found->calendar), std::move(found->zone)});
    }
  }
  return filter;
}

bool CalendarFilter::any_contains(const std::vector<Part>& parts, Time t) {
  return std::any_of(parts.begin(), parts.end(),
                     [t](const Part& part) { return part.contains(t); });
}

bool CalendarFilter::allows(Time t) const {
  return (only_.empty() || any_contains(only_, t)) && !any_contains(exclude_, t);
}

std::optional<Time> CalendarFilter::next_open(Time t, Reach& reach) const {
  while (t <= reach.until && !reach.spent()) {
    const auto in_the_way = std::find_if(exclude_.begin(), exclude_.end(),
                                         [t](const Part& part) { return part.contains(t); });
    if (in_the_way != exclude_.end()) {
      const std::optional<Time> end = in_the_way->next_border(t);
      if (!end) return std::nullopt;
      t = *end;
      continue;
    }
    if (only_.empty() || any_contains(only_, t)) return t;
    std::optional<Time> first;
    for (const Part& part : only_) {
      const std::optional<Time> begin = part.next_border(t);
      if (begin) first = std::min(first.value_or(*begin), *begin);
    }
    if (!first) return std::nullopt;
    t = *first;
  }
  return std::nullopt;
}

std::optional<Time> CalendarFilter::next_closed(Time t, Reach& reach) const {
  std::optional<Time> first;
  for (const Part& part : exclude_) {
    const std::optional<Time> begin = part.next_border(t);
    if (begin) first = std::min(first.value_or(*begin), *begin);
  }
  if (only_.empty()) return first;
  // As long as one of them goes on where another ends.
  while (t <= reach.until && (!first || t < *first) && !reach.spent()) {
    const auto part =
        std::find_if(only_.begin(), only_.end(), [t](const Part& one) { return one.contains(t); });
    if (part == only_.end()) return t;
    const std::optional<Time> end = part->next_border(t);
    if (!end) return first;
    t = *end;
  }
  return first;
}

Time CalendarFilter::closed_since(Time t) const {
  // Borders are only found forwards: from further and further back, until something was open.
  for (Duration back = kFirstLookBack; back <= limits::kSearchHorizon; back *= 2) {
    Time from = subtract_saturated(t, back);
    std::optional<Time> closed;
    Reach reach{t, limits::kCalendarSteps};
    while (from < t) {
      const std::optional<Time> open = allows(from) ? from : next_open(from, reach);
      if (!open || *open >= t) break;
      closed = next_closed(*open, reach);
      if (!closed) break;
      from = *closed;
    }
    if (closed) return *closed;
  }
  return Time::min();
}

RuledOut CalendarFilter::why(Time t) const {
  RuledOut why;
  for (const Part& part : exclude_) {
    if (part.contains(t)) why.calendars.push_back(part.name);
  }
  if (!why.calendars.empty()) return why;
  why.outside = true;
  for (const Part& part : only_) why.calendars.push_back(part.name);
  return why;
}

std::optional<Time> CalendarFilter::Part::next_border(Time t) const {
  while (t < kLatest) {
    const seconds offset = zone->offset(t);
    const CivilTime reading{floor<seconds>(t.time_since_epoch()) + offset};
    const std::optional<CivilTime> border = calendar->next_border(reading);
    if (!border) return std::nullopt;
    const Time at = add_saturated(Time{border->time_since_epoch()}, -offset);
    const std::optional<ZoneChange> change = zone->next_change(t);
    if (!change || at < change->at) return at;
    // The clock is changed before it shows that reading, and may then show one of either kind.
    if (calendar->contains(zone->civil(change->at)) != calendar->contains(reading)) {
      return change->at;
    }
    t = change->at;
  }
  return std::nullopt;
}

}  // namespace schedctl::job
