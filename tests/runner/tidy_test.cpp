#include "tests/runner/world.hpp"

// Retention beside the beats: when it works, and when it had better not.

namespace schedctl::runner {
namespace {

using namespace std::chrono_literals;

constexpr Duration kDay = 24h;

struct Old : World {
  Old() {
    settings.tuning.retention = {.max_age = 30 * kDay, .max_runs = 0, .max_output_bytes = 0};
  }

  /// Manual, so that time may pass without fires.
  job::Job add_old(int runs) {
    job::Job job;
    job.name = "old";
    job.definition.schedule.kind = job::ScheduleKind::manual;
    job.definition.action.command = {"/bin/true"};
    REQUIRE(store->insert_job(job).has_value());
    for (int i = 0; i < runs; ++i) {
      job::Run run;
      run.job_id = job.id;
      run.job_name = job.name;
      run.cause = job::Cause::manual;
      run.fire_time = run.created_at = kStart - 40 * kDay;
      run.state = job::RunState::succeeded;
      REQUIRE(store->insert_run(run).value());
    }
    return job;
  }

  void restart() { start_runner(); }

  void run_of_old_ends() {
    job::Run run = runs("old").back();
    run.state = job::RunState::succeeded;
    REQUIRE(store->update_run(run, run.fence).value());
  }

  /// Steps until no more is due at once; how many.
  int tidy_all() {
    for (int steps = 1;; ++steps) {
      REQUIRE(steps < 1000);
      const Duration wait = runner->tidy() - clock.elapsed();
      REQUIRE(wait > Duration::zero());
      if (wait > 1s) return steps;
      clock.advance(wait);
    }
  }
  std::size_t left() { return runs("old").size(); }
  std::size_t events() { return store->list_events({.kinds = {"retention"}})->size(); }
};

TEST_CASE_FIXTURE(Old, "retention begins a minute after the start, and again each hour") {
  add_old(3);
  restart();
  beat();
  CHECK(runner->tidy() - clock.elapsed() == 1min);
  CHECK(left() == 3);
  clock.advance(1min);
  tidy_all();
  CHECK(left() == 1);
  CHECK(events() == 1);
  trigger(*store->find_job("old").value());
  run_of_old_ends();
  CHECK(runner->tidy() - clock.elapsed() <= 1h);
  CHECK(left() == 2);
  clock.advance(1h);
  tidy_all();
  CHECK(left() == 1);
}

TEST_CASE_FIXTURE(Old, "a sweep that removes nothing leaves no event") {
  restart();
  clock.advance(1min);
  tidy_all();
  CHECK(events() == 0);
}

TEST_CASE_FIXTURE(Old, "much history goes in many steps, a tenth of a second apart") {
  add_old(1200);
  restart();
  clock.advance(1min);
  const int steps = tidy_all();
  CHECK(steps > 3);
  CHECK(left() == 1);
}

TEST_CASE_FIXTURE(Old, "other rules hold at once, the same ones change nothing") {
  add_old(3);
  restart();
  runner->configure(settings.tuning);
  CHECK(runner->tidy() - clock.elapsed() == 1min);
  settings.tuning.retention.max_age = 20 * kDay;
  runner->configure(settings.tuning);
  tidy_all();
  CHECK(left() == 1);
}

TEST_CASE_FIXTURE(Old, "a clock that jumps ahead does not make history old at once") {
  add_old(3);
  settings.tuning.retention.max_age = 90 * kDay;
  restart();
  beat();
  clock.advance(10s);
  clock.set_wall(clock.wall() + 365 * kDay);
  beat();
  clock.advance(2h);
  runner->tidy();
  CHECK(left() == 3);
  SUBCASE("set right within a day, nothing is lost") {
    clock.set_wall(clock.wall() - 365 * kDay);
    beat();
    clock.advance(25h);
    tidy_all();
    CHECK(left() == 3);
  }
  SUBCASE("what stays so for a day is believed") {
    clock.advance(24h);
    tidy_all();
    CHECK(left() == 1);
  }
  SUBCASE("nor do other rules hurry") {
    settings.tuning.retention.max_age = 80 * kDay;
    runner->configure(settings.tuning);
    runner->tidy();
    CHECK(left() == 3);
  }
}

TEST_CASE_FIXTURE(Old, "a small step of the clock delays nothing") {
  add_old(3);
  restart();
  beat();
  clock.advance(1min);
  clock.set_wall(clock.wall() + 10min);
  beat();
  tidy_all();
  CHECK(left() == 1);
}

TEST_CASE_FIXTURE(Old, "after a long absence the clock is given an hour to be set right") {
  add_old(3);
  settings.down_since = kStart - 50 * kDay;
  restart();
  CHECK(runner->tidy() - clock.elapsed() == 1h);
  clock.advance(1h);
  tidy_all();
  CHECK(left() == 1);
}

TEST_CASE_FIXTURE(Old, "a daemon that is about to end removes nothing") {
  add_old(3);
  restart();
  clock.advance(1min);
  runner->drain();
  CHECK(runner->tidy() > clock.elapsed());
  CHECK(left() == 3);
}

TEST_CASE_FIXTURE(Old, "the accounting of a job is the same before and after a sweep") {
  const job::Job job = add("often", 1h);
  settings.tuning.retention = {.max_age = kDay, .max_runs = 1, .max_output_bytes = 0};
  restart();
  adopt("keeper-1", {});
  for (int i = 0; i < 72; ++i) {
    clock.advance(1h);
    beat();
    if (!executor.started.empty()) end_last(job::Happening::exited_zero);
    beat();
  }
  const std::size_t before = runs("often").size();
  const job::Job known = *store->get_job(job.id).value();
  CHECK(before == 72);
  clock.advance(1min);
  tidy_all();
  const std::vector<job::Run> kept = runs("often");
  CHECK(kept.size() < before);
  for (const job::Run& run : kept) CHECK(run.fire_time >= clock.wall() - kDay - 1h);
  CHECK(kept.size() >= 24);
  const job::Job after = *store->get_job(job.id).value();
  CHECK(after.last_start == known.last_start);
  CHECK(after.last_state == known.last_state);
  // Back by half a day: every fire since has its row, and none is planned again.
  clock.set_wall(clock.wall() - 12h);
  beat();
  for (int i = 0; i < 11; ++i) {
    clock.advance(1h);
    beat();
  }
  CHECK(runs("often").size() == kept.size());
}

}  // namespace
}  // namespace schedctl::runner
