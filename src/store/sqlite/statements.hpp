#pragma once

/// The SQL of the verbs that a beat needs. INDEXED BY makes a statement fail rather than walk the
/// table, should an index ever stop fitting it. Columns are bound and read in the order of the
/// lists below.
namespace schedctl::store::sqlite::sql {

#define DEFINITION                                                                               \
  "kind, every, anchor, cron, timezone, at, dst_gap, dst_fold, command, shell, cwd, env, tags, " \
  "overlap, misfire_grace, coalesce, jitter, timeout, kill_grace, max_attempts, backoff, "       \
  "max_delay, on_lost, alert_grace, weeks, week_anchor, not_before, until, only_in, "            \
  "excluded_by, on_excluded, max_catchup, catchup_spread, max_wait, max_runs, max_instances, "   \
  "max_queued, success_codes, policies"
#define JOB                                                                                  \
  "name, version, planned_through, next_fire, last_fire, last_start, last_end, last_state, " \
  "created_at, paused, paused_at, paused_reason, managed_by, paused_until, run_count, "      \
  "boot_id, defined_at, " DEFINITION
#define JOB_PARAMETERS                                                                   \
  "?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?," \
  "?,?,?,?,?,?,?,?,?,?,?,?,?,?"

#define RUN_IDENTITY "job_id, job_name, job_version, cause, fire_time, created_at, backfill_id"
#define RUN_IDENTITY_PARAMETERS "?,?,?,?,?,?,?"
#define RESULT                                                                          \
  "started_at, ended_at, pid, exit_code, signal, error, cpu, max_rss_kb, output_path, " \
  "output_bytes, output_cut"
#define RUN_PROGRESS                                                                        \
  "last_fire_time, count, due_at, state, reason, attempt, result_attempt, lost_count, "     \
  "start_failures, fence, node, keeper, waits, forced, cancel_requested, key, give_up_at, " \
  "replaced_by, priority, rank, slot_group, gated, signal_requested, " RESULT
#define RUN_PROGRESS_PARAMETERS \
  "?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?"
#define RUN "id, " RUN_IDENTITY ", " RUN_PROGRESS

inline constexpr char kInsertJob[] =
    "INSERT INTO job(" JOB ") VALUES (" JOB_PARAMETERS ") ON CONFLICT(name) DO NOTHING";
inline constexpr char kUpdateJob[] =
    "UPDATE OR IGNORE job SET (" JOB ") = (" JOB_PARAMETERS ") WHERE id = ?";
inline constexpr char kJobVersion[] = "SELECT version FROM job WHERE id = ?";
inline constexpr char kRecordVersion[] =
    "INSERT OR REPLACE INTO job_version(job_id, version, name, valid_from, " DEFINITION
    ") SELECT id, version, name, defined_at, " DEFINITION " FROM job WHERE id = ?";
inline constexpr char kDeleteJob[] = "DELETE FROM job WHERE id = ?";
inline constexpr char kFindJob[] = "SELECT id, " JOB " FROM job WHERE name = ?";
inline constexpr char kGetJob[] = "SELECT id, " JOB " FROM job WHERE id = ?";
inline constexpr char kJobCount[] = "SELECT count(*) FROM job";
inline constexpr char kListJobs[] = "SELECT id, " JOB " FROM job ORDER BY name";
inline constexpr char kManagedJobs[] =
    "SELECT id, " JOB " FROM job INDEXED BY job_managed WHERE managed_by <> 'cli' ORDER BY name";
inline constexpr char kDueJobs[] =
    "SELECT id, " JOB
    " FROM job INDEXED BY job_next_fire WHERE next_fire <= ? ORDER BY next_fire, id LIMIT ?";
/// As encode_pairs writes it.
inline constexpr char kIsRankedJobDue[] =
    "SELECT EXISTS (SELECT 1 FROM job INDEXED BY job_next_fire WHERE next_fire <= ? AND "
    "instr(policies, '\"priority\"') > 0)";
inline constexpr char kSetPlanned[] =
    "UPDATE job SET planned_through = ?, next_fire = ? WHERE id = ?";
inline constexpr char kVersionsOf[] =
    "SELECT job_id, name, version, valid_from, " DEFINITION
    " FROM job_version INDEXED BY job_version_name WHERE name = ? ORDER BY job_id, version";
inline constexpr char kRebootJobs[] =
    "SELECT id, " JOB
    " FROM job INDEXED BY job_reboot WHERE kind = 'reboot' AND boot_id <> ? ORDER BY id";
inline constexpr char kSetBoot[] = "UPDATE job SET boot_id = ? WHERE id = ?";
inline constexpr char kCountRun[] = "UPDATE job SET run_count = run_count + 1 WHERE id = ?";
inline constexpr char kSetAside[] = "UPDATE job SET next_fire = NULL WHERE id = ?";
inline constexpr char kSetLastRun[] =
    "UPDATE job SET last_fire = ?, last_start = coalesce(?, last_start), last_end = ?, last_state "
    "= ? WHERE id = ?";

/// The end of the last row of a job that begins at or before an instant: rows of one job never
/// overlap, so no other row can reach that instant.
inline constexpr char kOccurrenceBefore[] =
    "SELECT coalesce(last_fire_time, fire_time) FROM run INDEXED BY run_occurrence "
    "WHERE cause = 'schedule' AND job_id = ? AND fire_time <= ? ORDER BY fire_time DESC LIMIT 1";
inline constexpr char kInsertRun[] =
    "INSERT INTO run(" RUN_IDENTITY ", " RUN_PROGRESS
    ", output_tail) VALUES (" RUN_IDENTITY_PARAMETERS ", " RUN_PROGRESS_PARAMETERS ", ?)";
inline constexpr char kUpdateRun[] =
    "UPDATE run SET (" RUN_PROGRESS ", output_tail) = (" RUN_PROGRESS_PARAMETERS
    ", ?) WHERE id = ? AND fence = ?";
inline constexpr char kGetRun[] = "SELECT " RUN ", output_tail FROM run WHERE id = ?";
/// job::keeps_job_busy of the row `other`; the first half as the index run_busy has it.
#define KEEPS_JOB_BUSY                                                                     \
  "(other.state = 'running' OR (other.state = 'pending' AND (other.attempt > 1 OR "        \
  "other.lost_count > 0 OR other.start_failures > 0))) AND NOT (other.cause = 'backfill' " \
  "AND other.forced)"
inline constexpr char kDueRuns[] =
    "SELECT " RUN
    ", output_tail, EXISTS (SELECT 1 FROM run AS other INDEXED BY run_busy WHERE "
    "other.job_id = due.job_id AND other.id <> due.id AND " KEEPS_JOB_BUSY
    " AND (other.state = 'running' OR other.id < due.id OR "
    "(due.attempt = 1 AND due.lost_count = 0 AND due.start_failures = 0))) AS job_busy "
    "FROM run AS due INDEXED BY run_rank WHERE state = 'pending' AND gated = 0 AND due_at <= ?1 "
    "AND rank <= ?3 AND (slot_group = '' OR slot_group NOT IN (SELECT value FROM json_each(?4))) "
    "AND (forced OR NOT (waits OR attempt > 1 OR lost_count > 0 OR start_failures > 0) OR "
    "NOT job_busy) "
    "ORDER BY rank, id LIMIT ?2";
inline constexpr char kIsBusy[] =
    "SELECT EXISTS (SELECT 1 FROM run AS other INDEXED BY run_busy WHERE other.job_id = ? "
    "AND " KEEPS_JOB_BUSY ")";
inline constexpr char kBlockedRuns[] =
    "SELECT " RUN
    ", output_tail FROM run AS due INDEXED BY run_due WHERE state = 'pending' AND due_at <= ? "
    "AND gated = 0 AND NOT (forced OR waits OR attempt > 1 OR lost_count > 0 OR "
    "start_failures > 0) AND EXISTS (SELECT 1 FROM run AS other INDEXED BY run_busy WHERE "
    "other.job_id = due.job_id AND other.id <> due.id AND " KEEPS_JOB_BUSY
    ") ORDER BY due_at, id LIMIT ?";
inline constexpr char kGatedRuns[] =
    "SELECT " RUN
    ", NULL FROM run INDEXED BY run_gated WHERE state = 'pending' AND gated = 1 ORDER BY id";
inline constexpr char kHasSucceeded[] =
    "SELECT EXISTS (SELECT 1 FROM run INDEXED BY run_occurrence WHERE cause = 'schedule' AND "
    "job_id = ?1 AND fire_time > ?2 AND state = 'succeeded') OR EXISTS (SELECT 1 FROM run INDEXED "
    "BY run_unscheduled WHERE cause <> 'schedule' AND job_id = ?1 AND fire_time > ?2 AND state = "
    "'succeeded' AND backfill_id = 0)";
inline constexpr char kOverdueRuns[] =
    "SELECT " RUN
    ", output_tail FROM run INDEXED BY run_give_up WHERE state = 'pending' AND give_up_at <= ? "
    "ORDER BY give_up_at, id LIMIT ?";
inline constexpr char kRunningRuns[] =
    "SELECT " RUN ", NULL FROM run INDEXED BY run_busy WHERE state = 'running' ORDER BY id";
inline constexpr char kPendingRuns[] =
    "SELECT " RUN ", NULL FROM run INDEXED BY run_due WHERE state = 'pending' ORDER BY id";
inline constexpr char kRunsInState[] = "SELECT " RUN ", NULL FROM run WHERE state = ? ORDER BY id";
inline constexpr char kCancelRequests[] =
    "SELECT " RUN
    ", NULL FROM run INDEXED BY run_busy WHERE state = 'running' AND cancel_requested = 1 "
    "ORDER BY id";
inline constexpr char kSignalRequests[] =
    "SELECT " RUN
    ", NULL FROM run INDEXED BY run_busy WHERE state = 'running' AND signal_requested <> 0 "
    "ORDER BY id";
inline constexpr char kRunningPerJob[] =
    "SELECT job_id, count(*) FROM run INDEXED BY run_busy WHERE state = 'running' GROUP BY job_id";
inline constexpr char kInsertAttempt[] = "INSERT INTO attempt(run_id, reason, attempt, " RESULT
                                         ", output_tail) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
inline constexpr char kListAttempts[] =
    "SELECT attempt, " RESULT ", output_tail FROM attempt WHERE run_id = ? ORDER BY id";

inline constexpr char kNextFire[] =
    "SELECT min(next_fire) FROM job INDEXED BY job_next_fire WHERE next_fire IS NOT NULL";
inline constexpr char kNextDue[] =
    "SELECT min(due_at) FROM run INDEXED BY run_due WHERE state = 'pending' AND due_at > ?";
inline constexpr char kNextGivingUp[] =
    "SELECT min(give_up_at) FROM run INDEXED BY run_give_up "
    "WHERE state = 'pending' AND give_up_at IS NOT NULL";
inline constexpr char kCounts[] =
    "SELECT (SELECT count(*) FROM job), "
    "(SELECT count(*) FROM run INDEXED BY run_busy WHERE state = 'running'), "
    "(SELECT count(*) FROM run INDEXED BY run_due WHERE state = 'pending'), "
    "(SELECT count(*) FROM alert INDEXED BY alert_open WHERE ended_at IS NULL), "
    "(SELECT next_fire FROM job INDEXED BY job_next_fire WHERE next_fire IS NOT NULL AND NOT "
    "paused ORDER BY next_fire LIMIT 1)";

#define BACKFILL                                                                               \
  "job_id, job_name, from_at, to_at, through, fires, missing, max_parallel, who, created_at, " \
  "ended_at, "                                                                                 \
  "cancelled"
inline constexpr char kInsertBackfill[] =
    "INSERT INTO backfill(" BACKFILL ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?)";
inline constexpr char kUpdateBackfill[] =
    "UPDATE backfill SET (" BACKFILL ") = (?,?,?,?,?,?,?,?,?,?,?,?) WHERE id = ?";
inline constexpr char kListBackfills[] =
    "SELECT id, " BACKFILL " FROM backfill WHERE job_id = ?1 OR ?1 = 0 ORDER BY id DESC LIMIT ?2";
inline constexpr char kOpenBackfills[] =
    "SELECT id, " BACKFILL
    " FROM backfill INDEXED BY backfill_open WHERE ended_at IS NULL AND (job_id = ?1 OR ?1 = 0) "
    "ORDER BY id DESC LIMIT ?2";

#define ALERT                                                                             \
  "kind, job_id, subject, node, began_at, ended_at, ended_by, ended_who, count, events, " \
  "run_id, expected_at, detail, cause, told_at, tell_at, reminders, over_untold, silenced_until"
inline constexpr char kInsertAlert[] =
    "INSERT INTO alert(" ALERT ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
inline constexpr char kUpdateAlert[] =
    "UPDATE alert SET (" ALERT ") = (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) WHERE id = ?";
inline constexpr char kLatestAlert[] =
    "SELECT id, " ALERT
    " FROM alert INDEXED BY alert_of_job WHERE job_id = ? AND kind = ? AND (job_id <> 0 OR "
    "subject = ?) ORDER BY id DESC LIMIT 1";
inline constexpr char kListAlerts[] = "SELECT id, " ALERT " FROM alert ORDER BY id DESC LIMIT ?";
inline constexpr char kAlertsOfJob[] =
    "SELECT id, " ALERT
    " FROM alert INDEXED BY alert_of_job WHERE job_id = ? ORDER BY id DESC LIMIT ?";
inline constexpr char kOpenAlerts[] =
    "SELECT id, " ALERT
    " FROM alert INDEXED BY alert_open WHERE ended_at IS NULL ORDER BY id DESC LIMIT ?";
inline constexpr char kOpenAlertsOfJob[] =
    "SELECT id, " ALERT
    " FROM alert INDEXED BY alert_open WHERE ended_at IS NULL AND job_id = ? "
    "ORDER BY id DESC LIMIT ?";
inline constexpr char kAlertedJobs[] =
    "SELECT job_id, count(*) FROM alert INDEXED BY alert_open WHERE ended_at IS NULL "
    "GROUP BY job_id";
/// By ids out of two partial indexes: with an OR of the two conditions the history of years is
/// read.
inline constexpr char kAlertsToTell[] =
    "SELECT id, " ALERT
    " FROM alert WHERE id IN (SELECT id FROM alert INDEXED BY alert_tell WHERE tell_at <= ? "
    "UNION SELECT id FROM alert INDEXED BY alert_over WHERE over_untold = 1) ORDER BY id LIMIT ?";
inline constexpr char kSetAlertAside[] =
    "UPDATE alert SET tell_at = NULL, over_untold = 0 WHERE id = ?";
inline constexpr char kNextBeginning[] =
    "SELECT min(tell_at) FROM alert INDEXED BY alert_tell WHERE tell_at IS NOT NULL";
inline constexpr char kNextEnd[] =
    "SELECT min(ended_at) FROM alert INDEXED BY alert_over WHERE over_untold = 1";

#define MESSAGE "notifier, created_at, due_at, tries, payload, summary, settled_at, given_up, error"
inline constexpr char kInsertMessage[] =
    "INSERT INTO message(" MESSAGE ") VALUES (?,?,?,?,?,?,?,?,?)";
inline constexpr char kUpdateMessage[] =
    "UPDATE message SET (" MESSAGE ") = (?,?,?,?,?,?,?,?,?) WHERE id = ?";
inline constexpr char kGetMessage[] = "SELECT id, " MESSAGE " FROM message WHERE id = ?";
inline constexpr char kWaitingMessages[] =
    "SELECT id, " MESSAGE
    " FROM message INDEXED BY message_waiting WHERE settled_at IS NULL ORDER BY id LIMIT ?";
inline constexpr char kWaitingMessagesOf[] =
    "SELECT id, " MESSAGE
    " FROM message INDEXED BY message_waiting WHERE settled_at IS NULL AND notifier = ? "
    "ORDER BY id LIMIT ?";

}  // namespace schedctl::store::sqlite::sql
