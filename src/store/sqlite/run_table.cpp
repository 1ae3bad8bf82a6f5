#include <algorithm>
#include <limits>

#include "schedctl/base/limits.hpp"
#include "src/store/sqlite/sqlite_store.hpp"
#include "src/store/sqlite/statements.hpp"
#include "src/store/sqlite/words.hpp"

namespace schedctl::store::sqlite {
namespace {

/// Binds the columns of RESULT.
void bind_result(Query& query, const job::AttemptResult& r) {
  query.bind_all(r.started_at, r.ended_at, r.pid, r.exit_code, r.signal, r.error, r.cpu,
                 r.max_rss_kb, r.output_path, r.output_bytes, r.output_cut);
}

void bind_tail(Query& query, const std::string& tail) {
  tail.empty() ? query.bind_all(std::nullopt) : query.bind_all(Blob{tail});
}

/// Binds the columns of RUN_PROGRESS, and the tail.
void bind_progress(Query& query, const job::Run& run) {
  query.bind_all(run.last_fire_time, run.count, run.due_at, to_string(run.state),
                 to_string(run.reason), run.attempt, run.result.attempt, run.lost_count,
                 run.start_failures, run.fence, run.node, run.keeper, run.waits, run.forced,
                 run.cancel_requested, run.key, run.give_up_at, run.replaced_by, run.priority,
                 run.rank(), run.group, run.gated, run.signal_requested);
  bind_result(query, run.result);
  bind_tail(query, run.result.output_tail);
}

void read_result(Query& query, job::AttemptResult& r) {
  query.read(r.started_at, r.ended_at, r.pid, r.exit_code, r.signal, r.error, r.cpu, r.max_rss_kb,
             r.output_path, r.output_bytes, r.output_cut, r.output_tail);
}

/// Reads RUN and the tail. A word this program does not know must not hide the row: what happened
/// is then "lost", which is to say that nobody knows.
job::Run read_run(Query& query) {
  job::Run run;
  query.read(run.id, run.job_id, run.job_name, run.job_version);
  run.cause = query.word(job::parse_cause).value_or(job::Cause::manual);
  query.read(run.fire_time, run.created_at, run.backfill, run.last_fire_time, run.count,
             run.due_at);
  run.state = query.word(job::parse_run_state).value_or(job::RunState::lost);
  run.reason = query.word(job::parse_reason).value_or(job::Reason::none);
  query.read(run.attempt, run.result.attempt, run.lost_count, run.start_failures, run.fence,
             run.node, run.keeper, run.waits, run.forced, run.cancel_requested, run.key,
             run.give_up_at, run.replaced_by, run.priority);
  Time rank;
  query.read(rank, run.group, run.gated, run.signal_requested);
  read_result(query, run.result);
  return run;
}

/// The WHERE clause of a filter. Where only living runs are asked for, they are looked up in their
/// partial indexes, so that `remove` does not read the history of years.
std::string where_clause(const RunFilter& filter) {
  std::string where = " WHERE true";
  if (filter.job_name) where += " AND job_name = ?";
  if (filter.job_id) where += " AND job_id = ?";
  // What no schedule made is no stretch.
  const bool unscheduled = filter.cause && *filter.cause != job::Cause::schedule;
  if (unscheduled) where += " AND cause <> 'schedule'";
  if (filter.since) {
    where += unscheduled ? " AND fire_time >= ?" : " AND coalesce(last_fire_time, fire_time) >= ?";
  }
  if (filter.until) where += " AND fire_time < ?";
  // As literals, so that the partial indexes fit.
  if (filter.cause) where += " AND cause = '" + std::string(job::to_string(*filter.cause)) + "'";
  if (filter.backfill) where += " AND backfill_id <> 0 AND backfill_id = ?";
  if (filter.in_line)
    where +=
        " AND (state = 'running' OR waits OR forced OR attempt > 1 OR lost_count > 0 "
        "OR start_failures > 0)";
  if (filter.states.empty()) return where;

  if (std::ranges::none_of(filter.states, job::is_final)) {
    where += " AND id IN (";
    for (std::size_t i = 0; i < filter.states.size(); ++i) {
      if (i > 0) where += " UNION ALL ";
      where += filter.states[i] == job::RunState::running
                   ? "SELECT id FROM run INDEXED BY run_busy WHERE state = 'running'"
                   : "SELECT id FROM run INDEXED BY run_due WHERE state = 'pending'";
    }
    return where += ")";
  }
  where += " AND state IN (?";
  for (std::size_t i = 1; i < filter.states.size(); ++i) where += ", ?";
  return where += ")";
}

const char* order_of(const RunFilter& filter) {
  return filter.by_fire_time ? " ORDER BY fire_time DESC, id DESC" : " ORDER BY id DESC";
}

}  // namespace

Result<bool> SqliteStore::insert_run(job::Run& run) {
  return database_->write([&]() -> Result<bool> {
    if (run.cause == job::Cause::schedule && occurrence_exists(run)) return false;
    Query insert = query(sql::kInsertRun, run.job_id, run.job_name, run.job_version,
                         to_string(run.cause), run.fire_time, run.created_at, run.backfill);
    bind_progress(insert, run);
    insert.run();
    run.id = RunId{database_->raw().getLastInsertRowid()};
    return true;
  });
}

bool SqliteStore::occurrence_exists(const job::Run& run) {
  Query before =
      query(sql::kOccurrenceBefore, run.job_id, run.last_fire_time.value_or(run.fire_time));
  if (!before.next()) return false;
  Time end{};
  before.read(end);
  return end >= run.fire_time;
}

Result<bool> SqliteStore::update_run(const job::Run& run, std::int64_t expected_fence) {
  return database_->write([&]() -> Result<bool> {
    Query update = query(sql::kUpdateRun);
    bind_progress(update, run);
    return update.bind_all(run.id, expected_fence).run() == 1;
  });
}

Result<std::optional<job::Run>> SqliteStore::get_run(RunId id) {
  return database_->read([&]() -> Result<std::optional<job::Run>> {
    Query found = query(sql::kGetRun, id);
    if (!found.next()) return std::nullopt;
    return read_run(found);
  });
}

Result<std::vector<job::Run>> SqliteStore::list_runs(const RunFilter& filter) {
  return database_->read([&]() -> Result<std::vector<job::Run>> {
    Statement statement(database_->raw(), "SELECT " RUN ", output_tail FROM run" +
                                              where_clause(filter) + order_of(filter) + " LIMIT ?");
    Query found(statement);
    if (filter.job_name) found.bind_all(*filter.job_name);
    if (filter.job_id) found.bind_all(*filter.job_id);
    if (filter.since) found.bind_all(*filter.since);
    if (filter.until) found.bind_all(*filter.until);
    if (filter.backfill) found.bind_all(*filter.backfill);
    if (!std::ranges::none_of(filter.states, job::is_final))
      for (job::RunState state : filter.states) found.bind_all(to_string(state));
    found.bind_all(filter.limit);
    return read_runs(found);
  });
}

Result<std::vector<DueRun>> SqliteStore::due_runs(Time now, std::size_t limit,
                                                  const std::vector<std::string>& without) {
  return database_->read([&]() -> Result<std::vector<DueRun>> {
    std::vector<DueRun> due;
    // No rank of a run that is due is above this.
    const Time last = now + limits::kMaxPriority * std::chrono::minutes(1);
    Query found = query(sql::kDueRuns, now, limit, last, encode_words(without).value_or("[]"));
    while (found.next()) {
      DueRun& run = due.emplace_back(DueRun{.run = read_run(found)});
      found.read(run.job_busy);
    }
    return due;
  });
}

Result<std::vector<DueRun>> SqliteStore::blocked_runs(Time now, std::size_t limit) {
  return database_->read([&]() -> Result<std::vector<DueRun>> {
    std::vector<DueRun> blocked;
    Query found = query(sql::kBlockedRuns, now, limit);
    while (found.next()) blocked.push_back({.run = read_run(found), .job_busy = true});
    return blocked;
  });
}

Result<bool> SqliteStore::is_busy(JobId job) {
  return database_->read([&]() -> Result<bool> {
    bool busy = false;
    if (Query found = query(sql::kIsBusy, job); found.next()) found.read(busy);
    return busy;
  });
}

Result<std::vector<job::Run>> SqliteStore::gated_runs() {
  return database_->read([&]() -> Result<std::vector<job::Run>> {
    Query found = query(sql::kGatedRuns);
    return read_runs(found);
  });
}

Result<bool> SqliteStore::has_succeeded(JobId job, Time after) {
  return database_->read([&]() -> Result<bool> {
    bool any = false;
    if (Query found = query(sql::kHasSucceeded, job, after); found.next()) found.read(any);
    return any;
  });
}

Result<std::vector<job::Run>> SqliteStore::overdue_runs(Time now, std::size_t limit) {
  return database_->read([&]() -> Result<std::vector<job::Run>> {
    Query found = query(sql::kOverdueRuns, now, limit);
    return read_runs(found);
  });
}

Result<std::vector<job::Run>> SqliteStore::runs_in_state(job::RunState state) {
  return database_->read([&]() -> Result<std::vector<job::Run>> {
    if (job::is_final(state)) {
      Query found = query(sql::kRunsInState, to_string(state));
      return read_runs(found);
    }
    Query found = query(state == job::RunState::running ? sql::kRunningRuns : sql::kPendingRuns);
    return read_runs(found);
  });
}

Result<std::vector<job::Run>> SqliteStore::cancel_requests() {
  return database_->read([&]() -> Result<std::vector<job::Run>> {
    Query found = query(sql::kCancelRequests);
    return read_runs(found);
  });
}

Result<std::vector<job::Run>> SqliteStore::signal_requests() {
  return database_->read([&]() -> Result<std::vector<job::Run>> {
    Query found = query(sql::kSignalRequests);
    return read_runs(found);
  });
}

std::vector<job::Run> SqliteStore::read_runs(Query& found) {
  std::vector<job::Run> runs;
  while (found.next()) runs.push_back(read_run(found));
  return runs;
}

Result<void> SqliteStore::insert_attempt(RunId id, const job::AttemptResult& attempt,
                                         job::Reason reason) {
  return database_->write([&]() -> Result<void> {
    Query insert = query(sql::kInsertAttempt, id, to_string(reason), attempt.attempt);
    bind_result(insert, attempt);
    bind_tail(insert, attempt.output_tail);
    insert.run();
    return {};
  });
}

Result<std::vector<job::AttemptResult>> SqliteStore::list_attempts(RunId id) {
  return database_->read([&]() -> Result<std::vector<job::AttemptResult>> {
    std::vector<job::AttemptResult> attempts;
    for (Query found = query(sql::kListAttempts, id); found.next();) {
      job::AttemptResult& attempt = attempts.emplace_back();
      found.read(attempt.attempt);
      read_result(found, attempt);
    }
    return attempts;
  });
}

Result<std::optional<Time>> SqliteStore::next_wake(Time due_after) {
  return database_->read([&]() -> Result<std::optional<Time>> {
    std::optional<Time> wake;
    const auto consider = [&wake](Query row) {
      std::optional<Time> at;
      if (row.next()) row.read(at);
      if (at) wake = std::min(wake.value_or(*at), *at);
    };
    consider(query(sql::kNextFire));
    consider(query(sql::kNextDue, due_after));
    consider(query(sql::kNextGivingUp));
    return wake;
  });
}

Result<Counts> SqliteStore::counts() {
  return database_->read([&]() -> Result<Counts> {
    Counts counts;
    Query found = query(sql::kCounts);
    if (found.next())
      found.read(counts.jobs, counts.runs_running, counts.runs_pending, counts.alerts_open,
                 counts.next_fire);
    return counts;
  });
}

}  // namespace schedctl::store::sqlite
