// What the clocks tell: that somebody set the wall clock, and that the machine slept.
//
// Three clocks are read at each beat. Wall time minus elapsed time changes only when somebody sets
// the clock (the kernel slews both alike; a leap second is a step of one); elapsed time minus the
// time awake changes only in suspend, which is no step, since the wall clock goes on meanwhile. So
// each kind of event is named for what it is, whenever it is noticed, and slow drift is none.
//
// What schedules name is wall time: a step forward, like a sleep or a stop, makes fires overdue,
// and planning judges them under the job's policy. What is counted from a moment (the pause before
// a retry, a catch-up that is spread, the longest wait for a slot) moves with the clock, so that it
// lasts as long as it was meant to. Of a step back, replan.cpp.

#include "schedctl/base/limits.hpp"
#include "work.hpp"

namespace schedctl::runner {
namespace {

/// Time daemons step by less than this all day; and what somebody calls a second is never exactly
/// one.
constexpr Duration kNotableStep = std::chrono::milliseconds(900);
/// Less is the time it takes to read two clocks.
constexpr Duration kNotableSleep = std::chrono::seconds(1);

/// To the precision in which people think of it.
std::string rough(Duration d) {
  if (d < std::chrono::seconds(10)) {
    return format_duration(std::chrono::round<std::chrono::milliseconds>(d));
  }
  return format_duration(std::chrono::round<std::chrono::seconds>(d));
}

/// To the second: who sets a clock does not think of less.
std::string moment(Time t) {
  return format_rfc3339(std::chrono::floor<std::chrono::seconds>(t));
}

/// It is due so long after a moment at which something happened, not at a time of day.
bool counts_from_a_moment(const job::Run& run) {
  if (run.cause != job::Cause::schedule || run.fence != 0) return true;
  return run.created_at - run.fire_time > limits::kOverdue;
}

}  // namespace

Result<void> Runner::note_clock(Work& work) {
  TRY_VOID(note_sleep(work));
  TRY(const Duration step, step_of_clock(work));
  if (std::chrono::abs(step) >= kNotableStep) TRY_VOID(note_step(work, step));
  return end_silence(work);
}

Result<void> Runner::note_sleep(Work& work) {
  const Duration slept =
      work.elapsed - work.awake - watches_->slept.value_or(work.elapsed - work.awake);
  if (slept < kNotableSleep) return {};
  // Who wakes is told so at once: the timer is one of those that a resume cancels.
  const Time from = work.now - slept;
  const std::string span = "from " + moment(from) + " to " + moment(work.now);
  TRY_VOID(store_.add_event(
      {work.now, settings_.node.id, "suspend", "slept for " + rough(slept) + ", " + span}));
  work.dirty = true;
  watches_->gaps.add(from, work.now, "the machine slept, " + span);
  work.line(log::Level::warning, "suspend",
            {{"slept", rough(slept)}, {"from", moment(from)}, {"to", moment(work.now)}});
  return {};
}

// By how much the wall clock was set since the last beat.
Result<Duration> Runner::step_of_clock(Work& work) {
  if (clock_offset_) return work.now.time_since_epoch() - work.elapsed - *clock_offset_;
  // The first beat: a predecessor that was at work later than now tells of a step back.
  Duration step{};
  TRY(const std::vector<store::Node> nodes, store_.list_nodes());
  for (const store::Node& node : nodes) {
    if (node.id != settings_.node.id) continue;
    for (const std::optional<Time>& then : {node.last_beat, node.stopped_at}) {
      if (then) step = std::min(step, work.now - *then);
    }
  }
  // And an alert that it left open, of one before.
  TRY(const std::optional<job::Alert> alert,
      store_.latest_alert(JobId{}, job::AlertKind::clock_jump, ""));
  if (alert && alert->open()) work.silent_until = alert->expected_at.value_or(work.now);
  return step;
}

Result<void> Runner::note_step(Work& work, Duration step) {
  const bool forward = step > Duration::zero();
  const std::string direction = forward ? "forward" : "back";
  const std::string by = rough(std::chrono::abs(step));
  const std::string words = direction + " by " + by + " to " + moment(work.now) + " (from " +
                            moment(work.now - step) + ")";
  std::vector<log::Field> fields{{"direction", direction},
                                 {"by", by},
                                 {"from", moment(work.now - step)},
                                 {"to", moment(work.now)}};
  work.dirty = true;
  watches_->tidying.clock_stepped(work.elapsed, step);
  TRY_VOID(move_waits(work, step));
  std::string effect;
  if (forward) {
    watches_->gaps.add(work.now - step, work.now, "the clock was set " + words);
  } else {
    TRY_VOID(teller_.clock_set_back(work.now, -step));
    TRY(const Silence silence, replan_after_step_back(work));
    TRY_VOID(begin_silence(work, silence, "the clock was set " + words));
    if (!silence.empty()) {
      effect = "; " + std::to_string(silence.size()) +
               (silence.size() == 1 ? " job is" : " jobs are") + " silent until " +
               moment(*work.silent_until);
      fields.emplace_back("silent_jobs", silence.size());
      fields.emplace_back("silent_until", moment(*work.silent_until));
    }
    // Deadlines of starts that are awaited were instants of the old time.
    watches_->late = {};
    watches_->awaits_again = false;
  }
  TRY_VOID(store_.add_event({work.now, settings_.node.id, "clock-jump", words + effect}));
  work.line(log::Level::warning, "clock-jump", std::move(fields));
  return {};
}

Result<void> Runner::move_waits(Work& work, Duration step) {
  TRY(std::vector<job::Run> pending, store_.runs_in_state(job::RunState::pending));
  const Time before = work.now - step;
  for (job::Run& run : pending) {
    const bool was_due = run.due_at <= before;
    const bool moves = counts_from_a_moment(run);
    if (moves) run.due_at += step;
    // Never early: a first start awaits its fire time by whatever the clock says now.
    const bool first = run.cause == job::Cause::schedule && run.fence == 0;
    if (moves && first) run.due_at = std::max(run.due_at, run.fire_time);
    // One that is due again only later has not begun to wait.
    const bool waits = moves || (was_due && run.due_at <= work.now);
    if (run.give_up_at && waits) *run.give_up_at += step;
    if (!moves && !(run.give_up_at && waits)) continue;
    TRY_VOID(store_.update_run(run, run.fence));
  }
  return {};
}

}  // namespace schedctl::runner
