#include "src/ops/change.hpp"

#include <algorithm>

#include "schedctl/base/text.hpp"
#include "schedctl/job/plan.hpp"
#include "schedctl/store/record_plan.hpp"
#include "src/ops/compile.hpp"

namespace schedctl::ops {
namespace {

constexpr std::string_view kFilePrefix = "file:";
/// More runs than this of one job are never pending at once.
constexpr std::size_t kEveryRun = 1'000'000'000;
constexpr Duration kTick{1};

/// Plans from planned_through to `through`, judging the grace as of `now`.
Result<void> plan_until(const Context& context, job::Job& job, const job::FireSeries& fires,
                        Time through, Time now) {
  if (job.planned_through >= through) return {};
  const job::Policy policy = job::resolve(job.definition.policy, context.config.defaults);
  const job::Plan plan =
      job::plan_until(fires, policy, job.seed(), job.planned_through, through, now);
  TRY_VOID(store::record_plan(context.store, job, policy, plan, now));
  job.planned_through = plan.planned_through;
  return {};
}

/// Ends what is pending of a job; with `scheduled_only`, what was asked for by hand stays.
Result<void> withdraw(const Context& context, const job::Job& job, job::Happening happening,
                      bool scheduled_only, Time now) {
  const job::Policy policy = job::resolve(job.definition.policy, context.config.defaults);
  TRY(std::vector<job::Run> pending, runs_of(context, job.id, {job::RunState::pending}));
  for (job::Run& run : pending) {
    if (scheduled_only && run.cause != job::Cause::schedule) continue;
    TRY_VOID(step_run(context, run, happening, policy, now));
  }
  return {};
}

}  // namespace

Error no_such_job(const Context& context, const std::string& name) {
  std::string message = "there is no job '" + escape_control(name) + "'";
  std::vector<std::string> names;
  if (const auto all = context.store.list_jobs("")) {
    for (const store::JobListing& one : *all) names.push_back(one.job.name);
  }
  if (const auto near = nearest(name, names)) message += "; did you mean " + *near + "?";
  return Error{ErrorKind::not_found, std::move(message)};
}

Result<job::Job> find_job(const Context& context, const std::string& name) {
  TRY(std::optional<job::Job> found, context.store.find_job(name));
  if (!found) return fail(no_such_job(context, name));
  return std::move(*found);
}

std::string managing_file(const job::Job& job) {
  if (!job.managed_by.starts_with(kFilePrefix)) return "";
  return job.managed_by.substr(kFilePrefix.size());
}

Result<void> audit(const Context& context, std::string action, const std::string& job,
                   std::string detail, Time now) {
  return context.store.add_audit(store::Audit{.at = now,
                                              .who = context.who,
                                              .action = std::move(action),
                                              .job = job,
                                              .detail = std::move(detail)});
}

Result<job::Job> create(const Context& context, const std::string& name, job::Definition definition,
                        const Birth& birth, Time now) {
  job::Job job;
  job.name = name;
  job.definition = std::move(definition);
  job.managed_by = birth.managed_by;
  job.created_at = now;
  job.defined_at = now;
  job.boot_id = context.boot_id;
  job.planned_through = birth.immediately ? now - kTick : now;
  job.paused = birth.paused;
  if (birth.paused) job.paused_at = now;
  TRY_VOID(context.store.insert_job(job));
  // Only now: the id may be part of the seed.
  TRY(const job::FireSeries fires, series_of(context, job.definition.schedule, job.seed()));
  job.next_fire = next_of(context, job, fires);
  TRY_VOID(context.store.set_planned(job.id, job.planned_through, job.next_fire));
  return job;
}

std::optional<Time> next_of(const Context& context, const job::Job& job,
                            const job::FireSeries& fires) {
  if (job.paused) return job.paused_until;
  const job::Policy policy = job::resolve(job.definition.policy, context.config.defaults);
  if (job.has_had_all_runs(policy)) return std::nullopt;
  return fires.next_after(job.planned_through);
}

Result<void> redefine(const Context& context, job::Job& job, job::Definition definition,
                      bool immediately, Time now) {
  const bool reschedule =
      immediately || job::fires_differ(job.definition.schedule, definition.schedule);
  if (reschedule) {
    // A zone that is gone from this machine must not keep the user from naming another.
    if (const auto old = series_of(context, job.definition.schedule, job.seed())) {
      TRY_VOID(settle(context, job, *old, now));
    }
    TRY_VOID(withdraw(context, job, job::Happening::withdrawn_changed, true, now));
  }
  if (definition != job.definition) {
    ++job.version;
    job.defined_at = now;
  }
  const bool waits_for_boot = definition.schedule.kind == job::ScheduleKind::reboot;
  if (waits_for_boot && job.definition.schedule.kind != job::ScheduleKind::reboot) {
    job.boot_id = context.boot_id;
  }
  const bool recount = definition.policy.max_runs != job.definition.policy.max_runs;
  job.definition = std::move(definition);
  if (reschedule || recount) {
    TRY(const job::FireSeries fires, series_of(context, job.definition.schedule, job.seed()));
    if (reschedule || !job.next_fire) job.planned_through = immediately ? now - kTick : now;
    job.next_fire = next_of(context, job, fires);
  }
  return context.store.update_job(job);
}

Result<void> erase(const Context& context, job::Job job, job::Happening happening, Time now) {
  if (const auto fires = series_of(context, job.definition.schedule, job.seed())) {
    TRY_VOID(settle(context, job, *fires, now));
  }
  TRY_VOID(withdraw(context, job, happening, false, now));
  TRY_VOID(end_backfills(context, job.id, now));
  TRY_VOID(context.store.end_alerts(job.id, {}, job::AlertEnd::removed, context.who, now));
  return context.store.delete_job(job.id);
}

Result<void> settle(const Context& context, job::Job& job, const job::FireSeries& fires, Time now) {
  if (!job.paused) return plan_until(context, job, fires, now, now);
  TRY_VOID(plan_until(context, job, fires, std::min(job.paused_at, now), now));
  if (job.planned_through >= now) return {};
  const job::Plan plan = job::plan_paused(fires, job.planned_through, now);
  const job::Policy policy = job::resolve(job.definition.policy, context.config.defaults);
  TRY_VOID(store::record_plan(context.store, job, policy, plan, now));
  job.planned_through = plan.planned_through;
  return {};
}

Result<bool> step_run(const Context& context, job::Run& run, job::Happening happening,
                      const job::Policy& policy, Time now) {
  const std::optional<job::Step> step = job::transition(run, happening, policy, now);
  if (!step) return false;
  const bool had_started = run.state == job::RunState::running || run.has_been_tried();
  job::take(*step, run);
  TRY(const bool written, context.store.update_run(run, run.fence));
  if (!written) {
    return fail(ErrorKind::unavailable, "run #" + std::to_string(run.id.value) +
                                            " was changed by somebody else at the same moment; "
                                            "try again");
  }
  // The last run that started is what `list` shows, and this one has now ended.
  if (had_started && job::is_final(run.state)) TRY_VOID(context.store.set_last_run(run));
  return true;
}

Result<std::vector<job::Run>> runs_of(const Context& context, JobId id,
                                      std::vector<job::RunState> states) {
  store::RunFilter filter;
  filter.job_id = id;
  filter.states = std::move(states);
  filter.limit = kEveryRun;
  return context.store.list_runs(filter);
}

std::string changed_keys(const job::Definition& before, const job::Definition& after) {
  std::string text;
  const auto add = [&text](std::string_view key) {
    text += text.empty() ? "" : ", ";
    text += key;
  };
  if (before.schedule != after.schedule) add("schedule");
  if (before.action != after.action) add("action");
  for (const std::string& key : job::policy_keys()) {
    if (job::policy_value(before.policy, key) != job::policy_value(after.policy, key)) add(key);
  }
  if (before.cwd != after.cwd) add("cwd");
  if (before.env != after.env) add("env");
  if (before.tags != after.tags) add("tags");
  return text;
}

}  // namespace schedctl::ops
