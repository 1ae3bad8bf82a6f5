#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "schedctl/base/ids.hpp"
#include "schedctl/base/time.hpp"

namespace schedctl::job {

/// What people must know.
enum class AlertKind {
  delayed,     ///< a fire + jitter + alert_grace has passed without a start
  inactive,    ///< the same of a job that has never been executed
  missed,      ///< occurrences were missed
  failed,      ///< a run failed, after its last attempt
  lost,        ///< nobody knows how a run ended
  storage,     ///< the store cannot be written
  keeper,      ///< the keeper cannot be reached
  job_file,    ///< a job file cannot be used; its last good jobs stay
  clock_jump,  ///< the clock was set back: jobs are silent until expected_at
};

/// What ended an episode.
enum class AlertEnd {
  none,       ///< it is open
  succeeded,  ///< a run succeeded
  started,    ///< a run started (delayed, inactive)
  acked,      ///< somebody said that he knows
  paused,
  removed,
  recovered,  ///< storage, keeper, job_file, clock_jump, a job that was set aside: it works again
};

std::string_view to_string(AlertKind v);
std::string_view to_string(AlertEnd v);  ///< "" for none
std::optional<AlertKind> parse_alert_kind(std::string_view text);
std::optional<AlertEnd> parse_alert_end(std::string_view text);

/// An episode: a condition from its beginning to its end. One that comes back within the flap
/// window is the same row again, with a higher count.
struct Alert {
  AlertId id;
  AlertKind kind = AlertKind::failed;
  JobId job_id;         ///< none: about the scheduler itself
  std::string subject;  ///< the job's name as of then; of job_file the path; else empty
  std::string node;     ///< id of the node that began it
  Time began_at{};      ///< its latest beginning
  std::optional<Time> ended_at;
  AlertEnd ended_by = AlertEnd::none;
  std::string ended_who;               ///< of acked and paused: who
  std::int64_t count = 1;              ///< beginnings: 1 + returns within the flap window
  std::int64_t events = 1;             ///< what happened in it: failed runs, missed occurrences
  RunId run;                           ///< the latest run it speaks of; none: there is none
  std::optional<Time> expected_at;     ///< of a job: when a start was; clock_jump: the end
  std::string detail;                  ///< in words, for people
  std::string cause;                   ///< what lies behind it, where that is known; may be shared
  std::optional<Time> told_at;         ///< when its beginning, or a reminder, was last told
  std::optional<Time> tell_at;         ///< when to tell next, if it is open by then
  int reminders = 0;                   ///< told since the beginning was
  bool over_untold = false;            ///< its end is still to be told
  std::optional<Time> silenced_until;  ///< `alerts ack --for`: what begins before is not told

  bool open() const { return !ended_at; }
};

}  // namespace schedctl::job
