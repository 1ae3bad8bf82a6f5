#include <algorithm>

#include "tests/runner/world.hpp"

// What becomes of an occurrence that is due while its job still runs.

namespace schedctl::runner {
namespace {

using job::Happening;
using job::Overlap;
using job::Reason;
using job::RunState;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

/// "running, pending, skipped (queue_full)", oldest first.
std::string states(World& w, const std::string& name) {
  std::string all;
  for (const job::Run& run : w.runs(name)) {
    if (!all.empty()) all += ", ";
    all += job::to_string(run.state);
    if (run.reason != Reason::none) all += " (" + std::string(job::to_string(run.reason)) + ")";
  }
  return all;
}

void fire(World& w) {
  w.clock.advance(minutes(1));
  w.beat();
}

void end(World& w, std::size_t start, Happening happening) {
  w.runner->take(w.report(w.executor.started.at(start), happening));
  w.beat();
}

/// The executor's answer to having ended a run.
void ended_on_order(World& w, std::size_t start) {
  executor::Report report = w.report(w.executor.started.at(start), Happening::killed_by_signal);
  report.ended_on_order = true;
  w.runner->take(std::move(report));
  w.beat();
}

}  // namespace

TEST_CASE("queue: what the machine could not start is not overtaken by what was due after it") {
  World w;
  w.add("a", minutes(1), {.overlap = Overlap::queue});
  fire(w);
  // Each refusal makes the pause longer, so that the next fires are due before it is tried again.
  for (int i = 0; i < 8; ++i) {
    end(w, w.executor.started.size() - 1, Happening::start_refused);
    w.clock.advance(seconds(60));
    w.beat();
  }
  CHECK(w.runs("a").size() > 2);
  const std::int64_t first = w.runs("a")[0].id.value;
  for (const auto& start : w.executor.started) CHECK(start.run.value == first);
  for (std::size_t done = w.executor.started.size() - 1; done < w.executor.started.size(); ++done) {
    end(w, done, Happening::exited_zero);
  }
  for (std::size_t i = 1; i < w.executor.started.size(); ++i) {
    CHECK(w.executor.started[i - 1].fire_time <= w.executor.started[i].fire_time);
  }
  CHECK(w.executor.started.back().run.value > first);
}

TEST_CASE("skip: while the machine cannot start a run what is due meanwhile does not pile up") {
  World w;
  w.add("a", minutes(1), {});
  fire(w);
  for (int i = 0; i < 5; ++i) {
    end(w, w.executor.started.size() - 1, Happening::start_refused);
    w.clock.advance(seconds(60));
    w.beat();
  }
  const auto runs = w.runs("a");
  CHECK(std::ranges::count(runs, RunState::skipped, &job::Run::state) > 2);
  CHECK(std::ranges::count(runs, RunState::pending, &job::Run::state) +
            std::ranges::count(runs, RunState::running, &job::Run::state) ==
        1);
}

TEST_CASE("queue: what is due meanwhile waits, and runs one after the other, the oldest first") {
  World w;
  w.add("a", minutes(1), {.overlap = Overlap::queue});
  for (int i = 0; i < 3; ++i) fire(w);
  CHECK(states(w, "a") == "running, pending, pending");
  end(w, 0, Happening::exited_zero);
  CHECK(states(w, "a") == "succeeded, running, pending");
  end(w, 1, Happening::exited_nonzero);
  CHECK(states(w, "a") == "succeeded, failed (exit_status), running");
  CHECK(w.executor.started.at(1).fire_time < w.executor.started.at(2).fire_time);
  end(w, 2, Happening::exited_zero);
  fire(w);
  CHECK(w.executor.started.size() == 4);
}

TEST_CASE("queue: no more wait than max_queued, and each that finds no place is a row") {
  World w;
  w.add("a", minutes(1), {.overlap = Overlap::queue, .max_queued = 2});
  for (int i = 0; i < 5; ++i) fire(w);
  CHECK(states(w, "a") == "running, pending, pending, skipped (queue_full), skipped (queue_full)");
  end(w, 0, Happening::exited_zero);
  fire(w);
  CHECK(states(w, "a") ==
        "succeeded, running, pending, skipped (queue_full), skipped (queue_full), pending");
}

TEST_CASE("queue: a retry goes before what waits") {
  World w;
  w.add("a", minutes(1), {.overlap = Overlap::queue, .max_attempts = 2, .backoff = seconds(30)});
  fire(w);
  fire(w);
  end(w, 0, Happening::exited_nonzero);
  CHECK(states(w, "a") == "pending, pending");
  CHECK(w.executor.started.size() == 1);
  w.clock.advance(seconds(40));
  w.beat();
  REQUIRE(w.executor.started.size() == 2);
  CHECK(w.executor.started.at(1).attempt == 2);
}

TEST_CASE("queue: the queue outlives the daemon") {
  World w;
  w.add("a", minutes(1), {.overlap = Overlap::queue});
  for (int i = 0; i < 3; ++i) fire(w);
  w.start_runner();
  w.adopt("keeper-1", {w.started_report(w.executor.started.at(0))});
  w.beat();
  CHECK(states(w, "a") == "running, pending, pending");
  end(w, 0, Happening::exited_zero);
  CHECK(states(w, "a") == "succeeded, running, pending");
}

TEST_CASE("queue: a run by hand queues, too") {
  World w;
  const job::Job job = w.add("a", minutes(10), {.overlap = Overlap::queue});
  w.trigger(job);
  w.beat();
  w.trigger(job);
  w.beat();
  CHECK(states(w, "a") == "running, pending");
  end(w, 0, Happening::exited_zero);
  CHECK(states(w, "a") == "succeeded, running");
}

TEST_CASE("allow: runs live beside each other, as many as max_instances") {
  World w;
  w.add("a", minutes(1), {.overlap = Overlap::allow, .max_instances = 2});
  for (int i = 0; i < 3; ++i) fire(w);
  CHECK(states(w, "a") == "running, running, skipped (overlap)");
  end(w, 0, Happening::exited_zero);
  fire(w);
  CHECK(states(w, "a") == "succeeded, running, skipped (overlap), running");
}

TEST_CASE("allow: a retry occupies its place, and does not wait for the others") {
  World w;
  w.add("a", minutes(1),
        {.overlap = Overlap::allow, .max_attempts = 2, .backoff = seconds(10), .max_instances = 2});
  fire(w);
  fire(w);
  end(w, 0, Happening::exited_nonzero);
  CHECK(states(w, "a") == "pending, running");
  w.clock.advance(seconds(15));
  w.beat();
  CHECK(states(w, "a") == "running, running");
  w.clock.advance(seconds(45));
  w.beat();
  CHECK(states(w, "a") == "running, running, skipped (overlap)");
}

TEST_CASE("allow: occurrences that are due in the same beat count each other") {
  World w;
  const job::Job job = w.add("a", minutes(10), {.overlap = Overlap::allow, .max_instances = 3});
  for (int i = 0; i < 5; ++i) w.trigger(job);
  w.beat();
  CHECK(states(w, "a") == "running, running, running, skipped (overlap), skipped (overlap)");
}

TEST_CASE("the limits of a job hold behind thousands of runs that are due") {
  World w;
  const job::Job allow = w.add("allow", hours(10), {.overlap = Overlap::allow, .max_instances = 2});
  const job::Job queue = w.add("queue", hours(10), {.overlap = Overlap::queue, .max_queued = 3});
  constexpr std::size_t kMany = 1300;
  for (std::size_t i = 0; i < kMany; ++i) {
    w.trigger(allow);
    w.trigger(queue);
  }
  for (int i = 0; w.beat().again && i < 500; ++i) continue;
  const auto count = [&w](const job::Job& job, RunState state) {
    return w.store->list_runs({.job_id = job.id, .states = {state}, .limit = 2 * kMany})->size();
  };
  CHECK(count(allow, RunState::running) == 2);
  CHECK(count(allow, RunState::skipped) == kMany - 2);
  CHECK(count(queue, RunState::running) == 1);
  CHECK(count(queue, RunState::pending) == 3);
  CHECK(count(queue, RunState::skipped) == kMany - 4);
}

TEST_CASE("allow: max_running is the limit of all") {
  World w;
  w.settings.tuning.max_running = 2;
  w.start_runner();
  w.adopt("keeper-2", {});
  const job::Job job = w.add("a", minutes(10), {.overlap = Overlap::allow, .max_instances = 5});
  for (int i = 0; i < 4; ++i) w.trigger(job);
  w.beat();
  CHECK(states(w, "a") == "running, running, pending, pending");
  end(w, 1, Happening::exited_zero);
  CHECK(states(w, "a") == "running, succeeded, running, pending");
}

TEST_CASE("replace: the one that runs is ended, and the newer one runs when it has ended") {
  World w;
  w.add("a", minutes(1), {.overlap = Overlap::replace});
  fire(w);
  fire(w);
  w.beat();
  CHECK(states(w, "a") == "running, pending");
  REQUIRE(w.executor.ended.size() == 1);
  CHECK(w.executor.started.size() == 1);
  ended_on_order(w, 0);
  CHECK(states(w, "a") == "cancelled (replaced), running");
  CHECK(w.executor.started.size() == 2);
  CHECK(w.runs("a")[0].replaced_by == w.runs("a")[1].id);
}

TEST_CASE("replace: a newer one takes the place of one that still waits for its turn") {
  World w;
  w.add("a", minutes(1), {.overlap = Overlap::replace});
  for (int i = 0; i < 3; ++i) fire(w);
  CHECK(states(w, "a") == "running, cancelled (replaced), pending");
  CHECK(w.executor.ended.size() == 1);
  ended_on_order(w, 0);
  CHECK(states(w, "a") == "cancelled (replaced), cancelled (replaced), running");
}

TEST_CASE("replace: a run that ends by itself meanwhile has succeeded") {
  World w;
  w.add("a", minutes(1), {.overlap = Overlap::replace});
  fire(w);
  fire(w);
  end(w, 0, Happening::exited_zero);
  CHECK(states(w, "a") == "succeeded, running");
}

TEST_CASE("replace: a retry that waits gives way at once, and is not tried again") {
  World w;
  w.add("a", minutes(1), {.overlap = Overlap::replace, .max_attempts = 3, .backoff = minutes(5)});
  fire(w);
  end(w, 0, Happening::exited_nonzero);
  fire(w);
  w.beat();
  CHECK(states(w, "a") == "cancelled (replaced), running");
  CHECK(w.store->find_job("a").value()->last_state == RunState::cancelled);
}

TEST_CASE("replace: a run that was replaced is not tried again, whatever its policy says") {
  World w;
  w.add("a", minutes(1),
        {.overlap = Overlap::replace, .max_attempts = 3, .on_lost = job::OnLost::retry});
  fire(w);
  fire(w);
  w.start_runner();
  w.adopt("keeper-2", {});
  w.beat();
  CHECK(states(w, "a") == "lost (keeper_died), running");
}

TEST_CASE("the limit of a job's instances holds over a restart of the daemon") {
  World w;
  w.add("a", minutes(1), {.overlap = Overlap::allow, .max_instances = 2});
  fire(w);
  fire(w);
  w.start_runner();
  w.adopt("keeper-1",
          {w.started_report(w.executor.started.at(0)), w.started_report(w.executor.started.at(1))});
  w.beat();
  fire(w);
  CHECK(states(w, "a") == "running, running, skipped (overlap)");
}

TEST_CASE("replace: after a retry that gave way, the next one needs nobody to wake it") {
  World w;
  w.add("a", minutes(1), {.overlap = Overlap::replace, .max_attempts = 3, .backoff = minutes(5)});
  fire(w);
  end(w, 0, Happening::exited_nonzero);
  w.clock.advance(minutes(1));
  const Runner::Beat beat = w.beat();
  CHECK(beat.again);
}

TEST_CASE("replace: the run of a backfill is not replaced") {
  World w;
  const job::Job job = w.add("a", minutes(1), {.overlap = Overlap::replace});
  job::Run old;
  old.job_id = job.id;
  old.job_name = job.name;
  old.cause = job::Cause::backfill;
  old.fire_time = World::kStart - minutes(30);
  old.created_at = old.due_at = World::kStart;
  old.forced = true;
  REQUIRE(w.store->insert_run(old).value());
  w.beat();
  for (int i = 0; i < 3; ++i) {
    fire(w);
    w.beat();
  }
  CHECK(w.executor.ended.size() == 1);
  CHECK(w.store->get_run(old.id).value()->state == RunState::running);
}

TEST_CASE("what needs no slot is settled however many wait for one") {
  World w;
  w.settings.tuning.max_running = 1;
  w.start_runner();
  w.adopt("keeper-2", {});
  const job::Job job = w.add("a", minutes(10), {.overlap = Overlap::replace});
  w.trigger(job);
  w.beat();
  for (int i = 0; i < 120; ++i) w.trigger(w.add("b" + std::to_string(i), minutes(60)));
  w.trigger(job);
  w.beat();
  w.beat();
  CHECK(w.executor.ended.size() == 1);
  ended_on_order(w, 0);
  CHECK(w.executor.started.size() == 2);
}

TEST_CASE("one free slot is no reason to settle one row a beat") {
  World w;
  w.settings.tuning.max_running = 2;
  w.start_runner();
  w.adopt("keeper-2", {});
  const job::Job job = w.add("a", minutes(600));
  w.trigger(job);
  w.beat();
  for (int i = 0; i < 200; ++i) w.trigger(job);
  int beats = 1;
  while (w.beat().again && beats < 100) ++beats;
  CHECK(beats < 8);
  CHECK(std::ranges::count(w.runs("a"), RunState::skipped, &job::Run::state) == 200);
}

TEST_CASE("allow: what was caught up is not passed by for ever by what is newly due") {
  World w;
  w.add("a", minutes(1),
        {.overlap = Overlap::allow, .coalesce = job::Coalesce::all, .max_instances = 3});
  w.clock.advance(minutes(5));
  w.beat();
  CHECK(states(w, "a") == "running, pending, pending, pending, pending");
  std::size_t ended = 0;
  for (int i = 0; i < 8; ++i) {
    fire(w);
    w.beat();
    // One ends, but the job is never idle.
    end(w, ended++, Happening::exited_zero);
  }
  const std::vector<job::Run> runs = w.runs("a");
  for (std::size_t i = 0; i < 5; ++i) CHECK(runs[i].state != RunState::pending);
  for (const job::Run& run : runs) CHECK(run.state != RunState::skipped);
}

TEST_CASE(
    "a run that waits for its retry keeps its slot also against one that was made before it") {
  World w;
  const job::Job job = w.add("a", minutes(600), {.max_attempts = 2, .backoff = minutes(60)});
  job::Run late = w.trigger(job);
  late.due_at = w.clock.wall() + minutes(1);
  REQUIRE(w.store->update_run(late, late.fence).value());
  w.trigger(job);
  w.beat();
  end(w, 0, Happening::exited_nonzero);
  fire(w);
  CHECK(states(w, "a") == "skipped (overlap), pending");
}

TEST_CASE("queue: a trigger that waited beside a daemon is not expired by the next one") {
  World w;
  const job::Job job =
      w.add("a", minutes(600), {.overlap = Overlap::queue, .misfire_grace = minutes(1)});
  w.trigger(job);
  w.beat();
  w.trigger(job);
  w.beat();
  w.clock.advance(minutes(5));
  w.settings.down_since = w.clock.wall();
  w.start_runner();
  w.adopt("keeper-1", {w.started_report(w.executor.started.at(0))});
  w.beat();
  CHECK(states(w, "a") == "running, pending");
}

}  // namespace schedctl::runner
