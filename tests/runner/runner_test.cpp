#include "world.hpp"

using namespace schedctl;
using namespace schedctl::runner;
using namespace std::chrono_literals;
using job::Happening;
using job::Reason;
using job::RunState;

TEST_CASE("a job that is due is claimed, committed and only then started") {
  World w;
  w.add("a", 60s);
  const Runner::Beat idle = w.beat();
  CHECK(w.executor.started.empty());
  CHECK(idle.wake == World::kStart + 60s);

  w.clock.advance(60s);
  w.beat();
  REQUIRE(w.executor.started.size() == 1);
  const executor::StartRequest& request = w.executor.started[0];
  CHECK(request.job == "a");
  CHECK(request.fence == 1);
  CHECK(request.attempt == 1);
  CHECK(request.argv == std::vector<std::string>{"/bin/true"});
  CHECK(request.fire_time == World::kStart + 60s);
  CHECK(request.key.size() == 36);
  const auto runs = w.runs("a");
  REQUIRE(runs.size() == 1);
  CHECK(runs[0].state == RunState::running);
  CHECK(runs[0].node == "node-1");
  CHECK(runs[0].keeper == "keeper-1");
  CHECK(w.runner->live() == 1);
}

TEST_CASE("what ended is recorded, told to the executor, and frees the slot") {
  World w;
  w.add("a", 60s);
  w.clock.advance(60s);
  w.beat();
  w.clock.advance(2s);
  w.end_last(Happening::exited_zero);
  w.beat();
  const auto runs = w.runs("a");
  REQUIRE(runs.size() == 1);
  CHECK(runs[0].state == RunState::succeeded);
  CHECK(runs[0].result.exit_code == 0);
  CHECK(w.executor.acknowledged.size() == 1);
  CHECK(w.runner->live() == 0);
  const auto job = w.store->find_job("a").value();
  CHECK(job->last_state == RunState::succeeded);
}

TEST_CASE("a job that is still running is skipped, and the skip is a row") {
  World w;
  w.add("slow", 60s);
  w.clock.advance(60s);
  w.beat();
  w.clock.advance(60s);
  w.beat();
  CHECK(w.executor.started.size() == 1);
  const auto runs = w.runs("slow");
  REQUIRE(runs.size() == 2);
  CHECK(runs[1].state == RunState::skipped);
  CHECK(runs[1].reason == Reason::overlap);
  CHECK(runs[1].fire_time == World::kStart + 120s);
}

TEST_CASE(
    "a failed attempt is tried again after its backoff and occupies its job's slot meanwhile") {
  World w;
  job::PolicyDraft policy;
  policy.max_attempts = 2;
  policy.backoff = 90s;
  w.add("flaky", 60s, policy);
  w.clock.advance(60s);
  w.beat();
  w.end_last(Happening::exited_nonzero);
  w.beat();
  auto runs = w.runs("flaky");
  REQUIRE(runs.size() == 1);
  CHECK(runs[0].state == RunState::pending);
  CHECK(runs[0].attempt == 2);
  CHECK(runs[0].due_at >= w.clock.wall() + 90s);
  CHECK(w.store->list_attempts(runs[0].id).value().size() == 1);

  w.clock.advance(60s);
  w.beat();
  runs = w.runs("flaky");
  REQUIRE(runs.size() == 2);
  CHECK(runs[1].state == RunState::skipped);

  w.clock.advance(60s);
  w.beat();
  REQUIRE(w.executor.started.size() == 2);
  CHECK(w.executor.started[1].attempt == 2);
  CHECK(w.executor.started[1].fence == 2);
  CHECK(w.executor.started[1].key == w.executor.started[0].key);
  w.end_last(Happening::exited_nonzero);
  w.beat();
  runs = w.runs("flaky");
  CHECK(runs[0].state == RunState::failed);
  CHECK(runs[0].reason == Reason::exit_status);
}

TEST_CASE("a report with an old fence, or told twice, changes nothing") {
  World w;
  w.add("a", 60s);
  w.clock.advance(60s);
  w.beat();
  executor::Report stale = w.report(w.executor.started[0], Happening::exited_nonzero);
  stale.fence = 0;
  w.runner->take(stale);
  w.beat();
  CHECK(w.runs("a")[0].state == RunState::running);
  w.end_last(Happening::exited_zero);
  w.beat();
  w.end_last(Happening::exited_nonzero);
  w.beat();
  CHECK(w.runs("a")[0].state == RunState::succeeded);
}

TEST_CASE("no more than max_running run at once, and the rest follow as slots become free") {
  World w;
  w.runner->configure({.max_running = 2});
  for (const char* name : {"a", "b", "c", "d"}) w.add(name, 60s);
  w.clock.advance(60s);
  w.beat();
  CHECK(w.executor.started.size() == 2);
  w.end_last(Happening::exited_zero);
  w.beat();
  CHECK(w.executor.started.size() == 3);
  CHECK(w.runner->live() == 2);
}

TEST_CASE(
    "after downtime within the grace the latest occurrence runs and the others are coalesced") {
  World w;
  w.add("a", 60s);
  w.clock.advance(10min);
  w.beat();
  REQUIRE(w.executor.started.size() == 1);
  CHECK(w.executor.started[0].fire_time == World::kStart + 10min);
  std::int64_t accounted = 0;
  for (const job::Run& run : w.runs("a")) accounted += run.count;
  CHECK(accounted == 10);
}

TEST_CASE("after downtime beyond the grace the occurrences are missed, each with its row") {
  World w;
  w.add("a", 1h);
  w.clock.advance(10h + 30min);
  w.beat();
  std::int64_t missed = 0;
  for (const job::Run& run : w.runs("a")) {
    if (run.state == RunState::missed) missed += run.count;
  }
  CHECK(missed == 9);
  CHECK(w.executor.started.size() == 1);
}

TEST_CASE("a caught-up series under coalesce = all runs one after the other and skips nothing") {
  World w;
  job::PolicyDraft policy;
  policy.coalesce = job::Coalesce::all;
  w.add("a", 60s, policy);
  w.clock.advance(3min);
  w.beat();
  CHECK(w.executor.started.size() == 1);
  w.end_last(Happening::exited_zero);
  w.beat();
  w.end_last(Happening::exited_zero);
  w.beat();
  w.end_last(Happening::exited_zero);
  w.beat();
  CHECK(w.executor.started.size() == 3);
  for (const job::Run& run : w.runs("a")) CHECK(run.state == RunState::succeeded);
}

TEST_CASE(
    "a cancel that was asked for reaches the executor once and is recorded as the operator's") {
  World w;
  w.add("a", 60s);
  w.clock.advance(60s);
  w.beat();
  job::Run run = w.runs("a")[0];
  run.cancel_requested = true;
  REQUIRE(w.store->update_run(run, run.fence).value());
  w.beat();
  w.beat();
  CHECK(w.executor.ended.size() == 1);
  executor::Report report = w.report(w.executor.started[0], Happening::killed_by_signal);
  report.ended_on_order = true;
  w.runner->take(report);
  w.beat();
  CHECK(w.runs("a")[0].state == RunState::cancelled);
  CHECK(w.runs("a")[0].reason == Reason::operator_);
}

TEST_CASE("runs that are to end are told again over a new connection to the keeper") {
  World w;
  w.trigger(w.add("a", 1h));
  w.beat();
  const executor::StartRequest start = w.executor.started.back();
  w.runner->take(w.started_report(start));
  w.beat();
  w.runner->drain();
  CHECK(w.runner->end_all() > Duration::zero());
  CHECK(w.executor.ended.size() == 1);
  w.adopt("keeper-1", {w.started_report(start)});
  w.beat();
  CHECK(w.executor.ended.size() == 2);
}

TEST_CASE("a run that is settled already, or gone from the store, lives no longer when it ends") {
  World w;
  const job::Run run = w.trigger(w.add("a", 1h));
  w.beat();
  job::Run settled = w.store->get_run(run.id).value().value();
  settled.state = job::RunState::lost;
  REQUIRE(w.store->update_run(settled, settled.fence).value());
  CHECK(w.runner->live() == 1);
  w.end_last(Happening::exited_zero);
  w.beat();
  CHECK(w.runner->live() == 0);
}

TEST_CASE("a draining runner claims and plans nothing, and ends what lives when told to") {
  World w;
  w.add("a", 60s);
  w.add("b", 90s);
  w.clock.advance(60s);
  w.beat();
  w.runner->drain();
  w.clock.advance(60s);
  w.beat();
  CHECK(w.executor.started.size() == 1);
  CHECK(w.runs("b").empty());
  w.runner->end_all();
  CHECK(w.executor.ended.size() == 1);
  executor::Report report = w.report(w.executor.started[0], Happening::killed_by_signal);
  report.ended_on_order = true;
  w.runner->take(report);
  w.beat();
  CHECK(w.runs("a")[0].state == RunState::cancelled);
  CHECK(w.runs("a")[0].reason == Reason::shutdown);
  CHECK(w.runner->live() == 0);
}

TEST_CASE("while no keeper can be reached nothing is claimed and nothing is marked") {
  World w;
  w.add("a", 60s);
  w.add("b", 61s);
  w.clock.advance(60s);
  w.beat();
  w.runner->keeper_lost("it was killed");
  w.beat();
  w.clock.advance(5s);
  w.beat();
  CHECK(w.executor.started.size() == 1);
  CHECK(w.runs("a")[0].state == RunState::running);
  CHECK(w.runs("b")[0].state == RunState::pending);

  // A new keeper that knows nothing of it: the run is lost; b goes on.
  w.adopt("keeper-2", {});
  w.beat();
  CHECK(w.runs("a")[0].state == RunState::lost);
  CHECK(w.runs("a")[0].reason == Reason::keeper_died);
  REQUIRE(w.executor.started.size() == 2);
  CHECK(w.executor.started[1].job == "b");
  CHECK(w.executor.started[1].generation == 2);
}

TEST_CASE("the same keeper that never heard of a run: it is started after all") {
  World w;
  w.add("a", 60s);
  w.clock.advance(60s);
  w.beat();
  w.adopt("keeper-1", {});
  w.beat();
  REQUIRE(w.executor.started.size() == 2);
  CHECK(w.executor.started[1].fence == 2);
  CHECK(w.executor.started[1].attempt == 1);
  CHECK(w.runs("a").size() == 1);
}

TEST_CASE(
    "a new daemon takes over what the keeper kept: running ones go on, ended ones are recorded") {
  World w;
  w.add("runs", 60s);
  w.add("ended", 60s);
  w.clock.advance(60s);
  w.beat();
  REQUIRE(w.executor.started.size() == 2);
  const executor::StartRequest first = w.executor.started[0];
  const executor::StartRequest second = w.executor.started[1];

  w.start_runner();
  w.adopt("keeper-1", {w.started_report(first), w.report(second, Happening::exited_nonzero)});
  w.beat();
  CHECK(w.runs(first.job)[0].state == RunState::running);
  CHECK(w.runs(second.job)[0].state == RunState::failed);
  CHECK(w.runner->live() == 1);
  CHECK(w.executor.started.size() == 2);
  CHECK(w.executor.acknowledged.size() == 1);
}

TEST_CASE("after a reboot what ran is lost for that reason") {
  World w;
  w.add("a", 60s);
  w.clock.advance(60s);
  w.beat();
  w.settings.last_boot = w.settings.node.boot_id;
  w.settings.node.boot_id = "boot-2";
  w.start_runner();
  w.adopt("keeper-2", {});
  w.beat();
  CHECK(w.runs("a")[0].state == RunState::lost);
  CHECK(w.runs("a")[0].reason == Reason::rebooted);
  CHECK(w.store->list_nodes()->at(0).boot_id == "boot-2");
}

TEST_CASE("a reboot is not forgotten by a daemon that has not found a keeper yet") {
  World w;
  w.add("a", 60s);
  w.clock.advance(60s);
  w.beat();
  w.settings.last_boot = w.settings.node.boot_id;
  w.settings.node.boot_id = "boot-2";
  w.start_runner();
  w.clock.advance(60s);
  w.beat();
  CHECK(w.runs("a").front().state == RunState::running);
  // It dies; what the next one reads of it is its row.
  w.settings.last_boot = w.store->list_nodes()->at(0).boot_id;
  w.start_runner();
  w.adopt("keeper-2", {});
  w.beat();
  CHECK(w.runs("a").front().reason == Reason::rebooted);
}

TEST_CASE("a lost run of a job with on_lost = retry is started again, three times at most") {
  World w;
  job::PolicyDraft policy;
  policy.on_lost = job::OnLost::retry;
  w.add("a", 24h, policy);
  w.clock.advance(24h);
  w.beat();
  for (int keeper = 2; keeper < 8; ++keeper) {
    w.runner->keeper_lost("killed");
    w.adopt("keeper-" + std::to_string(keeper), {});
    w.beat();
    w.clock.advance(10min);
    w.beat();
  }
  CHECK(w.executor.started.size() == 4);
  CHECK(w.runs("a")[0].state == RunState::lost);
}

TEST_CASE("a trigger that no daemon came for expires, a fresh one runs") {
  World w;
  const job::Job job = w.add("a", 24h);
  w.trigger(job);
  w.clock.advance(2h);
  w.trigger(job);
  w.beat();
  const auto runs = w.runs("a");
  CHECK(runs[0].state == RunState::missed);
  CHECK(runs[0].reason == Reason::expired);
  CHECK(runs[1].state == RunState::running);
}

TEST_CASE("a forced trigger runs beside the live run, an unforced one is skipped") {
  World w;
  const job::Job job = w.add("a", 60s);
  w.clock.advance(60s);
  w.beat();
  w.trigger(job);
  w.trigger(job, true);
  w.beat();
  const auto runs = w.runs("a");
  CHECK(runs[1].state == RunState::skipped);
  CHECK(runs[2].state == RunState::running);
}

TEST_CASE("a clock set back fires nothing twice and leaves an event; set forward is a misfire") {
  World w;
  w.add("a", 60s);
  w.clock.advance(60s);
  w.beat();
  w.end_last(Happening::exited_zero);
  w.beat();
  w.clock.set_wall(World::kStart);
  w.beat();
  w.clock.advance(60s);
  w.beat();
  CHECK(w.executor.started.size() == 1);
  const auto events = w.store->list_events({.limit = 10});
  REQUIRE(events.has_value());
  CHECK(events->at(0).kind == "clock-jump");
  w.clock.advance(60s);
  w.beat();
  CHECK(w.executor.started.size() == 2);
  w.end_last(Happening::exited_zero);
  w.clock.set_wall(World::kStart + 48h);
  w.beat();
  std::int64_t accounted = 0;
  for (const job::Run& run : w.runs("a")) accounted += run.count;
  CHECK(accounted == 48 * 60);
}

TEST_CASE("a clock set back by more than three hours does not silence jobs until then") {
  World w;
  w.clock.set_wall(World::kStart + 24h * 365);
  w.add("a", 60s);
  w.clock.advance(60s);
  w.beat();
  w.end_last(Happening::exited_zero);
  w.beat();
  w.clock.set_wall(World::kStart);
  w.beat();
  w.clock.advance(60s);
  w.beat();
  CHECK(w.executor.started.size() == 2);
}

TEST_CASE("a job whose schedule this machine cannot read is set aside with an event") {
  World w;
  job::Job bad = w.add("bad", 60s);
  bad.definition.schedule.timezone = "Mars/Olympus";
  REQUIRE(w.store->update_job(bad).has_value());
  w.add("good", 60s);
  w.clock.advance(60s);
  w.beat();
  CHECK(w.executor.started.size() == 1);
  CHECK(!w.store->find_job("bad").value()->next_fire);
  bool told = false;
  const auto events = w.store->list_events({.limit = 10});
  REQUIRE(events.has_value());
  for (const store::Event& event : *events) {
    told = told || event.kind == "job-error";
  }
  CHECK(told);
}

TEST_CASE("a run whose job was removed meanwhile ends in peace") {
  World w;
  job::PolicyDraft policy;
  policy.max_attempts = 5;
  const job::Job job = w.add("a", 60s, policy);
  w.clock.advance(60s);
  w.beat();
  REQUIRE(w.store->delete_job(job.id).has_value());
  w.end_last(Happening::exited_nonzero);
  w.beat();
  CHECK(is_final(w.runs("a")[0].state));
  CHECK(w.runner->live() == 0);
}

TEST_CASE("a burst of more jobs than one beat plans is worked off in several beats at once") {
  World w;
  w.runner->configure({.max_running = 5000});
  for (int i = 0; i < 1200; ++i) w.add("job-" + std::to_string(i), 60s);
  w.clock.advance(60s);
  int beats = 0;
  while (w.beat().again && beats < 20) ++beats;
  CHECK(beats >= 2);
  CHECK(w.executor.started.size() == 1200);
}

TEST_CASE("a draining runner sleeps, although fires that it will not plan are due") {
  World w;
  w.add("a", 60s);
  w.clock.advance(60s);
  w.beat();
  w.runner->drain();
  w.clock.advance(60s);
  const Runner::Beat beat = w.beat();
  CHECK(!beat.wake);
  CHECK(!beat.again);
}

TEST_CASE("a keeper that is lost before its adoption was recorded is not claimed for") {
  World w;
  w.beat();
  w.add("a", 60s);
  w.clock.advance(60s);
  w.adopt("keeper-2", {});
  w.runner->keeper_lost("killed");
  w.beat();
  CHECK(w.executor.started.empty());
  w.adopt("keeper-3", {});
  w.beat();
  REQUIRE(w.executor.started.size() == 1);
  CHECK(w.executor.started[0].generation == 3);
}

TEST_CASE("a clock set back by more than three hours while no daemon ran does not silence jobs") {
  World w;
  w.clock.set_wall(World::kStart + 48h);
  w.add("a", 60s);
  w.clock.advance(60s);
  w.beat();
  w.end_last(Happening::exited_zero);
  w.beat();
  w.clock.set_wall(World::kStart);
  w.start_runner();
  w.adopt("keeper-1", {});
  w.beat();
  w.clock.advance(60s);
  w.beat();
  CHECK(w.executor.started.size() == 2);
  const auto events = w.store->list_events({.limit = 10});
  REQUIRE(events.has_value());
  CHECK(events->at(0).kind == "clock-jump");
}
