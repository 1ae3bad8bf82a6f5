#include <doctest/doctest.h>

#include "world.hpp"

namespace schedctl::runner {
namespace {

using job::Happening;
using job::Reason;
using job::RunState;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

/// Jobs started so far, in the order of their starts.
std::vector<std::string> started(const World& w) {
  std::vector<std::string> names;
  for (const executor::StartRequest& one : w.executor.started) names.push_back(one.job);
  return names;
}

std::size_t count_of(const World& w, const std::string& job) {
  const auto names = started(w);
  return static_cast<std::size_t>(std::ranges::count(names, job));
}

void end_job(World& w, const std::string& job, Happening how = Happening::exited_zero) {
  for (std::size_t i = w.executor.started.size(); i-- > 0;) {
    if (w.executor.started[i].job != job) continue;
    w.runner->take(w.report(w.executor.started[i], how));
    w.beat();
    return;
  }
  FAIL("never started: ", job);
}

std::vector<job::Alert> alerts(World& w) {
  auto found = w.store->list_alerts({});
  REQUIRE(found.has_value());
  return *std::move(found);
}

using Names = std::vector<std::string>;

TEST_CASE("a job that comes after another starts when that one has succeeded") {
  World w;
  w.add("load", hours(24));
  w.add("report", hours(24), {.after = Names{"load"}});
  w.clock.advance(hours(24));
  w.beat();
  CHECK(started(w) == Names{"load"});
  const job::Run waiting = w.runs("report").at(0);
  CHECK(waiting.state == RunState::pending);
  CHECK(waiting.gated);
  w.beat();
  w.clock.advance(minutes(5));
  end_job(w, "load");
  CHECK(started(w) == Names{"load", "report"});
  end_job(w, "report");
  CHECK(w.runs("report").at(0).state == RunState::succeeded);

  // The success of yesterday opens nothing today.
  w.clock.advance(hours(24) - minutes(5));
  w.beat();
  CHECK(count_of(w, "report") == 1);
  end_job(w, "load", Happening::exited_nonzero);
  CHECK(count_of(w, "report") == 1);
}

TEST_CASE("what succeeded since the previous fire needs not succeed again") {
  World w;
  const job::Job load = w.add("load", hours(24));
  w.clock.advance(hours(1));
  w.add("report", hours(24), {.after = Names{"load"}});
  w.clock.advance(hours(23));
  w.beat();
  end_job(w, "load");
  w.clock.advance(hours(1));
  w.beat();
  CHECK(started(w) == Names{"load", "report"});
}

TEST_CASE("a run by hand opens the gate, and needs none itself") {
  World w;
  const job::Job load = w.add("load", hours(48));
  const job::Job report = w.add("report", hours(24), {.after = Names{"load"}});
  w.trigger(report);
  w.beat();
  CHECK(count_of(w, "report") == 1);
  end_job(w, "report");
  w.clock.advance(hours(24));
  w.beat();
  CHECK(count_of(w, "report") == 1);
  w.trigger(load);
  w.beat();
  end_job(w, "load");
  CHECK(count_of(w, "report") == 2);
}

TEST_CASE("all of several jobs must have succeeded") {
  World w;
  w.add("a", hours(1));
  w.add("b", hours(1));
  w.add("c", hours(1), {.after = Names{"a", "b"}});
  w.clock.advance(hours(1));
  w.beat();
  end_job(w, "b");
  CHECK(count_of(w, "c") == 0);
  end_job(w, "a");
  CHECK(count_of(w, "c") == 1);
}

TEST_CASE("an occurrence that still waits when the next one is due is missed, and told") {
  World w;
  w.add("load", hours(1));
  w.add("report", hours(1), {.after = Names{"load"}});
  w.clock.advance(hours(1));
  w.beat();
  end_job(w, "load", Happening::exited_nonzero);
  w.clock.advance(hours(1));
  w.beat();
  const std::vector<job::Run> runs = w.runs("report");
  REQUIRE(runs.size() == 2);
  CHECK(runs[0].state == RunState::missed);
  CHECK(runs[0].reason == Reason::waited_too_long);
  CHECK(runs[1].gated);
  bool told = false;
  for (const job::Alert& alert : alerts(w))
    told = told || (alert.kind == job::AlertKind::missed && alert.subject == "report" &&
                    alert.detail.find("comes after") != std::string::npos);
  CHECK(told);
}

TEST_CASE("coalesce = all: all that waited for another job run, one after the other") {
  for (const job::Overlap overlap :
       {job::Overlap::skip, job::Overlap::queue, job::Overlap::replace, job::Overlap::allow}) {
    World w;
    const job::Job load = w.add("load", hours(48));
    w.add("report", hours(1),
          {.overlap = overlap,
           .coalesce = job::Coalesce::all,
           .max_instances = 2,
           .max_queued = 1,
           .after = Names{"load"}});
    for (int i = 0; i < 4; ++i) {
      w.clock.advance(hours(1));
      w.beat();
    }
    w.clock.advance(minutes(10));
    w.trigger(load);
    w.beat();
    end_job(w, "load");
    for (std::size_t done = 0; done < 4; ++done) {
      CHECK(count_of(w, "report") == done + 1);
      CHECK(w.executor.started.back().fire_time == World::kStart + hours(1) * (done + 1));
      end_job(w, "report");
    }
    for (const job::Run& run : w.runs("report")) CHECK(run.state == RunState::succeeded);
  }
}

TEST_CASE("coalesce = all: of those that wait for another job, max_catchup are kept, the latest") {
  World w;
  w.add("load", hours(48));
  w.add("other", hours(1), {.coalesce = job::Coalesce::all, .after = Names{"load"}});
  w.add("report", hours(1),
        {.coalesce = job::Coalesce::all, .max_catchup = 3, .after = Names{"load"}});
  for (int i = 0; i < 5; ++i) {
    w.clock.advance(hours(1));
    w.beat();
  }
  const std::vector<job::Run> runs = w.runs("report");
  REQUIRE(runs.size() == 5);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    CHECK(runs[i].fire_time == World::kStart + hours(1) * (i + 1));
    CHECK(runs[i].state == (i < 2 ? RunState::missed : RunState::pending));
  }
  CHECK(runs[0].reason == job::Reason::waited_too_long);
  for (const job::Run& run : w.runs("other")) CHECK(run.state == RunState::pending);
}

TEST_CASE("coalesce = all: what waited for another job waits for a run of its own job, too") {
  World w;
  const job::Job load = w.add("load", hours(48));
  const job::Job report =
      w.add("report", hours(1), {.coalesce = job::Coalesce::all, .after = Names{"load"}});
  w.clock.advance(hours(1));
  w.beat();
  w.trigger(report);
  w.trigger(load);
  w.beat();
  end_job(w, "load");
  CHECK(count_of(w, "report") == 1);
  end_job(w, "report");
  CHECK(count_of(w, "report") == 2);
}

TEST_CASE("max_wait bounds the wait for other jobs, too") {
  World w;
  w.add("load", hours(24));
  w.add("report", hours(24), {.max_wait = minutes(10), .after = Names{"load"}});
  w.clock.advance(hours(24));
  w.beat();
  w.clock.advance(minutes(11));
  w.beat();
  CHECK(w.runs("report").at(0).state == RunState::missed);
  end_job(w, "load");
  CHECK(count_of(w, "report") == 0);
}

TEST_CASE("a gate that somebody takes away is open at the next look") {
  World w;
  w.add("load", hours(24));
  job::Job report = w.add("report", hours(24), {.after = Names{"load"}});
  w.clock.advance(hours(24));
  w.beat();
  CHECK(w.runs("report").at(0).gated);
  report = **w.store->find_job("report");
  report.definition.policy.after.reset();
  REQUIRE(w.store->update_job(report));
  w.runner->poked();
  w.beat();
  CHECK(count_of(w, "report") == 1);
}

TEST_CASE("a job that waits for others is not late") {
  World w;
  w.add("load", hours(24));
  w.add("report", hours(24), {.after = Names{"load"}});
  w.clock.advance(hours(24));
  w.beat();
  w.clock.advance(minutes(30));
  w.beat();
  for (const job::Alert& alert : alerts(w)) CHECK(alert.subject != "report");
}

TEST_CASE("a group has so many slots, and who waits for one is no obstacle to others") {
  World w;
  w.settings.tuning.groups = {{"db", 2}};
  w.start_runner();
  w.adopt("keeper-1", {});
  for (int i = 0; i < 60; ++i) w.add("db-" + std::to_string(100 + i), hours(1), {.group = "db"});
  w.add("other", hours(1));
  w.clock.advance(hours(1));
  w.beat();
  while (w.beat().again) {
  }
  CHECK(started(w).size() == 3);
  CHECK(count_of(w, "other") == 1);
  end_job(w, started(w).at(0));
  CHECK(started(w).size() == 4);
}

TEST_CASE("a group that the settings do not name has one slot; a forced run needs one, too") {
  World w;
  const job::Job a = w.add("a", hours(1), {.group = "x"});
  w.add("b", hours(1), {.group = "x"});
  w.clock.advance(hours(1));
  w.beat();
  CHECK(started(w).size() == 1);
  w.trigger(a, true);
  w.beat();
  CHECK(started(w).size() == 1);
  end_job(w, started(w).at(0));
  end_job(w, started(w).at(1));
  CHECK(started(w).size() == 3);
}

TEST_CASE("the slots of a group are counted over a restart of the daemon") {
  World w;
  w.add("a", hours(1), {.group = "x"});
  w.add("b", hours(2), {.group = "x"});
  w.clock.advance(hours(1));
  w.beat();
  const executor::StartRequest first = w.executor.started.at(0);
  w.start_runner();
  w.adopt("keeper-1", {w.started_report(first)});
  w.clock.advance(hours(1));
  w.beat();
  CHECK(count_of(w, "b") == 0);
}

TEST_CASE("a backfill keeps to the slots of its group") {
  World w;
  const job::Job a = w.add("a", hours(1), {.group = "x"});
  w.add("b", hours(6), {.group = "x"});
  w.clock.advance(hours(6));
  w.beat();
  REQUIRE(started(w).size() == 1);
  store::Backfill backfill{.id = {},
                           .job_id = a.id,
                           .job_name = "a",
                           .from = World::kStart,
                           .to = World::kStart + hours(3),
                           .through = World::kStart,
                           .fires = 2,
                           .max_parallel = 2,
                           .who = "me",
                           .created_at = w.clock.wall()};
  REQUIRE(w.store->insert_backfill(backfill));
  w.beat();
  CHECK(started(w).size() == 1);
  end_job(w, started(w).at(0));
  w.beat();
  CHECK(started(w).size() == 2);
}

TEST_CASE("of those that wait for a slot the lowest priority number starts first") {
  World w;
  w.settings.tuning.max_running = 1;
  w.start_runner();
  w.adopt("keeper-1", {});
  w.add("c-late", hours(1), {.priority = 10});
  w.add("b-mid", hours(1));
  w.add("a-soon", hours(1), {.priority = -10});
  w.add("b2-mid", hours(1));
  w.clock.advance(hours(1));
  w.beat();
  for (const char* job : {"a-soon", "b-mid", "b2-mid"}) end_job(w, job);
  CHECK(started(w) == Names{"a-soon", "b-mid", "b2-mid", "c-late"});
}

TEST_CASE("waiting makes up for priority, a minute a step, so that nothing starves") {
  World w;
  w.settings.tuning.max_running = 1;
  w.start_runner();
  w.adopt("keeper-1", {});
  w.add("patient", hours(1), {.priority = 10});
  w.add("busy", minutes(1), {.overlap = job::Overlap::queue});
  w.clock.advance(hours(1) - minutes(1));
  w.beat();
  for (int minute = 0; minute < 15 && count_of(w, "patient") == 0; ++minute) {
    w.clock.advance(minutes(1));
    w.beat();
    if (started(w).back() == "busy") end_job(w, "busy");
  }
  CHECK(count_of(w, "patient") == 1);
}

TEST_CASE("a signal that somebody asks for is sent once") {
  World w;
  w.add("a", hours(1));
  w.clock.advance(hours(1));
  w.beat();
  job::Run run = w.runs("a").at(0);
  run.signal_requested = 10;
  REQUIRE(w.store->update_run(run, run.fence).value());
  w.beat();
  w.beat();
  REQUIRE(w.executor.signalled.size() == 1);
  CHECK(w.executor.signalled[0] == std::pair(run.id, 10));
  CHECK(w.runs("a").at(0).state == RunState::running);
}

}  // namespace
}  // namespace schedctl::runner
