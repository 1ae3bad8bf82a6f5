#include <csignal>

#include "schedctl/store/record_plan.hpp"
#include "tests/ops/world.hpp"

using namespace schedctl;
using namespace schedctl::ops;

TEST_CASE("trigger makes a pending run by hand, with its key") {
  World world;
  world.add("x", manual());
  const job::Run run = World::must(world.ops.trigger("x", false));
  CHECK(run.cause == job::Cause::manual);
  CHECK(run.state == job::RunState::pending);
  CHECK(run.fire_time == world.now());
  CHECK(run.due_at == world.now());
  CHECK(run.key.size() == 36);
  CHECK(World::must(world.store->get_run(run.id))->key == run.key);
  CHECK(world.last_audit().action == "trigger");
  CHECK(world.last_audit().detail == "#" + std::to_string(run.id.value));
  CHECK(world.pokes == 2);
  CHECK(World::must(world.ops.trigger("x", false)).key != run.key);
}

TEST_CASE("trigger works on a paused job") {
  World world;
  world.add("x", every("5m"), {.paused = true});
  CHECK(World::must(world.ops.trigger("x", false)).state == job::RunState::pending);
}

TEST_CASE("trigger of a job that runs is a skipped run, unless it is forced") {
  World world;
  world.add("x", manual());
  world.start(World::must(world.ops.trigger("x", false)));
  const job::Run skipped = World::must(world.ops.trigger("x", false));
  CHECK(brief(skipped) == "skipped overlap");
  CHECK(brief(*World::must(world.store->get_run(skipped.id))) == "skipped overlap");
  const job::Run forced = World::must(world.ops.trigger("x", true));
  CHECK(forced.state == job::RunState::pending);
  CHECK(forced.forced);
}

TEST_CASE("a trigger beside a backfill whose runs may be side by side is not skipped for it") {
  World world;
  const job::Job job = world.add("x", manual());
  job::Run old = store::new_run(job, {}, job::Cause::backfill, World::kStart, world.now());
  old.state = job::RunState::running;
  old.forced = true;
  World::must(world.store->insert_run(old));
  CHECK(World::must(world.ops.trigger("x", false)).state == job::RunState::pending);
}

TEST_CASE("a run that waits for its retry occupies its job too") {
  World world;
  world.add("x", manual());
  world.wait_for_retry(world.start(World::must(world.ops.trigger("x", false))));
  CHECK(brief(World::must(world.ops.trigger("x", false))) == "skipped overlap");
}

TEST_CASE("cancel ends what waits and asks for the end of what runs") {
  World world;
  world.add("x", manual());
  const job::Run running = world.start(World::must(world.ops.trigger("x", false)));
  const job::Run waiting = World::must(world.ops.trigger("x", true));
  const std::vector<Cancelled> both = World::must(world.ops.cancel("x"));
  REQUIRE(both.size() == 2);
  for (const Cancelled& one : both) {
    CHECK(one.was_running == (one.run.id == running.id));
  }
  CHECK(brief(*World::must(world.store->get_run(waiting.id))) == "cancelled operator");
  CHECK(World::must(world.store->get_run(running.id))->state == job::RunState::running);
  CHECK(World::must(world.store->get_run(running.id))->cancel_requested);
  CHECK(world.last_audit().action == "cancel");
  CHECK(world.last_audit().job == "x");
}

TEST_CASE("cancel and signal reach every run of a job, however many there are") {
  World world;
  const job::Job job = world.add("many", manual());
  constexpr int kRunning = 1100, kWaiting = 2100;
  for (int i = 0; i < kRunning + kWaiting; ++i) {
    // Those that run are the oldest.
    job::Run run = store::new_run(job, {}, job::Cause::manual, world.now(), world.now());
    if (i < kRunning) run.state = job::RunState::running;
    World::must(world.store->insert_run(run));
  }
  CHECK(World::must(world.ops.signal("many", SIGHUP)).size() == kRunning);
  const auto cancelled = World::must(world.ops.cancel("many"));
  REQUIRE(cancelled.size() == kRunning + kWaiting);
  for (int i = 0; i < kRunning + kWaiting; ++i) CHECK(cancelled[i].was_running == (i < kRunning));
  CHECK(World::must(world.store->runs_in_state(job::RunState::pending)).empty());
  CHECK(World::must(world.store->cancel_requests()).size() == kRunning);
  // A page that is exactly full has nothing after it.
  for (int i = 0; i < 1000; ++i) World::must(world.ops.trigger("many", true));
  CHECK(World::must(world.ops.cancel("many")).size() == kRunning + 1000);
}

TEST_CASE("cancel of one run leaves the others") {
  World world;
  world.add("x", manual());
  const job::Run first = World::must(world.ops.trigger("x", false));
  World::must(world.ops.trigger("x", false));
  CHECK(World::must(world.ops.cancel("#" + std::to_string(first.id.value))).size() == 1);
  CHECK(brief(world.runs("x")) == Briefs{"cancelled operator", "pending"});
}

TEST_CASE("cancel ends a waiting retry, and list then shows it as cancelled") {
  World world;
  world.add("x", manual());
  world.wait_for_retry(world.start(World::must(world.ops.trigger("x", false))));
  World::must(world.ops.cancel("x"));
  CHECK(brief(world.runs("x")) == Briefs{"cancelled operator"});
  CHECK(world.stored("x").last_state == job::RunState::cancelled);
}

TEST_CASE("cancel twice is still one request") {
  World world;
  world.add("x", manual());
  world.start(World::must(world.ops.trigger("x", false)));
  World::must(world.ops.cancel("x"));
  CHECK(World::must(world.ops.cancel("x")).front().was_running);
  CHECK(World::must(world.store->cancel_requests()).size() == 1);
}

TEST_CASE("cancel refuses what is not there or has ended") {
  World world;
  world.add("x", manual());
  CHECK(world.refused([&] { return world.ops.cancel("x"); }).kind == ErrorKind::conflict);
  CHECK(world.refused([&] { return world.ops.cancel("#99"); }).kind == ErrorKind::not_found);
  for (const char* target : {"#", "#x", "#0", "#-1", "#99999999999999999999"}) {
    CAPTURE(target);
    CHECK(world.refused([&] { return world.ops.cancel(target); }).kind == ErrorKind::usage);
  }
  const job::Run run = World::must(world.ops.trigger("x", false));
  const std::string number = "#" + std::to_string(run.id.value);
  World::must(world.ops.cancel(number));
  const Error ended = world.refused([&] { return world.ops.cancel(number); });
  CHECK(ended.kind == ErrorKind::conflict);
  CHECK(contains(ended.message, "cancelled"));
}

TEST_CASE("a run that outlives its removed job can still be cancelled by the job's name") {
  World world;
  world.add("x", manual());
  world.start(World::must(world.ops.trigger("x", false)));
  World::must(world.ops.remove({"x"}, true));
  CHECK(World::must(world.ops.cancel("x")).size() == 1);
}
