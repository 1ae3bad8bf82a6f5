// What retention reads and removes. Pages are found by id, so that a step costs as much among a
// million rows as among a thousand; a run's output tail, on pages of its own, is not read.

#include <limits>

#include "src/store/sqlite/sqlite_store.hpp"
#include "src/store/sqlite/statements.hpp"

namespace schedctl::store::sqlite {
namespace {

/// The rows that a record kind's statement looks at, and those of them that may go.
struct RecordSql {
  const char* page;    ///< of (after, limit): id, and when it was, oldest first
  const char* count;   ///< of (after, last, before)
  const char* remove;  ///< likewise
  /// Later rows are younger: the first that is too young ends the walk.
  bool in_order;
};

#define RECORDS(table, time, condition)                                                          \
  "SELECT id, " time " FROM " table " WHERE id > ? ORDER BY id LIMIT ?",                         \
      "SELECT count(*) FROM " table " WHERE id > ? AND id <= ? AND " time " < ? AND " condition, \
      "DELETE FROM " table " WHERE id > ? AND id <= ? AND " time " < ? AND " condition

#define VERSION_CONDITION                                                                       \
  "NOT EXISTS (SELECT 1 FROM job WHERE job.id = job_version.job_id) AND "                       \
  "NOT EXISTS (SELECT 1 FROM run INDEXED BY run_by_job WHERE run.job_id = job_version.job_id) " \
  "AND NOT EXISTS (SELECT 1 FROM audit INDEXED BY audit_of_job WHERE audit.job = "              \
  "job_version.name AND (action = 'remove' OR detail GLOB 'removed*'))"

constexpr RecordSql kEvents = {
    RECORDS("event", "at", "kind NOT IN ('zone-data', 'calendars', 'job-error')"), true};
constexpr RecordSql kAudits = {RECORDS("audit", "at", "true"), true};
constexpr RecordSql kMessages = {
    RECORDS("message", "coalesce(settled_at, created_at)", "settled_at IS NOT NULL"), false};
constexpr RecordSql kAlerts = {
    RECORDS("alert",
            "max(began_at, coalesce(ended_at, 0), coalesce(told_at, 0), "
            "coalesce(silenced_until, 0))",
            "ended_at IS NOT NULL AND over_untold = 0 AND tell_at IS NULL"),
    false};
constexpr RecordSql kBackfills = {
    RECORDS("backfill", "coalesce(ended_at, created_at)",
            "ended_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM run INDEXED BY run_of_backfill "
            "WHERE run.backfill_id <> 0 AND run.backfill_id = backfill.id)"),
    false};
constexpr RecordSql kVersions = {
    "SELECT rowid, valid_from FROM job_version WHERE rowid > ? ORDER BY rowid LIMIT ?",
    "SELECT count(*) FROM job_version WHERE rowid > ? AND rowid <= ? AND valid_from < ? "
    "AND " VERSION_CONDITION,
    "DELETE FROM job_version WHERE rowid > ? AND rowid <= ? AND valid_from < ? "
    "AND " VERSION_CONDITION,
    false};

const RecordSql& sql_of(RecordKind kind) {
  switch (kind) {
    case RecordKind::event:
      return kEvents;
    case RecordKind::audit:
      return kAudits;
    case RecordKind::message:
      return kMessages;
    case RecordKind::alert:
      return kAlerts;
    case RecordKind::backfill:
      return kBackfills;
    case RecordKind::version:
      return kVersions;
  }
  return kEvents;
}

// Its last moment; a stretch ends with its last fire.
#define RUN_UNTIL                                                  \
  "max(run.created_at, coalesce(run.ended_at, 0), run.fire_time, " \
  "coalesce(run.last_fire_time, 0))"
// CASE: what needs a look-up is looked at only where the rest does not decide already.
#define HISTORY                                                                             \
  "SELECT run.id, run.created_at, run.attempt > 1 OR run.lost_count > 0, run.output_path, " \
  "CASE WHEN run.state IN ('pending', 'running') THEN 1 WHEN " RUN_UNTIL                    \
  " >= ?1 THEN 1 "                                                                          \
  "WHEN EXISTS (SELECT 1 FROM alert INDEXED BY alert_of_run WHERE alert.run_id <> 0 AND "   \
  "alert.run_id = run.id) THEN 1 "                                                          \
  "WHEN run.backfill_id <> 0 AND EXISTS (SELECT 1 FROM backfill WHERE backfill.id = "       \
  "run.backfill_id AND backfill.ended_at IS NULL) THEN 1 "                                  \
  "WHEN EXISTS (SELECT 1 FROM job WHERE job.id = run.job_id AND (job.last_start = "         \
  "run.started_at OR run.id = (SELECT max(last.id) FROM run AS last INDEXED BY run_by_job " \
  "WHERE last.job_id = run.job_id))) THEN 1 ELSE 0 END FROM run "

constexpr char kHistory[] = HISTORY "WHERE run.id > ?2 AND run.id <= ?3 ORDER BY run.id LIMIT ?4";
constexpr char kHistoryOfJob[] = HISTORY
    "INDEXED BY run_by_job WHERE run.job_id = ?5 AND run.id > ?2 AND run.id <= ?3 "
    "ORDER BY run.id LIMIT ?4";
constexpr char kHistoryWithOutput[] = HISTORY
    "WHERE run.id IN (SELECT id FROM (SELECT id FROM run INDEXED BY run_output WHERE output_path "
    "<> '' AND state NOT IN ('pending', 'running') AND id > ?2 AND id <= ?3 ORDER BY id LIMIT ?4) "
    "UNION SELECT run_id FROM (SELECT DISTINCT run_id FROM attempt INDEXED BY attempt_output WHERE "
    "output_path <> '' AND run_id > ?2 AND run_id <= ?3 ORDER BY run_id LIMIT ?4)) "
    "ORDER BY run.id LIMIT ?4";

constexpr char kFilesOfAttempts[] =
    "SELECT output_path FROM attempt INDEXED BY attempt_of_run WHERE run_id = ?";
constexpr char kSurplus[] =
    "SELECT job.id, (SELECT run.id FROM run INDEXED BY run_by_job WHERE run.job_id = job.id "
    "ORDER BY run.id DESC LIMIT 1 OFFSET ?1) FROM job WHERE job.id > ?2 ORDER BY job.id LIMIT ?3";
constexpr char kDeleteRun[] =
    "DELETE FROM run WHERE id = ? AND state NOT IN ('pending', 'running')";
constexpr char kDeleteAttempts[] = "DELETE FROM attempt WHERE run_id = ?";
constexpr char kForgetOutput[] =
    "UPDATE run SET output_path = '' WHERE id = ? AND state NOT IN ('pending', 'running')";
constexpr char kForgetOutputs[] =
    "UPDATE attempt SET output_path = '' WHERE run_id = ? AND output_path <> ''";

}  // namespace

void SqliteStore::add_attempts(HistoryRun& run) {
  for (Query found = query(kFilesOfAttempts, run.id); found.next(); ++run.attempts) {
    std::string path;
    found.read(path);
    if (!path.empty()) run.files.push_back(std::move(path));
  }
}

Result<HistoryPage> SqliteStore::history(const HistoryFilter& filter) {
  return database_->read([&]() -> Result<HistoryPage> {
    HistoryPage page;
    page.last = filter.after;
    const RunId up_to = filter.up_to.value_or(RunId{std::numeric_limits<std::int64_t>::max()});
    const char* const sql = filter.job_id        ? kHistoryOfJob
                            : filter.with_output ? kHistoryWithOutput
                                                 : kHistory;
    Query found = query(sql, filter.before, filter.after, up_to, filter.limit);
    if (filter.job_id) found.bind_all(*filter.job_id);
    bool reached_youth = false;
    std::vector<std::size_t> retried;
    while (found.next()) {
      HistoryRun& run = page.runs.emplace_back();
      Time created{};
      bool again = false;
      std::string path;
      found.read(run.id, created, again, path, run.held);
      if (!path.empty()) run.files.push_back(std::move(path));
      if (again) retried.push_back(page.runs.size() - 1);
      page.last = run.id;
      reached_youth = created >= filter.before;
    }
    for (const std::size_t i : retried) add_attempts(page.runs[i]);
    page.more = page.runs.size() >= filter.limit && !reached_youth;
    return page;
  });
}

Result<std::vector<Surplus>> SqliteStore::surplus_runs(JobId after, std::int64_t keep,
                                                       std::size_t limit) {
  return database_->read([&]() -> Result<std::vector<Surplus>> {
    std::vector<Surplus> jobs;
    for (Query found = query(kSurplus, keep, after, limit); found.next();) {
      Surplus& job = jobs.emplace_back();
      std::optional<RunId> up_to;
      found.read(job.job_id, up_to);
      if (up_to) job.up_to = *up_to;
    }
    return jobs;
  });
}

Result<std::int64_t> SqliteStore::delete_runs(const std::vector<RunId>& ids) {
  return database_->write([&]() -> Result<std::int64_t> {
    std::int64_t removed = 0;
    for (const RunId id : ids) {
      if (query(kDeleteRun, id).run() == 0) continue;
      query(kDeleteAttempts, id).run();
      ++removed;
    }
    return removed;
  });
}

Result<void> SqliteStore::forget_outputs(const std::vector<RunId>& ids) {
  return database_->write([&]() -> Result<void> {
    for (const RunId id : ids) {
      if (query(kForgetOutput, id).run() != 0) query(kForgetOutputs, id).run();
    }
    return {};
  });
}

Result<RecordPage> SqliteStore::prune_records(const RecordFilter& filter) {
  return database_->write([&]() -> Result<RecordPage> {
    const RecordSql& sql = sql_of(filter.kind);
    RecordPage page;
    page.last = filter.after;
    std::size_t rows = 0;
    Time then{};
    for (Query found = query(sql.page, filter.after, filter.limit); found.next(); ++rows) {
      found.read(page.last, then);
    }
    page.more = rows >= filter.limit && !(sql.in_order && then >= filter.before);
    if (rows == 0) return page;
    if (filter.count_only) {
      Query count = query(sql.count, filter.after, page.last, filter.before);
      if (count.next()) count.read(page.removed);
    } else {
      page.removed = query(sql.remove, filter.after, page.last, filter.before).run();
    }
    return page;
  });
}

}  // namespace schedctl::store::sqlite
