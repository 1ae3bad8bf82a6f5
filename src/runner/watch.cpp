// What people must know of jobs and of the keeper: the beat's own view of which starts are late,
// which runs went wrong, whether the keeper answers. Everything here writes rows in the beat's
// transaction; tell.cpp says when and how they are told.

#include <algorithm>

#include "schedctl/alert/words.hpp"
#include "schedctl/base/limits.hpp"
#include "schedctl/job/busy.hpp"
#include "work.hpp"

namespace schedctl::runner {
namespace {

using job::AlertKind;

/// Runs of one job that are looked at for one that is in another's way: more than may wait.
constexpr std::size_t kInTheWay = static_cast<std::size_t>(limits::kMaxParallel) + 100;

bool fires_by_itself(const job::Job& job) {
  const job::ScheduleKind kind = job.definition.schedule.kind;
  return kind != job::ScheduleKind::manual && kind != job::ScheduleKind::reboot;
}

/// It was due and nothing has been started for it, or will be.
bool still_awaited(const job::Run& run) {
  if (run.has_been_tried()) return false;
  if (run.state == job::RunState::skipped) return run.reason == job::Reason::overlap;
  // One that waits for other jobs is not late: they are, if anything.
  return (run.state == job::RunState::pending && !run.gated) ||
         (run.state == job::RunState::running && !run.result.started_at);
}

std::string stretch_words(const job::Run& run) {
  if (run.count <= 1) return {};
  return std::to_string(run.count) + " occurrences, the last at " +
         format_rfc3339(run.last_fire_time.value_or(run.fire_time));
}

}  // namespace

Result<void> Runner::on_started(const job::Run& run, Time now) {
  // A fire of long ago is not the start that is awaited.
  if (run.cause == job::Cause::backfill) return {};
  watches_->late.forget(run.job_id);
  return episodes_.end(run.job_id, {AlertKind::delayed, AlertKind::inactive},
                       job::AlertEnd::started, now);
}

Result<void> Runner::on_ended(const job::Run& run, bool job_exists, Time now) {
  if (run.state == job::RunState::succeeded) {
    return episodes_.end(run.job_id, {}, job::AlertEnd::succeeded, now);
  }
  // An end without a start is told as what it is, not as a start that is late.
  watches_->late.forget(run.job_id);
  const bool lost = run.state == job::RunState::lost;
  if (!lost && run.state != job::RunState::failed) return {};
  TRY_VOID(episodes_.begin({.kind = lost ? AlertKind::lost : AlertKind::failed,
                            .job = run.job_id,
                            .subject = run.job_name,
                            .run = run.id,
                            .expected_at = run.due_at,
                            .detail = lost ? "" : alert::failure_words(run),
                            .cause = lost ? alert::failure_words(run) : ""},
                           settings_.tuning.voice.rules, now));
  // Nothing of this job can succeed any more.
  if (!job_exists) return episodes_.end(run.job_id, {}, job::AlertEnd::removed, now);
  return {};
}

Result<void> Runner::on_planned(const job::Job& job, const std::vector<job::Run>& rows, Time now) {
  const Duration grace = policy_of(job).alert_grace;
  std::optional<Time> expected;
  RunId awaited;
  for (const job::Run& row : rows) {
    const bool will_start = !job::is_final(row.state);
    if (will_start && !awaited) awaited = row.id;
    if (will_start || row.reason == job::Reason::coalesced) {
      expected = std::min(expected.value_or(row.due_at), row.due_at);
    }
    if (row.state != job::RunState::missed) continue;
    alert::Beginning missed{.kind = AlertKind::missed,
                            .job = job.id,
                            .subject = job.name,
                            .run = row.id,
                            .expected_at = row.fire_time,
                            .events = row.count,
                            .detail = stretch_words(row),
                            .cause = watches_->gaps.why(row.fire_time)};
    TRY_VOID(episodes_.begin(missed, settings_.tuning.voice.rules, now));
    if (job.last_start || row.due_at + grace > now) continue;
    missed.kind = AlertKind::inactive;
    TRY_VOID(episodes_.begin(missed, settings_.tuning.voice.rules, now));
  }
  if (awaited) watches_->late.await({job.id, awaited, *expected, *expected + grace});
  return {};
}

// Which starts were awaited when the predecessor of this process ended.
Result<void> Runner::await_again(Time) {
  const auto await = [&](const job::Run& run) -> Result<void> {
    if (run.cause != job::Cause::schedule || !still_awaited(run)) return {};
    TRY(const std::optional<job::Job> job, store_.get_job(run.job_id));
    const Duration grace = policy_of(job).alert_grace;
    watches_->late.await({run.job_id, run.id, run.due_at, run.due_at + grace});
    return {};
  };
  TRY(const std::vector<job::Run> running, store_.runs_in_state(job::RunState::running));
  for (const job::Run& run : running) {
    TRY_VOID(await(run));
    if (!run.result.started_at) continue;
    TRY(const std::vector<job::Run> skipped, store_.list_runs({.job_id = run.job_id,
                                                               .states = {job::RunState::skipped},
                                                               .since = run.result.started_at}));
    for (auto row = skipped.rbegin(); row != skipped.rend(); ++row) TRY_VOID(await(*row));
  }
  TRY(const std::vector<job::Run> pending, store_.runs_in_state(job::RunState::pending));
  for (const job::Run& run : pending) TRY_VOID(await(run));
  return {};
}

Result<void> Runner::watch_starts(Work& work) {
  if (draining_) return {};
  for (const LateStarts::Awaited& awaited : watches_->late.overdue(work.now)) {
    work.looked_at.push_back(awaited.job);
    TRY(const std::optional<job::Job> job, store_.get_job(awaited.job));
    TRY(const std::optional<job::Run> run, store_.get_run(awaited.run));
    const bool stands = job && run && !job->paused && fires_by_itself(*job) && still_awaited(*run);
    if (stands) TRY_VOID(report_late(work, *run, *job, awaited.expected));
  }
  return {};
}

Result<void> Runner::report_late(Work& work, const job::Run& run, const job::Job& job,
                                 Time expected) {
  std::string cause = watches_->gaps.why(expected);
  if (cause.empty() && watches_->keeper.is_silent(work.elapsed)) {
    cause = "the keeper cannot be reached";
  }
  TRY(const std::string detail, why_waiting(run));
  work.dirty = true;
  work.run_line(log::Level::warning, "run-late", run,
                {{"expected", format_rfc3339(expected)}, {"why", detail.empty() ? cause : detail}});
  return episodes_.begin({.kind = job.last_start ? AlertKind::delayed : AlertKind::inactive,
                          .job = job.id,
                          .subject = job.name,
                          .run = run.id,
                          .expected_at = expected,
                          .detail = detail,
                          .cause = cause},
                         settings_.tuning.voice.rules, work.now);
}

// What is in the way of a run that should have started.
Result<std::string> Runner::why_waiting(const job::Run& run) {
  // Claimed a moment ago: nothing is in the way any more.
  if (run.state == job::RunState::running) return std::string();
  if (run.start_failures > 0) return run.result.error;
  TRY(const std::vector<job::Run> in_the_way,
      store_.list_runs({.job_id = run.job_id,
                        .states = {job::RunState::running, job::RunState::pending},
                        .limit = kInTheWay}));
  for (const job::Run& other : in_the_way) {
    if (other.id == run.id || !job::keeps_job_busy(other)) continue;
    if (other.state == job::RunState::pending && other.start_failures > 0)
      return "its run #" + std::to_string(other.id.value) +
             " could not be started: " + other.result.error;
    if (other.state == job::RunState::pending) continue;
    std::string words = "its run #" + std::to_string(other.id.value) + " still runs";
    if (other.result.started_at) words += ", since " + format_rfc3339(*other.result.started_at);
    return words;
  }
  if (!run.group.empty()) {
    const auto in_group = std::ranges::count_if(
        live_, [&run](const auto& one) { return one.second.group == run.group; });
    if (in_group >= limit_of(run.group))
      return "as many runs of the group " + run.group + " live as may (" +
             std::to_string(limit_of(run.group)) + ")";
  }
  const auto most = static_cast<std::size_t>(std::max(settings_.tuning.max_running, 0));
  if (live_.size() >= most) {
    return "all " + std::to_string(most) + " slots are taken (" +
           settings_.tuning.max_running_setting + ")";
  }
  return std::string();
}

Result<void> Runner::watch_keeper(Work& work) {
  const KeeperWatch& keeper = watches_->keeper;
  // The outside monitor is to hear of a keeper that is stopped even where nothing is due.
  if (!draining_ && heartbeat_due(work.elapsed)) work.wants_keeper = true;
  work.ping = !work.adopted && keeper.should_ask(work.elapsed, work.wants_keeper);
  const bool answers = work.adopted || !keeper.silent_since();
  if (answers) {
    if (work.adopted || work.keeper_gone) {
      TRY_VOID(episodes_.end(JobId{}, {AlertKind::keeper}, job::AlertEnd::recovered, work.now));
    }
    if (!work.keeper_gone) return {};
    watches_->gaps.add(*work.keeper_gone, work.now, "the keeper could not be reached");
    TRY_VOID(store_.add_event({work.now, settings_.node.id, "keeper-back",
                               "not reached since " + format_rfc3339(*work.keeper_gone)}));
    work.line(log::Level::info, "keeper-back", {});
    work.keeper_gone.reset();
    work.dirty = true;
    return {};
  }
  if (!keeper.is_silent(work.elapsed) || work.keeper_gone) return {};
  const bool stopped = keeper.is_connected();
  const std::string words =
      stopped ? "it does not answer: stopped or stuck" : watches_->keeper_words;
  work.keeper_gone = work.now - (work.elapsed - *keeper.silent_since());
  TRY_VOID(store_.add_event({work.now, settings_.node.id, "keeper-silent", words}));
  work.line(log::Level::error, "keeper-silent",
            {{"error", words}, {"effect", "nothing is started until it answers"}});
  work.dirty = true;
  return episodes_.begin({.kind = AlertKind::keeper,
                          .job = {},
                          .subject = {},
                          .detail = words + "; nothing is started"},
                         settings_.tuning.voice.rules, work.now);
}

}  // namespace schedctl::runner
