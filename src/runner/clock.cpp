// What a set clock does to the plan.

#include "work.hpp"

namespace schedctl::runner {
namespace {

// A step of the wall clock smaller than this is what time daemons do all day.
constexpr Duration kNotableStep = std::chrono::seconds(1);

}  // namespace

Result<void> Runner::note_clock(Work& work) {
  Duration step{};
  if (clock_offset_) {
    step = work.now.time_since_epoch() - work.elapsed - *clock_offset_;
  } else {
    // The first beat: a predecessor that was at work later than now tells of a step back.
    TRY(const std::vector<store::Node> nodes, store_.list_nodes());
    for (const store::Node& node : nodes) {
      if (node.id == settings_.node.id && node.last_beat) {
        step = std::min(Duration{}, work.now - *node.last_beat);
      }
    }
  }
  if (std::chrono::abs(step) < kNotableStep) return {};
  const bool forward = step > Duration::zero();
  const std::string words = std::string(forward ? "forward" : "back") + " by " +
                            format_duration(std::chrono::abs(step)) + " to " +
                            format_rfc3339(work.now);
  TRY_VOID(store_.add_event({work.now, settings_.node.id, "clock-jump", words}));
  work.dirty = true;
  if (forward) watches_->gaps.add(work.now - step, work.now, "the clock was set " + words);
  work.line(log::Level::warning, "clock-jump",
            {{"direction", forward ? "forward" : "back"},
             {"by", format_duration(std::chrono::abs(step))}});
  if (forward) return {};
  TRY_VOID(teller_.clock_set_back(work.now, -step));
  return replan_after_step_back(work);
}

// A step back leaves jobs planned through an instant that is now in the future. Up to three hours
// that is right: the fires in between have happened. Beyond, the old time was wrong, and planning
// starts again from now; the uniqueness of (job, fire time) keeps anything from running twice.
Result<void> Runner::replan_after_step_back(Work& work) {
  constexpr Duration kBelievable = std::chrono::hours(3);
  TRY(const std::vector<store::JobListing> jobs, store_.list_jobs(""));
  for (const store::JobListing& listing : jobs) {
    job::Job job = listing.job;
    job::Schedule& schedule = job.definition.schedule;
    const job::ScheduleKind kind = schedule.kind;
    const bool repeats = kind == job::ScheduleKind::every || kind == job::ScheduleKind::cron;
    if (!repeats || job.paused || job.planned_through <= work.now + kBelievable) continue;
    // The grid of an interval begins at its anchor: one that lies ahead only because the clock was
    // wrong moves back along the grid.
    if (kind == job::ScheduleKind::every && schedule.anchor > work.now) {
      const std::int64_t periods = (schedule.anchor - work.now) / schedule.every + 1;
      schedule.anchor -= periods * schedule.every;
      TRY_VOID(store_.update_job(job));
    }
    auto zone = zones_.find(schedule.timezone);
    if (!zone) continue;
    const auto fires = job::FireSeries::make(schedule, *zone, job.seed());
    if (!fires) continue;
    TRY_VOID(store_.set_planned(job.id, work.now, fires->next_after(work.now)));
  }
  return {};
}

}  // namespace schedctl::runner
