#pragma once

#include "schedctl/ops/why.hpp"
#include "schedctl/store/record_plan.hpp"
#include "tests/ops/world.hpp"

namespace schedctl::ops {

using job::Reason;
using job::RunState;

/// A store with what people did through ops, and rows as a daemon writes them.
struct WhyWorld : World {
  Context context{*store, *zones, clock, config, "anna", [] {}};

  WhyAnswer ask(const std::string& name, std::optional<std::string> at = {}, bool served = true) {
    return must(why(context, {.name = name, .at = std::move(at), .served = served}));
  }
  Finding one(const std::string& name, std::optional<std::string> at = {}, bool served = true) {
    const WhyAnswer answer = ask(name, std::move(at), served);
    REQUIRE(answer.findings.size() == 1);
    return answer.findings[0];
  }
  static std::string text(const Finding& finding) {
    std::string all = finding.headline;
    for (const std::string& line : finding.details) all += " " + line;
    return all;
  }
  static std::string brief(const Finding& finding) {
    std::string words(to_string(finding.verdict));
    if (!finding.reason.empty()) words += " " + finding.reason;
    if (finding.count > 1) words += " x" + std::to_string(finding.count);
    return words;
  }
  Briefs briefs(const std::string& name, std::optional<std::string> at) {
    Briefs all;
    for (const Finding& finding : ask(name, std::move(at)).findings) all.push_back(brief(finding));
    return all;
  }

  /// A daemon plans the job up to now.
  void plan(const std::string& name) {
    job::Job job = stored(name);
    const auto series = must(job::FireSeries::make(
        job.definition.schedule, must(zones->find(job.definition.schedule.timezone)), job.seed()));
    const job::Policy policy = job::resolve(job.definition.policy, {});
    const job::Plan plan = job::plan(series, policy, job.seed(), job.planned_through, now());
    must(store::record_plan(*store, job, policy, plan, now()));
  }
  /// The latest row of the job, as it becomes.
  job::Run settle(const std::string& name, RunState state, Reason reason, Time start, Time end) {
    job::Run run = runs(name).back();
    run.state = state;
    run.reason = reason;
    if (state == RunState::succeeded || state == RunState::running) run.result.started_at = start;
    if (state == RunState::succeeded) run.result.ended_at = end;
    if (state == RunState::succeeded) run.result.exit_code = 0;
    REQUIRE(must(store->update_run(run, run.fence)));
    return run;
  }
  job::Run ran(const std::string& name, Time start, Duration took) {
    return settle(name, RunState::succeeded, Reason::none, start, start + took);
  }
  void event(const char* kind, const std::string& detail) {
    must(store->add_event({now(), "node", kind, detail}));
  }
};

}  // namespace schedctl::ops
