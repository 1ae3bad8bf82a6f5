#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schedctl/base/ids.hpp"
#include "schedctl/base/time.hpp"

namespace schedctl::job {

enum class Cause { schedule, manual, backfill, reboot };

enum class RunState { pending, running, succeeded, failed, cancelled, lost, skipped, missed };

/// Why a run is in its state.
enum class Reason {
  none,
  // skipped
  overlap,           ///< the job still ran
  queue_full,        ///< likewise, and as many waited for it as may (max_queued)
  coalesced,         ///< another of several overdue occurrences ran instead
  paused,            ///< due while the job was paused
  schedule_changed,  ///< was pending when the schedule was changed
  removed,           ///< was pending when the job was removed
  excluded,          ///< a calendar rules it out
  max_runs,          ///< the job has had all its runs
  // missed
  misfire,          ///< planned later than the misfire grace allows
  expired,          ///< asked for by hand, and no daemon came within the misfire grace
  waited_too_long,  ///< found no slot within max_wait
  // failed
  exit_status,
  signal,
  timeout,
  output,       ///< its output is not as its job demands; `error` has the words
  exec_error,   ///< the command could not be executed; `error` has the words
  start_error,  ///< the machine could not start it (limits::kMaxAttempts tries); `error` has why
  // lost
  keeper_died,
  rebooted,
  // cancelled
  operator_,  ///< printed "operator"
  replaced,   ///< a newer occurrence took its place (overlap = replace)
  shutdown,
};

std::string_view to_string(Cause v);
std::string_view to_string(RunState v);
std::string_view to_string(Reason v);  ///< "" for none
std::optional<Cause> parse_cause(std::string_view text);
std::optional<RunState> parse_run_state(std::string_view text);
std::optional<Reason> parse_reason(std::string_view text);

constexpr bool is_final(RunState s) {
  return s != RunState::pending && s != RunState::running;
}

/// How the last attempt of a run went; what the `attempt` table keeps for the earlier ones.
struct AttemptResult {
  int attempt = 1;
  std::optional<Time> started_at;
  std::optional<Time> ended_at;
  std::int64_t pid = 0;          ///< 0: none was started
  std::optional<int> exit_code;  ///< of a process that exited
  int signal = 0;                ///< number of the signal that ended it; 0: none
  std::string error;             ///< words for exec_error and start_error
  Duration cpu{};                ///< user + system, of the process and its waited-for children
  std::optional<std::int64_t> max_rss_kb;
  std::string output_path;  ///< absolute; empty: none was written
  std::int64_t output_bytes = 0;
  std::int64_t output_cut = 0;  ///< bytes that were cut out of its middle (max_output)
  std::string output_tail;      ///< at most limits::kOutputTail bytes, raw
};

/// One execution of a job, for an occurrence or by hand; also a row for occurrences that did not
/// run, where `count` of them from `fire_time` to `last_fire_time` may share one row.
struct Run {
  RunId id;
  JobId job_id;
  std::string job_name;  ///< as of then: history outlives the job
  std::int64_t job_version = 0;
  Cause cause = Cause::schedule;
  Time fire_time{};                    ///< the occurrence, or when it was asked for by hand
  std::optional<Time> last_fire_time;  ///< of a stretch
  std::int64_t count = 1;
  Time created_at{};
  Time due_at{};                   ///< earliest start: fire time + jitter, or the retry's time
  int priority = 0;                ///< of several that are due, the lower rank() starts first
  std::string group;               ///< shares its slots; empty: of no group
  bool gated = false;              ///< due, and waits for the jobs its own comes after (after)
  std::optional<Time> give_up_at;  ///< not started by then, it is missed (max_wait); none: waits on
  BackfillId backfill;             ///< the backfill it belongs to; none: of no backfill
  RunState state = RunState::pending;
  Reason reason = Reason::none;
  int attempt = 1;
  int lost_count = 0;      ///< how often its process was lost (on_lost = "retry")
  int start_failures = 0;  ///< starts in a row that the machine refused
  std::int64_t fence = 0;  ///< raised at each claim
  std::string node;        ///< id of the node that claimed it
  std::string keeper;      ///< instance id of the keeper it was, or will be, handed to
  bool waits = false;      ///< one of a caught-up series: waits for its job, is not skipped
  bool forced = false;     ///< runs even beside a living run of its job
  bool cancel_requested = false;
  int signal_requested = 0;  ///< number of a signal that somebody wants sent to it; 0: none
  RunId replaced_by;  ///< cancel_requested, for this newer one takes its place (overlap = replace)
  AttemptResult result;  ///< of the attempt that runs or ran last
  std::string key;       ///< UUIDv5, the same over retries

  /// The place among those that wait for a slot, the lowest first, and of equal ones the older row:
  /// a step of priority is worth a minute of waiting, so that nothing waits for ever.
  Time rank() const { return due_at + priority * std::chrono::minutes(1); }

  /// There was an attempt before the one that runs or is waited for.
  bool has_been_tried() const { return attempt > 1 || lost_count > 0; }

  /// Waiting for a retry, or for the machine to be able to start it: it occupies its job's slot
  /// though nothing runs, or what is due later would overtake it.
  bool occupies_slot() const {
    return state == RunState::running ||
           (state == RunState::pending && (has_been_tried() || start_failures > 0));
  }
};

}  // namespace schedctl::job
