// After a step back of the clock. Jobs are planned through an instant that now lies ahead, and
// every fire up to it has its row.
//
// Up to three hours the old time is believed: the fires in between have happened, and their jobs
// are silent until the clock has passed them once more. Beyond, the old time was wrong, and
// planning starts again from now. Rows of that wrong time that tell of a run stay, and keep their
// fires from a second one. Rows that tell that nothing ran (a clock a year ahead has "missed" a
// year) are taken back as far as they lie ahead: a stretch ends now, or becomes its first fire
// alone, which waits for its time like one that was just planned.
//
// Jobs that stay silent are named in an alert, until the clock has passed the last of their fires.

#include <algorithm>

#include "schedctl/store/record_plan.hpp"
#include "work.hpp"

namespace schedctl::runner {
namespace {

/// A clock set back by less is corrected; who sets it back by more has had it wrong.
constexpr Duration kBelievable = std::chrono::hours(3);
/// Shorter silences need nobody's attention.
constexpr Duration kNotableSilence = std::chrono::minutes(1);
/// Rows of one job that are looked at: those furthest ahead. More than that many runs of the future
/// nobody has had.
constexpr std::size_t kMostRows = 1000;
/// Jobs that the alert names.
constexpr std::size_t kNamed = 5;
constexpr Duration kTick{1};

bool repeats(const job::Job& job) {
  const job::ScheduleKind kind = job.definition.schedule.kind;
  return kind == job::ScheduleKind::every || kind == job::ScheduleKind::cron;
}

Time end_of(const job::Run& run) {
  return run.last_fire_time.value_or(run.fire_time);
}

std::string silence_words(const std::map<std::string, Time>& silence) {
  std::string words;
  std::size_t named = 0;
  for (const auto& [job, until] : silence) {
    if (named == kNamed) break;
    words += (named++ == 0 ? "" : ", ") + job + " until " +
             format_rfc3339(std::chrono::floor<std::chrono::seconds>(until));
  }
  if (silence.size() > named) words += " and " + std::to_string(silence.size() - named) + " more";
  words += silence.size() == 1 ? " is silent, since its fires up to then have happened"
                               : " are silent, since their fires up to then have happened";
  return words + "; schedctl trigger " +
         (silence.size() == 1 ? silence.begin()->first : std::string("NAME")) +
         " runs what cannot wait";
}

}  // namespace

Result<job::FireSeries> Runner::series_of(const job::Job& job) const {
  TRY(job::ZonePtr zone, zones_.find(job.definition.schedule.timezone));
  return job::FireSeries::make(job.definition.schedule, std::move(zone), job.seed(),
                               job::CalendarSource(settings_.tuning.calendars, zones_));
}

Result<Runner::Silence> Runner::replan_after_step_back(Work& work) {
  Silence silence;
  TRY(const std::vector<store::JobListing> jobs, store_.list_jobs(""));
  for (const store::JobListing& listing : jobs) {
    const job::Job& job = listing.job;
    const Time planned = job.planned_through;
    const bool once = job.definition.schedule.kind == job::ScheduleKind::at;
    if ((!repeats(job) && !once) || planned <= work.now + kNotableSilence) continue;
    if (planned > work.now + kBelievable) {
      TRY(const std::optional<Time> until, replan(work, job));
      if (until && *until > work.now + kNotableSilence) silence[job.name] = *until;
      continue;
    }
    if (once) continue;
    const auto fires = series_of(job);
    if (job.paused || !job.next_fire || !fires) continue;
    if (fires->count(work.now, planned).count > 0) silence[job.name] = planned;
  }
  return silence;
}

// Until when the job is silent all the same; nothing: its next fire will be run.
Result<std::optional<Time>> Runner::replan(Work& work, job::Job job) {
  job::Schedule& schedule = job.definition.schedule;
  // The grid of an interval begins at its anchor: one that lies ahead only because the clock was
  // wrong moves back along the grid.
  if (schedule.kind == job::ScheduleKind::every && schedule.anchor > work.now) {
    const std::int64_t periods = (schedule.anchor - work.now) / schedule.every + 1;
    schedule.anchor -= periods * schedule.every;
    TRY_VOID(store_.update_job(job));
  }
  const auto fires = series_of(job);
  if (!fires) return std::nullopt;
  TRY(const std::optional<Time> free_from, take_back(work, job, *fires));
  std::optional<Time> next = fires->next_after(work.now);
  if (job.has_had_all_runs(policy_of(job))) next.reset();
  // A paused job is looked at when its pause ends.
  TRY_VOID(store_.set_planned(job.id, work.now, job.paused ? job.next_fire : next));
  if (job.paused || !next || !repeats(job)) return std::nullopt;
  TRY(const std::optional<job::Run> known, row_at(job, *next));
  if (!known || known->state == job::RunState::pending) return std::nullopt;
  return std::min(job.planned_through, free_from.value_or(job.planned_through));
}

// The first fire that is free again.
Result<std::optional<Time>> Runner::take_back(Work& work, const job::Job& job,
                                              const job::FireSeries& fires) {
  std::optional<Time> first;
  const job::Policy policy = policy_of(job);
  TRY(std::vector<job::Run> rows,
      store_.list_runs({.job_id = job.id,
                        .states = {job::RunState::missed, job::RunState::skipped},
                        .since = work.now + kTick,
                        .cause = job::Cause::schedule,
                        .by_fire_time = true,
                        .limit = kMostRows}));
  for (job::Run& row : rows) {
    if (row.reason == job::Reason::schedule_changed || row.reason == job::Reason::removed) continue;
    const auto past = job::count_planned(fires, row.reason, row.fire_time, work.now);
    row.count = 1 + past.count;
    row.last_fire_time = past.count > 0 ? std::optional(past.last) : std::nullopt;
    if (row.fire_time > work.now) {
      first = std::min(first.value_or(row.fire_time), row.fire_time);
      // What a calendar rules out it would rule out again.
      const bool waits = !job.paused && row.reason != job::Reason::excluded;
      if (waits) {
        row.state = job::RunState::pending;
        row.reason = job::Reason::none;
        row.waits = false;
        row.due_at = row.fire_time + job::jitter_of(policy.jitter, job.seed(), row.fire_time);
      }
    }
    TRY_VOID(store_.update_run(row, row.fence));
  }
  return first;
}

Result<std::optional<job::Run>> Runner::row_at(const job::Job& job, Time fire) {
  TRY(std::vector<job::Run> rows, store_.list_runs({.job_id = job.id,
                                                    .since = fire,
                                                    .until = fire + kTick,
                                                    .cause = job::Cause::schedule,
                                                    .limit = 1}));
  if (rows.empty()) return std::nullopt;
  return std::move(rows.front());
}

// --- fires that turn out to have their row -------------------------------------------------------

// Of a stretch that meets rows of before, what lies between those is recorded, so that each fire
// still has one row.
Result<std::vector<job::Run>> Runner::record_around_known(Work& work, const job::Job& job,
                                                          const job::Plan& plan,
                                                          const std::vector<job::Run>& written) {
  std::vector<job::Run> all = written;
  const auto fires = series_of(job);
  if (!fires) return all;
  job::Plan pieces{{}, plan.planned_through, plan.next_fire};
  for (const job::Planned& planned : plan.rows) {
    const bool is_new = std::ranges::any_of(
        written, [&](const job::Run& run) { return run.fire_time == planned.fire_time; });
    if (is_new) continue;
    if (planned.state == job::RunState::pending) TRY_VOID(note_known(work, job, planned.fire_time));
    if (planned.count == 1) continue;
    const Time last = *planned.last_fire_time;
    TRY(std::vector<job::Run> known, store_.list_runs({.job_id = job.id,
                                                       .since = planned.fire_time,
                                                       .until = last + kTick,
                                                       .cause = job::Cause::schedule,
                                                       .by_fire_time = true,
                                                       .limit = kMostRows}));
    // Were there more, what lies before the earliest of these has its rows, or most of it.
    Time after = known.size() < kMostRows ? planned.fire_time - kTick : end_of(known.back());
    // The gap after the last of them ends where the stretch does.
    job::Run beyond;
    beyond.fire_time = last + kTick;
    known.insert(known.begin(), beyond);
    for (auto row = known.rbegin(); row != known.rend(); ++row) {
      const auto piece = job::count_planned(*fires, planned.reason, after, row->fire_time - kTick);
      after = end_of(*row);
      if (piece.count == 0) continue;
      job::Planned part = planned;
      part.fire_time = part.due_at = piece.first;
      part.count = piece.count;
      part.last_fire_time = piece.count > 1 ? std::optional(piece.last) : std::nullopt;
      pieces.rows.push_back(part);
    }
  }
  if (pieces.rows.empty()) return all;
  TRY(const std::vector<job::Run> more,
      store::record_plan(store_, job, policy_of(job), pieces, work.now));
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

// A fire is due that has its row: the clock came this way before. That may go on for long.
Result<void> Runner::note_known(Work& work, const job::Job& job, Time fire) {
  if (work.silent_until && fire <= *work.silent_until) return {};
  TRY(const std::optional<job::Run> known, row_at(job, fire));
  if (!known || known->state == job::RunState::pending) return {};
  work.run_line(
      log::Level::info, "run-known", *known,
      {{"fire", format_rfc3339(fire)}, {"effect", "it has its row and is not run again"}});
  TRY(const std::vector<job::Run> latest,
      store_.list_runs(
          {.job_id = job.id, .cause = job::Cause::schedule, .by_fire_time = true, .limit = 1}));
  const Time until = latest.empty() ? fire : end_of(latest.front());
  if (until <= work.now + kNotableSilence) return {};
  work.line(log::Level::warning, "job-silent",
            {{"job", job.name}, {"until", format_rfc3339(until)}});
  return begin_silence(work, {{job.name, until}}, "the clock was set back");
}

// --- the alert
// ------------------------------------------------------------------------------------

Result<void> Runner::begin_silence(Work& work, const Silence& silence, const std::string& cause) {
  if (silence.empty()) {
    if (work.silent_until) work.silent_until = work.now;
    return {};
  }
  Time until{};
  for (const auto& [job, end] : silence) until = std::max(until, end);
  work.dirty = true;
  work.silent_until = until;
  TRY_VOID(episodes_.begin({.kind = job::AlertKind::clock_jump,
                            .expected_at = until,
                            .detail = silence_words(silence),
                            .cause = cause},
                           settings_.tuning.voice.rules, work.now));
  TRY(std::optional<job::Alert> alert,
      store_.latest_alert(JobId{}, job::AlertKind::clock_jump, ""));
  if (!alert || alert->expected_at == until) return {};
  alert->expected_at = until;
  return store_.update_alert(*alert);
}

Result<void> Runner::end_silence(Work& work) {
  if (!work.silent_until || work.now < *work.silent_until) return {};
  work.silent_until.reset();
  work.dirty = true;
  return episodes_.end(JobId{}, {job::AlertKind::clock_jump}, job::AlertEnd::recovered, work.now);
}

}  // namespace schedctl::runner
