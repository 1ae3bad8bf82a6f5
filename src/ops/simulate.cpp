// A job that fires often is counted, by slot and by minute; only one with few fires is walked. So
// the work grows with the number of jobs and with the length of the span, never with the number of
// fires.

#include "schedctl/ops/simulate.hpp"

#include <algorithm>

#include "schedctl/job/plan.hpp"
#include "src/ops/compile.hpp"
#include "src/ops/why_words.hpp"

namespace schedctl::ops {
namespace {

constexpr Duration kTick{1};
constexpr Duration kMinute = std::chrono::minutes(1);
/// A job with more fires than this in the span is counted.
constexpr std::int64_t kWalked = 2000;
/// The latest runs of a job say how long it takes.
constexpr std::size_t kSample = 20;
/// Rows of the table of slots.
constexpr std::int64_t kSlots = 48;

struct Length {
  Duration median{};
  Duration p95{};
  std::int64_t sample = 0;
};

/// Starts and ends of runs; +1 and -1.
using Edges = std::vector<std::pair<Time, int>>;

Duration slot_of(Duration span) {
  using std::chrono::hours;
  for (const auto h : {1, 3, 6, 24, 7 * 24}) {
    if (span / hours(h) <= kSlots) return hours(h);
  }
  return hours(30 * 24);
}

class Simulator {
 public:
  Simulator(const Context& context, const job::Zone& zone, Time from, Time to)
      : context_(context),
        zone_(zone),
        minutes_begin_(std::chrono::floor<std::chrono::minutes>(from)) {
    out_.from = from;
    out_.to = to;
    out_.slot = slot_of(to - from);
    out_.max_running = context.config.command_slots().most;
    divide(zone);
    const Duration looked_at = std::min(to - minutes_begin_, Simulation::kMinutesSpan);
    out_.minutes_cut = minutes_begin_ + looked_at < to;
    minutes_end_ = minutes_begin_ + looked_at;
    minutes_.resize(static_cast<std::size_t>((looked_at + kMinute - kTick) / kMinute));
  }

  Result<Simulation> run() {
    TRY(const std::vector<store::JobListing> jobs, context_.store.list_jobs(""));
    out_.jobs = static_cast<std::int64_t>(jobs.size());
    for (const store::JobListing& listing : jobs) TRY_VOID(lay(listing.job));
    name_busiest();
    find_peak();
    std::ranges::stable_sort(out_.overlaps, std::greater{}, &Simulation::Overlap::skipped);
    return std::move(out_);
  }

 private:
  /// Slots begin at full hours, days or weeks of the wall clock; only the first begins at `from`.
  void divide(const job::Zone& zone) {
    using std::chrono::floor, std::chrono::seconds;
    out_.slots.push_back({out_.from, 0});
    const CivilTime civil = zone.civil(out_.from);
    // 1970-01-05 was a Monday.
    const CivilTime monday{std::chrono::days(4)};
    const auto length = std::chrono::duration_cast<seconds>(out_.slot);
    auto past = (civil - monday) % length;
    if (past < seconds(0)) past += length;
    for (CivilTime next = civil - past + length;; next += length) {
      const job::CivilMeaning meaning = zone.meaning(next);
      const bool skipped = meaning.kind == job::CivilMeaning::Kind::skipped;
      const Time at = skipped ? meaning.transition : meaning.first;
      if (at >= out_.to) return;
      add_slot(at);
      // An hour that comes twice is two slots, or it would look busier than the others.
      const bool twice = meaning.kind == job::CivilMeaning::Kind::repeated;
      if (twice && out_.slot <= meaning.second - meaning.first) add_slot(meaning.second);
    }
  }

  void add_slot(Time at) {
    if (at > out_.slots.back().from && at < out_.to) out_.slots.push_back({at, 0});
  }

  Time end_of(std::size_t slot) const {
    return slot + 1 < out_.slots.size() ? out_.slots[slot + 1].from : out_.to;
  }

  /// What one job does in the span, as far as it is allowed to fire there.
  struct Lane {
    const job::Job& job;
    const job::FireSeries& fires;
    job::Policy policy;
    Time from;  ///< fires lie in (from, to]
    Time to;
    std::int64_t count = 0;
    Length length;
  };

  Result<void> lay(const job::Job& job) {
    const job::Policy policy = job::resolve(job.definition.policy, context_.config.defaults);
    const auto made = series_of(context_, job.definition.schedule, job.seed());
    if (!made) return idle(job, "it cannot be planned: " + quoted_line(made.error().message));
    Lane lane{job, *made, policy, out_.from - kTick, out_.to - kTick, 0, {}};
    if (job.paused) {
      if (!job.paused_until || *job.paused_until >= lane.to) return idle(job, "paused");
      lane.from = std::max(lane.from, *job.paused_until);
    }
    if (is_set_aside(lane)) {
      return idle(job, "set aside, see schedctl why " + job.name);
    }
    limit_runs(lane);
    lane.count = lane.fires.count(lane.from, lane.to).count;
    if (lane.count == 0) return idle(job, why_idle(lane));
    out_.fires += lane.count;
    TRY(lane.length, length_of(job));
    if (lane.length.sample == 0) out_.unmeasured.push_back(job.name);
    lane.count <= kWalked ? walk(lane) : count(lane);
    return {};
  }

  Result<void> idle(const job::Job& job, std::string why) {
    out_.idle.push_back({job.name, std::move(why)});
    return {};
  }

  /// Fires to come, and none of them in its row: the daemon could not plan it.
  static bool is_set_aside(const Lane& lane) {
    return !lane.job.paused && !lane.job.next_fire && !lane.job.has_had_all_runs(lane.policy) &&
           lane.fires.next_after(lane.job.planned_through);
  }

  std::string why_idle(const Lane& lane) const {
    const job::Schedule& schedule = lane.job.definition.schedule;
    if (schedule.kind == job::ScheduleKind::manual) return "only triggered by hand";
    if (schedule.kind == job::ScheduleKind::reboot) return "only after a boot";
    if (lane.job.has_had_all_runs(lane.policy)) return "it has had all its runs (max_runs)";
    const auto next = lane.fires.next_after(lane.to);
    return next ? "next at " + Moments(zone_, *next, *next).full(*next) : "no more fires";
  }

  /// What max_runs leaves of the fires: the span ends with the last of them.
  static void limit_runs(Lane& lane) {
    if (lane.policy.max_runs <= 0) return;
    const Time since = lane.job.planned_through;
    std::int64_t left = lane.policy.max_runs - lane.job.run_count;
    // Those up to `since` have been planned already, and are no part of what is left.
    left += lane.from > since ? -lane.fires.count(since, lane.from).count
                              : lane.fires.count(lane.from, since).count;
    if (left <= 0) {
      lane.to = lane.from;
      return;
    }
    if (lane.fires.count(lane.from, lane.to).count <= left) return;
    Time low = lane.from, high = lane.to;  // (from, low] has at most `left`, (from, high] more
    while (high - low > kTick) {
      const Time middle = low + (high - low) / 2;
      (lane.fires.count(lane.from, middle).count <= left ? low : high) = middle;
    }
    lane.to = low;
  }

  Result<Length> length_of(const job::Job& job) const {
    using job::RunState;
    TRY(const std::vector<job::Run> runs,
        context_.store.list_runs({.job_id = job.id,
                                  .states = {RunState::succeeded, RunState::failed},
                                  .cause = job::Cause::schedule,
                                  .by_fire_time = true,
                                  .limit = kSample}));
    std::vector<Duration> lengths;
    for (const job::Run& run : runs) {
      if (!run.result.started_at || !run.result.ended_at) continue;
      lengths.push_back(std::max(Duration{}, *run.result.ended_at - *run.result.started_at));
    }
    Length length;
    if (lengths.empty()) return length;
    std::ranges::sort(lengths);
    length.sample = static_cast<std::int64_t>(lengths.size());
    length.median = lengths[lengths.size() / 2];
    length.p95 = lengths[std::min(lengths.size() - 1, lengths.size() * 95 / 100)];
    return length;
  }

  // --- few fires -------------------------------------------------------------------------------

  void walk(const Lane& lane) {
    const bool side_by_side = lane.policy.overlap == job::Overlap::allow;
    std::int64_t skipped = 0;
    Time busy = Time::min(), slow_busy = Time::min();
    std::size_t slot = 0;
    std::optional<Time> fire = lane.fires.next_after(lane.from);
    for (; fire && *fire <= lane.to; fire = lane.fires.next_after(*fire)) {
      const Time start = *fire + job::jitter_of(lane.policy.jitter, lane.job.seed(), *fire);
      while (*fire >= end_of(slot)) ++slot;
      ++out_.slots[slot].fires;
      if (*fire < minutes_end_) add_minute(*fire, 1, lane.job.name);
      if (start < slow_busy) {
        ++skipped;
      } else {
        slow_busy = start + lane.length.p95;
      }
      if ((start < busy && !side_by_side) || lane.length.median == Duration{}) continue;
      busy = start + lane.length.median;
      edges_.emplace_back(start, 1);
      edges_.emplace_back(busy, -1);
    }
    if (skipped > 0) add_overlap(lane, skipped);
  }

  void add_minute(Time t, std::int64_t fires, const std::string& job) {
    Bin& bin = minutes_[static_cast<std::size_t>((t - minutes_begin_) / kMinute)];
    bin.fires += fires;
    // Jobs come one after the other: one that is there already was the last to come.
    bin.jobs += bin.last_job == &job ? 0 : 1;
    bin.last_job = &job;
  }

  /// Under another policy than skip nothing is skipped for it.
  void add_overlap(const Lane& lane, std::int64_t skipped) {
    if (lane.policy.overlap != job::Overlap::skip) return;
    out_.overlaps.push_back({lane.job.name, lane.count, skipped, lane.length.median,
                             lane.length.p95, lane.length.sample});
  }

  // --- many fires ------------------------------------------------------------------------------

  void count(const Lane& lane) {
    for (std::size_t i = 0; i < out_.slots.size(); ++i) {
      Simulation::Slot& slot = out_.slots[i];
      slot.fires += inside(lane, slot.from, end_of(i) - slot.from);
    }
    for (std::size_t i = 0; i < minutes_.size(); ++i) {
      const Time at = minutes_begin_ + static_cast<std::int64_t>(i) * kMinute;
      const std::int64_t fires = inside(lane, at, kMinute);
      if (fires > 0) add_minute(at, fires, lane.job.name);
    }
    // So often that it fires evenly: each run blocks the fires of its length.
    const Duration gap = (lane.to - lane.from) / lane.count;
    if (lane.length.p95 > gap) {
      const std::int64_t blocked = lane.length.p95 / gap;
      add_overlap(lane, lane.count * blocked / (blocked + 1));
    }
    if (lane.length.median > gap / 2) {
      edges_.emplace_back(lane.from, 1);
      edges_.emplace_back(lane.to, -1);
    }
  }

  static std::int64_t inside(const Lane& lane, Time from, Duration length) {
    const Time after = std::max(lane.from, from - kTick);
    const Time through = std::min(lane.to, from + length - kTick);
    return after < through ? lane.fires.count(after, through).count : 0;
  }

  // --- all together ----------------------------------------------------------------------------

  void name_busiest() {
    std::vector<std::size_t> order(minutes_.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    const auto busier = [this](std::size_t a, std::size_t b) {
      return minutes_[a].fires != minutes_[b].fires ? minutes_[a].fires > minutes_[b].fires : a < b;
    };
    const auto middle = order.begin() + static_cast<std::ptrdiff_t>(order.size() / 2);
    std::ranges::nth_element(order, middle, busier);
    out_.usual_minute = minutes_[*middle].fires;
    const std::size_t shown = std::min(order.size(), Simulation::kBusiest);
    std::ranges::partial_sort(order, order.begin() + static_cast<std::ptrdiff_t>(shown), busier);
    for (std::size_t i = 0; i < shown; ++i) {
      const Bin& bin = minutes_[order[i]];
      if (bin.fires < 2 || bin.fires <= out_.usual_minute) break;
      const Time at = minutes_begin_ + static_cast<std::int64_t>(order[i]) * kMinute;
      out_.busiest.push_back({at, bin.fires, {}, bin.jobs});
    }
  }

  void find_peak() {
    // An end at the moment of a start makes room for it.
    std::ranges::sort(edges_);
    std::int64_t live = 0;
    for (const auto& [at, change] : edges_) {
      live += change;
      if (live <= out_.peak) continue;
      out_.peak = live;
      out_.peak_at = at;
    }
  }

  /// A minute.
  struct Bin {
    std::int64_t fires = 0;
    std::int64_t jobs = 0;
    const std::string* last_job = nullptr;
  };

  const Context& context_;
  const job::Zone& zone_;
  Time minutes_begin_{};
  Simulation out_;
  Time minutes_end_{};
  std::vector<Bin> minutes_;
  Edges edges_;
};

/// The names of the jobs that fire in the busiest minutes; only now is it known which those are.
Result<void> name_jobs(const Context& context, Simulation& simulation) {
  TRY(const std::vector<store::JobListing> jobs, context.store.list_jobs(""));
  for (const store::JobListing& listing : jobs) {
    const job::Job& job = listing.job;
    const auto fires = series_of(context, job.definition.schedule, job.seed());
    if (!fires) continue;
    for (Simulation::Minute& minute : simulation.busiest) {
      if (minute.jobs.size() >= Simulation::kNamed) continue;
      const bool paused =
          job.paused && (!job.paused_until || *job.paused_until >= minute.at + kMinute);
      if (paused || !job.next_fire) continue;
      const std::int64_t here = fires->count(minute.at - kTick, minute.at + kMinute - kTick).count;
      if (here > 0) minute.jobs.push_back(job.name);
    }
  }
  return {};
}

}  // namespace

Result<Simulation> simulate(const Context& context, const job::Zone& zone, Time from, Time to) {
  if (to <= from) {
    return fail(ErrorKind::usage, "the span has to end after it begins", "to");
  }
  if (to - from > Simulation::kLongest) {
    return fail(ErrorKind::usage,
                "the span is longer than " +
                    std::to_string(Simulation::kLongest / std::chrono::hours(24)) + " days",
                "to");
  }
  TRY(Simulation simulation, Simulator(context, zone, from, to).run());
  TRY_VOID(name_jobs(context, simulation));
  return simulation;
}

}  // namespace schedctl::ops
