#include "world.hpp"

using namespace schedctl;
using namespace schedctl::runner;
using namespace std::chrono_literals;
using job::Cause;
using job::Happening;
using job::Reason;
using job::RunState;

namespace {

constexpr Duration kTick{1};

/// A job every ten minutes whose grid has been going on for long, and nothing of it is due before
/// the next ten minutes are over.
struct Past : World {
  job::Job job;

  explicit Past(job::PolicyDraft policy = {}) {
    runner->configure({.defaults = {}});
    job = add("a", 10min, policy);
    clock.advance(10min);
    beat();
    end_last(Happening::exited_zero);
    beat();
    executor.started.clear();
  }

  store::Backfill ask(Time from, Time to, int max_parallel = 1, bool missing = false) {
    store::Backfill backfill;
    backfill.job_id = job.id;
    backfill.job_name = job.name;
    backfill.from = from;
    backfill.to = to;
    backfill.through = from - kTick;
    backfill.fires = (to - from) / 10min - (missing ? 1 : 0);
    backfill.missing = missing;
    backfill.max_parallel = max_parallel;
    backfill.created_at = clock.wall();
    REQUIRE(store->insert_backfill(backfill).has_value());
    return backfill;
  }
  /// From before the job was made on: its grid reaches back.
  void reach_back(Duration by) {
    job = store->find_job("a").value().value();
    job.definition.schedule.anchor -= by;
    ++job.version;
    job.defined_at = clock.wall() - kTick;
    REQUIRE(store->update_job(job).has_value());
  }

  store::Backfill stored() {
    const auto all = store->list_backfills({}).value();
    REQUIRE(all.size() >= 1);
    return all.front();
  }
  std::vector<Time> fires_started() const {
    std::vector<Time> fires;
    for (const executor::StartRequest& start : executor.started) fires.push_back(start.fire_time);
    return fires;
  }
  void end(std::size_t nth, Happening happening = Happening::exited_zero) {
    runner->take(report(executor.started.at(nth), happening));
    beat();
  }
  std::vector<job::Run> of(Cause cause) {
    std::vector<job::Run> found;
    for (const job::Run& run : runs("a")) {
      if (run.cause == cause) found.push_back(run);
    }
    return found;
  }
};

constexpr Time kFrom = World::kStart - 30min;

}  // namespace

TEST_CASE("a backfill runs the fires of its range one after the other, each with its fire time") {
  Past w;
  w.reach_back(10h);
  w.ask(kFrom, kFrom + 30min);
  w.beat();
  CHECK(w.fires_started() == std::vector{kFrom});
  w.beat();
  CHECK(w.executor.started.size() == 1);
  w.end(0);
  w.end(1);
  CHECK(w.fires_started() == std::vector{kFrom, kFrom + 10min, kFrom + 20min});
  CHECK_FALSE(w.stored().ended_at);
  w.end(2);
  CHECK(w.stored().ended_at == w.clock.wall());
  CHECK_FALSE(w.stored().cancelled);
  for (const job::Run& run : w.of(Cause::backfill)) {
    CHECK(run.state == RunState::succeeded);
    CHECK(run.backfill == w.stored().id);
  }
  CHECK(w.executor.started[0].key != w.executor.started[1].key);
}

TEST_CASE("so many runs of a backfill as it may have at once run side by side") {
  Past w;
  w.reach_back(10h);
  w.ask(kFrom - 1h, kFrom, 3);
  w.beat();
  CHECK(w.executor.started.size() == 3);
  w.end(1);
  CHECK(w.executor.started.size() == 4);
  for (std::size_t i : {0, 2, 5, 4}) w.end(i);
  CHECK(w.executor.started.size() == 6);
  CHECK_FALSE(w.stored().ended_at);
  w.end(3);
  CHECK(w.stored().ended_at);
}

TEST_CASE("a backfill of a paused job runs") {
  Past w;
  w.reach_back(10h);
  w.job.paused = true;
  w.job.paused_at = w.clock.wall();
  w.job.next_fire.reset();
  REQUIRE(w.store->update_job(w.job).has_value());
  w.ask(kFrom, kFrom + 10min);
  w.beat();
  CHECK(w.executor.started.size() == 1);
}

TEST_CASE("a backfill waits while a run of its job lives, and goes on when it has ended") {
  Past w;
  w.reach_back(10h);
  w.trigger(w.job);
  w.beat();
  w.ask(kFrom, kFrom + 10min);
  w.beat();
  CHECK(w.executor.started.size() == 1);
  w.end(0);
  CHECK(w.fires_started().back() == kFrom);
}

TEST_CASE("an occurrence that falls due beside a run of a backfill waits for that one run") {
  Past w;
  w.reach_back(10h);
  w.ask(kFrom, kFrom + 30min);
  w.beat();
  w.clock.advance(10min);
  const Time due = w.clock.wall();
  w.beat();
  CHECK(w.executor.started.size() == 1);
  REQUIRE(w.of(Cause::schedule).back().state == RunState::pending);
  // The next one finds that one waiting, and is skipped as ever.
  w.clock.advance(10min);
  w.beat();
  CHECK(w.of(Cause::schedule).back().reason == Reason::overlap);
  w.end(0);
  REQUIRE(w.executor.started.size() == 2);
  CHECK(w.executor.started[1].fire_time == due);
  w.end(1);
  CHECK(w.fires_started().back() == kFrom + 10min);
}

TEST_CASE("an occurrence starts at once beside a backfill whose runs may be side by side") {
  Past w;
  w.reach_back(10h);
  w.ask(kFrom, kFrom + 30min, 2);
  w.beat();
  CHECK(w.executor.started.size() == 2);
  w.clock.advance(10min);
  w.beat();
  REQUIRE(w.executor.started.size() == 3);
  CHECK(w.executor.started[2].fire_time == w.clock.wall());
  // But not beside another of its own kind.
  w.clock.advance(10min);
  w.beat();
  CHECK(w.executor.started.size() == 3);
  CHECK(w.of(Cause::schedule).back().reason == Reason::overlap);
}

TEST_CASE(
    "replace: beside a backfill side by side, each occurrence starts in the last one's place") {
  job::PolicyDraft policy;
  policy.overlap = job::Overlap::replace;
  Past w(policy);
  w.reach_back(10h);
  w.ask(kFrom, kFrom + 30min, 2);
  w.beat();
  for (std::size_t live = 2; live < 6; ++live) {
    w.clock.advance(10min);
    w.beat();
    if (live > 2) {
      executor::Report end = w.report(w.executor.started[live - 1], Happening::killed_by_signal);
      end.ended_on_order = true;
      w.runner->take(std::move(end));
      w.beat();
    }
    REQUIRE(w.executor.started.size() == live + 1);
    CHECK(w.executor.started[live].fire_time == w.clock.wall());
  }
  for (const job::Run& run : w.of(Cause::backfill)) CHECK(run.state == RunState::running);
}

TEST_CASE("queue: a backfill side by side has no place in the queue, and does not hold it up") {
  job::PolicyDraft policy;
  policy.overlap = job::Overlap::queue;
  policy.max_queued = 1;
  Past w(policy);
  w.reach_back(10h);
  w.ask(kFrom, kFrom + 20min, 2);
  w.beat();
  w.clock.advance(10min);
  w.beat();
  REQUIRE(w.executor.started.size() == 3);
  w.clock.advance(10min);
  const Time queued = w.clock.wall();
  w.beat();
  CHECK(w.of(Cause::schedule).back().state == RunState::pending);
  w.end(2);
  REQUIRE(w.executor.started.size() == 4);
  CHECK(w.executor.started[3].fire_time == queued);
}

TEST_CASE("allow: the runs of a backfill side by side are none of the job's instances") {
  job::PolicyDraft policy;
  policy.overlap = job::Overlap::allow;
  policy.max_instances = 2;
  Past w(policy);
  w.reach_back(10h);
  w.ask(kFrom, kFrom + 30min, 3);
  w.beat();
  CHECK(w.executor.started.size() == 3);
  for (int i = 0; i < 3; ++i) {
    w.clock.advance(10min);
    w.beat();
  }
  CHECK(w.executor.started.size() == 5);
  const auto occurrences = w.of(Cause::schedule);
  CHECK(occurrences.at(occurrences.size() - 3).state == RunState::running);
  CHECK(occurrences.at(occurrences.size() - 2).state == RunState::running);
  CHECK(occurrences.back().reason == Reason::overlap);
}

TEST_CASE("a retry is tried beside a backfill whose runs may be side by side") {
  job::PolicyDraft policy;
  policy.max_attempts = 2;
  policy.backoff = 60s;
  Past w(policy);
  w.reach_back(10h);
  w.ask(kFrom, kFrom + 20min, 2);
  w.beat();
  w.clock.advance(10min);
  w.beat();
  w.end(2, Happening::exited_nonzero);
  w.clock.advance(90s);
  w.beat();
  REQUIRE(w.executor.started.size() == 4);
  CHECK(w.executor.started[3].attempt == 2);
}

TEST_CASE("what is due now takes the last free slot before any backfill does") {
  Past w;
  w.reach_back(10h);
  const job::Job other = w.add("other", 10min);
  w.runner->configure({.max_running = 1});
  w.clock.advance(10min);
  w.ask(kFrom, kFrom + 10min);
  w.beat();
  // Both scheduled runs go first, whichever of them takes the slot.
  CHECK(w.of(Cause::backfill).empty());
  w.end(0);
  CHECK(w.of(Cause::backfill).empty());
  w.end(1);
  CHECK(w.of(Cause::backfill).size() == 1);
}

TEST_CASE("a failed run of a backfill is tried again before the next fire, with the same key") {
  job::PolicyDraft policy;
  policy.max_attempts = 2;
  policy.backoff = 60s;
  Past w(policy);
  w.reach_back(10h);
  w.ask(kFrom, kFrom + 20min);
  w.beat();
  w.end(0, Happening::exited_nonzero);
  CHECK(w.executor.started.size() == 1);
  w.clock.advance(90s);
  w.beat();
  REQUIRE(w.executor.started.size() == 2);
  CHECK(w.executor.started[1].fire_time == kFrom);
  CHECK(w.executor.started[1].key == w.executor.started[0].key);
  w.end(1, Happening::exited_nonzero);
  CHECK(w.fires_started().back() == kFrom + 10min);
  w.end(2);
  CHECK(w.stored().ended_at);
  CHECK(w.of(Cause::backfill)[0].state == RunState::failed);
}

TEST_CASE("a new daemon goes on with the next fire of a backfill") {
  Past w;
  w.reach_back(10h);
  w.ask(kFrom, kFrom + 30min);
  w.beat();
  w.end(0);
  CHECK(w.executor.started.size() == 2);
  w.start_runner();
  w.adopt("keeper-1", {w.started_report(w.executor.started[1])});
  w.beat();
  CHECK(w.executor.started.size() == 2);
  w.end(1);
  w.end(2);
  CHECK(w.fires_started() == std::vector{kFrom, kFrom + 10min, kFrom + 20min});
  CHECK(w.stored().ended_at);
}

TEST_CASE("a run of a backfill that the keeper never got is started again, not written again") {
  Past w;
  w.reach_back(10h);
  w.ask(kFrom, kFrom + 10min);
  w.beat();
  w.start_runner();
  w.adopt("keeper-1", {});
  w.beat();
  w.beat();
  CHECK(w.fires_started() == std::vector{kFrom, kFrom});
  CHECK(w.of(Cause::backfill).size() == 1);
}

TEST_CASE("a run of a backfill that is to start again waits for its job and is not skipped") {
  Past w;
  w.reach_back(10h);
  w.ask(kFrom, kFrom + 10min);
  w.beat();
  w.trigger(w.job, true);
  w.clock.advance(1s);
  w.start_runner();
  w.adopt("keeper-1", {});
  w.beat();
  REQUIRE(w.executor.started.size() == 2);
  CHECK(w.of(Cause::backfill)[0].state == RunState::pending);
  w.end(1);
  CHECK(w.fires_started().back() == kFrom);
  w.end(2);
  CHECK(w.of(Cause::backfill)[0].state == RunState::succeeded);
}

TEST_CASE("of fires that are wanted only where missing, those with a success have no run") {
  Past w;  // the fire at kStart + 10 min has succeeded
  w.reach_back(10h);
  const Time from = World::kStart - 10min;
  w.clock.advance(kTick);
  w.ask(from, from + 40min, 1, true);
  w.clock.advance(20min);
  w.beat();  // plans the occurrences at 20 and at 30 minutes: the first is coalesced into the
             // second
  w.end(0);
  w.end(1);
  w.end(2);
  w.end(3);
  const Time start = World::kStart;
  CHECK(w.fires_started() == std::vector{start + 30min, from, start, start + 20min});
  CHECK(w.stored().ended_at);
}

TEST_CASE("a fire that an earlier backfill ran with success is not missing any more") {
  Past w;
  w.reach_back(10h);
  w.ask(kFrom, kFrom + 20min);
  w.beat();
  w.end(0);
  w.end(1, Happening::exited_nonzero);
  REQUIRE(w.stored().ended_at);
  w.ask(kFrom, kFrom + 20min, 1, true);
  w.beat();
  REQUIRE(w.executor.started.size() == 3);
  CHECK(w.executor.started[2].fire_time == kFrom + 10min);
  w.end(2);
  CHECK(w.stored().ended_at);
}

TEST_CASE("a backfill keeps to the schedule as it was when it was asked for") {
  Past w;
  w.reach_back(10h);
  w.ask(kFrom, kFrom + 20min);
  w.beat();
  w.job = w.store->find_job("a").value().value();
  w.job.definition.schedule.every = 7min;
  ++w.job.version;
  w.clock.advance(1s);
  w.job.defined_at = w.clock.wall();
  REQUIRE(w.store->update_job(w.job).has_value());
  w.start_runner();
  w.adopt("keeper-1", {w.started_report(w.executor.started[0])});
  w.beat();
  w.end(0);
  CHECK(w.fires_started() == std::vector{kFrom, kFrom + 10min});
}

TEST_CASE("a backfill that was ended starts nothing more") {
  Past w;
  w.reach_back(10h);
  store::Backfill backfill = w.ask(kFrom, kFrom + 30min);
  w.beat();
  backfill = w.stored();
  backfill.cancelled = true;
  backfill.ended_at = w.clock.wall();
  REQUIRE(w.store->update_backfill(backfill).has_value());
  w.end(0);
  CHECK(w.executor.started.size() == 1);
}

TEST_CASE("a backfill whose job is gone is ended") {
  Past w;
  w.reach_back(10h);
  w.ask(kFrom, kFrom + 30min);
  REQUIRE(w.store->delete_job(w.job.id).has_value());
  w.beat();
  CHECK(w.executor.started.empty());
  CHECK(w.stored().ended_at);
  CHECK(w.stored().cancelled);
}

TEST_CASE("a start of a backfill's run is not the one that is awaited") {
  Past w;
  w.reach_back(10h);
  w.ask(kFrom, kFrom + 30min);
  w.beat();
  w.clock.advance(10min);
  w.beat();  // the occurrence waits behind the first run of the backfill
  w.runner->take(w.started_report(w.executor.started[0]));
  w.beat();
  w.clock.advance(61s);
  w.beat();
  const auto alerts = w.store->list_alerts({.open_only = true}).value();
  REQUIRE(alerts.size() == 1);
  CHECK(alerts[0].kind == job::AlertKind::delayed);
}
