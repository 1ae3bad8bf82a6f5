// What the keeper tells goes into the rows: starts, ends, and at an adoption what became of runs of
// which nobody has told.

#include <array>
#include <cstdio>
#include <utility>

#include "output.hpp"
#include "schedctl/base/crash_point.hpp"
#include "schedctl/base/signals.hpp"
#include "schedctl/job/transition.hpp"
#include "work.hpp"

namespace schedctl::runner {
namespace {

// "4.584s": a column of them can be read, and sorted, at a glance.
std::string seconds(Duration d) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3fs", static_cast<double>(d.count()) / 1e6);
  return text.data();
}

job::Happening true_happening(const executor::Report& report, const job::Run& run,
                              bool shutting_down) {
  if (!report.ended_on_order) return report.happening;
  if (run.replaced_by) return job::Happening::replaced;
  if (run.cancel_requested) return job::Happening::stopped_by_operator;
  if (shutting_down) return job::Happening::stopped_by_shutdown;
  return report.happening;
}

/// As far as its exit code says.
bool has_good_exit(job::Happening happening, const job::AttemptResult& result,
                   const job::Policy& policy) {
  if (happening == job::Happening::exited_zero) return true;
  return happening == job::Happening::exited_nonzero &&
         policy.is_success(result.exit_code.value_or(1));
}

log::Level level_of(job::RunState state) {
  switch (state) {
    case job::RunState::failed:
    case job::RunState::lost:
    case job::RunState::missed:
      return log::Level::warning;
    case job::RunState::pending:
    case job::RunState::running:
    case job::RunState::succeeded:
    case job::RunState::cancelled:
    case job::RunState::skipped:
      return log::Level::info;
  }
  return log::Level::info;
}

std::vector<log::Field> end_fields(const job::Run& run) {
  std::vector<log::Field> fields;
  const job::AttemptResult& result = run.result;
  if (run.reason != job::Reason::none) fields.emplace_back("reason", job::to_string(run.reason));
  if (result.exit_code) fields.emplace_back("exit", *result.exit_code);
  if (result.signal != 0) fields.emplace_back("signal", signal_name(result.signal));
  if (!result.error.empty()) fields.emplace_back("error", result.error);
  if (result.started_at && result.ended_at) {
    fields.emplace_back("took", seconds(*result.ended_at - *result.started_at));
  }
  return fields;
}

}  // namespace

// Ends whose outputs are to be searched wait for what the judge says; until then their runs live.
Result<void> Runner::judge_outputs() {
  for (const executor::Report& report : ends_) TRY_VOID(hand_to_judge(report));
  for (const executor::Adoption& adoption : adoptions_) {
    for (const executor::Report& report : adoption.reports) TRY_VOID(hand_to_judge(report));
  }
  std::erase_if(ends_, [this](const executor::Report& report) {
    return judging_.contains({report.run, report.fence});
  });
  return {};
}

Result<void> Runner::hand_to_judge(const executor::Report& report) {
  const Attempt attempt(report.run, report.fence);
  const auto live = live_.find(report.run);
  const bool may_judge = live == live_.end() || live->second.judges_output;
  if (report.kind != executor::Report::Kind::finished || !may_judge || judging_.contains(attempt) ||
      judged_.contains(attempt))
    return {};
  TRY(const std::optional<job::Run> run, store_.get_run(report.run));
  if (!run || run->fence != report.fence || run->state != job::RunState::running) return {};
  TRY(const std::optional<job::Job> job, store_.get_job(run->job_id));
  job::Policy policy = policy_of(job);
  if (!searches_output(policy) || !has_good_exit(report.happening, report.result, policy))
    return {};
  judging_.insert(attempt);
  judge_.judge({report, std::move(policy)});
  return {};
}

Result<void> Runner::record(Work& work) {
  if (keeper_loss_) {
    TRY_VOID(store_.add_event({work.now, settings_.node.id, "keeper-lost", *keeper_loss_}));
    work.dirty = true;
  }
  // Reports first: what they settle, an adoption that came after them need not guess at.
  std::set<std::pair<RunId, std::int64_t>> ended;
  for (const executor::Report& report : ends_) {
    ended.emplace(report.run, report.fence);
    TRY_VOID(record_report(work, report));
  }
  // A start whose end is known already costs no write of its own, and in a crowd the end of one
  // that is young is about to come.
  const bool crowded = is_crowded() && adoptions_.empty();
  for (const Start& start : starts_) {
    if (ended.contains({start.report.run, start.report.fence})) continue;
    if (crowded && work.elapsed - start.taken_at < kStartAlone) {
      work.held.push_back(start);
    } else {
      TRY_VOID(record_report(work, start.report));
    }
  }
  for (const executor::Adoption& adoption : adoptions_) TRY_VOID(adopt(work, adoption));
  return {};
}

// Every run that the table calls running is one of: known to the keeper (it runs, or has ended
// since), handed to this keeper but unknown to it (never started), or handed to another keeper that
// is gone and in no journal (lost).
Result<void> Runner::adopt(Work& work, const executor::Adoption& adoption) {
  const bool first = generation_ == 0;
  std::map<std::pair<RunId, std::int64_t>, const executor::Report*> known;
  for (const executor::Report& report : adoption.reports) {
    const auto key = std::make_pair(report.run, report.fence);
    // An end says more than a start.
    if (report.kind == executor::Report::Kind::finished || !known.contains(key)) {
      known[key] = &report;
    }
  }
  TRY(std::vector<job::Run> running, store_.runs_in_state(job::RunState::running));
  for (job::Run& run : running) {
    const auto found = known.find({run.id, run.fence});
    const bool judged_yet = !judging_.contains({run.id, run.fence});
    if (!judged_yet ||
        (found != known.end() && found->second->kind == executor::Report::Kind::started)) {
      TRY(const std::optional<job::Job> job, store_.get_job(run.job_id));
      work.begun[run.id] =
          Live{run.fence, policy_of(job).kill_grace, run.job_name, false, run.group, true};
      if (first) work.run_line(log::Level::info, "run-adopted", run, {{"pid", run.result.pid}});
      // Its end can be ordered once it counts as living.
      if (run.cancel_requested) work.again = work.wishes = true;
    }
    if (found != known.end() || !judged_yet) continue;
    const bool same_keeper = run.keeper == adoption.keeper;
    const job::Happening happening = same_keeper               ? job::Happening::never_started
                                     : first && was_rebooted() ? job::Happening::lost_reboot
                                                               : job::Happening::lost_keeper;
    job::AttemptResult result = run.result;
    result.ended_at = work.now;
    TRY_VOID(record_end(work, std::move(run), happening, result));
  }
  for (const auto& [key, report] : known) {
    if (!judging_.contains(key)) TRY_VOID(record_report(work, *report));
  }
  if (first) TRY_VOID(expire_old_triggers(work));
  work.adopted = adoption;
  work.dirty = true;
  return {};
}

bool Runner::was_rebooted() const {
  return !settings_.last_boot.empty() && settings_.last_boot != settings_.node.boot_id;
}

// A run asked for by hand while no daemon was there is not started hours later.
Result<void> Runner::expire_old_triggers(Work& work) {
  TRY(const std::vector<job::Run> pending, store_.runs_in_state(job::RunState::pending));
  for (const job::Run& run : pending) {
    if (run.cause != job::Cause::manual || run.fence != 0) continue;
    TRY(const std::optional<job::Job> job, store_.get_job(run.job_id));
    // What it waited for while there was a daemon does not count.
    const Time alone = std::max(run.created_at, settings_.down_since.value_or(run.created_at));
    if (work.now - alone <= policy_of(job).misfire_grace) continue;
    TRY_VOID(withdraw(work, run, job::Happening::expired));
  }
  return {};
}

Result<void> Runner::record_report(Work& work, const executor::Report& report) {
  TRY(std::optional<job::Run> run, store_.get_run(report.run));
  if (!run || run->fence != report.fence || run->state != job::RunState::running) {
    // Told twice, or of a run that is settled: nobody needs it any more.
    if (report.kind == executor::Report::Kind::finished) {
      work.recorded.emplace_back(report.run, report.fence);
      const auto live = live_.find(report.run);
      if (live != live_.end() && live->second.fence == report.fence) work.over.insert(report.run);
    }
    return {};
  }
  if (report.kind == executor::Report::Kind::finished) {
    CRASH_POINT("daemon.ended");
    const bool shutting_down = shutdown_.contains(run->id);
    const job::Happening happening = true_happening(report, *run, shutting_down);
    return record_end(work, std::move(*run), happening, report.result);
  }
  if (run->result.pid == report.result.pid && run->result.started_at) {
    watches_->late.forget(run->job_id);
    return {};
  }
  const int attempt = run->attempt;
  run->result = report.result;
  run->result.attempt = attempt;
  TRY_VOID(store_.update_run(*run, run->fence));
  TRY_VOID(store_.set_last_run(*run));
  work.dirty = true;
  work.started_something = true;
  started_line(work, *run);
  return on_started(*run, work.now);
}

void Runner::started_line(Work& work, const job::Run& run) {
  const Duration late = std::max(Duration{}, *run.result.started_at - run.due_at);
  work.run_line(
      log::Level::info, "run-started", run,
      {{"attempt", run.result.attempt}, {"pid", run.result.pid}, {"late", seconds(late)}});
}

Result<void> Runner::record_end(Work& work, job::Run run, job::Happening happening,
                                job::AttemptResult result) {
  // Success needs no policy unless its output is looked at, and most runs succeed.
  const auto live = live_.find(run.id);
  const bool may_judge = live == live_.end() || live->second.judges_output;
  std::optional<job::Job> job;
  if (happening != job::Happening::exited_zero || may_judge) {
    TRY(job, store_.get_job(run.job_id));
  }
  const std::int64_t fence = run.fence;
  const job::Policy policy = policy_of(job);
  if (has_good_exit(happening, result, policy)) happening = job::Happening::exited_zero;
  if (happening == job::Happening::exited_zero && may_judge) {
    const auto judged = judged_.find({run.id, fence});
    result.error = judged == judged_.end() ? output_fault(policy, result) : judged->second;
    if (!result.error.empty()) happening = job::Happening::wrong_output;
  }
  std::optional<job::Step> step = job::transition(run, happening, policy, work.now);
  if (!step) {
    work.recorded.emplace_back(run.id, fence);
    work.over.insert(run.id);
    return {};
  }
  // There is no job any more that could be tried again, and no wish to after a cancel.
  const bool retry = step->state == job::RunState::pending;
  if (retry && (!job || run.cancel_requested)) {
    step->state = job::RunState::cancelled;
    step->reason = run.replaced_by ? job::Reason::replaced : job::Reason::operator_;
  }
  const std::optional<Time> started_before = run.result.started_at;
  const int attempt = run.attempt;
  run.result = std::move(result);
  run.result.attempt = attempt;
  if (!run.result.started_at) run.result.started_at = started_before;
  if (run.result.started_at && !started_before) {
    started_line(work, run);
    TRY_VOID(on_started(run, work.now));
  }
  if (policy.output == job::Output::log) log_output(work, run, run.result);
  job::take(*step, run);
  const bool tried = happening != job::Happening::never_started;
  if (run.state == job::RunState::pending && tried) {
    TRY_VOID(store_.insert_attempt(run.id, run.result, run.reason));
  }
  TRY(const bool written, store_.update_run(run, fence));
  // Also of one that is to be tried again: until then its job does not run.
  if (written && (run.state != job::RunState::pending || run.result.started_at))
    TRY_VOID(store_.set_last_run(run));
  if (written && run.state != job::RunState::pending) {
    const bool job_exists = job.has_value() || run.state == job::RunState::succeeded;
    TRY_VOID(on_ended(run, job_exists, work.now));
  }
  work.dirty = true;
  work.succeeded = work.succeeded || run.state == job::RunState::succeeded;
  work.recorded.emplace_back(run.id, fence);
  work.over.insert(run.id);
  if (run.state == job::RunState::pending) {
    std::vector<log::Field> fields = end_fields(run);
    fields.emplace_back("next_attempt", run.attempt);
    fields.emplace_back("at", format_rfc3339(run.due_at));
    const bool started = tried && happening != job::Happening::start_refused;
    work.run_line(log::Level::warning, started ? "run-retry" : "run-not-started", run,
                  std::move(fields));
  } else {
    work.run_line(level_of(run.state), "run-" + std::string(job::to_string(run.state)), run,
                  end_fields(run));
  }
  return {};
}

void Runner::log_output(Work& work, const job::Run& run, job::AttemptResult& result) {
  const LoggedOutput logged = output_for_log(result);
  if (logged.before > 0) {
    work.run_line(log::Level::warning, "run-output-cut", run, {{"bytes", logged.before}});
  }
  for (const std::string& line : logged.lines) {
    work.run_line(log::Level::info, "run-output", run, {{"line", line}});
  }
  if (!result.output_path.empty()) work.read_outputs.push_back(std::move(result.output_path));
  result.output_path.clear();
}

}  // namespace schedctl::runner
