#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "schedctl/base/result.hpp"
#include "schedctl/job/alert.hpp"
#include "schedctl/job/job.hpp"
#include "schedctl/job/run.hpp"
#include "schedctl/store/history.hpp"

namespace schedctl::store {

/// A job with what the run table says of it now.
struct JobListing {
  job::Job job;
  int running = 0;      ///< live runs (state running)
  int open_alerts = 0;  ///< episodes that have not ended
};

/// A pending run that is due, and whether another run keeps its job busy
/// (job::keeps_job_busy).
struct DueRun {
  job::Run run;
  bool job_busy = false;
};

/// Newest first, by id. Unset members do not filter.
struct RunFilter {
  std::optional<std::string> job_name = {};
  std::optional<JobId> job_id = {};
  std::vector<job::RunState> states = {};  ///< empty: all
  std::optional<Time> since = {};          ///< fire time (or a stretch's last) at or after
  std::optional<Time> until = {};          ///< fire time before
  std::optional<job::Cause> cause = {};
  std::optional<BackfillId> backfill = {};
  bool by_fire_time = false;  ///< latest fire time first instead
  /// Only those that hold their job's slot, wait for it, or may start beside others: not what is
  /// merely due.
  bool in_line = false;
  std::size_t limit = 1000;
};

/// One daemon on this store.
struct Node {
  std::string id = {};  ///< UUID
  std::string hostname = {};
  std::int64_t pid = 0;  ///< 0: not running (it stopped properly)
  std::string boot_id = {};
  std::string version = {};
  std::string control_path = {};  ///< its control socket: what a CLI pokes
  std::string keeper = {};        ///< instance id of its keeper
  Time started_at{};
  std::optional<Time> stopped_at = {};
  std::optional<Time> last_beat = {};
};

/// What happened to the scheduler itself.
struct Event {
  Time at{};
  std::string node = {};
  std::string kind =
      {};  ///< daemon-up, daemon-down, clock-jump, reload, keeper-lost, job-error, ...
  std::string detail = {};
};

/// Who changed what.
struct Audit {
  Time at{};
  std::string who = {};     ///< user name, and the real user behind sudo
  std::string action = {};  ///< add, set, remove, pause, resume, trigger, cancel, load, ...
  std::string job = {};     ///< name as of then; empty: none
  std::string detail = {};
};

/// A job's definition as it was from `since` on, until the next version or the job's end.
struct JobVersion {
  JobId job_id;
  std::string name = {};
  std::int64_t version = 1;
  Time since{};
  job::Definition definition = {};
};

/// Unset members do not filter.
struct EventFilter {
  std::optional<Time> since = {};  ///< at or after
  std::optional<Time> until = {};  ///< before
  std::vector<std::string> kinds = {};
  std::size_t limit = 1000;
};

/// A past range of a job that somebody wants run.
struct Backfill {
  BackfillId id;
  JobId job_id;
  std::string job_name = {};
  Time from{};  ///< the range is [from, to)
  Time to{};
  Time through{};          ///< every fire up to and including this instant has its run
  std::int64_t fires = 0;  ///< in the range, when it was asked for
  bool missing = false;    ///< only fires whose row is no success
  int max_parallel = 1;
  std::string who = {};
  Time created_at{};
  std::optional<Time> ended_at = {};  ///< every fire has its run, and every run has ended; or:
  bool cancelled = false;             ///< nothing more of it is started
};

/// Unset members do not filter.
struct BackfillFilter {
  bool open_only = false;
  std::optional<JobId> job_id = {};
  std::size_t limit = 1000;
};

struct Counts {
  std::int64_t jobs = 0;
  std::int64_t runs_running = 0;
  std::int64_t runs_pending = 0;
  std::int64_t alerts_open = 0;
  std::optional<Time> next_fire = {};  ///< the first of a job that is not paused
};

/// Unset members do not filter.
struct AlertFilter {
  bool open_only = false;
  std::optional<JobId> job_id = {};
  std::size_t limit = 1000;
};

/// Something to be told through one notifier, complete as it will be sent.
struct Message {
  MessageId id;
  std::string notifier = {};  ///< "slack"
  Time created_at{};
  Time due_at{};  ///< not to be tried before
  int tries = 0;
  std::string payload = {};  ///< the body of the request
  std::string summary = {};  ///< one line, for people; what is sent where the payload is refused
  std::optional<Time> settled_at = {};  ///< sent, or given up; until then it waits
  bool given_up = false;                ///< it was refused for good: `error` says why
  std::string error = {};               ///< of the last try
};

/// What is known of a notifier's other end.
struct NotifierState {
  std::string name = {};
  std::string address = {};  ///< a hash of where it sends to: tells a changed one from the old
  std::optional<Time> stopped_at = {};  ///< the other end refuses for good: nothing is sent
  std::string why = {};
  std::optional<Time> last_sent = {};
};

/// Where jobs and runs are kept. One thread uses one Store. Verbs are single steps: without begin()
/// each is a transaction of its own; after begin() they belong to it until commit() or rollback().
/// A Store decides nothing: it refuses only what would break the data (a second job of a name, a
/// second row for an occurrence, a write with an old fence).
///
/// Failures: kind unavailable where trying again may help (locked by somebody else for longer than
/// the busy timeout of about 1 s, disk full, I/O error), config where it will not (corrupt, newer
/// schema), conflict and not_found as said at the verbs. After a failure inside a transaction the
/// caller must rollback() (Transaction does).
class Store {
 public:
  virtual ~Store() = default;

  /// UUID given to the store when it was made.
  virtual const std::string& id() const = 0;

  virtual Result<void> begin() = 0;   ///< takes the write lock at once (BEGIN IMMEDIATE)
  virtual Result<void> commit() = 0;  ///< durable (fsynced) when it returns
  virtual void rollback() = 0;        ///< of nothing is no error
  /// The same number again: nothing has been written in between, by this Store or anybody else.
  virtual std::uint64_t revision() = 0;

  // Jobs.
  /// Sets job.id. Kind conflict if the name is taken. Also records the definition as a version.
  virtual Result<void> insert_job(job::Job& job) = 0;
  /// Writes the whole row, found by id; records a version if `version` has changed. Kind not_found;
  /// conflict if it is renamed to a taken name.
  virtual Result<void> update_job(const job::Job& job) = 0;
  virtual Result<void> delete_job(JobId id) = 0;  ///< its runs and versions stay
  virtual Result<std::optional<job::Job>> find_job(const std::string& name) = 0;
  virtual Result<std::optional<job::Job>> get_job(JobId id) = 0;
  /// By name, in byte order. `pattern` is a shell glob; empty: all.
  virtual Result<std::vector<JobListing>> list_jobs(const std::string& pattern) = 0;
  /// Jobs that files and the like define (managed_by is not `cli`), by name; does not read the
  /// rest.
  virtual Result<std::vector<job::Job>> managed_jobs() = 0;
  /// Jobs with next_fire <= now, earliest first. A row that cannot be read (somebody edited it) is
  /// left out, loses its next_fire, so that it is not due for ever, and an event `job-error` says
  /// so.
  virtual Result<std::vector<job::Job>> due_jobs(Time now, std::size_t limit) = 0;
  /// Whether one of them has a priority of its own.
  virtual Result<bool> is_ranked_job_due(Time now) = 0;
  /// Every version of every job that had this name, oldest first; those of removed jobs too. A
  /// version that cannot be read is left out.
  virtual Result<std::vector<JobVersion>> versions_of(const std::string& name) = 0;
  /// Jobs that fire on reboot and have not yet seen this boot; those of rows that cannot be read
  /// are left out.
  virtual Result<std::vector<job::Job>> reboot_jobs(const std::string& boot_id) = 0;
  /// Narrow writes of a beat; nothing else of the row is touched; a job that is gone is no error.
  virtual Result<void> set_planned(JobId id, Time planned_through,
                                   std::optional<Time> next_fire) = 0;
  virtual Result<void> set_boot(JobId id, const std::string& boot_id) = 0;
  virtual Result<void> count_run(JobId id) = 0;  ///< run_count + 1
  /// Copies fire time, started, ended and state of `run` into the job's last_* members.
  virtual Result<void> set_last_run(const job::Run& run) = 0;

  // Runs.
  /// Sets run.id and returns true; false (and nothing written) if cause is schedule and a row of
  /// this job has that fire time already, or has it inside its stretch. A stretch is refused as a
  /// whole if it overlaps any such row, or later fires inside it could get a second one.
  virtual Result<bool> insert_run(job::Run& run) = 0;
  /// Writes everything that can change (all but job, cause, fire time and created_at), `WHERE
  /// id AND fence = expected_fence`; false if no row matched (somebody else has claimed it since).
  virtual Result<bool> update_run(const job::Run& run, std::int64_t expected_fence) = 0;
  virtual Result<std::optional<job::Run>> get_run(RunId id) = 0;
  virtual Result<std::vector<job::Run>> list_runs(const RunFilter& filter) = 0;
  /// Pending runs with due_at <= now, the lowest rank first, then by id; without those that wait
  /// until their job is free (`waits`, retries; not forced) while it is busy, those of the groups
  /// in `without`, and those that are gated, so that they hide nobody. Of two waiting retries only
  /// the younger one finds its job busy.
  virtual Result<std::vector<DueRun>> due_runs(Time now, std::size_t limit,
                                               const std::vector<std::string>& without) = 0;
  /// Those whose job is busy, gated ones left out, the earliest due first, then by id: what becomes
  /// of them does not depend on a free slot.
  virtual Result<std::vector<DueRun>> blocked_runs(Time now, std::size_t limit) = 0;
  /// Whether a run of the job keeps it busy (job::keeps_job_busy).
  virtual Result<bool> is_busy(JobId job) = 0;
  /// Pending runs that are gated, oldest first.
  virtual Result<std::vector<job::Run>> gated_runs() = 0;
  /// Whether a run of the job (no backfill) with a fire time after that one has succeeded.
  virtual Result<bool> has_succeeded(JobId job, Time after) = 0;
  /// Pending runs with give_up_at <= now, earliest first.
  virtual Result<std::vector<job::Run>> overdue_runs(Time now, std::size_t limit) = 0;
  /// Runs of this state, oldest first, without their output tails.
  virtual Result<std::vector<job::Run>> runs_in_state(job::RunState state) = 0;
  /// Runs of state running whose cancel was asked for.
  virtual Result<std::vector<job::Run>> cancel_requests() = 0;
  /// Runs of state running that somebody wants a signal sent to.
  virtual Result<std::vector<job::Run>> signal_requests() = 0;
  virtual Result<void> insert_attempt(RunId id, const job::AttemptResult& attempt,
                                      job::Reason reason) = 0;
  /// Earlier attempts of a retried run, oldest first.
  virtual Result<std::vector<job::AttemptResult>> list_attempts(RunId id) = 0;

  /// The earliest of: next_fire of a job, give_up_at of a pending run, and due_at of one after
  /// `due_after` (runs due before that wait for capacity, not for time).
  virtual Result<std::optional<Time>> next_wake(Time due_after) = 0;
  virtual Result<Counts> counts() = 0;

  // Backfills.
  virtual Result<void> insert_backfill(Backfill& backfill) = 0;  ///< sets backfill.id
  virtual Result<void> update_backfill(const Backfill& backfill) = 0;
  virtual Result<std::vector<Backfill>> list_backfills(
      const BackfillFilter& filter) = 0;  ///< newest first

  // Alerts and what is told of them.
  virtual Result<void> insert_alert(job::Alert& alert) = 0;  ///< sets alert.id
  virtual Result<void> update_alert(const job::Alert& alert) = 0;
  /// The youngest of this job and kind (and, without a job, of this subject), open or not.
  virtual Result<std::optional<job::Alert>> latest_alert(JobId job, job::AlertKind kind,
                                                         const std::string& subject) = 0;
  /// Newest first, by id.
  virtual Result<std::vector<job::Alert>> list_alerts(const AlertFilter& filter) = 0;
  /// Ids of jobs with an open episode; JobId{} among them if the scheduler itself has one.
  virtual Result<std::vector<JobId>> alerted_jobs() = 0;
  /// Ends every open episode of a job (of these kinds; none given: of all), to be told. How many.
  virtual Result<std::int64_t> end_alerts(JobId job, const std::vector<job::AlertKind>& kinds,
                                          job::AlertEnd how, const std::string& who, Time now) = 0;
  /// Those with tell_at <= `by`, and those whose end is untold; oldest first, by id.
  virtual Result<std::vector<job::Alert>> alerts_to_tell(Time by, std::size_t limit) = 0;
  virtual Result<void> insert_message(Message& message) = 0;  ///< sets message.id
  virtual Result<void> update_message(const Message& message) = 0;
  /// Unsettled ones, oldest first; of one notifier, or of all if it is empty.
  virtual Result<std::vector<Message>> waiting_messages(const std::string& notifier,
                                                        std::size_t limit) = 0;
  virtual Result<std::optional<Message>> get_message(MessageId id) = 0;
  virtual Result<void> put_notifier(const NotifierState& state) = 0;  ///< inserts or replaces
  virtual Result<std::vector<NotifierState>> list_notifiers() = 0;    ///< by name
  /// The earliest tell_at of an alert; the earliest ended_at of one whose end is untold.
  virtual Result<std::optional<Time>> next_telling() = 0;

  // The scheduler itself.
  virtual Result<void> put_node(const Node& node) = 0;  ///< inserts or replaces by id
  virtual Result<std::vector<Node>> list_nodes() = 0;
  virtual Result<void> add_event(const Event& event) = 0;
  virtual Result<std::vector<Event>> list_events(const EventFilter& filter) = 0;  ///< newest first
  virtual Result<void> add_audit(const Audit& audit) = 0;
  /// Newest first; of one job, or of all if `job` is empty.
  virtual Result<std::vector<Audit>> list_audit(const std::string& job, std::size_t limit) = 0;

  // What goes of the past; small steps, each some milliseconds among a million rows.
  virtual Result<HistoryPage> history(const HistoryFilter& filter) = 0;
  /// Of the next `limit` jobs after `after`, by id: which runs are more than `keep`.
  virtual Result<std::vector<Surplus>> surplus_runs(JobId after, std::int64_t keep,
                                                    std::size_t limit) = 0;
  /// Removes runs, and their attempts; how many runs. One that has not ended stays.
  virtual Result<std::int64_t> delete_runs(const std::vector<RunId>& ids) = 0;
  /// Their output files are gone, and those of their attempts; the tails stay.
  virtual Result<void> forget_outputs(const std::vector<RunId>& ids) = 0;
  virtual Result<RecordPage> prune_records(const RecordFilter& filter) = 0;
};

/// begin() now, rollback() when it goes out of scope without commit().
class Transaction {
 public:
  static Result<Transaction> begin(Store& store) {
    TRY_VOID(store.begin());
    return Transaction(store);
  }
  Transaction(Transaction&& other) noexcept : store_(other.store_) { other.store_ = nullptr; }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction() {
    if (store_ != nullptr) store_->rollback();
  }
  Result<void> commit() {
    TRY_VOID(store_->commit());
    store_ = nullptr;
    return {};
  }

 private:
  explicit Transaction(Store& store) : store_(&store) {}
  Store* store_;
};

/// A store in this process's memory; gone with it. A real one, for tests, and for reading commands
/// where no database exists yet.
std::unique_ptr<Store> open_memory();

struct SqliteOptions {
  std::string path;
  bool create = true;   ///< make it (0600) and its schema if it does not exist
  bool migrate = true;  ///< bring an older schema up to date; else it is refused, kind conflict
  Duration busy_timeout = std::chrono::seconds(1);
};
/// Opens an SQLite file; WAL, synchronous=FULL. Migrates an older schema in one transaction. Kind
/// not_found if it does not exist and `create` is false; config for a corrupt file, a foreign one
/// or a newer schema (the message names both versions); not_allowed; unavailable.
Result<std::unique_ptr<Store>> open_sqlite(const SqliteOptions& options);

/// The schema version this program writes.
int schema_version();

/// Whole and consistent: SQLite's own integrity check, and that rows point at rows that exist. One
/// line a finding, empty if all is well; nothing is changed. Works while a daemon uses the file.
/// Kinds as open_sqlite.
Result<std::vector<std::string>> check_sqlite(const std::string& path);
/// What the file has, and how much of it is free for new rows. Kinds as open_sqlite.
struct SqliteSpace {
  std::int64_t bytes = 0;
  std::int64_t free = 0;
};
Result<SqliteSpace> space_of_sqlite(const std::string& path);
/// Copies the database to a new file (0600), online and consistent, and checks the pages of the
/// copy before it gets its name. Kind conflict if `to` exists; config: `from` is damaged, another
/// program's, or of a newer schema. No half copy is ever left under the name `to`.
Result<void> backup_sqlite(const std::string& from, const std::string& to);
/// Puts the database at `path` in the state of the backup `from`, which is checked first; what was
/// there is kept beside it, under the name that is returned ("" if there was nothing). The caller
/// has made sure that no daemon uses it, and that no job still runs for one. It is another store
/// then, by its id, and nothing that the backup calls running is known to any keeper. Whenever it
/// is killed, `path` is the old or the new database. Kind config: `from` is damaged, another
/// program's, or of a newer schema; conflict: somebody reads or writes the database, or `from` is
/// the database itself. Nothing was changed then.
Result<std::string> restore_sqlite(const std::string& from, const std::string& path, Time now);

}  // namespace schedctl::store
