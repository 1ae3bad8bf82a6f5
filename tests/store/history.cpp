#include "tests/store/backends.hpp"

// What was once so: versions of jobs, backfills, events; and what waits for a boot or for too long.

namespace schedctl::store {

FOR_EACH_BACKEND("every version of a job stays, under the name it had, after its end too") {
  OPEN_STORE;
  job::Job job = job_named("a");
  job.defined_at = at(1'000);
  must(store.insert_job(job));
  job.version = 2;
  job.defined_at = at(2'000);
  job.definition.schedule.every = std::chrono::minutes(7);
  must(store.update_job(job));
  job.paused = true;  // no new version
  must(store.update_job(job));
  add_job(store, "other");
  must(store.delete_job(job.id));
  job::Job second = job_named("a");
  second.defined_at = at(3'000);
  must(store.insert_job(second));

  const std::vector<JobVersion> versions = must(store.versions_of("a"));
  REQUIRE(versions.size() == 3);
  CHECK(versions[0].since == at(1'000));
  CHECK(versions[0].definition.schedule.every == std::chrono::minutes(5));
  CHECK(versions[1].version == 2);
  CHECK(versions[1].since == at(2'000));
  CHECK(versions[1].definition.schedule.every == std::chrono::minutes(7));
  CHECK(versions[1].job_id == versions[0].job_id);
  CHECK(versions[2].job_id == second.id);
  CHECK(must(store.versions_of("nobody")).empty());
}

FOR_EACH_BACKEND("jobs that fire on reboot are found until they have seen the boot") {
  OPEN_STORE;
  job::Job job = job_named("a");
  job.definition.schedule = {};
  job.definition.schedule.kind = job::ScheduleKind::reboot;
  job.boot_id = "old";
  must(store.insert_job(job));
  add_job(store, "by the clock");
  CHECK(must(store.reboot_jobs("old")).empty());
  REQUIRE(must(store.reboot_jobs("new")).size() == 1);
  CHECK(must(store.reboot_jobs("new"))[0].name == "a");
  must(store.set_boot(job.id, "new"));
  CHECK(must(store.reboot_jobs("new")).empty());
  CHECK(must(store.get_job(job.id))->boot_id == "new");
}

FOR_EACH_BACKEND("runs of a job are counted one by one") {
  OPEN_STORE;
  const job::Job job = add_job(store, "a");
  must(store.count_run(job.id));
  must(store.count_run(job.id));
  CHECK(must(store.get_job(job.id))->run_count == 2);
  must(store.count_run(JobId{99}));
}

FOR_EACH_BACKEND("pending runs that wait no longer are found, the first of them first") {
  OPEN_STORE;
  const job::Job job = add_job(store, "a");
  for (const std::int64_t second : {30, 10, 20}) {
    job::Run run = run_of(job, at(second));
    run.give_up_at = at(100 + second);
    must(store.insert_run(run));
  }
  job::Run patient = run_of(job, at(5));
  must(store.insert_run(patient));
  CHECK(must(store.overdue_runs(at(109), 9)).empty());
  const std::vector<job::Run> overdue = must(store.overdue_runs(at(120), 9));
  REQUIRE(overdue.size() == 2);
  CHECK(overdue[0].fire_time == at(10));
  CHECK(overdue[1].fire_time == at(20));
  CHECK(must(store.overdue_runs(at(999), 1)).size() == 1);
  CHECK(must(store.next_wake(at(1'000))) == at(110));
  job::Run ended = overdue[0];
  ended.state = job::RunState::missed;
  REQUIRE(must(store.update_run(ended, ended.fence)));
  CHECK(must(store.next_wake(at(1'000))) == at(120));
}

FOR_EACH_BACKEND("runs are filtered by cause and backfill, and ordered by fire time") {
  OPEN_STORE;
  const job::Job job = add_job(store, "a");
  for (const std::int64_t second : {20, 40, 10}) {
    job::Run run = run_of(job, at(second));
    must(store.insert_run(run));
  }
  job::Run filled = run_of(job, at(30));
  filled.cause = job::Cause::backfill;
  filled.backfill = BackfillId{5};
  must(store.insert_run(filled));

  RunFilter latest{.job_id = job.id, .cause = job::Cause::schedule, .by_fire_time = true};
  latest.until = at(40);
  latest.limit = 1;
  REQUIRE(must(store.list_runs(latest)).size() == 1);
  CHECK(must(store.list_runs(latest))[0].fire_time == at(20));
  REQUIRE(must(store.list_runs({.backfill = BackfillId{5}})).size() == 1);
  CHECK(must(store.list_runs({.backfill = BackfillId{5}}))[0].fire_time == at(30));
  CHECK(must(store.list_runs({.backfill = BackfillId{6}})).empty());
  CHECK(must(store.list_runs({.cause = job::Cause::manual})).empty());
}

FOR_EACH_BACKEND("a backfill comes back as it was stored, and is open until it has ended") {
  OPEN_STORE;
  Backfill one{.id = {},
               .job_id = JobId{3},
               .job_name = "a",
               .from = at(10),
               .to = at(20),
               .through = at(11),
               .fires = 9,
               .missing = true,
               .max_parallel = 4,
               .who = "alice",
               .created_at = at(30)};
  must(store.insert_backfill(one));
  Backfill two = one;
  two.job_id = JobId{4};
  must(store.insert_backfill(two));
  CHECK(two.id != one.id);
  one.through = at(19);
  one.cancelled = true;
  one.ended_at = at(40);
  must(store.update_backfill(one));

  const std::vector<Backfill> all = must(store.list_backfills({}));
  REQUIRE(all.size() == 2);
  CHECK(all[0].id == two.id);
  CHECK_FALSE(all[0].ended_at);
  CHECK(all[1].job_name == "a");
  CHECK(all[1].from == at(10));
  CHECK(all[1].to == at(20));
  CHECK(all[1].through == at(19));
  CHECK(all[1].fires == 9);
  CHECK(all[1].missing);
  CHECK(all[1].max_parallel == 4);
  CHECK(all[1].who == "alice");
  CHECK(all[1].created_at == at(30));
  CHECK(all[1].ended_at == at(40));
  CHECK(all[1].cancelled);
  CHECK(must(store.list_backfills({.open_only = true})).size() == 1);
  CHECK(must(store.list_backfills({.open_only = true, .job_id = JobId{3}})).empty());
  CHECK(must(store.list_backfills({.job_id = JobId{3}})).size() == 1);
  CHECK(must(store.list_backfills({.limit = 1})).size() == 1);
}

FOR_EACH_BACKEND("events are found by time and kind") {
  OPEN_STORE;
  for (const std::int64_t second : {10, 20, 30})
    must(store.add_event({at(second), "n", second == 20 ? "clock-jump" : "reload", ""}));
  CHECK(must(store.list_events({})).size() == 3);
  const std::vector<Event> some = must(store.list_events({.since = at(20), .until = at(30)}));
  REQUIRE(some.size() == 1);
  CHECK(some[0].kind == "clock-jump");
  CHECK(must(store.list_events({.kinds = {"reload"}})).size() == 2);
  CHECK(must(store.list_events({.kinds = {"reload", "clock-jump"}, .limit = 2})).size() == 2);
  CHECK(must(store.list_events({.kinds = {"none"}})).empty());
}

FOR_EACH_BACKEND("the next fire that people are told is that of a job which is not paused") {
  OPEN_STORE;
  job::Job paused = job_named("paused");
  paused.paused = true;
  paused.next_fire = at(10);
  must(store.insert_job(paused));
  CHECK_FALSE(must(store.counts()).next_fire);
  job::Job job = job_named("a");
  job.next_fire = at(20);
  must(store.insert_job(job));
  CHECK(must(store.counts()).next_fire == at(20));
  CHECK(must(store.next_wake(at(0))) == at(10));
}

}  // namespace schedctl::store
