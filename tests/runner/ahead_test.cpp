// Runs that are claimed a moment before they are due, and those that may not be.

#include <algorithm>

#include "world.hpp"

using namespace schedctl;
using namespace schedctl::runner;
using job::RunState;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

constexpr Duration kSoon = milliseconds(30);

/// "first" is due once a minute, "second" 30 ms later.
struct Pair : World {
  explicit Pair(const job::PolicyDraft& policy = {}) {
    beat();
    add("first", minutes(1));
    clock.advance(kSoon);
    add("second", minutes(1), policy);
    clock.advance(minutes(1) - kSoon);
  }
  Time fire_of_second() const { return clock.wall() + kSoon; }
};

job::Run only_run(World& world, const std::string& name) {
  const std::vector<job::Run> runs = world.runs(name);
  REQUIRE(runs.size() == 1);
  return runs[0];
}

}  // namespace

TEST_CASE("what falls due in a moment is claimed with what is due now, and held for its time") {
  Pair world;
  const Time fire = world.fire_of_second();
  const Runner::Beat beat = world.beat();
  REQUIRE(world.executor.started.size() == 2);
  CHECK(world.executor.started[0].job == "first");
  CHECK(world.executor.started[0].not_before == Time{});
  CHECK(world.executor.started[1].job == "second");
  CHECK(world.executor.started[1].not_before == fire);
  CHECK(only_run(world, "second").state == RunState::running);
  CHECK(only_run(world, "second").fire_time == fire);
  CHECK(world.runner->is_ahead());
  // Its fire has been seen to.
  CHECK(beat.wake.value() > fire);
  world.clock.advance(kSoon);
  world.beat();
  CHECK(world.executor.started.size() == 2);
}

TEST_CASE("a beat that has nothing to commit claims nothing ahead") {
  World world;
  world.beat();
  world.add("alone", minutes(1));
  world.clock.advance(minutes(1) - kSoon);
  const Runner::Beat beat = world.beat();
  CHECK(world.executor.started.empty());
  CHECK(beat.wake == world.clock.wall() + kSoon);
  CHECK_FALSE(world.runner->is_ahead());
}

TEST_CASE("what is due later than in a moment is not claimed yet") {
  World world;
  world.beat();
  world.add("first", minutes(1));
  world.clock.advance(Runner::kLookAhead + milliseconds(1));
  world.add("second", minutes(1));
  world.clock.advance(minutes(1) - Runner::kLookAhead - milliseconds(1));
  world.beat();
  CHECK(world.executor.started.size() == 1);
}

TEST_CASE("only runs that nothing but the time can keep are claimed ahead") {
  job::PolicyDraft policy;
  SUBCASE("jitter") {
    policy.jitter = seconds(5);
  }
  SUBCASE("priority") {
    policy.priority = -1;
  }
  SUBCASE("max_wait") {
    policy.max_wait = seconds(5);
  }
  SUBCASE("group") {
    policy.group = "db";
  }
  SUBCASE("after") {
    policy.after = {"first"};
  }
  SUBCASE("max_runs") {
    policy.max_runs = 3;
  }
  Pair world(policy);
  world.beat();
  CHECK(world.executor.started.size() == 1);
  CHECK(world.runs("second").empty());
  CHECK_FALSE(world.runner->is_ahead());
}

TEST_CASE("a job that still runs is not judged before it is due") {
  Pair world;
  world.trigger(*world.store->find_job("second").value());
  world.beat();
  REQUIRE(world.executor.started.size() == 2);
  CHECK(world.runs("second").size() == 1);
  // It ends in time.
  const auto second =
      std::ranges::find(world.executor.started, "second", &executor::StartRequest::job);
  world.runner->take(world.report(*second, job::Happening::exited_zero));
  world.clock.advance(kSoon);
  world.beat();
  REQUIRE(world.runs("second").size() == 2);
  CHECK(world.runs("second")[1].state == RunState::running);
}

TEST_CASE("a paused job is not claimed ahead") {
  Pair world;
  job::Job second = *world.store->find_job("second").value();
  second.paused = true;
  second.paused_at = world.clock.wall();
  second.paused_until = world.fire_of_second();
  second.next_fire = second.paused_until;
  REQUIRE(world.store->update_job(second));
  world.beat();
  CHECK(world.executor.started.size() == 1);
}

TEST_CASE("the last slots are not taken by what is not due yet") {
  Pair world;
  world.settings.tuning.max_running = 8;
  world.runner->configure(world.settings.tuning);
  world.beat();
  CHECK(world.executor.started.size() == 1);
}

TEST_CASE("what is given back before its time waits for it, and starts then") {
  Pair world;
  const Time fire = world.fire_of_second();
  world.beat();
  REQUIRE(world.executor.started.size() == 2);
  world.end_last(job::Happening::never_started);
  world.clock.advance(milliseconds(10));
  const Runner::Beat beat = world.beat();
  CHECK(only_run(world, "second").state == RunState::pending);
  CHECK(beat.wake == fire);
  CHECK(world.executor.started.size() == 2);
  world.clock.advance(milliseconds(20));
  world.beat();
  REQUIRE(world.executor.started.size() == 3);
  CHECK(world.executor.started[2].fence == 2);
  CHECK(world.executor.started[2].not_before == Time{});
  CHECK(only_run(world, "second").attempt == 1);
}

TEST_CASE("a run that is cancelled while it is held is cancelled, and has not been tried") {
  Pair world;
  world.beat();
  REQUIRE(world.executor.started.size() == 2);
  job::Run run = only_run(world, "second");
  run.cancel_requested = true;
  REQUIRE(world.store->update_run(run, run.fence));
  world.runner->poked();
  world.beat();
  REQUIRE(world.executor.ended.size() == 1);
  executor::Report report;
  report.run = run.id;
  report.fence = run.fence;
  report.happening = job::Happening::never_started;
  report.ended_on_order = true;
  world.runner->take(report);
  world.beat();
  run = only_run(world, "second");
  CHECK(run.state == RunState::cancelled);
  CHECK(run.reason == job::Reason::operator_);
  CHECK_FALSE(run.result.started_at);
  world.clock.advance(seconds(1));
  world.beat();
  CHECK(world.executor.started.size() == 2);
}

TEST_CASE("a clock that is set back while a run is held makes it wait for its time, once") {
  Pair world;
  const Time fire = world.fire_of_second();
  world.beat();
  REQUIRE(world.executor.started.size() == 2);
  world.runner->take(world.report(world.executor.started[0], job::Happening::exited_zero));
  world.end_last(job::Happening::never_started);
  world.clock.set_wall(world.clock.wall() - seconds(10));
  world.beat();
  CHECK(only_run(world, "second").state == RunState::pending);
  world.clock.advance(seconds(10));
  world.beat();
  CHECK(world.executor.started.size() == 2);
  world.clock.advance(kSoon);
  world.beat();
  REQUIRE(world.executor.started.size() == 3);
  CHECK(world.executor.started[2].job == "second");
  CHECK(only_run(world, "second").fire_time == fire);
  CHECK(world.runs("first").size() == 1);
}

TEST_CASE("a pause within the moment for which a run is held keeps the fires after it") {
  Pair world;
  const Time fire = world.fire_of_second();
  world.beat();
  REQUIRE(world.executor.started.size() == 2);
  job::Job second = *world.store->find_job("second").value();
  second.paused = true;
  second.paused_at = world.clock.wall() + milliseconds(10);
  second.paused_until = world.clock.wall() + milliseconds(20);
  second.next_fire = second.paused_until;
  REQUIRE(world.store->update_job(second));
  world.clock.advance(milliseconds(25));
  world.beat();
  CHECK_FALSE(world.store->find_job("second").value()->paused);
  CHECK(world.store->find_job("second").value()->next_fire == fire + minutes(1));
  CHECK(only_run(world, "second").state == RunState::running);
}
