#pragma once

#include "src/store/sqlite/database.hpp"

namespace schedctl::store::sqlite {

/// The Store over one SQLite file. Its verbs are in job_table.cpp, run_table.cpp and
/// record_table.cpp and others, its tables in schema.cpp, its statements in statements.hpp.
class SqliteStore final : public Store {
 public:
  /// `database` is prepared.
  SqliteStore(std::unique_ptr<Database> database, std::string id)
      : database_(std::move(database)), id_(std::move(id)) {}

  const std::string& id() const override { return id_; }

  Result<void> begin() override { return database_->begin(); }
  Result<void> commit() override { return database_->commit(); }
  void rollback() override { database_->rollback(); }
  std::uint64_t revision() override { return database_->revision(); }

  Result<void> insert_job(job::Job& job) override;
  Result<void> update_job(const job::Job& job) override;
  Result<void> delete_job(JobId id) override;
  Result<std::optional<job::Job>> find_job(const std::string& name) override;
  Result<std::optional<job::Job>> get_job(JobId id) override;
  Result<std::vector<JobListing>> list_jobs(const std::string& pattern) override;
  Result<std::vector<job::Job>> managed_jobs() override;
  Result<std::vector<job::Job>> due_jobs(Time now, std::size_t limit) override;
  Result<bool> is_ranked_job_due(Time now) override;
  Result<std::vector<JobVersion>> versions_of(const std::string& name) override;
  Result<std::vector<job::Job>> reboot_jobs(const std::string& boot_id) override;
  Result<void> set_boot(JobId id, const std::string& boot_id) override;
  Result<void> count_run(JobId id) override;
  Result<void> set_planned(JobId id, Time planned_through, std::optional<Time> next_fire) override;
  Result<void> set_last_run(const job::Run& run) override;

  Result<bool> insert_run(job::Run& run) override;
  Result<bool> update_run(const job::Run& run, std::int64_t expected_fence) override;
  Result<std::optional<job::Run>> get_run(RunId id) override;
  Result<std::vector<job::Run>> list_runs(const RunFilter& filter) override;
  Result<std::vector<DueRun>> due_runs(Time now, std::size_t limit,
                                       const std::vector<std::string>& without) override;
  Result<std::vector<DueRun>> blocked_runs(Time now, std::size_t limit) override;
  Result<std::vector<job::Run>> gated_runs() override;
  Result<bool> is_busy(JobId job) override;
  Result<bool> has_succeeded(JobId job, Time after) override;
  Result<std::vector<job::Run>> overdue_runs(Time now, std::size_t limit) override;
  Result<std::vector<job::Run>> runs_in_state(job::RunState state) override;
  Result<std::vector<job::Run>> cancel_requests() override;
  Result<std::vector<job::Run>> signal_requests() override;
  Result<void> insert_attempt(RunId id, const job::AttemptResult& attempt,
                              job::Reason reason) override;
  Result<std::vector<job::AttemptResult>> list_attempts(RunId id) override;

  Result<std::optional<Time>> next_wake(Time due_after) override;
  Result<Counts> counts() override;

  Result<void> insert_backfill(Backfill& backfill) override;
  Result<void> update_backfill(const Backfill& backfill) override;
  Result<std::vector<Backfill>> list_backfills(const BackfillFilter& filter) override;

  Result<void> insert_alert(job::Alert& alert) override;
  Result<void> update_alert(const job::Alert& alert) override;
  Result<std::optional<job::Alert>> latest_alert(JobId job, job::AlertKind kind,
                                                 const std::string& subject) override;
  Result<std::vector<job::Alert>> list_alerts(const AlertFilter& filter) override;
  Result<std::vector<JobId>> alerted_jobs() override;
  Result<std::int64_t> end_alerts(JobId job, const std::vector<job::AlertKind>& kinds,
                                  job::AlertEnd how, const std::string& who, Time now) override;
  Result<std::vector<job::Alert>> alerts_to_tell(Time by, std::size_t limit) override;
  Result<void> insert_message(Message& message) override;
  Result<void> update_message(const Message& message) override;
  Result<std::vector<Message>> waiting_messages(const std::string& notifier,
                                                std::size_t limit) override;
  Result<std::optional<Message>> get_message(MessageId id) override;
  Result<void> put_notifier(const NotifierState& state) override;
  Result<std::vector<NotifierState>> list_notifiers() override;
  Result<std::optional<Time>> next_telling() override;

  Result<void> put_node(const Node& node) override;
  Result<std::vector<Node>> list_nodes() override;
  Result<void> add_event(const Event& event) override;
  Result<std::vector<Event>> list_events(const EventFilter& filter) override;
  Result<void> add_audit(const Audit& audit) override;
  Result<std::vector<Audit>> list_audit(const std::string& job, std::size_t limit) override;

  Result<HistoryPage> history(const HistoryFilter& filter) override;
  Result<std::vector<Surplus>> surplus_runs(JobId after, std::int64_t keep,
                                            std::size_t limit) override;
  Result<std::int64_t> delete_runs(const std::vector<RunId>& ids) override;
  Result<void> forget_outputs(const std::vector<RunId>& ids) override;
  Result<RecordPage> prune_records(const RecordFilter& filter) override;

 private:
  template <class... Args>
  Query query(const char* sql, Args&&... args) {
    return Query(database_->statement(sql), std::forward<Args>(args)...);
  }
  /// A write verb that is one statement.
  template <class... Args>
  Result<void> execute(const char* sql, Args&&... args) {
    return database_->write([&]() -> Result<void> {
      query(sql, std::forward<Args>(args)...).run();
      return {};
    });
  }
  void record_version(JobId id);
  Result<std::optional<job::Job>> one_job(Query& query);
  Result<void> set_aside(const std::vector<std::pair<JobId, std::string>>& broken, Time now);
  /// Does a row of the run's job share a fire time with it, or its stretch with the run's?
  bool occurrence_exists(const job::Run& run);
  std::vector<job::Run> read_runs(Query& query);
  void add_attempts(HistoryRun& run);

  std::unique_ptr<Database> database_;
  std::string id_;
};

}  // namespace schedctl::store::sqlite
