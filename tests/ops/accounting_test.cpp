// Every occurrence gets its row though no daemon runs: what is due when a job is changed, removed
// or resumed is recorded by the operation itself.
#include "tests/ops/world.hpp"

using namespace schedctl;
using namespace schedctl::ops;

TEST_CASE("fires of the old schedule get their rows when the schedule is changed") {
  World world;
  world.add("x", every("10m"));
  world.clock.advance(hours(3) + minutes(5));
  World::must(world.ops.set("x", change_every("1h"), {}));
  // 18 fires: those over an hour old are missed, the latest of the rest would have run.
  CHECK(brief(world.runs("x")) ==
        Briefs{"missed misfire x12", "skipped coalesced x5", "skipped schedule_changed"});
  CHECK(accounted(world.runs("x")) == 18);
  const job::Job job = world.stored("x");
  CHECK(job.planned_through == world.now());
  CHECK(job.next_fire == world.now() + hours(1));
  for (const job::Run& run : world.runs("x")) CHECK(run.job_version == 1);
  CHECK(job.version == 2);
}

TEST_CASE("a changed policy leaves schedule and pending runs alone") {
  World world;
  world.add("x", every("10m"));
  World::must(world.ops.trigger("x", false));
  world.clock.advance(hours(1));
  job::JobDraft change;
  change.policy.misfire_grace = minutes(1);
  World::must(world.ops.set("x", change, {}));
  CHECK(brief(world.runs("x")) == Briefs{"pending"});
  CHECK(world.stored("x").next_fire == World::kStart + minutes(10));
}

TEST_CASE("runs asked for by hand survive a change of the schedule") {
  World world;
  world.add("x", every("10m"));
  World::must(world.ops.trigger("x", false));
  World::must(world.ops.set("x", change_every("1h"), {}));
  CHECK(brief(world.runs("x")) == Briefs{"pending"});
}

TEST_CASE("fires get their rows when the job is removed") {
  World world;
  world.add("x", every("10m"));
  world.clock.advance(minutes(25));
  World::must(world.ops.remove({"x"}, false));
  CHECK(brief(world.runs("x")) == Briefs{"skipped coalesced", "skipped removed"});
}

TEST_CASE("a pause is one row, written at resume, and the schedule goes on from then") {
  World world;
  world.add("x", every("10m"));
  CHECK(World::must(world.ops.pause({"x"}, "maintenance")) == std::vector<std::string>{"x"});
  CHECK(world.stored("x").paused_reason == "maintenance");
  CHECK_FALSE(world.stored("x").next_fire);
  CHECK(world.last_audit().action == "pause");
  world.clock.advance(hours(2) + minutes(5));
  CHECK(World::must(world.ops.resume({"x"})) == std::vector<std::string>{"x"});
  const std::vector<job::Run> runs = world.runs("x");
  CHECK(brief(runs) == Briefs{"skipped paused x12"});
  CHECK(runs[0].fire_time == World::kStart + minutes(10));
  CHECK(runs[0].last_fire_time == World::kStart + minutes(120));
  const job::Job job = world.stored("x");
  CHECK_FALSE(job.paused);
  CHECK(job.paused_reason.empty());
  CHECK(job.planned_through == world.now());
  CHECK(job.next_fire == World::kStart + minutes(130));
  CHECK(job.version == 1);
  CHECK(world.last_audit().action == "resume");
}

TEST_CASE("what was due before the pause is judged as of the resume") {
  World world;
  world.add("x", every("10m"));
  world.clock.advance(minutes(35));
  World::must(world.ops.pause({"x"}, ""));
  world.clock.advance(minutes(30));
  // At 01:05 the grace of an hour has run out for nothing: 00:10 is 55 minutes late.
  World::must(world.ops.resume({"x"}));
  CHECK(brief(world.runs("x")) == Briefs{"skipped coalesced x2", "pending", "skipped paused x3"});
  CHECK(accounted(world.runs("x")) == 6);
}

TEST_CASE("what was due before a long pause is missed") {
  World world;
  world.add("x", every("10m"));
  world.clock.advance(minutes(35));
  World::must(world.ops.pause({"x"}, ""));
  world.clock.advance(minutes(50));
  // At 01:25, 00:10 and 00:20 are over an hour late; 00:30 is not.
  World::must(world.ops.resume({"x"}));
  CHECK(brief(world.runs("x")) == Briefs{"missed misfire x2", "pending", "skipped paused x5"});
  CHECK(accounted(world.runs("x")) == 8);

  World later;
  later.add("x", every("10m"));
  later.clock.advance(minutes(35));
  World::must(later.ops.pause({"x"}, ""));
  later.clock.advance(hours(5));
  World::must(later.ops.resume({"x"}));
  CHECK(brief(later.runs("x")) == Briefs{"missed misfire x3", "skipped paused x30"});
}

TEST_CASE("a schedule changed during a pause accounts for both, and stays paused") {
  World world;
  world.add("x", every("10m"));
  World::must(world.ops.pause({"x"}, ""));
  world.clock.advance(minutes(35));
  World::must(world.ops.set("x", change_every("1h"), {}));
  CHECK(brief(world.runs("x")) == Briefs{"skipped paused x3"});
  CHECK(world.stored("x").paused);
  CHECK_FALSE(world.stored("x").next_fire);
  world.clock.advance(hours(2));
  World::must(world.ops.resume({"x"}));
  CHECK(brief(world.runs("x")) == Briefs{"skipped paused x3", "skipped paused x2"});
  CHECK(world.stored("x").next_fire == World::kStart + minutes(35) + hours(3));
}

TEST_CASE("a paused job that is removed accounts for its pause") {
  World world;
  world.add("x", every("10m"));
  World::must(world.ops.pause({"x"}, ""));
  world.clock.advance(minutes(35));
  World::must(world.ops.remove({"x"}, false));
  CHECK(brief(world.runs("x")) == Briefs{"skipped paused x3"});
}

TEST_CASE("pausing what is paused and resuming what is not changes nothing") {
  World world;
  world.add("a", every("10m"));
  world.add("b", every("10m"));
  World::must(world.ops.pause({"a"}, "first"));
  CHECK(World::must(world.ops.pause({"a", "b"}, "second")) == std::vector<std::string>{"b"});
  CHECK(world.stored("a").paused_reason == "first");
  World::must(world.ops.resume({"a", "b"}));
  const std::string before = world.contents();
  CHECK(World::must(world.ops.resume({"a", "b"})).empty());
  CHECK(world.contents() == before);
  CHECK(world.refused([&] {
               return world.ops.pause({"a", "nothing"}, "");
             })
            .kind == ErrorKind::not_found);
}

TEST_CASE("a moment that passed during a pause is a row, and the job stays without a next fire") {
  World world;
  world.add("x", at("2026-03-02 12:00"));
  World::must(world.ops.pause({"x"}, ""));
  world.clock.advance(days(1));
  World::must(world.ops.resume({"x"}));
  CHECK(brief(world.runs("x")) == Briefs{"skipped paused"});
  CHECK(world.exists("x"));
  CHECK_FALSE(world.stored("x").next_fire);
}

TEST_CASE("a year of seconds is accounted for without a row each") {
  World world;
  world.add("x", every("1s"));
  world.clock.advance(days(365));
  World::must(world.ops.set("x", change_every("1h"), {}));
  CHECK(accounted(world.runs("x")) == 365 * 86400);
  CHECK(world.runs("x").size() < 5);
}

TEST_CASE("a backlog of which all should run is planned to its end, the latest of it one by one") {
  World world;
  job::JobDraft draft = every("1s");
  draft.policy.coalesce = job::Coalesce::all;
  draft.policy.misfire_grace = days(1);
  world.add("x", draft);
  world.clock.advance(seconds(30'000));
  World::must(world.ops.remove({"x"}, false));
  store::RunFilter filter;
  filter.job_name = "x";
  filter.limit = 100'000;
  const auto runs = World::must(world.store->list_runs(filter));
  CHECK(accounted(runs) == 30'000);
  for (const job::Run& run : runs) {
    REQUIRE(run.reason == (run.count == 1 ? job::Reason::removed : job::Reason::coalesced));
  }
  CHECK(runs.size() == 101);
}

TEST_CASE("a clock that was set back makes no operation fail") {
  World world;
  world.add("x", every("10m"));
  world.clock.advance(hours(1));
  World::must(world.ops.pause({"x"}, ""));
  world.clock.set_wall(World::kStart + minutes(30));
  World::must(world.ops.resume({"x"}));
  CHECK(accounted(world.runs("x")) == 3);
  CHECK(world.stored("x").next_fire == World::kStart + minutes(40));
}
