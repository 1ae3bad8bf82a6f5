#include "src/store/sqlite/schema.hpp"

#include <array>

#include "schedctl/base/crash_point.hpp"
#include "schedctl/base/log.hpp"
#include "src/store/new_id.hpp"
#include "src/store/sqlite/maintenance.hpp"

// Instants and durations are INTEGER microseconds, enumerations are their words, lists of words are
// JSON text or NULL. Times and states lie before long texts in a row, so that reading them does not
// follow overflow pages; the output's tail is last.
//
// A column that an index covers is left out of UPDATEs that cannot change it: naming it would have
// SQLite delete and insert the index entry.

namespace schedctl::store::sqlite {
namespace {

// A job's definition, the same in `job` and in `job_version`.
#define DEFINITION_COLUMNS_SQL                                                                   \
  "kind TEXT NOT NULL, every INTEGER NOT NULL, anchor INTEGER NOT NULL, cron TEXT NOT NULL, "    \
  "timezone TEXT NOT NULL, at INTEGER NOT NULL, dst_gap TEXT NOT NULL, dst_fold TEXT NOT NULL, " \
  "command TEXT, shell TEXT NOT NULL, cwd TEXT NOT NULL, env TEXT, tags TEXT, "                  \
  "overlap TEXT, misfire_grace INTEGER, coalesce TEXT, jitter INTEGER, timeout INTEGER, "        \
  "kill_grace INTEGER, max_attempts INTEGER, backoff INTEGER, max_delay INTEGER, on_lost TEXT"

// How an attempt went, the same in `run` (the last one) and in `attempt` (those before).
#define RESULT_COLUMNS_SQL                                                                   \
  "started_at INTEGER, ended_at INTEGER, pid INTEGER NOT NULL, exit_code INTEGER, "          \
  "signal INTEGER NOT NULL, error TEXT NOT NULL, cpu INTEGER NOT NULL, max_rss_kb INTEGER, " \
  "output_path TEXT NOT NULL, output_bytes INTEGER NOT NULL, output_tail BLOB"

constexpr const char* kVersion1 =
    "CREATE TABLE store_meta(id TEXT NOT NULL) STRICT;"

    // AUTOINCREMENT: the history of a removed job must not pass to the next one.
    "CREATE TABLE job(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, "
    "version INTEGER NOT NULL, planned_through INTEGER NOT NULL, next_fire INTEGER, "
    "last_fire INTEGER, last_start INTEGER, last_end INTEGER, last_state TEXT, "
    "created_at INTEGER NOT NULL, paused INTEGER NOT NULL, paused_at INTEGER NOT NULL, "
    "paused_reason TEXT NOT NULL, managed_by TEXT NOT NULL, " DEFINITION_COLUMNS_SQL
    ") STRICT;"
    "CREATE INDEX job_next_fire ON job(next_fire) WHERE next_fire IS NOT NULL;"
    "CREATE INDEX job_managed ON job(name) WHERE managed_by <> 'cli';"

    "CREATE TABLE job_version(job_id INTEGER NOT NULL, version INTEGER NOT NULL, "
    "name TEXT NOT NULL, valid_from INTEGER NOT NULL, " DEFINITION_COLUMNS_SQL
    ", PRIMARY KEY(job_id, version)) STRICT;"

    "CREATE TABLE run(id INTEGER PRIMARY KEY AUTOINCREMENT, job_id INTEGER NOT NULL, "
    "job_name TEXT NOT NULL, job_version INTEGER NOT NULL, cause TEXT NOT NULL, "
    "fire_time INTEGER NOT NULL, last_fire_time INTEGER, count INTEGER NOT NULL, "
    "created_at INTEGER NOT NULL, due_at INTEGER NOT NULL, state TEXT NOT NULL, "
    "reason TEXT NOT NULL, attempt INTEGER NOT NULL, result_attempt INTEGER NOT NULL, "
    "lost_count INTEGER NOT NULL, "
    "start_failures INTEGER NOT NULL, fence INTEGER NOT NULL, node TEXT NOT NULL, "
    "keeper TEXT NOT NULL, waits INTEGER NOT NULL, forced INTEGER NOT NULL, "
    "cancel_requested INTEGER NOT NULL, key TEXT NOT NULL, " RESULT_COLUMNS_SQL
    ") STRICT;"
    "CREATE UNIQUE INDEX run_occurrence ON run(job_id, fire_time) WHERE cause = 'schedule';"
    "CREATE INDEX run_due ON run(due_at) WHERE state = 'pending';"
    "CREATE INDEX run_busy ON run(job_id) WHERE state = 'running' "
    "OR (state = 'pending' AND (attempt > 1 OR lost_count > 0));"
    "CREATE INDEX run_cancel ON run(job_id) WHERE state = 'running' AND cancel_requested = 1;"
    "CREATE INDEX run_by_name ON run(job_name);"
    "CREATE INDEX run_by_job ON run(job_id);"

    "CREATE TABLE attempt(id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL, "
    "attempt INTEGER NOT NULL, reason TEXT NOT NULL, " RESULT_COLUMNS_SQL
    ") STRICT;"
    "CREATE INDEX attempt_of_run ON attempt(run_id);"

    "CREATE TABLE node(id TEXT NOT NULL PRIMARY KEY, hostname TEXT NOT NULL, pid INTEGER NOT NULL, "
    "boot_id TEXT NOT NULL, version TEXT NOT NULL, control_path TEXT NOT NULL, "
    "keeper TEXT NOT NULL, started_at INTEGER NOT NULL, stopped_at INTEGER, last_beat INTEGER"
    ") STRICT;"

    "CREATE TABLE event(id INTEGER PRIMARY KEY, at INTEGER NOT NULL, node TEXT NOT NULL, "
    "kind TEXT NOT NULL, detail TEXT NOT NULL) STRICT;"

    "CREATE TABLE audit(id INTEGER PRIMARY KEY, at INTEGER NOT NULL, who TEXT NOT NULL, "
    "action TEXT NOT NULL, job TEXT NOT NULL, detail TEXT NOT NULL) STRICT;"
    "CREATE INDEX audit_of_job ON audit(job);";

constexpr const char* kVersion2 =
    "ALTER TABLE job ADD COLUMN alert_grace INTEGER;"
    "ALTER TABLE job_version ADD COLUMN alert_grace INTEGER;"

    "CREATE TABLE alert(id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, "
    "job_id INTEGER NOT NULL, subject TEXT NOT NULL, node TEXT NOT NULL, "
    "began_at INTEGER NOT NULL, ended_at INTEGER, ended_by TEXT NOT NULL, "
    "ended_who TEXT NOT NULL, count INTEGER NOT NULL, events INTEGER NOT NULL, "
    "run_id INTEGER NOT NULL, expected_at INTEGER, detail TEXT NOT NULL, cause TEXT NOT NULL, "
    "told_at INTEGER, tell_at INTEGER, reminders INTEGER NOT NULL, "
    "over_untold INTEGER NOT NULL, silenced_until INTEGER) STRICT;"
    "CREATE INDEX alert_of_job ON alert(job_id, kind);"
    "CREATE INDEX alert_open ON alert(job_id) WHERE ended_at IS NULL;"
    "CREATE INDEX alert_tell ON alert(tell_at) WHERE tell_at IS NOT NULL;"
    "CREATE INDEX alert_over ON alert(ended_at) WHERE over_untold = 1;"

    "CREATE TABLE message(id INTEGER PRIMARY KEY AUTOINCREMENT, notifier TEXT NOT NULL, "
    "created_at INTEGER NOT NULL, due_at INTEGER NOT NULL, tries INTEGER NOT NULL, "
    "payload TEXT NOT NULL, summary TEXT NOT NULL, settled_at INTEGER, "
    "given_up INTEGER NOT NULL, error TEXT NOT NULL) STRICT;"
    "CREATE INDEX message_waiting ON message(notifier) WHERE settled_at IS NULL;"

    "CREATE TABLE notifier(name TEXT NOT NULL PRIMARY KEY, address TEXT NOT NULL, "
    "stopped_at INTEGER, why TEXT NOT NULL, last_sent INTEGER) STRICT;";

// The columns that a definition gained, for `job` and for `job_version`.
#define ADD_TO(table, column) "ALTER TABLE " table " ADD COLUMN " column ";"
#define ADD_DEFINITION_3(table)                             \
  ADD_TO(table, "weeks INTEGER NOT NULL DEFAULT 1")         \
  ADD_TO(table, "week_anchor INTEGER NOT NULL DEFAULT 0")   \
  ADD_TO(table, "not_before INTEGER")                       \
  ADD_TO(table, "until INTEGER")                            \
  ADD_TO(table, "only_in TEXT")                             \
  ADD_TO(table, "excluded_by TEXT")                         \
  ADD_TO(table, "on_excluded TEXT NOT NULL DEFAULT 'skip'") \
  ADD_TO(table, "max_catchup INTEGER")                      \
  ADD_TO(table, "catchup_spread INTEGER")                   \
  ADD_TO(table, "max_wait INTEGER") ADD_TO(table, "max_runs INTEGER")

constexpr const char* kVersion3 = ADD_DEFINITION_3("job") ADD_DEFINITION_3("job_version")

    "ALTER TABLE job ADD COLUMN paused_until INTEGER;"
    "ALTER TABLE job ADD COLUMN run_count INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE job ADD COLUMN boot_id TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE job ADD COLUMN defined_at INTEGER NOT NULL DEFAULT 0;"
    "UPDATE job SET defined_at = coalesce((SELECT valid_from FROM job_version AS known WHERE "
    "known.job_id = job.id AND known.version = job.version), created_at);"
    "CREATE INDEX job_reboot ON job(id) WHERE kind = 'reboot';"
    "CREATE INDEX job_version_name ON job_version(name);"

    "ALTER TABLE run ADD COLUMN give_up_at INTEGER;"
    "ALTER TABLE run ADD COLUMN backfill_id INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX run_give_up ON run(give_up_at) "
    "WHERE state = 'pending' AND give_up_at IS NOT NULL;"
    "CREATE INDEX run_of_backfill ON run(backfill_id) WHERE backfill_id <> 0;"

    "CREATE TABLE backfill(id INTEGER PRIMARY KEY AUTOINCREMENT, job_id INTEGER NOT NULL, "
    "job_name TEXT NOT NULL, from_at INTEGER NOT NULL, to_at INTEGER NOT NULL, "
    "through INTEGER NOT NULL, fires INTEGER NOT NULL, missing INTEGER NOT NULL, "
    "max_parallel INTEGER NOT NULL, "
    "who TEXT NOT NULL, created_at INTEGER NOT NULL, ended_at INTEGER, "
    "cancelled INTEGER NOT NULL) STRICT;"
    "CREATE INDEX backfill_open ON backfill(job_id) WHERE ended_at IS NULL;"

    "CREATE INDEX event_at ON event(at);";

constexpr const char* kVersion4 =
    "CREATE INDEX IF NOT EXISTS run_unscheduled ON run(job_id, fire_time) WHERE cause <> "
    "'schedule';";

#define ADD_DEFINITION_5(table)          \
  ADD_TO(table, "max_instances INTEGER") \
  ADD_TO(table, "max_queued INTEGER")    \
  ADD_TO(table, "success_codes TEXT")

constexpr const char* kVersion5 = ADD_DEFINITION_5("job") ADD_DEFINITION_5("job_version")

    "ALTER TABLE run ADD COLUMN replaced_by INTEGER NOT NULL DEFAULT 0;";

// What a run has of the policies that tell when it may start; the other policies of a job stand
// together in one column, whatever further ones there will be.
constexpr const char* kVersion6 = ADD_TO("job", "policies TEXT") ADD_TO("job_version",
                                                                        "policies TEXT")
    "ALTER TABLE run ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE run ADD COLUMN rank INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE run ADD COLUMN slot_group TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE run ADD COLUMN gated INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE run ADD COLUMN signal_requested INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE run ADD COLUMN output_cut INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE attempt ADD COLUMN output_cut INTEGER NOT NULL DEFAULT 0;"
    "UPDATE run SET rank = due_at WHERE state = 'pending';"
    "CREATE INDEX run_rank ON run(rank, id, due_at) WHERE state = 'pending' AND gated = 0;"
    "CREATE INDEX run_signal ON run(id) WHERE state = 'running' AND signal_requested <> 0;"
    "CREATE INDEX run_gated ON run(id) WHERE state = 'pending' AND gated = 1;"

    // A run that the machine could not start occupies its job's slot, too.
    "DROP INDEX run_busy;"
    "CREATE INDEX run_busy ON run(job_id) WHERE state = 'running' "
    "OR (state = 'pending' AND (attempt > 1 OR lost_count > 0 OR start_failures > 0));";

// What retention looks for. A run enters run_output once, when it has ended with output.
constexpr const char* kVersion7 =
    "CREATE INDEX run_output ON run(id) "
    "WHERE output_path <> '' AND state NOT IN ('pending', 'running');"
    "CREATE INDEX attempt_output ON attempt(run_id) WHERE output_path <> '';"
    "CREATE INDEX alert_of_run ON alert(run_id) WHERE run_id <> 0;";

// What somebody wants of a run is asked for after somebody else has written, and found among those
// that run: not worth indexes that each change of a state has to look into.
constexpr const char* kVersion8 =
    "DROP INDEX run_cancel;"
    "DROP INDEX run_signal;";

/// Element n leads from schema n to n + 1.
constexpr std::array kMigrations = {kVersion1, kVersion2, kVersion3, kVersion4,
                                    kVersion5, kVersion6, kVersion7, kVersion8};

/// What a file says of itself.
struct Label {
  std::int64_t application_id = 0;
  std::int64_t version = 0;
  std::int64_t tables = 0;
};

std::int64_t number(Database& database, const char* sql) {
  Statement statement(database.raw(), sql);
  Query query(statement);
  std::int64_t value = 0;
  if (query.next()) query.read(value);
  return value;
}

Label read_label(Database& database) {
  return {.application_id = number(database, "PRAGMA application_id"),
          .version = number(database, "PRAGMA user_version"),
          .tables = number(database, "SELECT count(*) FROM sqlite_schema")};
}

Result<void> judge(const Label& label, const SqliteOptions& options) {
  const bool empty = label.application_id == 0 && label.version == 0 && label.tables == 0;
  if (empty && !options.create)
    return fail(ErrorKind::not_found, "there is nothing in the database " + options.path + " yet");
  if (empty) return {};
  if (label.application_id != kApplicationId)
    return fail(ErrorKind::config,
                options.path + " is not a schedctl database, but another program's", "store");
  if (label.version > schema_version())
    return fail(ErrorKind::config,
                "database " + options.path + " has schema version " +
                    std::to_string(label.version) + ", and this program knows versions up to " +
                    std::to_string(schema_version()) +
                    "; use the newer schedctl that made it. Nothing was changed",
                "store");
  if (label.version < schema_version() && !options.migrate)
    return fail(ErrorKind::conflict, "database " + options.path + " has schema version " +
                                         std::to_string(label.version) +
                                         ", and this program writes version " +
                                         std::to_string(schema_version()));
  return {};
}

/// What an older program wrote is kept as it was.
Result<std::string> back_up(const std::string& path, std::int64_t version) {
  Result<std::string> made = backup_of_version(path, version);
  if (made) return made;
  Error error = std::move(made).error();
  error.message =
      "database " + path + " is of an older version (" + std::to_string(version) +
      ") and was left as it is, because the backup that is made first failed: " + error.message;
  return fail(std::move(error));
}

Result<void> migrate(Database& database, const Label& label) {
  for (auto n = static_cast<std::size_t>(label.version); n < kMigrations.size(); ++n)
    database.raw().exec(kMigrations[n]);
  if (label.version == 0) {
    Statement meta(database.raw(), "INSERT INTO store_meta(id) VALUES (?)");
    Query(meta, new_id()).run();
  }
  database.raw().exec("PRAGMA application_id = " + std::to_string(kApplicationId));
  database.raw().exec("PRAGMA user_version = " + std::to_string(schema_version()));
  return {};
}

}  // namespace

Result<void> prepare(Database& database) {
  Label label;
  TRY_VOID(database.read([&]() -> Result<void> {
    // One snapshot for all three, or a database that is being made looks like a stranger's.
    database.raw().exec("BEGIN");
    label = read_label(database);
    database.raw().exec("COMMIT");
    return {};
  }));
  TRY_VOID(judge(label, database.options()));
  TRY_VOID(database.read([&]() -> Result<void> {
    database.configure();
    return {};
  }));
  if (label.version == schema_version()) return {};
  std::string backup;
  Result<void> migrated = database.write([&]() -> Result<void> {
    // Somebody else may have done it while we waited for the lock.
    label = read_label(database);
    TRY_VOID(judge(label, database.options()));
    if (label.version > 0 && label.version < schema_version()) {
      TRY(backup, back_up(database.options().path, label.version));
    }
    TRY_VOID(migrate(database, label));
    CRASH_POINT("store.migrated");
    return {};
  });
  if (migrated && !backup.empty()) {
    log::info("store-migrated",
              {{"from", label.version}, {"to", schema_version()}, {"backup", backup}});
    log::flush();
  }
  return migrated;
}

Result<std::int64_t> version_of(Database& database) {
  Label label;
  TRY_VOID(database.read([&]() -> Result<void> {
    label = read_label(database);
    return {};
  }));
  SqliteOptions options = database.options();
  options.create = false;
  TRY_VOID(judge(label, options));
  return label.version;
}

}  // namespace schedctl::store::sqlite

namespace schedctl::store {

int schema_version() {
  return static_cast<int>(sqlite::kMigrations.size());
}

}  // namespace schedctl::store
