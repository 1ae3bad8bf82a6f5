// Runs that start in the beat that plans them, and those that may not.

#include "world.hpp"

using namespace schedctl;
using namespace schedctl::runner;
using job::RunState;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

std::vector<std::string> started_jobs(World& world) {
  std::vector<std::string> names;
  for (const executor::StartRequest& start : world.executor.started) {
    const auto run = world.store->get_run(start.run);
    REQUIRE((run && *run));
    names.push_back((*run)->job_name);
  }
  return names;
}

job::PolicyDraft priority(int value) {
  job::PolicyDraft policy;
  policy.priority = value;
  return policy;
}

}  // namespace

TEST_CASE("a run that nothing is in the way of is claimed with its row, and handed over whole") {
  World world;
  world.beat();
  world.add("tick", minutes(1));
  world.clock.advance(minutes(1));
  world.beat();
  const std::vector<job::Run> runs = world.runs("tick");
  REQUIRE(runs.size() == 1);
  CHECK(runs[0].state == RunState::running);
  CHECK(runs[0].fence == 1);
  CHECK(runs[0].node == "node-1");
  CHECK(runs[0].keeper == "keeper-1");
  CHECK_FALSE(runs[0].key.empty());
  REQUIRE(world.executor.started.size() == 1);
  CHECK(world.executor.started[0].run == runs[0].id);
  CHECK(world.executor.started[0].fence == 1);
  CHECK(world.executor.started[0].generation == world.generation);
  CHECK(world.runner->live() == 1);
}

TEST_CASE("with fewer slots than jobs that are due, rank decides and not the order of planning") {
  World world;
  world.settings.tuning.max_running = 2;
  world.runner->configure(world.settings.tuning);
  world.beat();
  world.add("a-last", minutes(1), priority(5));
  world.add("b-second", minutes(1));
  world.add("c-first", minutes(1), priority(-5));
  world.clock.advance(minutes(1));
  world.beat();
  CHECK(started_jobs(world) == std::vector<std::string>{"c-first", "b-second"});
  CHECK(world.runs("a-last")[0].state == RunState::pending);
}

TEST_CASE("what has waited for a slot is not overtaken by what falls due now") {
  World world;
  world.settings.tuning.max_running = 1;
  world.runner->configure(world.settings.tuning);
  world.beat();
  world.add("a", minutes(1));
  world.add("b", minutes(1));
  world.add("c", seconds(90));
  world.clock.advance(minutes(1));
  world.beat();
  REQUIRE(started_jobs(world) == std::vector<std::string>{"a"});
  world.clock.advance(seconds(30));
  world.end_last(job::Happening::exited_zero);
  world.beat();
  CHECK(started_jobs(world) == std::vector<std::string>{"a", "b"});
  CHECK(world.runs("c")[0].state == RunState::pending);
}

TEST_CASE("a retry that is waited for keeps its job's slot from the next fire") {
  World world;
  world.beat();
  job::PolicyDraft policy;
  policy.max_attempts = 2;
  policy.backoff = minutes(5);
  policy.max_delay = minutes(5);
  world.add("stubborn", minutes(1), policy);
  world.clock.advance(minutes(1));
  world.beat();
  world.end_last(job::Happening::exited_nonzero);
  world.beat();
  world.clock.advance(minutes(1));
  world.beat();
  const std::vector<job::Run> runs = world.runs("stubborn");
  REQUIRE(runs.size() == 2);
  CHECK(runs[0].state == RunState::pending);
  CHECK(runs[1].state == RunState::skipped);
  CHECK(runs[1].reason == job::Reason::overlap);
}
