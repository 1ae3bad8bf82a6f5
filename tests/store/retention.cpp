#include <algorithm>

#include "tests/store/backends.hpp"

// The verbs by which history goes.

namespace schedctl::store {
namespace {

constexpr Time kBefore = at(10'000);

job::Run ended(const job::Job& job, std::int64_t second,
               job::RunState state = job::RunState::succeeded) {
  job::Run run = run_of(job, at(second));
  run.state = state;
  run.result.started_at = at(second);
  run.result.ended_at = at(second + 1);
  return run;
}

std::vector<RunId> ids(const HistoryPage& page, bool held) {
  std::vector<RunId> found;
  for (const HistoryRun& run : page.runs)
    if (run.held == held) found.push_back(run.id);
  return found;
}

std::vector<RunId> removable(Store& store) {
  return ids(must(store.history({.before = kBefore})), false);
}

FOR_EACH_BACKEND("of ended runs all but the youngest of a job may go") {
  OPEN_STORE;
  const job::Job job = add_job(store, "a");
  const RunId first = add_run(store, ended(job, 100)).id;
  const RunId second = add_run(store, ended(job, 200, job::RunState::skipped)).id;
  add_run(store, ended(job, 300));
  CHECK(removable(store) == std::vector{first, second});
  SUBCASE("of a removed job the youngest, too") {
    must(store.delete_job(job.id));
    CHECK(removable(store).size() == 3);
  }
}

FOR_EACH_BACKEND("a run that has not ended is held, however old it is") {
  OPEN_STORE;
  const job::Job job = add_job(store, "a");
  add_run(store, ended(job, 100, job::RunState::running));
  add_run(store, ended(job, 200, job::RunState::pending));
  add_run(store, ended(job, 300));
  CHECK(removable(store).empty());
}

FOR_EACH_BACKEND("a run is as young as the last thing that it speaks of") {
  OPEN_STORE;
  const job::Job job = add_job(store, "a");
  job::Run late_end = ended(job, 100);
  job::Run late_row = ended(job, 200);
  job::Run stretch = ended(job, 300, job::RunState::missed);
  job::Run old = ended(job, 50);
  old.result.ended_at = at(9'999);
  late_end.result.ended_at = kBefore;
  late_row.created_at = kBefore;
  stretch.last_fire_time = kBefore;
  for (job::Run* run : {&late_end, &late_row, &stretch, &old}) *run = add_run(store, *run);
  add_run(store, ended(job, 20'000));
  CHECK(removable(store) == std::vector{old.id});
}

FOR_EACH_BACKEND("the last run that was started is held, though others came after it") {
  OPEN_STORE;
  const job::Job job = add_job(store, "a");
  const RunId before = add_run(store, ended(job, 100)).id;
  const job::Run started = add_run(store, ended(job, 200));
  must(store.set_last_run(started));
  job::Run skipped = ended(job, 300, job::RunState::skipped);
  skipped.result.started_at.reset();
  const RunId between = add_run(store, skipped).id;
  skipped.fire_time = at(400);
  must(store.set_last_run(add_run(store, skipped)));
  CHECK(removable(store) == std::vector{before, between});
}

FOR_EACH_BACKEND("a run that an alert speaks of is held until the alert is gone") {
  OPEN_STORE;
  const job::Job job = add_job(store, "a");
  const RunId run = add_run(store, ended(job, 100, job::RunState::failed)).id;
  add_run(store, ended(job, 300));
  job::Alert alert;
  alert.job_id = job.id;
  alert.subject = "a";
  alert.run = run;
  alert.began_at = at(100);
  alert.ended_at = at(300);
  alert.ended_by = job::AlertEnd::succeeded;
  must(store.insert_alert(alert));
  CHECK(removable(store).empty());
  CHECK(must(store.prune_records({.kind = RecordKind::alert, .before = kBefore})).removed == 1);
  CHECK(removable(store) == std::vector{run});
}

FOR_EACH_BACKEND("the runs of an open backfill are held") {
  OPEN_STORE;
  const job::Job job = add_job(store, "a");
  Backfill backfill{.id = {}, .job_id = job.id, .job_name = "a", .created_at = at(50)};
  must(store.insert_backfill(backfill));
  job::Run run = ended(job, 100);
  run.cause = job::Cause::backfill;
  run.backfill = backfill.id;
  run = add_run(store, run);
  add_run(store, ended(job, 300));
  const RecordFilter old_backfills{.kind = RecordKind::backfill, .before = kBefore};
  CHECK(removable(store).empty());
  CHECK(must(store.prune_records(old_backfills)).removed == 0);

  backfill.ended_at = at(200);
  must(store.update_backfill(backfill));
  CHECK(removable(store) == std::vector{run.id});
  CHECK(must(store.prune_records(old_backfills)).removed == 0);
  CHECK(must(store.delete_runs({run.id})) == 1);
  CHECK(must(store.prune_records(old_backfills)).removed == 1);
  CHECK(must(store.list_backfills({})).empty());
}

FOR_EACH_BACKEND("history is read in pages, up to what is too young") {
  OPEN_STORE;
  const job::Job job = add_job(store, "a");
  for (int i = 0; i < 5; ++i) add_run(store, ended(job, 100 + i));
  for (int i = 0; i < 5; ++i) add_run(store, ended(job, 20'000 + i));
  HistoryFilter filter{.before = kBefore, .limit = 3};
  HistoryPage page = must(store.history(filter));
  CHECK(page.runs.size() == 3);
  CHECK(page.more);
  filter.after = page.last;
  page = must(store.history(filter));
  CHECK(ids(page, false).size() == 2);
  CHECK_FALSE(page.more);
  filter.after = RunId{1'000'000};
  page = must(store.history(filter));
  CHECK(page.runs.empty());
  CHECK(page.last == RunId{1'000'000});
}

FOR_EACH_BACKEND("history can be read of one job, up to a run") {
  OPEN_STORE;
  const job::Job job = add_job(store, "a");
  const job::Job other = add_job(store, "b");
  std::vector<RunId> of_job;
  for (int i = 0; i < 4; ++i) {
    of_job.push_back(add_run(store, ended(job, 100 + i)).id);
    add_run(store, ended(other, 100 + i));
  }
  const HistoryPage page =
      must(store.history({.before = kBefore, .up_to = of_job[1], .job_id = job.id}));
  CHECK(ids(page, false) == std::vector{of_job[0], of_job[1]});
}

FOR_EACH_BACKEND("a run names its files and those of its earlier attempts") {
  OPEN_STORE;
  const job::Job job = add_job(store, "a");
  job::Run silent = add_run(store, ended(job, 50));
  job::Run run = ended(job, 100);
  run.attempt = run.result.attempt = 3;
  run.result.output_path = "/out/3.log";
  run = add_run(store, run);
  job::AttemptResult first, second;
  first.output_path = "/out/1.log";
  must(store.insert_attempt(run.id, first, job::Reason::exit_status));
  must(store.insert_attempt(run.id, second, job::Reason::exit_status));
  job::Run quiet_at_last = ended(job, 200);
  quiet_at_last.attempt = 2;
  quiet_at_last = add_run(store, quiet_at_last);
  must(store.insert_attempt(quiet_at_last.id, first, job::Reason::exit_status));

  const HistoryPage page = must(store.history({.before = kBefore, .with_output = true}));
  REQUIRE(page.runs.size() == 2);
  CHECK(page.runs[0].id == run.id);
  CHECK(page.runs[0].attempts == 2);
  CHECK(page.runs[0].files == std::vector<std::string>{"/out/3.log", "/out/1.log"});
  CHECK(page.runs[1].files == std::vector<std::string>{"/out/1.log"});

  must(store.forget_outputs({run.id, quiet_at_last.id}));
  CHECK(must(store.history({.before = kBefore, .with_output = true})).runs.empty());
  CHECK(must(store.get_run(run.id))->result.output_path.empty());
  CHECK(must(store.list_attempts(run.id)).size() == 2);
}

FOR_EACH_BACKEND("the tail of an output stays when its file is forgotten") {
  OPEN_STORE;
  const job::Job job = add_job(store, "a");
  job::Run run = ended(job, 100);
  run.result.output_path = "/out/3.log";
  run.result.output_bytes = 7;
  run.result.output_tail = "the end";
  run = add_run(store, run);
  job::Run running = ended(job, 200, job::RunState::running);
  running.result.output_path = "/out/4.log";
  running = add_run(store, running);
  must(store.forget_outputs({run.id, running.id}));
  const job::Run after = must(store.get_run(run.id)).value();
  CHECK(after.result.output_tail == "the end");
  CHECK(after.result.output_bytes == 7);
  CHECK(must(store.get_run(running.id))->result.output_path == "/out/4.log");
}

FOR_EACH_BACKEND("runs go with their attempts, but for one that has not ended") {
  OPEN_STORE;
  const job::Job job = add_job(store, "a");
  const RunId gone = add_run(store, ended(job, 100)).id;
  const RunId lives = add_run(store, ended(job, 200, job::RunState::running)).id;
  must(store.insert_attempt(gone, {}, job::Reason::signal));
  must(store.insert_attempt(lives, {}, job::Reason::signal));
  CHECK(must(store.delete_runs({gone, lives, RunId{77}})) == 1);
  CHECK_FALSE(must(store.get_run(gone)));
  CHECK(must(store.list_attempts(gone)).empty());
  CHECK(must(store.get_run(lives)));
  CHECK(must(store.list_attempts(lives)).size() == 1);
}

FOR_EACH_BACKEND("which runs of a job are too many is told job by job") {
  OPEN_STORE;
  const job::Job a = add_job(store, "a");
  const job::Job b = add_job(store, "b");
  const job::Job c = add_job(store, "c");
  std::vector<RunId> of_a, of_c;
  for (int i = 0; i < 5; ++i) {
    of_a.push_back(add_run(store, ended(a, 100 + i)).id);
    if (i < 3) of_c.push_back(add_run(store, ended(c, 100 + i)).id);
  }
  const std::vector<Surplus> found = must(store.surplus_runs(JobId{}, 2, 10));
  REQUIRE(found.size() == 3);
  CHECK(found[0].up_to == of_a[2]);
  CHECK(found[1].job_id == b.id);
  CHECK_FALSE(found[1].up_to);
  CHECK(found[2].up_to == of_c[0]);
  CHECK(must(store.surplus_runs(JobId{}, 2, 1)).size() == 1);
  CHECK(must(store.surplus_runs(c.id, 2, 10)).empty());
}

FOR_EACH_BACKEND("old events go, but for what the daemon looks up by itself") {
  OPEN_STORE;
  for (const char* kind : {"daemon-up", "zone-data", "calendars", "job-error"})
    must(store.add_event({at(100), "n", kind, ""}));
  must(store.add_event({kBefore, "n", "daemon-down", ""}));
  RecordFilter filter{.kind = RecordKind::event, .before = kBefore, .count_only = true};
  CHECK(must(store.prune_records(filter)).removed == 1);
  CHECK(must(store.list_events({})).size() == 5);
  filter.count_only = false;
  CHECK(must(store.prune_records(filter)).removed == 1);
  CHECK(must(store.list_events({.kinds = {"daemon-up"}})).empty());
  CHECK(must(store.list_events({})).size() == 4);
}

FOR_EACH_BACKEND("old audit records go") {
  OPEN_STORE;
  must(store.add_audit({at(100), "root", "add", "a", ""}));
  must(store.add_audit({kBefore, "root", "pause", "a", ""}));
  CHECK(must(store.prune_records({.kind = RecordKind::audit, .before = kBefore})).removed == 1);
  REQUIRE(must(store.list_audit("", 10)).size() == 1);
  CHECK(must(store.list_audit("", 10))[0].action == "pause");
}

FOR_EACH_BACKEND("a message goes when it is old and settled") {
  OPEN_STORE;
  Message settled{.id = {}, .notifier = "slack", .created_at = at(1), .due_at = at(1)};
  Message waiting = settled, young = settled;
  settled.settled_at = at(2);
  young.settled_at = kBefore;
  for (Message* message : {&settled, &waiting, &young}) must(store.insert_message(*message));
  CHECK(must(store.prune_records({.kind = RecordKind::message, .before = kBefore})).removed == 1);
  CHECK_FALSE(must(store.get_message(settled.id)));
  CHECK(must(store.get_message(waiting.id)));
  CHECK(must(store.get_message(young.id)));
}

FOR_EACH_BACKEND("an alert goes when it has ended, was told, and is old") {
  OPEN_STORE;
  job::Alert over;
  over.job_id = JobId{1};
  over.began_at = at(100);
  over.ended_at = at(200);
  job::Alert open = over, untold = over, silenced = over, young = over, to_tell = over;
  open.ended_at.reset();
  untold.over_untold = true;
  silenced.silenced_until = kBefore;
  young.ended_at = kBefore;
  to_tell.tell_at = at(150);
  for (job::Alert* alert : {&over, &open, &untold, &silenced, &young, &to_tell})
    must(store.insert_alert(*alert));
  CHECK(must(store.prune_records({.kind = RecordKind::alert, .before = kBefore})).removed == 1);
  const auto left = must(store.list_alerts({}));
  CHECK(left.size() == 5);
  CHECK(std::ranges::none_of(left, [&](const job::Alert& a) { return a.id == over.id; }));
}

FOR_EACH_BACKEND("definitions go with the last that is known of a removed job") {
  OPEN_STORE;
  const job::Job lives = add_job(store, "lives");
  const job::Job job = add_job(store, "a");
  const RunId run = add_run(store, ended(job, 100)).id;
  const RecordFilter versions{.kind = RecordKind::version, .before = kBefore};
  CHECK(must(store.prune_records(versions)).removed == 0);
  must(store.delete_job(job.id));
  must(store.add_audit({at(200), "root", "remove", "a", ""}));
  CHECK(must(store.prune_records(versions)).removed == 0);
  must(store.delete_runs({run}));
  CHECK(must(store.prune_records(versions)).removed == 0);
  must(store.prune_records({.kind = RecordKind::audit, .before = kBefore}));
  CHECK(must(store.prune_records(versions)).removed == 1);
  CHECK(must(store.versions_of("a")).empty());
  CHECK(must(store.versions_of("lives")).size() == 1);
}

TEST_CASE("records are looked at in pages, up to what is too young") {
  Sqlite backend;
  Store& store = *backend.store;
  for (int i = 0; i < 5; ++i) must(store.add_event({at(100 + i), "n", "daemon-up", ""}));
  for (int i = 0; i < 5; ++i) must(store.add_event({at(20'000 + i), "n", "daemon-up", ""}));
  RecordFilter filter{.kind = RecordKind::event, .before = kBefore, .limit = 3};
  RecordPage page = must(store.prune_records(filter));
  CHECK(page.removed == 3);
  CHECK(page.more);
  filter.after = page.last;
  page = must(store.prune_records(filter));
  CHECK(page.removed == 2);
  CHECK_FALSE(page.more);
}

TEST_CASE("the room in a database is told, and what is free in it") {
  Sqlite backend;
  const job::Job job = add_job(*backend.store, "a");
  std::vector<RunId> runs;
  for (int i = 0; i < 200; ++i) {
    job::Run run = ended(job, i);
    run.result.output_tail = std::string(4096, 'x');
    runs.push_back(add_run(*backend.store, run).id);
  }
  const std::string path = backend.dir.file("test.db");
  const SqliteSpace before = must(space_of_sqlite(path));
  CHECK(before.bytes > 800'000);
  must(backend.store->delete_runs(runs));
  const SqliteSpace after = must(space_of_sqlite(path));
  CHECK(after.bytes == before.bytes);
  CHECK(after.free > before.free + 800'000);
  CHECK(error_of(space_of_sqlite(backend.dir.file("none.db"))).kind == ErrorKind::not_found);
}

}  // namespace
}  // namespace schedctl::store
