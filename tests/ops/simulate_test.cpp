#include "schedctl/ops/simulate.hpp"

#include "tests/ops/world.hpp"

using namespace schedctl;
using namespace schedctl::ops;

namespace {

struct SimulatedWorld : World {
  Context context{*store, *zones, clock, config, "anna", [] {}};
  job::ZonePtr utc = must(zones->find("UTC"));

  Simulation simulate(Duration span = hours(24)) {
    // Fires of this very moment have had their turn.
    const Time from = now() + Duration(1);
    return must(ops::simulate(context, *utc, from, from + span));
  }
  /// A run of the past that took so long.
  void ran(const std::string& name, Duration took) {
    job::Run run;
    const job::Job job = stored(name);
    run.job_id = job.id;
    run.job_name = name;
    run.fire_time = run.created_at = run.due_at = now() - hours(1) + seconds(++ran_);
    run.state = job::RunState::succeeded;
    run.result.started_at = run.fire_time;
    run.result.ended_at = run.fire_time + took;
    REQUIRE(must(store->insert_run(run)));
  }
  int ran_ = 0;
};

}  // namespace

TEST_CASE("simulate counts the fires of every hour, also where the span begins within one") {
  SimulatedWorld world;
  world.clock.advance(minutes(20));
  world.add("often", cron("*/10 * * * *"));
  world.add("nightly", cron("30 2 * * *"));
  const Simulation day = world.simulate();
  CHECK(day.jobs == 2);
  CHECK(day.fires == 144 + 1);
  REQUIRE(day.slots.size() == 25);
  CHECK(day.slots[0].fires == 3);
  CHECK(day.slots[1].from == World::kStart + hours(1));
  CHECK(day.slots[2].fires == 7);
  CHECK(day.slots[24].fires == 3);
  std::int64_t sum = 0;
  for (const auto& slot : day.slots) sum += slot.fires;
  CHECK(sum == day.fires);
}

TEST_CASE("a job that fires each second is counted, not walked") {
  SimulatedWorld world;
  world.add("tick", every("1s"));
  const Simulation year = world.simulate(hours(24 * 365));
  CHECK(year.fires == 365 * 86'400);
  CHECK(year.minutes_cut);
  CHECK(year.slots.size() <= 54);
  std::int64_t sum = 0;
  for (const auto& slot : year.slots) sum += slot.fires;
  CHECK(sum == year.fires);
  CHECK(year.usual_minute == 60);
  CHECK(year.busiest.empty());
  world.add("nightly", cron("30 2 * * *"));
  const Simulation both = world.simulate();
  REQUIRE(both.busiest.size() == 1);
  CHECK(both.busiest[0].fires == 61);
  CHECK(both.busiest[0].jobs == std::vector<std::string>{"nightly", "tick"});
}

TEST_CASE("the busiest minutes name their jobs") {
  SimulatedWorld world;
  for (int i = 0; i < 12; ++i) world.add("night-" + std::to_string(i), cron("30 2 * * *"));
  world.add("alone", cron("0 5 * * *"));
  const Simulation day = world.simulate();
  REQUIRE(day.busiest.size() == 1);
  CHECK(day.busiest[0].at == World::kStart + hours(2) + minutes(30));
  CHECK(day.busiest[0].fires == 12);
  CHECK(day.busiest[0].job_count == 12);
  CHECK(day.busiest[0].jobs.size() == Simulation::kNamed);
}

TEST_CASE("a job that is due again before it ends is told with how many are skipped") {
  SimulatedWorld world;
  world.add("slow", every("10m"));
  world.add("steady", every("10m"));
  world.add("dense", every("10s"));
  for (int i = 0; i < 10; ++i) world.ran("slow", minutes(25));
  for (int i = 0; i < 10; ++i) world.ran("steady", minutes(9));
  for (int i = 0; i < 10; ++i) world.ran("dense", seconds(25));
  const Simulation day = world.simulate();
  REQUIRE(day.overlaps.size() == 2);
  CHECK(day.overlaps[0].job == "dense");
  CHECK(day.overlaps[0].skipped == 8640 * 2 / 3);
  CHECK(day.overlaps[1].job == "slow");
  CHECK(day.overlaps[1].fires == 144);
  CHECK(day.overlaps[1].skipped == 96);
  CHECK(day.overlaps[1].median == minutes(25));
  CHECK(day.overlaps[1].sample == 10);
}

TEST_CASE("runs at once are counted by how long they take") {
  SimulatedWorld world;
  world.add("a", cron("0 2 * * *"));
  world.add("b", cron("10 2 * * *"));
  world.add("c", cron("30 2 * * *"));
  world.add("new", cron("10 2 * * *"));
  world.ran("a", minutes(30));
  world.ran("b", minutes(5));
  world.ran("c", minutes(5));
  const Simulation day = world.simulate();
  CHECK(day.peak == 2);
  CHECK(day.peak_at == World::kStart + hours(2) + minutes(10));
  CHECK(day.unmeasured == std::vector<std::string>{"new"});
  CHECK(day.max_running == 100);
}

TEST_CASE("jobs without fires say why") {
  SimulatedWorld world;
  world.add("hand", manual());
  world.add("paused", every("1h"));
  world.add("later", cron("0 2 24 12 *"));
  World::must(world.ops.pause({"paused"}, ""));
  const Simulation day = world.simulate();
  CHECK(day.fires == 0);
  CHECK(day.peak == 0);
  REQUIRE(day.idle.size() == 3);
  CHECK(day.idle[0].why == "only triggered by hand");
  CHECK(day.idle[1].why == "next at 2026-12-24 02:00:00+00:00");
  CHECK(day.idle[2].why == "paused");
}

TEST_CASE("a job that is set aside does not fire") {
  SimulatedWorld world;
  const job::Job job = world.add("aside", every("1h"));
  World::must(world.store->set_planned(job.id, job.planned_through, std::nullopt));
  const Simulation day = world.simulate();
  CHECK(day.fires == 0);
  REQUIRE(day.idle.size() == 1);
  CHECK(day.idle[0].why == "set aside, see schedctl why aside");
}

TEST_CASE("only a job that skips has fires that will be skipped; others run beside each other") {
  SimulatedWorld world;
  for (const char* name : {"skips", "allows"}) {
    job::JobDraft draft = cron("*/10 * * * *");
    if (name == std::string("allows")) draft.policy.overlap = job::Overlap::allow;
    world.add(name, draft);
    world.ran(name, minutes(25));
  }
  const Simulation day = world.simulate();
  REQUIRE(day.overlaps.size() == 1);
  CHECK(day.overlaps[0].job == "skips");
  CHECK(day.peak == 4);
}

TEST_CASE("a pause that ends in the span, and max_runs, cut what is counted") {
  SimulatedWorld world;
  world.add("paused", every("1h"));
  World::must(world.ops.pause({"paused"}, "", world.now() + hours(20) + minutes(30)));
  job::JobDraft draft = every("1h");
  draft.policy.max_runs = 5;
  world.add("five", draft);
  const Simulation day = world.simulate();
  CHECK(day.fires == 4 + 5);
}

TEST_CASE("an hour that comes twice is two slots") {
  SimulatedWorld world;
  world.add("half", cron("*/30 * * * *", "Europe/Berlin"));
  const job::ZonePtr berlin = World::must(world.zones->find("Europe/Berlin"));
  // 2026-10-25 in Berlin: 25 hours.
  const Time from = Time{std::chrono::sys_days{std::chrono::year{2026} / 10 / 24}} + hours(22);
  const Simulation day = World::must(simulate(world.context, *berlin, from, from + hours(25)));
  REQUIRE(day.slots.size() == 25);
  for (const Simulation::Slot& slot : day.slots) CHECK(slot.fires == 2);
}

TEST_CASE("an impossible span is refused") {
  SimulatedWorld world;
  const Time now = world.now();
  CHECK_FALSE(simulate(world.context, *world.utc, now, now));
  CHECK_FALSE(simulate(world.context, *world.utc, now, now + hours(24 * 400)));
}
