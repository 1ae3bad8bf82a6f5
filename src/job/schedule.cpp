#include "schedctl/job/schedule.hpp"

#include "src/job/names.hpp"

namespace schedctl::job {

std::string_view to_string(ScheduleKind kind) {
  switch (kind) {
    case ScheduleKind::every:
      return "every";
    case ScheduleKind::cron:
      return "cron";
    case ScheduleKind::at:
      return "at";
    case ScheduleKind::reboot:
      return "reboot";
    case ScheduleKind::manual:
      return "manual";
  }
  return "";
}

std::string_view to_string(DstGap gap) {
  switch (gap) {
    case DstGap::shift:
      return "shift";
    case DstGap::skip:
      return "skip";
  }
  return "";
}

std::string_view to_string(DstFold fold) {
  switch (fold) {
    case DstFold::first:
      return "first";
    case DstFold::second:
      return "second";
    case DstFold::both:
      return "both";
  }
  return "";
}

std::string_view to_string(OnExcluded on_excluded) {
  switch (on_excluded) {
    case OnExcluded::skip:
      return "skip";
    case OnExcluded::next:
      return "next";
  }
  return "";
}

std::optional<ScheduleKind> parse_schedule_kind(std::string_view text) {
  static constexpr ScheduleKind kAll[] = {ScheduleKind::every, ScheduleKind::cron, ScheduleKind::at,
                                          ScheduleKind::reboot, ScheduleKind::manual};
  return find_by_name(text, kAll);
}

std::optional<DstGap> parse_dst_gap(std::string_view text) {
  static constexpr DstGap kAll[] = {DstGap::shift, DstGap::skip};
  return find_by_name(text, kAll);
}

std::optional<DstFold> parse_dst_fold(std::string_view text) {
  static constexpr DstFold kAll[] = {DstFold::first, DstFold::second, DstFold::both};
  return find_by_name(text, kAll);
}

std::optional<OnExcluded> parse_on_excluded(std::string_view text) {
  static constexpr OnExcluded kAll[] = {OnExcluded::skip, OnExcluded::next};
  return find_by_name(text, kAll);
}

namespace {

bool narrowed(const Schedule& schedule) {
  return !schedule.only.empty() || !schedule.exclude.empty();
}

bool bounds_differ(const Schedule& a, const Schedule& b) {
  return a.not_before != b.not_before || a.until != b.until || a.only != b.only ||
         a.exclude != b.exclude || a.on_excluded != b.on_excluded;
}

}  // namespace

bool fires_differ(const Schedule& a, const Schedule& b) {
  if (a.kind != b.kind) return true;
  switch (a.kind) {
    case ScheduleKind::every:
      // Calendars are read in the job's zone.
      return a.every != b.every || a.anchor != b.anchor || bounds_differ(a, b) ||
             (narrowed(b) && a.timezone != b.timezone);
    case ScheduleKind::cron:
      return a.cron != b.cron || a.timezone != b.timezone || a.dst_gap != b.dst_gap ||
             a.dst_fold != b.dst_fold || a.weeks != b.weeks || a.week_anchor != b.week_anchor ||
             bounds_differ(a, b);
    case ScheduleKind::at:
      return a.at != b.at;
    case ScheduleKind::reboot:
    case ScheduleKind::manual:
      return false;
  }
  return true;
}

}  // namespace schedctl::job
