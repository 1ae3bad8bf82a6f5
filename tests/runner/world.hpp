#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "schedctl/alert/scripted.hpp"
#include "schedctl/base/clock.hpp"
#include "schedctl/executor/scripted.hpp"
#include "schedctl/runner/runner.hpp"
#include "schedctl/store/store.hpp"
#include "schedctl/zone/system_zones.hpp"
#include "src/runner/output.hpp"

namespace schedctl::runner {

/// A judge that keeps its cases until it is asked.
struct ScriptedJudge final : Judge {
  std::vector<Case> cases;
  void judge(Case one) override { cases.push_back(std::move(one)); }
};

/// A runner among fakes: a clock that stands still, a store in memory, an executor that starts
/// nothing.
struct World {
  static constexpr Time kStart{std::chrono::sys_days{std::chrono::year{2026} / 3 / 1}};

  FakeClock clock{kStart};
  std::unique_ptr<store::Store> store = store::open_memory();
  executor::ScriptedExecutor executor;
  alert::ScriptedCourier courier;
  ScriptedJudge judge;
  bool judge_answers = true;
  std::unique_ptr<job::ZoneSource> zones = zone::system_zones();
  Runner::Settings settings{.node = {.id = "node-1",
                                     .hostname = "here",
                                     .pid = 1,
                                     .boot_id = "boot-1",
                                     .version = "test",
                                     .control_path = "",
                                     .keeper = "",
                                     .started_at = kStart,
                                     .stopped_at = {},
                                     .last_beat = {}},
                            .tuning = {}};
  std::unique_ptr<Runner> runner;

  World() {
    start_runner();
    adopt("keeper-1", {});
  }

  void start_runner() {
    runner = std::make_unique<Runner>(*store, executor, courier, judge, *zones, clock, settings);
  }

  void adopt(const std::string& keeper, std::vector<executor::Report> known) {
    executor::Adoption adoption;
    adoption.keeper = keeper;
    adoption.generation = ++generation;
    adoption.reports = std::move(known);
    runner->take(std::move(adoption));
  }

  /// The verdicts on all that has ended and is to be judged.
  void judge_all() {
    for (const Judge::Case& one : std::exchange(judge.cases, {}))
      runner->take(Judge::Verdict{one.report, output_fault(one.policy, one.report.result)});
  }

  /// One beat; and, if it asked the keeper for a sign of life or the judge for a verdict, the one
  /// after the answer.
  Runner::Beat beat() {
    auto done = runner->beat();
    REQUIRE_MESSAGE(done.has_value(), (done ? "" : done.error().message));
    if (judge_answers && !judge.cases.empty()) {
      judge_all();
      return beat();
    }
    if (!keeper_answers || executor.pings == pings_answered) return *done;
    pings_answered = executor.pings;
    runner->keeper_alive();
    return beat();
  }

  job::Job add(const std::string& name, Duration every, job::PolicyDraft policy = {}) {
    job::Job job;
    job.name = name;
    job.created_at = clock.wall();
    job.definition.schedule.kind = job::ScheduleKind::every;
    job.definition.schedule.every = every;
    job.definition.schedule.anchor = clock.wall();
    job.definition.schedule.timezone = "UTC";
    job.definition.action.command = {"/bin/true"};
    job.definition.policy = policy;
    job.planned_through = clock.wall();
    job.next_fire = clock.wall() + every;
    REQUIRE(store->insert_job(job).has_value());
    return job;
  }

  job::Run trigger(const job::Job& job, bool forced = false) {
    job::Run run;
    run.job_id = job.id;
    run.job_name = job.name;
    run.job_version = job.version;
    run.cause = job::Cause::manual;
    run.fire_time = run.created_at = run.due_at = clock.wall();
    run.forced = forced;
    run.group = job.definition.policy.group.value_or("");
    REQUIRE(store->insert_run(run).value());
    return run;
  }

  /// All runs of a job, oldest first.
  std::vector<job::Run> runs(const std::string& name) {
    store::RunFilter filter;
    filter.job_name = name;
    auto found = store->list_runs(filter);
    REQUIRE(found.has_value());
    return {found->rbegin(), found->rend()};
  }

  executor::Report report(const executor::StartRequest& request, job::Happening happening) {
    executor::Report report;
    report.run = request.run;
    report.fence = request.fence;
    report.happening = happening;
    report.result.pid = 4711;
    report.result.started_at = clock.wall();
    report.result.ended_at = clock.wall();
    if (happening == job::Happening::exited_zero) report.result.exit_code = 0;
    if (happening == job::Happening::exited_nonzero) report.result.exit_code = 3;
    return report;
  }
  executor::Report started_report(const executor::StartRequest& request) {
    executor::Report result = report(request, job::Happening::exited_zero);
    result.kind = executor::Report::Kind::started;
    result.result.ended_at.reset();
    result.result.exit_code.reset();
    return result;
  }
  /// The latest start ended so; not recorded before the next beat.
  void end_last(job::Happening happening) {
    REQUIRE(!executor.started.empty());
    runner->take(report(executor.started.back(), happening));
  }

  std::int64_t generation = 0;
  bool keeper_answers = true;
  int pings_answered = 0;
};

}  // namespace schedctl::runner
