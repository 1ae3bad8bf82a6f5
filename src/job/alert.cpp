#include "schedctl/job/alert.hpp"

#include "src/job/names.hpp"

namespace schedctl::job {

std::string_view to_string(AlertKind v) {
  switch (v) {
    case AlertKind::delayed:
      return "delayed";
    case AlertKind::inactive:
      return "inactive";
    case AlertKind::missed:
      return "missed";
    case AlertKind::failed:
      return "failed";
    case AlertKind::lost:
      return "lost";
    case AlertKind::storage:
      return "storage";
    case AlertKind::keeper:
      return "keeper";
    case AlertKind::job_file:
      return "job_file";
    case AlertKind::clock_jump:
      return "clock-jump";
  }
  return "";
}

std::string_view to_string(AlertEnd v) {
  switch (v) {
    case AlertEnd::none:
      return "";
    case AlertEnd::succeeded:
      return "succeeded";
    case AlertEnd::started:
      return "started";
    case AlertEnd::acked:
      return "acked";
    case AlertEnd::paused:
      return "paused";
    case AlertEnd::removed:
      return "removed";
    case AlertEnd::recovered:
      return "recovered";
  }
  return "";
}

std::optional<AlertKind> parse_alert_kind(std::string_view text) {
  static constexpr AlertKind kAll[] = {
      AlertKind::delayed, AlertKind::inactive, AlertKind::missed,
      AlertKind::failed,  AlertKind::lost,     AlertKind::storage,
      AlertKind::keeper,  AlertKind::job_file, AlertKind::clock_jump};
  return find_by_name(text, kAll);
}

std::optional<AlertEnd> parse_alert_end(std::string_view text) {
  static constexpr AlertEnd kAll[] = {AlertEnd::none,     AlertEnd::succeeded, AlertEnd::started,
                                      AlertEnd::acked,    AlertEnd::paused,    AlertEnd::removed,
                                      AlertEnd::recovered};
  return find_by_name(text, kAll);
}

}  // namespace schedctl::job
