// Backfills. A run of a backfill is written in the beat that starts it, after everything else that
// was due has had its turn, and in the same transaction `through` moves past its fire: so that a
// daemon that is killed at any moment goes on with the very next fire, and what is due now never
// stands behind what was due last year. What falls due while a run of a backfill lives is not
// skipped for it but waits for that one run; where its runs may be side by side (max_parallel),
// they are in nobody's way.

#include <algorithm>

#include "schedctl/base/limits.hpp"
#include "schedctl/store/record_plan.hpp"
#include "work.hpp"

namespace schedctl::runner {
namespace {

using job::RunState;

/// Fires looked at in one beat for one that is missing.
constexpr std::size_t kLooks = 200;
/// Living runs of one job that are looked at for one in the way: more than a backfill has.
constexpr std::size_t kInTheWay = static_cast<std::size_t>(limits::kMaxParallel) + 100;

std::string range_words(const store::Backfill& backfill) {
  return format_rfc3339(backfill.from) + ".." + format_rfc3339(backfill.to);
}

}  // namespace

Result<void> Runner::backfill(Work& work) {
  TRY(std::vector<store::Backfill> open, store_.list_backfills({.open_only = true}));
  std::ranges::reverse(open);
  std::erase_if(watches_->backfills, [&open](const auto& known) {
    return std::ranges::find(open, known.first, &store::Backfill::id) == open.end();
  });
  for (store::Backfill& one : open) TRY_VOID(feed_backfill(work, std::move(one)));
  return {};
}

Result<void> Runner::feed_backfill(Work& work, store::Backfill backfill) {
  TRY(const std::optional<job::Job> job, store_.get_job(backfill.job_id));
  if (!job) return close_backfill(work, std::move(backfill), true, "its job was removed");
  const Result<const store::BackfillFires*> fires = fires_of(work, backfill, *job);
  if (!fires && fires.error().kind == ErrorKind::usage) {
    return close_backfill(work, std::move(backfill), true, fires.error().message);
  }
  if (!fires) return fail(fires.error());
  TRY(const std::vector<job::Run> living,
      store_.list_runs({.states = {RunState::pending, RunState::running},
                        .backfill = backfill.id,
                        .limit = static_cast<std::size_t>(limits::kMaxParallel)}));
  const Time before = backfill.through;
  const auto most = static_cast<std::size_t>(std::max(backfill.max_parallel, 1));
  std::size_t started = 0;
  bool over = false;
  while (living.size() + started < most) {
    TRY(const auto look, (*fires)->next(store_, backfill.through, kLooks));
    backfill.through = look.through;
    over = !look.fire && !look.more;
    work.again = work.again || look.more || started == limits::kRunsPerBeat;
    if (!look.fire || started == limits::kRunsPerBeat) break;
    TRY(const bool may_start, may_start_of(work, backfill, *job));
    if (!may_start) break;
    TRY_VOID(start_fire(work, backfill, *job, *look.fire));
    backfill.through = *look.fire;
    ++started;
  }
  if (over && living.empty() && started == 0) {
    return close_backfill(work, std::move(backfill), false, "");
  }
  if (backfill.through == before) return {};
  work.dirty = true;
  return store_.update_backfill(backfill);
}

Result<const store::BackfillFires*> Runner::fires_of(Work& work, const store::Backfill& backfill,
                                                     const job::Job& job) {
  const auto known = watches_->backfills.find(backfill.id);
  if (known != watches_->backfills.end()) return &known->second;
  TRY(const job::Schedule schedule, store::schedule_of(store_, backfill, job));
  auto zone = zones_.find(schedule.timezone);
  if (!zone) return fail(ErrorKind::usage, std::move(zone.error().message));
  TRY(job::FireSeries series,
      job::FireSeries::make(schedule, *zone, job.seed(),
                            job::CalendarSource(settings_.tuning.calendars, zones_)));
  TRY(store::BackfillFires fires, store::BackfillFires::make(store_, backfill, std::move(series)));
  const bool new_one = backfill.through < backfill.from;
  work.line(log::Level::info, new_one ? "backfill-begun" : "backfill-resumed",
            {{"job", backfill.job_name},
             {"backfill", backfill.id.value},
             {"range", range_words(backfill)},
             {"fires", backfill.fires},
             {"max_parallel", backfill.max_parallel}});
  return &watches_->backfills.emplace(backfill.id, std::move(fires)).first->second;
}

// Whether there is room for one more run, of the job and of this daemon.
Result<bool> Runner::may_start_of(Work& work, const store::Backfill& backfill,
                                  const job::Job& job) {
  if (!watches_->keeper.is_connected() && !work.adopted) return false;
  if (!work.adopted && !watches_->keeper.is_well(work.elapsed)) {
    work.wants_keeper = true;
    return false;
  }
  const auto most = static_cast<std::size_t>(std::max(settings_.tuning.max_running, 0));
  if (work.count_live(live_) >= most) return false;
  if (const std::string group = policy_of(job).group; !group.empty()) {
    if (count_groups(work)[group] >= limit_of(group)) return false;
  }
  if (backfill.max_parallel > 1) return true;
  TRY(const std::vector<job::Run> others,
      store_.list_runs({.job_id = backfill.job_id,
                        .states = {RunState::pending, RunState::running},
                        .limit = kInTheWay}));
  return std::ranges::none_of(others, [&work](const job::Run& run) {
    return run.occupies_slot() || run.due_at <= work.now;
  });
}

Result<void> Runner::start_fire(Work& work, const store::Backfill& backfill, const job::Job& job,
                                Time fire) {
  const job::Policy policy = policy_of(job);
  job::Run run = store::new_run(job, policy, job::Cause::backfill, fire, work.now);
  run.backfill = backfill.id;
  run.waits = true;
  run.forced = backfill.max_parallel > 1;
  TRY_VOID(store_.insert_run(run));
  return claim_run(work, std::move(run), job, policy);
}

Result<void> Runner::close_backfill(Work& work, store::Backfill backfill, bool cancelled,
                                    const std::string& why) {
  backfill.ended_at = work.now;
  backfill.cancelled = cancelled;
  TRY_VOID(store_.update_backfill(backfill));
  work.dirty = true;
  store::BackfillTally tally(backfill.id);
  TRY_VOID(tally.count(store_));
  std::vector<log::Field> fields{{"job", backfill.job_name},
                                 {"backfill", backfill.id.value},
                                 {"range", range_words(backfill)},
                                 {"fires", backfill.fires}};
  for (const auto& [state, count] : tally.counts()) {
    fields.emplace_back(job::to_string(state), count);
  }
  if (!why.empty()) fields.emplace_back("error", why);
  const bool well = tally.unsuccessful() == 0 && !cancelled;
  work.line(well ? log::Level::info : log::Level::warning,
            cancelled ? "backfill-ended" : "backfill-done", std::move(fields));
  return {};
}

}  // namespace schedctl::runner
