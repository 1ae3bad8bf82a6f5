#include <array>
#include <set>

#include "src/store/sqlite/statements.hpp"
#include "tests/store/sqlite_files.hpp"

// Alerts and messages in SQLite: what it costs a beat to look at them, and who else writes them.

namespace schedctl::store {
namespace {

/// Every table and index that a statement walks or searches; "SCAN x" without an index shows.
std::string plan(SQLite::Database& db, const char* sql) {
  std::string steps;
  SQLite::Statement explain(db, std::string("EXPLAIN QUERY PLAN ") + sql);
  while (explain.executeStep()) steps += explain.getColumn(3).getString() + "\n";
  return steps;
}

/// A database in which very many alerts and messages are over and done, and few are not.
std::string with_history(const ScratchDir& dir) {
  const std::string path = dir.file("s.db");
  Stored store = must(open_sqlite({.path = path}));
  Transaction transaction = must(Transaction::begin(*store));
  for (int i = 0; i < 2'000; ++i) {
    job::Alert alert;
    alert.job_id = JobId{i % 50};
    alert.began_at = at(i);
    alert.told_at = at(i);
    alert.detail.assign(100, 'x');
    if (i % 400 != 0) alert.ended_at = at(i + 1);
    if (i % 500 == 0) alert.tell_at = at(i);
    must(store->insert_alert(alert));
    Message message;
    message.notifier = "slack";
    message.payload.assign(200, 'x');
    if (i % 400 != 0) message.settled_at = at(i);
    must(store->insert_message(message));
  }
  must(transaction.commit());
  return path;
}

}  // namespace

TEST_CASE("what a beat asks of alerts and messages is answered from an index") {
  ScratchDir dir;
  const std::string path = with_history(dir);
  SQLite::Database db = stranger(path);
  // With and without statistics of the tables.
  for (const bool analyzed : {false, true}) {
    CAPTURE(analyzed);
    if (analyzed) db.exec("ANALYZE");
    CHECK(plan(db, sqlite::sql::kAlertsToTell) ==
          "SEARCH alert USING INTEGER PRIMARY KEY (rowid=?)\n"
          "LIST SUBQUERY 2\n"
          "COMPOUND QUERY\n"
          "LEFT-MOST SUBQUERY\n"
          "SEARCH alert USING COVERING INDEX alert_tell (tell_at<?)\n"
          "UNION USING TEMP B-TREE\n"
          "SCAN alert USING INDEX alert_over\n");
    CHECK(plan(db, sqlite::sql::kNextBeginning) ==
          "SEARCH alert USING COVERING INDEX alert_tell (tell_at>?)\n");
    // The index has only the rows that are asked for.
    CHECK(plan(db, sqlite::sql::kNextEnd).starts_with("SEARCH alert USING INDEX alert_over"));
    CHECK(plan(db, sqlite::sql::kLatestAlert) ==
          "SEARCH alert USING INDEX alert_of_job (job_id=? AND kind=?)\n");
    CHECK(plan(db, sqlite::sql::kOpenAlertsOfJob) ==
          "SEARCH alert USING INDEX alert_open (job_id=?)\n");
    CHECK(plan(db, sqlite::sql::kOpenAlerts) ==
          "SCAN alert USING INDEX alert_open\nUSE TEMP B-TREE FOR ORDER BY\n");
    CHECK(plan(db, sqlite::sql::kAlertedJobs).starts_with("SCAN alert USING INDEX alert_open\n"));
    CHECK(plan(db, sqlite::sql::kWaitingMessages) ==
          "SCAN message USING INDEX message_waiting\nUSE TEMP B-TREE FOR ORDER BY\n");
    CHECK(plan(db, sqlite::sql::kWaitingMessagesOf) ==
          "SEARCH message USING INDEX message_waiting (notifier=?)\n");
    CHECK(plan(db, sqlite::sql::kCounts).find("USING INDEX alert_open") != std::string::npos);
    for (const char* sql : {sqlite::sql::kUpdateAlert, sqlite::sql::kSetAlertAside,
                            sqlite::sql::kUpdateMessage, sqlite::sql::kGetMessage})
      CHECK(plan(db, sql).find("USING INTEGER PRIMARY KEY") != std::string::npos);
  }
}

TEST_CASE("what is to be told is found among years of history") {
  ScratchDir dir;
  Stored store = must(open_sqlite({.path = with_history(dir)}));
  CHECK(must(store->alerts_to_tell(at(1'000), 100)).size() == 3);
  CHECK(must(store->next_telling()) == at(0));
  CHECK(must(store->waiting_messages("slack", 100)).size() == 5);
}

TEST_CASE("an alert of a kind from nowhere is set aside, and the others are told") {
  ScratchDir dir;
  const std::string path = dir.file("s.db");
  Stored store = must(open_sqlite({.path = path}));
  for (int i = 0; i < 3; ++i) {
    job::Alert alert;
    alert.job_id = JobId{1};
    alert.tell_at = at(5 + i);
    must(store->insert_alert(alert));
  }
  stranger(path).exec("UPDATE alert SET kind = 'boredom', over_untold = 1 WHERE id = 1");

  CHECK(must(store->alerts_to_tell(at(9), 100)).size() == 2);
  CHECK(must(store->list_events({.limit = 9})).at(0).kind == "alert-error");
  // Else it would be due again at once, and for ever.
  CHECK(must(store->next_telling()) == at(6));
  CHECK(must(store->alerts_to_tell(at(9), 1)).size() == 1);
  CHECK(must(store->list_events({.limit = 9})).size() == 1);
  CHECK(must(store->list_alerts({})).size() == 2);
  CHECK(number(path, "SELECT count(*) FROM alert") == 3);
}

TEST_CASE("ending alerts is one step that nobody gets between") {
  ScratchDir dir;
  const std::string path = dir.file("s.db");
  Stored store = must(open_sqlite({.path = path, .busy_timeout = std::chrono::milliseconds(20)}));
  Stored beat = must(open_sqlite({.path = path}));
  job::Alert alert;
  alert.job_id = JobId{1};
  must(store->insert_alert(alert));
  must(beat->begin());
  CHECK(error_of(store->end_alerts(JobId{1}, {}, job::AlertEnd::acked, "ada", at(9))).kind ==
        ErrorKind::unavailable);
  // While the beat wrote that it was told, nobody read the row as it was before.
  alert.told_at = at(5);
  must(beat->update_alert(alert));
  must(beat->commit());
  CHECK(must(store->end_alerts(JobId{1}, {}, job::AlertEnd::acked, "ada", at(9))) == 1);
  CHECK(must(store->list_alerts({})).at(0).told_at == at(5));

  // All or none of them: the second cannot be written.
  for (int i = 0; i < 2; ++i) {
    job::Alert more;
    more.job_id = JobId{2};
    must(store->insert_alert(more));
  }
  stranger(path).exec(
      "CREATE TRIGGER no BEFORE UPDATE ON alert WHEN new.id = 2 BEGIN SELECT "
      "RAISE(ABORT, 'no'); END");
  CHECK_FALSE(store->end_alerts(JobId{2}, {}, job::AlertEnd::acked, "ada", at(9)));
  CHECK(must(store->list_alerts({.open_only = true})).size() == 2);
}

TEST_CASE("reading alerts and messages leaves no transaction open") {
  ScratchDir dir;
  const std::string path = with_history(dir);
  Stored store = must(open_sqlite({.path = path}));
  must(store->latest_alert(JobId{3}, job::AlertKind::failed, ""));
  must(store->list_alerts({.limit = 1}));
  must(store->list_alerts({.open_only = true, .limit = 1}));
  must(store->list_alerts({.job_id = JobId{3}, .limit = 1}));
  must(store->list_alerts({.open_only = true, .job_id = JobId{0}, .limit = 1}));
  must(store->alerted_jobs());
  must(store->alerts_to_tell(at(9'999), 1));
  must(store->next_telling());
  must(store->waiting_messages("", 1));
  must(store->waiting_messages("slack", 1));
  must(store->get_message(MessageId{1}));
  must(store->list_notifiers());
  SQLite::Database other = stranger(path);
  other.exec("DELETE FROM message WHERE id = 7");
  CHECK(other.execAndGet("PRAGMA wal_checkpoint(TRUNCATE)").getInt() == 0);
}

}  // namespace schedctl::store
