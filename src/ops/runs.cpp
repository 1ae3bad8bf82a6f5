#include <algorithm>
#include <iterator>
#include <set>

#include "schedctl/base/signals.hpp"
#include "schedctl/base/text.hpp"
#include "schedctl/ops/ops.hpp"
#include "schedctl/store/record_plan.hpp"
#include "src/ops/change.hpp"

namespace schedctl::ops {
namespace {

using job::RunState;

/// So many waiting runs are cancelled in one transaction: it holds up a beat for some milliseconds.
constexpr std::size_t kCancelledAtOnce = 1000;
/// No more than max_running of all jobs run at once, so that these fit into one transaction.
constexpr std::size_t kAllThatRun = 1'000'000;

/// By name, not by id: a run may outlive a job that was removed while it ran.
Result<std::vector<job::Run>> runs_named(const Context& context, const std::string& name,
                                         RunState state, std::size_t limit) {
  return context.store.list_runs({.job_name = name, .states = {state}, .limit = limit});
}

std::string number(const job::Run& run) {
  return "#" + std::to_string(run.id.value);
}

/// The run that "#42" means.
Result<job::Run> run_of_number(const Context& context, const std::string& target) {
  const std::optional<std::int64_t> id = parse_int(std::string_view(target).substr(1));
  if (!id || *id < 1) {
    return fail(ErrorKind::usage,
                "'" + escape_control(target) + "' is not the number of a run, such as #42");
  }
  TRY(const std::optional<job::Run> run, context.store.get_run(RunId(*id)));
  if (!run) return fail(ErrorKind::not_found, "there is no run " + target);
  if (job::is_final(run->state)) {
    return fail(ErrorKind::conflict, "run " + target + " has already ended: it is " +
                                         std::string(job::to_string(run->state)));
  }
  return *run;
}

/// Those that have a process, or soon will.
Result<std::vector<job::Run>> runs_to_signal(const Context& context, const std::string& target) {
  std::vector<job::Run> runs;
  if (target.starts_with('#')) {
    TRY(job::Run run, run_of_number(context, target));
    runs.push_back(std::move(run));
  } else {
    TRY(runs, runs_named(context, target, RunState::running, kAllThatRun));
    TRY(const std::optional<job::Job> job, context.store.find_job(target));
    if (runs.empty() && !job) return fail(no_such_job(context, target));
  }
  std::erase_if(runs, [](const job::Run& run) { return run.state != RunState::running; });
  if (runs.empty()) return fail(ErrorKind::conflict, target + " does not run");
  return runs;
}

Result<Cancelled> cancel_one(const Context& context, job::Run run, Time now) {
  if (run.state == RunState::running) {
    if (!run.cancel_requested) {
      run.cancel_requested = true;
      TRY(const bool written, context.store.update_run(run, run.fence));
      if (!written) {
        return fail(ErrorKind::unavailable,
                    "run " + number(run) + " was changed at the same moment; try again");
      }
    }
    return Cancelled{.run = run, .was_running = true};
  }
  TRY(const std::optional<job::Job> job, context.store.get_job(run.job_id));
  const job::Policy policy =
      job::resolve(job ? job->definition.policy : job::PolicyDraft{}, context.config.defaults);
  TRY_VOID(step_run(context, run, job::Happening::cancelled_pending, policy, now));
  return Cancelled{.run = run, .was_running = false};
}

/// Cancels a job's runs, in transactions of a bounded size.
class CancelJob {
 public:
  CancelJob(const Context& context, const std::string& name, Time now)
      : context_(context), name_(name), now_(now) {}

  Result<std::vector<Cancelled>> run() {
    bool more = true;
    while (more) {
      TRY(store::Transaction transaction, store::Transaction::begin(context_.store));
      TRY(more, page());
      TRY_VOID(transaction.commit());
      context_.poke();
    }
    return std::move(cancelled_);
  }

 private:
  /// Those that run first, and in each page again: a daemon may have started one in between. True:
  /// there may be more that wait.
  Result<bool> page() {
    const bool first = seen_.empty();
    TRY(const std::optional<job::Job> job, context_.store.find_job(name_));
    std::size_t ended = 0;
    // An open backfill would only start the next run.
    if (job) {
      TRY(ended, end_backfills(context_, job->id, now_));
    }
    TRY(std::vector<job::Run> runs, runs_named(context_, name_, RunState::running, kAllThatRun));
    TRY(std::vector<job::Run> waiting,
        runs_named(context_, name_, RunState::pending, kCancelledAtOnce));
    if (first && ended == 0 && runs.empty() && waiting.empty()) {
      if (!job) return fail(no_such_job(context_, name_));
      return fail(ErrorKind::conflict, "job " + name_ + " neither runs nor waits to run");
    }
    const bool more = waiting.size() == kCancelledAtOnce;
    runs.insert(runs.end(), std::make_move_iterator(waiting.begin()),
                std::make_move_iterator(waiting.end()));
    for (job::Run& run : runs) {
      if (!seen_.insert(run.id).second) continue;
      TRY(Cancelled one, cancel_one(context_, std::move(run), now_));
      TRY_VOID(audit(context_, "cancel", one.run.job_name, number(one.run), now_));
      cancelled_.push_back(std::move(one));
    }
    return more;
  }

  const Context& context_;
  const std::string& name_;
  const Time now_;
  std::set<RunId> seen_;
  std::vector<Cancelled> cancelled_;
};

Result<std::vector<Cancelled>> cancel_run(const Context& context, const std::string& target,
                                          Time now) {
  TRY(store::Transaction transaction, store::Transaction::begin(context.store));
  TRY(job::Run run, run_of_number(context, target));
  TRY(Cancelled one, cancel_one(context, std::move(run), now));
  TRY_VOID(audit(context, "cancel", one.run.job_name, number(one.run), now));
  TRY_VOID(transaction.commit());
  context.poke();
  return std::vector<Cancelled>{std::move(one)};
}

}  // namespace

Result<job::Run> Ops::trigger(const std::string& name, bool force) {
  const Time now = context_.clock.wall();
  TRY(store::Transaction transaction, store::Transaction::begin(context_.store));
  TRY(const job::Job job, find_job(context_, name));
  const job::Policy policy = job::resolve(job.definition.policy, context_.config.defaults);
  job::Run run = store::new_run(job, policy, job::Cause::manual, now, now);
  run.forced = force;
  if (policy.max_wait > Duration::zero()) run.give_up_at = now + policy.max_wait;
  TRY_VOID(context_.store.insert_run(run));
  // The key of a run by hand is made of its id.
  run.key = store::run_key(context_.store.id(), run);
  TRY_VOID(context_.store.update_run(run, run.fence));
  // Whether there is room for it under another policy the daemon decides.
  if (!force && policy.overlap == job::Overlap::skip) {
    TRY(const bool busy, context_.store.is_busy(job.id));
    if (busy) TRY_VOID(step_run(context_, run, job::Happening::overlapped, policy, now));
  }
  TRY_VOID(audit(context_, "trigger", name, number(run), now));
  TRY_VOID(transaction.commit());
  context_.poke();
  return run;
}

Result<std::vector<job::Run>> Ops::signal(const std::string& target, int number_of_signal) {
  const Time now = context_.clock.wall();
  TRY(store::Transaction transaction, store::Transaction::begin(context_.store));
  TRY(std::vector<job::Run> runs, runs_to_signal(context_, target));
  for (job::Run& run : runs) {
    run.signal_requested = number_of_signal;
    TRY(const bool written, context_.store.update_run(run, run.fence));
    if (!written) {
      return fail(ErrorKind::unavailable,
                  "run " + number(run) + " was changed at the same moment; try again");
    }
    TRY_VOID(audit(context_, "signal", run.job_name,
                   number(run) + " " + signal_name(number_of_signal), now));
  }
  TRY_VOID(transaction.commit());
  context_.poke();
  return runs;
}

Result<std::vector<Cancelled>> Ops::cancel(const std::string& target) {
  const Time now = context_.clock.wall();
  if (target.starts_with('#')) return cancel_run(context_, target, now);
  return CancelJob(context_, target, now).run();
}

}  // namespace schedctl::ops
