#include "schedctl/ops/next.hpp"

#include <algorithm>
#include <limits>

#include "schedctl/job/plan.hpp"
#include "src/ops/compile.hpp"
#include "src/ops/fire_notes.hpp"
#include "src/ops/why_words.hpp"

namespace schedctl::ops {
namespace {

/// Enough for any reader; `next` is no way to export a calendar.
constexpr std::size_t kMostFires = 10'000;
constexpr std::int64_t kNoEnd = std::numeric_limits<std::int64_t>::max();

void add(std::string& note, const std::string& more) {
  if (more.empty()) return;
  note += (note.empty() ? "" : "; ") + more;
}

/// What a job adds to the fires of its schedule.
class JobNotes {
 public:
  JobNotes(const Context& context, const job::Job& job)
      : job_(job), policy_(job::resolve(job.definition.policy, context.config.defaults)) {}

  /// So many of the fires after `from` will have a run at most (max_runs), if all before it do.
  std::int64_t runs_left(const job::FireSeries& series, Time from) const {
    if (policy_.max_runs <= 0) return kNoEnd;
    const std::int64_t before =
        from > job_.planned_through ? series.count(job_.planned_through, from).count : 0;
    return std::max<std::int64_t>(policy_.max_runs - job_.run_count - before, 0);
  }
  bool is_counted(Time fire) const { return fire > job_.planned_through && !is_paused(fire); }
  std::string of(Time fire) const {
    std::string note;
    if (is_paused(fire)) add(note, "paused: will not run");
    const Duration jitter = job::jitter_of(policy_.jitter, job_.seed(), fire);
    if (jitter > Duration::zero()) add(note, "starts " + rough(jitter) + " later (jitter)");
    return note;
  }

 private:
  bool is_paused(Time fire) const {
    return job_.paused && (!job_.paused_until || fire <= *job_.paused_until);
  }

  const job::Job& job_;
  job::Policy policy_;
};

/// Walks the fires of a schedule, and of a job where there is one.
Result<std::vector<Fire>> walk(const Context& context, const job::Schedule& schedule,
                               std::uint64_t seed, const JobNotes* of_job, Time from,
                               std::size_t n) {
  if (n > kMostFires) {
    return fail(ErrorKind::usage, "at most " + std::to_string(kMostFires) + " fires at once");
  }
  TRY(const job::ZonePtr zone, zone_of(context, schedule));
  TRY(const job::FireSeries series, series_of(context, schedule, seed));
  const FireNotes notes(schedule, zone, seed);
  std::int64_t left = of_job != nullptr ? of_job->runs_left(series, from) : kNoEnd;
  std::vector<Fire> fires;
  bool begins = schedule.not_before && from < *schedule.not_before;
  while (fires.size() < n) {
    const std::optional<Time> fire = series.next_after(from);
    if (!fire) break;
    if (left != kNoEnd && of_job->is_counted(*fire) && left-- <= 0) break;
    Fire& one = fires.emplace_back();
    one.at = *fire;
    one.local = job::format_local(*fire, *zone);
    one.note = notes.of(series, *fire);
    add(one.note, notes.left_out(series, from, *fire));
    if (of_job != nullptr) add(one.note, of_job->of(*fire));
    if (begins) add(one.note, "the first one (not_before)");
    begins = false;
    if (left == 0) {
      add(one.note, "the last one (max_runs)");
    } else if (schedule.until && !series.next_after(*fire)) {
      add(one.note, "the last one (until)");
    }
    from = *fire;
  }
  return fires;
}

}  // namespace

Result<std::vector<Fire>> Ops::next(const job::Schedule& schedule, std::uint64_t seed, Time from,
                                    std::size_t n) {
  return walk(context_, schedule, seed, nullptr, from, n);
}

Result<std::vector<Fire>> next_of_job(const Context& context, const job::Job& job, Time from,
                                      std::size_t n) {
  const JobNotes notes(context, job);
  return walk(context, job.definition.schedule, job.seed(), &notes, from, n);
}

}  // namespace schedctl::ops
