#include "tests/runner/world.hpp"

// Policies that bound a job: how often, how long it waits, from which boot, until when it is
// paused.

namespace schedctl::runner {
namespace {

using job::Happening;
using job::Reason;
using job::RunState;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

job::Job stored(World& w, const std::string& name) {
  return w.store->find_job(name).value().value();
}

job::Job add_reboot_job(World& w, const std::string& name, const std::string& boot) {
  job::Job job = w.add(name, hours(1));
  job.definition.schedule = {};
  job.definition.schedule.kind = job::ScheduleKind::reboot;
  job.definition.schedule.timezone = "UTC";
  job.boot_id = boot;
  job.next_fire.reset();
  REQUIRE(w.store->update_job(job).has_value());
  return job;
}

void reboot(World& w, const std::string& boot) {
  w.settings.last_boot = w.settings.node.boot_id;
  w.settings.node.boot_id = boot;
  w.start_runner();
  w.generation = 0;
  w.adopt("keeper-of-" + boot, {});
}

}  // namespace

TEST_CASE("the schedule of a job ends after max_runs runs") {
  World w;
  w.add("thrice", minutes(1), {.max_runs = 3});
  for (int i = 1; i <= 6; ++i) {
    w.clock.advance(minutes(1));
    w.beat();
    if (w.executor.started.size() == static_cast<std::size_t>(i))
      w.end_last(Happening::exited_nonzero);
    w.beat();
  }
  CHECK(w.executor.started.size() == 3);
  CHECK(w.runs("thrice").size() == 3);
  CHECK_FALSE(stored(w, "thrice").next_fire);
  CHECK(stored(w, "thrice").run_count == 3);
}

TEST_CASE("a retry is no further run, and a run by hand is not counted") {
  World w;
  const job::Job job =
      w.add("twice", minutes(1), {.max_attempts = 2, .backoff = seconds(1), .max_runs = 2});
  w.clock.advance(minutes(1));
  w.beat();
  w.end_last(Happening::exited_nonzero);
  w.beat();
  w.clock.advance(seconds(5));
  w.beat();
  CHECK(w.executor.started.size() == 2);
  w.end_last(Happening::exited_zero);
  w.beat();
  w.trigger(job);
  w.beat();
  CHECK(w.executor.started.size() == 3);
  w.end_last(Happening::exited_zero);
  w.beat();
  CHECK(stored(w, "twice").run_count == 1);
  CHECK(stored(w, "twice").next_fire);
}

TEST_CASE("of a catch-up, what is over max_runs is skipped, and says so") {
  World w;
  w.add("twice", minutes(1), {.coalesce = job::Coalesce::all, .max_runs = 2});
  w.clock.advance(minutes(4));
  for (int i = 0; i < 4; ++i) {
    w.beat();
    if (w.executor.started.size() == static_cast<std::size_t>(i + 1))
      w.end_last(Happening::exited_zero);
    w.beat();
  }
  CHECK(w.executor.started.size() == 2);
  const std::vector<job::Run> runs = w.runs("twice");
  REQUIRE(runs.size() == 4);
  CHECK(runs[2].reason == Reason::max_runs);
  CHECK(runs[3].state == RunState::skipped);
  CHECK_FALSE(stored(w, "twice").next_fire);
}

TEST_CASE("a run that finds no slot within max_wait is missed, and told") {
  World w;
  w.settings.tuning.max_running = 1;
  w.start_runner();
  w.adopt("keeper-1", {});
  w.add("long", minutes(1));
  w.add("waits", minutes(1), {.max_wait = minutes(2)});
  w.clock.advance(minutes(1));
  const Runner::Beat first = w.beat();
  REQUIRE(w.executor.started.size() == 1);
  REQUIRE(w.executor.started[0].job == "long");
  REQUIRE(first.wake);
  w.clock.advance(minutes(2) - seconds(1));
  w.beat();
  CHECK(w.runs("waits").front().state == RunState::pending);
  w.clock.advance(seconds(1));
  w.beat();
  const job::Run run = w.runs("waits").front();
  CHECK(run.state == RunState::missed);
  CHECK(run.reason == Reason::waited_too_long);
  const auto alerts = w.store->list_alerts({.open_only = true}).value();
  REQUIRE_FALSE(alerts.empty());
  bool told = false;
  for (const job::Alert& alert : alerts)
    told = told || (alert.kind == job::AlertKind::missed &&
                    alert.detail.find("max_wait") != std::string::npos);
  CHECK(told);
}

TEST_CASE("the beat wakes when a wait is over, though nothing else is due") {
  World w;
  w.settings.tuning.max_running = 0;
  w.start_runner();
  w.adopt("keeper-1", {});
  w.add("waits", hours(1), {.max_wait = minutes(2)});
  w.clock.advance(hours(1));
  const Runner::Beat beat = w.beat();
  REQUIRE(beat.wake);
  CHECK(*beat.wake <= w.clock.wall() + minutes(2));
}

TEST_CASE("a job fires once a boot, not once a start, and not in the boot in which it was made") {
  World w;
  add_reboot_job(w, "old", "boot-0");
  add_reboot_job(w, "new", "boot-1");
  w.start_runner();
  w.generation = 0;
  w.adopt("keeper-1", {});
  w.beat();
  REQUIRE(w.executor.started.size() == 1);
  CHECK(w.executor.started[0].job == "old");
  CHECK(w.runs("old").front().cause == job::Cause::reboot);
  w.end_last(Happening::exited_zero);
  w.beat();
  // The daemon starts again, in the same boot.
  w.start_runner();
  w.generation = 0;
  w.adopt("keeper-1", {});
  w.beat();
  CHECK(w.executor.started.size() == 1);
  reboot(w, "boot-2");
  w.beat();
  CHECK(w.executor.started.size() == 3);
  CHECK(w.runs("new").size() == 1);
  CHECK(w.runs("old").size() == 2);
}

TEST_CASE("a paused job that fires on reboot has its row, and does not run") {
  World w;
  job::Job job = add_reboot_job(w, "paused", "boot-0");
  job.paused = true;
  REQUIRE(w.store->update_job(job).has_value());
  w.start_runner();
  w.adopt("keeper-1", {});
  w.beat();
  w.beat();
  CHECK(w.executor.started.empty());
  REQUIRE(w.runs("paused").size() == 1);
  CHECK(w.runs("paused")[0].reason == Reason::paused);
}

TEST_CASE("a pause ends by itself: one row for what was due in it, then the schedule goes on") {
  World w;
  job::Job job = w.add("paused", minutes(1));
  job.paused = true;
  job.paused_at = w.clock.wall() + seconds(30);
  job.paused_until = w.clock.wall() + minutes(10) + seconds(30);
  job.paused_reason = "works";
  job.next_fire = job.paused_until;
  REQUIRE(w.store->update_job(job).has_value());
  w.clock.advance(minutes(5));
  w.beat();
  CHECK(w.runs("paused").empty());
  w.clock.advance(minutes(5) + seconds(30));
  w.beat();
  REQUIRE(w.runs("paused").size() == 1);
  CHECK(w.runs("paused")[0].reason == Reason::paused);
  CHECK(w.runs("paused")[0].count == 10);
  CHECK_FALSE(stored(w, "paused").paused);
  CHECK_FALSE(stored(w, "paused").paused_until);
  CHECK(stored(w, "paused").paused_reason.empty());
  CHECK(w.executor.started.empty());
  w.clock.advance(seconds(30));
  w.beat();
  CHECK(w.executor.started.size() == 1);
  CHECK(w.store->list_audit("paused", 9).value().front().action == "resume");
}

TEST_CASE("a pause that ended while no daemon was there skips no more than it was for") {
  World w;
  job::Job job = w.add("paused", minutes(10));
  job.paused = true;
  job.paused_at = w.clock.wall() + minutes(15);
  job.paused_until = w.clock.wall() + minutes(35);
  job.next_fire = job.paused_until;
  REQUIRE(w.store->update_job(job).has_value());
  // Fires at 10, then paused over 20 and 30, then 40, 50 and 60 with nobody there.
  w.clock.advance(minutes(60));
  w.beat();
  const std::vector<job::Run> runs = w.runs("paused");
  std::int64_t paused = 0, all = 0;
  for (const job::Run& run : runs) {
    all += run.count;
    if (run.reason == Reason::paused) paused += run.count;
  }
  CHECK(paused == 2);
  CHECK(all == 6);
  CHECK(w.executor.started.size() == 1);
}

TEST_CASE("a stretch in which due runs found no slot is noted when it is over") {
  World world;
  world.settings.tuning.max_running = 1;
  world.start_runner();
  world.adopt("keeper-2", {});
  const job::Job first = world.add("first", hours(5)), second = world.add("second", hours(5));
  world.trigger(first);
  world.beat();
  world.trigger(second);
  world.beat();
  const auto notes = [&world] {
    return *world.store->list_events({.kinds = {"slots-full"}, .limit = 10});
  };
  world.clock.advance(seconds(30));
  world.beat();
  CHECK(notes().empty());
  world.end_last(job::Happening::exited_zero);
  world.beat();
  REQUIRE(notes().size() == 1);
  CHECK(notes()[0].detail ==
        "since " + format_rfc3339(World::kStart) + ": all 1 slots were taken (max_running)");
  world.end_last(job::Happening::exited_zero);
  world.beat();
  CHECK(notes().size() == 1);
}

TEST_CASE("an exit code that means success is one, and is not tried again") {
  World w;
  const job::Job job =
      w.add("grep", hours(1), {.max_attempts = 3, .success_codes = std::vector<int>{0, 3}});
  w.trigger(job);
  w.beat();
  w.end_last(Happening::exited_nonzero);
  w.beat();
  const job::Run run = w.runs("grep").at(0);
  CHECK(run.state == RunState::succeeded);
  CHECK(run.reason == Reason::none);
  CHECK(run.result.exit_code == 3);
  CHECK(stored(w, "grep").last_state == RunState::succeeded);
}

TEST_CASE("a job whose run is to be tried again has stopped running, also when it ended at once") {
  World w;
  w.add("a", minutes(1), {.max_attempts = 2, .backoff = minutes(10), .max_delay = minutes(10)});
  w.clock.advance(minutes(1));
  w.beat();
  w.end_last(Happening::exited_nonzero);
  w.beat();
  const job::Job job = stored(w, "a");
  CHECK(job.last_state == RunState::pending);
  CHECK(job.last_start == World::kStart + minutes(1));
  CHECK(job.last_end == World::kStart + minutes(1));
}

}  // namespace schedctl::runner
