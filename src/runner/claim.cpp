// The second half of a beat: plan what is due, claim what may run.

#include <algorithm>
#include <csignal>

#include "output.hpp"
#include "schedctl/base/limits.hpp"
#include "schedctl/job/busy.hpp"
#include "schedctl/job/plan.hpp"
#include "schedctl/job/transition.hpp"
#include "schedctl/runner/runner.hpp"
#include "schedctl/store/record_plan.hpp"
#include "work.hpp"

namespace schedctl::runner {
namespace {

// So many due runs are looked at in one beat, or as many as there are free slots, if those are
// more: reading what cannot be started costs more than starting. While no slot is free, only those
// are looked at that can be settled without one; else they would stand behind all that wait for a
// slot.
constexpr std::size_t kWindow = 50;
// Those that need no slot are found by walking all that wait: not in each of many short beats.
constexpr Duration kBetweenWalks = std::chrono::milliseconds(50);

// Shorter waits for a slot are not worth a row: a busy machine would write one each second.
constexpr Duration kNotableWait = std::chrono::seconds(10);

/// An occurrence that is claimed for the first time: what max_runs counts.
bool is_first_of_schedule(const job::Run& run) {
  return run.cause == job::Cause::schedule && run.fence == 0;
}

/// Why a pending run is missed.
std::string missed_words(const job::Run& run) {
  if (run.reason != job::Reason::waited_too_long)
    return "it was asked for by hand, and no daemon came in time";
  if (run.gated) return "the jobs that it comes after (after) did not succeed in time";
  return std::string("it waited for ") + (run.waits ? "its job to be free" : "a free slot") +
         " for longer than max_wait";
}

}  // namespace

Result<void> Runner::plan(Work& work) {
  if (!watches_->reboots_fired) TRY_VOID(fire_reboots(work));
  const std::size_t most = jobs_to_read(work);
  std::vector<job::Job> due;
  if (most > 0) {
    TRY(due, store_.due_jobs(work.now, most));
  }
  TRY_VOID(fall_in_step(work, due, most));
  for (job::Job& job : due) TRY_VOID(plan_job(work, std::move(job)));
  return {};
}

Result<void> Runner::plan_job(Work& work, job::Job job) {
  const auto fires = series_of(job);
  if (!fires) return set_aside(work, job, fires.error());
  job::Policy policy = policy_of(job);
  // What it was left due for is not its daemon's absence.
  policy.misfire_grace += left_for(work);
  work.dirty = true;
  if (job.paused) TRY_VOID(end_pause(work, job, *fires, policy));
  if (job.has_had_all_runs(policy)) {
    return store_.set_planned(job.id, job.planned_through, std::nullopt);
  }
  const job::Plan plan = job::plan(*fires, policy, job.seed(), job.planned_through, work.now);
  return record_rows(work, job, plan);
}

Result<void> Runner::record_rows(Work& work, const job::Job& job, const job::Plan& plan) {
  const job::Policy policy = policy_of(job);
  TRY(std::vector<job::Run> rows,
      store::record_plan(store_, job, policy, plan, work.now, [&](job::Run& run) -> Result<void> {
        return claim_at_once(work, policy, run);
      }));
  if (rows.size() < plan.rows.size()) {
    TRY(rows, record_around_known(work, job, plan, rows));
  }
  for (const job::Run& run : rows) {
    if (run.state == job::RunState::running) begin_run(work, run, job, policy);
    if (!job::is_final(run.state)) continue;
    std::vector<log::Field> fields{{"reason", job::to_string(run.reason)},
                                   {"fire", format_rfc3339(run.fire_time)}};
    if (run.last_fire_time) {
      fields.emplace_back("last", format_rfc3339(*run.last_fire_time));
      fields.emplace_back("count", run.count);
    }
    work.run_line(run.state == job::RunState::missed ? log::Level::warning : log::Level::info,
                  "run-" + std::string(job::to_string(run.state)), run, std::move(fields));
  }
  return on_planned(job, rows, work.now);
}

// A pause that has come to its end. What was due before it is judged as of now, what was due in it
// is skipped, and what has been due since is planned like anything else.
Result<void> Runner::end_pause(Work& work, job::Job& job, const job::FireSeries& fires,
                               const job::Policy& policy) {
  const Time end = std::min(job.paused_until.value_or(work.now), work.now);
  const Time begin = std::min(job.paused_at, end);
  if (job.planned_through < begin) {
    const job::Plan before =
        job::plan_until(fires, policy, job.seed(), job.planned_through, begin, work.now);
    TRY_VOID(record_rows(work, job, before));
    job.planned_through = before.planned_through;
  }
  const job::Plan during = job::plan_paused(fires, job.planned_through, end);
  TRY_VOID(record_rows(work, job, during));
  job.planned_through = during.planned_through;
  job.next_fire = during.next_fire;
  job.paused = false;
  job.paused_at = {};
  job.paused_until.reset();
  job.paused_reason.clear();
  TRY_VOID(store_.update_job(job));
  TRY_VOID(store_.add_audit(
      {work.now, "schedctl", "resume", job.name, "the pause ended at " + format_rfc3339(end)}));
  work.line(log::Level::info, "job-resumed", {{"job", job.name}, {"reason", "pause_over"}});
  return {};
}

// One bad row must not stop the others, nor be tried again for ever: the job is not planned any
// more, and says why, until somebody changes it.
Result<void> Runner::set_aside(Work& work, const job::Job& job, const Error& error) {
  TRY_VOID(store_.set_planned(job.id, job.planned_through, std::nullopt));
  TRY_VOID(store_.add_event(
      {work.now, settings_.node.id, "job-error", job.name + ": " + error.message}));
  work.dirty = true;
  work.line(log::Level::error, "job-set-aside", {{"job", job.name}, {"error", error.message}});
  return episodes_.begin(
      {.kind = job.last_start ? job::AlertKind::delayed : job::AlertKind::inactive,
       .job = job.id,
       .subject = job.name,
       .expected_at = job.next_fire,
       .detail = "its next fires cannot be told: " + error.message},
      settings_.tuning.voice.rules, work.now);
}

// What has waited for a slot for longer than its job allows.
Result<void> Runner::give_up(Work& work) {
  TRY(std::vector<job::Run> overdue, store_.overdue_runs(work.now, limits::kRunsPerBeat));
  if (overdue.size() == limits::kRunsPerBeat) work.again = true;
  for (job::Run& run : overdue) {
    TRY_VOID(withdraw(work, std::move(run), job::Happening::waited_too_long));
  }
  return {};
}

std::size_t Runner::free_slots(const Work& work) const {
  const std::size_t live = work.count_live(live_);
  const auto most = static_cast<std::size_t>(std::max(settings_.tuning.max_running, 0));
  return live < most ? std::min(most - live, limits::kRunsPerBeat) : 0;
}

Result<void> Runner::claim(Work& work) {
  TRY_VOID(give_up(work));
  TRY_VOID(open_gates(work));
  std::size_t free = free_slots(work);
  const bool full = free == 0;
  const std::size_t window = std::max(free, kWindow);
  InGroups in_groups = count_groups(work);
  // Without a keeper nothing is claimed and nothing marked: what is due stays so, and so does what
  // is known of the slots.
  work.slots_full = watches_->slots_full.has_value();
  if (!watches_->keeper.is_connected() && !work.adopted) return {};
  std::vector<store::DueRun> due;
  if (!full) {
    TRY(due, store_.due_runs(work.now, window, full_groups(in_groups)));
  } else if (watches_->walked_at && work.elapsed - *watches_->walked_at < kBetweenWalks) {
    work.walk_at = *watches_->walked_at + kBetweenWalks;
  } else {
    TRY(due, store_.blocked_runs(work.now, window));
    work.walked = due.size() < window;
  }
  if (!due.empty() && !work.adopted && !watches_->keeper.is_well(work.elapsed)) {
    work.wants_keeper = true;
    return {};
  }
  work.slots_full = work.in_step;
  bool progress = false;
  for (store::DueRun& candidate : due) {
    const std::string group = candidate.run.group;
    const bool group_full = !group.empty() && in_groups[group] >= limit_of(group);
    TRY(const Claimed claimed, claim_due(work, candidate, free > 0 && !group_full));
    progress = progress || claimed == Claimed::started || claimed == Claimed::settled;
    if (claimed == Claimed::no_slot && free == 0) work.slots_full = true;
    if (claimed != Claimed::started) continue;
    --free;
    if (!group.empty()) ++in_groups[group];
  }
  if (due.size() == window && progress) work.again = true;
  if (!full) return {};
  TRY(const std::vector<store::DueRun> waiting,
      store_.due_runs(work.now, 1, full_groups(in_groups)));
  work.slots_full = work.in_step || !waiting.empty();
  return {};
}

// Whether its job is busy is settled first: that needs no slot.
Result<Runner::Claimed> Runner::claim_due(Work& work, store::DueRun& due, bool has_slot) {
  job::Run& run = due.run;
  const bool busy = due.job_busy || work.busy_jobs.contains(run.job_id);
  const bool patient = run.waits || run.occupies_slot();
  // The next beat does not see it any more, until its job is free.
  if (busy && !run.forced && patient) return Claimed::untouched;
  if (busy && !run.forced) {
    TRY(const WhenBusy what, when_busy(work, run));
    if (what == WhenBusy::waits) return Claimed::settled;
    if (what != WhenBusy::starts) {
      TRY_VOID(withdraw(
          work, std::move(run),
          what == WhenBusy::queue_full ? job::Happening::queue_full : job::Happening::overlapped));
      return Claimed::settled;
    }
    run.forced = true;
  }
  if (!has_slot) return Claimed::no_slot;
  TRY(const std::optional<job::Job> job, store_.get_job(run.job_id));
  if (!job) {
    TRY_VOID(withdraw(work, std::move(run), job::Happening::withdrawn_removed));
    return Claimed::settled;
  }
  const job::Policy policy = policy_of(job);
  if (is_first_of_schedule(run) && job->has_had_all_runs(policy)) {
    TRY_VOID(withdraw(work, std::move(run), job::Happening::exhausted));
    return Claimed::settled;
  }
  TRY(const bool stopped, stop_at_gate(work, run, *job, policy));
  if (stopped) return Claimed::settled;
  TRY_VOID(claim_run(work, std::move(run), *job, policy));
  return Claimed::started;
}

// Which runs had to wait for a slot no row of theirs says: the stretch in which that could happen
// is written down when it is over.
Result<void> Runner::note_slots(Work& work) {
  const std::optional<Time> since = watches_->slots_full;
  if (!since || work.slots_full || work.now - *since < kNotableWait) return {};
  work.dirty = true;
  return store_.add_event({work.now, settings_.node.id, "slots-full",
                           "since " + format_rfc3339(*since) + ": all " +
                               std::to_string(settings_.tuning.max_running) +
                               " slots were taken (" + settings_.tuning.max_running_setting + ")"});
}

Result<void> Runner::claim_run(Work& work, job::Run run, const job::Job& job,
                               const job::Policy& policy) {
  const std::int64_t old_fence = run.fence;
  const bool counts = policy.max_runs > 0 && is_first_of_schedule(run);
  if (!mark_claimed(work, run, policy)) return {};
  if (counts) TRY_VOID(count_run(job, policy));
  run.key = store::run_key(store_.id(), run);
  TRY(const bool mine, store_.update_run(run, old_fence));
  if (mine) begin_run(work, run, job, policy);
  return {};
}

// False: it cannot be claimed.
bool Runner::mark_claimed(const Work& work, job::Run& run, const job::Policy& policy) const {
  const auto step = job::transition(run, job::Happening::claimed, policy, work.now);
  if (!step) return false;
  run.give_up_at.reset();
  // Its retries may start beside the others as well.
  run.forced = run.forced || policy.overlap == job::Overlap::allow;
  run.state = step->state;
  run.reason = step->reason;
  ++run.fence;
  run.node = settings_.node.id;
  run.keeper = work.adopted ? work.adopted->keeper : settings_.node.keeper;
  run.result = {};
  run.result.attempt = run.attempt;
  return true;
}

// Its row says that it runs; it is started after the commit.
void Runner::begin_run(Work& work, const job::Run& run, const job::Job& job,
                       const job::Policy& policy) const {
  work.dirty = true;
  if (job::keeps_job_busy(run)) work.busy_jobs.insert(run.job_id);
  work.lines_of_jobs.erase(run.job_id);
  work.begun[run.id] =
      Live{run.fence, policy.kill_grace, run.job_name, false, run.group, judges_output(policy)};
  executor::StartRequest request = executor::request_of(run, job.definition, policy);
  request.generation = work.adopted ? work.adopted->generation : generation_;
  if (run.due_at > work.now) request.not_before = run.due_at;
  work.starts.push_back(std::move(request));
}

Result<void> Runner::count_run(const job::Job& job, const job::Policy& policy) {
  TRY_VOID(store_.count_run(job.id));
  TRY(const std::optional<job::Job> counted, store_.get_job(job.id));
  if (!counted || !counted->has_had_all_runs(policy)) return {};
  return store_.set_planned(job.id, counted->planned_through, std::nullopt);
}

// Settles a pending run that will not be started.
Result<void> Runner::withdraw(Work& work, job::Run run, job::Happening happening) {
  const auto step = job::transition(run, happening, job::Policy{}, work.now);
  if (!step) return {};
  const bool had_started = run.state == job::RunState::running || run.has_been_tried();
  run.state = step->state;
  run.reason = step->reason;
  TRY_VOID(store_.update_run(run, run.fence));
  if (had_started) TRY_VOID(store_.set_last_run(run));
  work.dirty = true;
  work.run_line(run.state == job::RunState::missed ? log::Level::warning : log::Level::info,
                "run-" + std::string(job::to_string(run.state)), run,
                {{"reason", job::to_string(run.reason)}, {"fire", format_rfc3339(run.fire_time)}});
  if (run.state != job::RunState::missed) return {};
  return episodes_.begin({.kind = job::AlertKind::missed,
                          .job = run.job_id,
                          .subject = run.job_name,
                          .run = run.id,
                          .expected_at = run.fire_time,
                          .detail = missed_words(run),
                          .cause = watches_->gaps.why(run.fire_time)},
                         settings_.tuning.voice.rules, work.now);
}

}  // namespace schedctl::runner
