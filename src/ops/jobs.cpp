#include <algorithm>

#include "schedctl/base/text.hpp"
#include "schedctl/ops/ops.hpp"
#include "src/ops/after.hpp"
#include "src/ops/change.hpp"
#include "src/ops/compile.hpp"
#include "src/ops/manager.hpp"

namespace schedctl::ops {
namespace {

Result<void> check_after_of(const Context& context, const std::string& name,
                            const job::Definition& definition) {
  return check_after(context, name, definition.policy.after.value_or(std::vector<std::string>{}),
                     {});
}

/// Who must make the change instead, if the job is not this manager's.
Result<void> check_manager(const job::Job& job, const std::string& manager) {
  if (job.managed_by == manager) return {};
  if (manager != kCommandLine) {
    return fail(ErrorKind::conflict, "job " + job.name + " is " + origin_of(job));
  }
  return fail(ErrorKind::conflict, "job " + job.name + " " + place_of_definition(job));
}

std::string schedule_words(const Context& context, const job::Definition& definition) {
  const auto zone = zone_of(context, definition.schedule);
  return zone ? job::describe(definition.schedule, **zone) : "";
}

bool says_nothing(const job::JobDraft& draft) {
  return !draft.has_schedule() && !adjusts_schedule(draft) && !draft.command && !draft.shell &&
         draft.policy == job::PolicyDraft{} && !draft.cwd && draft.env.empty() && !draft.tags;
}

Result<job::Job> replace(const Context& context, job::Job job, const job::JobDraft& draft,
                         const AddOptions& options, Time now) {
  TRY_VOID(check_manager(job, options.managed_by));
  TRY(job::Definition definition, compile_draft(context, draft, &job, now));
  TRY_VOID(check_after_of(context, job.name, definition));
  const bool pause = options.paused && !job.paused;
  if (definition == job.definition && !draft.immediately && !pause) return job;
  const std::string what = changed_keys(job.definition, definition);
  // Paused last: what was due before now is judged as of a job that was not.
  TRY_VOID(redefine(context, job, std::move(definition), draft.immediately, now));
  if (pause) {
    job.paused = true;
    job.paused_at = now;
    job.paused_reason.clear();
    job.paused_until.reset();
    job.next_fire.reset();
    TRY_VOID(context.store.update_job(job));
    TRY_VOID(context.store.end_alerts(job.id, {}, job::AlertEnd::paused, context.who, now));
  }
  TRY_VOID(audit(context, "set", job.name, what, now));
  return job;
}

/// A job that a file or a set defines can only be removed there; if that itself is gone, nobody
/// else will ever do it.
Result<void> check_removable(const job::Job& job) {
  const bool defined = !managing_file(job).empty() || !applied_set(job).empty();
  if (!defined || is_orphan(job)) return {};
  return fail(ErrorKind::conflict,
              "job " + job.name + " is " + origin_of(job) + "; " + instead(job, "remove"));
}

Result<void> remove_one(const Context& context, const std::string& name, bool force, Time now) {
  TRY(const job::Job job, find_job(context, name));
  TRY(std::vector<job::Run> live, runs_of(context, job.id, {job::RunState::running}));
  if (!live.empty() && !force) {
    return fail(ErrorKind::conflict, "job " + name + " is running (#" +
                                         std::to_string(live.front().id.value) +
                                         "); wait for it, or use --force to stop it");
  }
  for (job::Run& run : live) {
    if (run.cancel_requested) continue;
    run.cancel_requested = true;
    TRY_VOID(context.store.update_run(run, run.fence));
  }
  const job::Happening pending =
      force ? job::Happening::cancelled_pending : job::Happening::withdrawn_removed;
  TRY_VOID(erase(context, job, pending, now));
  return audit(context, "remove", name, live.empty() ? "" : "stops its running runs", now);
}

/// Those that come after a job go on doing so under its new name.
Result<void> follow_rename(const Context& context, const std::string& from, const std::string& to,
                           Time now) {
  TRY(std::vector<job::Job> dependents, jobs_after(context, from));
  for (job::Job& job : dependents) {
    if (Result<void> mine = check_manager(job, "cli"); !mine)
      return fail(ErrorKind::conflict, "job " + job.name + " comes after " + from +
                                           " (after), and " + mine.error().message);
    job::Definition definition = job.definition;
    std::ranges::replace(*definition.policy.after, from, to);
    TRY_VOID(redefine(context, job, std::move(definition), false, now));
    TRY_VOID(audit(context, "set", job.name, "after: " + from + " was renamed to " + to, now));
  }
  return {};
}

/// A job that waits for one that does not exist would wait for ever.
Result<void> check_nobody_after(const Context& context, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    TRY(const std::vector<job::Job> dependents, jobs_after(context, name));
    for (const job::Job& job : dependents) {
      if (std::ranges::find(names, job.name) != names.end()) continue;
      return fail(ErrorKind::conflict, "job " + job.name + " comes after " + name +
                                           " (after); change or remove that one first, or use "
                                           "--force");
    }
  }
  return {};
}

/// Runs carry their job's name to where they are executed, and are found by it.
Result<void> check_idle(const Context& context, const job::Job& job) {
  TRY(const std::vector<job::Run> runs,
      runs_of(context, job.id, {job::RunState::running, job::RunState::pending}));
  if (!runs.empty()) {
    const bool runs_now = runs.front().state == job::RunState::running;
    return fail(ErrorKind::conflict,
                "job " + job.name + (runs_now ? " is running" : " has a run that waits") + " (#" +
                    std::to_string(runs.front().id.value) +
                    "); rename it when that has ended, or schedctl cancel " + job.name);
  }
  TRY(const std::vector<store::Backfill> backfills,
      context.store.list_backfills({.open_only = true, .job_id = job.id}));
  if (backfills.empty()) return {};
  return fail(ErrorKind::conflict, "job " + job.name +
                                       " is being backfilled; rename it when that has ended, or "
                                       "schedctl cancel " +
                                       job.name);
}

}  // namespace

Result<job::Definition> Ops::compile(const job::JobDraft& draft, const job::Job* existing) {
  return compile_draft(context_, draft, existing, context_.clock.wall());
}

Result<job::Job> Ops::add(const std::string& name, const job::JobDraft& draft,
                          const AddOptions& options) {
  TRY_VOID(job::check_name(name));
  const Time now = context_.clock.wall();
  TRY(store::Transaction transaction, store::Transaction::begin(context_.store));
  TRY(std::optional<job::Job> existing, context_.store.find_job(name));
  job::Job job;
  if (existing) {
    if (!options.replace) {
      const bool elsewhere = existing->managed_by != kCommandLine;
      return fail(ErrorKind::conflict,
                  "job " + name + " exists already" +
                      (elsewhere ? ", " + origin_of(*existing) + "; " + instead(*existing, "change")
                                 : "; use --replace, or set, to change it"));
    }
    TRY(job, replace(context_, std::move(*existing), draft, options, now));
  } else {
    TRY(job::Definition definition, compile_draft(context_, draft, nullptr, now));
    TRY_VOID(check_after_of(context_, name, definition));
    const Birth birth{.managed_by = options.managed_by,
                      .paused = options.paused,
                      .immediately = draft.immediately};
    TRY(job, create(context_, name, std::move(definition), birth, now));
    TRY_VOID(audit(context_, "add", name, schedule_words(context_, job.definition), now));
  }
  TRY_VOID(transaction.commit());
  context_.poke();
  return job;
}

Result<job::Job> Ops::set(const std::string& name, const job::JobDraft& draft,
                          const std::vector<std::string>& unset) {
  if (says_nothing(draft) && unset.empty()) {
    return fail(ErrorKind::usage,
                "nothing to change: say what job " + escape_control(name) + " should have");
  }
  const Time now = context_.clock.wall();
  TRY(store::Transaction transaction, store::Transaction::begin(context_.store));
  TRY(job::Job job, find_job(context_, name));
  TRY_VOID(check_manager(job, "cli"));
  TRY(job::Definition definition, amend(context_, job, draft, unset, now));
  TRY_VOID(check_after_of(context_, name, definition));
  if (definition == job.definition && !draft.immediately) return job;
  const std::string what = changed_keys(job.definition, definition);
  TRY_VOID(redefine(context_, job, std::move(definition), draft.immediately, now));
  TRY_VOID(audit(context_, "set", name, what, now));
  TRY_VOID(transaction.commit());
  context_.poke();
  return job;
}

Result<job::Job> Ops::rename(const std::string& from, const std::string& to) {
  TRY_VOID(job::check_name(to));
  const Time now = context_.clock.wall();
  TRY(store::Transaction transaction, store::Transaction::begin(context_.store));
  TRY(job::Job job, find_job(context_, from));
  TRY_VOID(check_manager(job, kCommandLine));
  if (from == to) return job;
  TRY(const std::optional<job::Job> taken, context_.store.find_job(to));
  if (taken) return fail(ErrorKind::conflict, "job " + to + " exists already");
  TRY_VOID(check_idle(context_, job));
  job.name = to;
  // A version for itself, so that the past knows which name the job had.
  ++job.version;
  job.defined_at = now;
  TRY_VOID(context_.store.update_job(job));
  TRY_VOID(audit(context_, "rename", to, "was " + from, now));
  TRY_VOID(follow_rename(context_, from, to, now));
  TRY_VOID(check_after_of(context_, to, job.definition));
  TRY_VOID(transaction.commit());
  context_.poke();
  return job;
}

Result<void> Ops::remove(const std::vector<std::string>& names, bool force) {
  const Time now = context_.clock.wall();
  TRY(store::Transaction transaction, store::Transaction::begin(context_.store));
  // First, for what it says no --force helps against.
  for (const std::string& name : names) {
    TRY(const job::Job job, find_job(context_, name));
    TRY_VOID(check_removable(job));
  }
  if (!force) TRY_VOID(check_nobody_after(context_, names));
  std::vector<std::string> done;
  for (const std::string& name : names) {
    if (std::find(done.begin(), done.end(), name) != done.end()) continue;
    TRY_VOID(remove_one(context_, name, force, now));
    done.push_back(name);
  }
  TRY_VOID(transaction.commit());
  context_.poke();
  return {};
}

}  // namespace schedctl::ops
