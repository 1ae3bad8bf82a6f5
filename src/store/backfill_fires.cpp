#include "schedctl/store/backfill_fires.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace schedctl::store {
namespace {

using job::RunState;

constexpr Duration kTick{1};
/// Rows read at once: each may carry the tail of its output.
constexpr std::size_t kPage = 500;
/// Earlier backfills of one job that are asked.
constexpr std::size_t kEarlier = 1000;

/// Calls `see` for every run of the backfill that fired in [since, until), latest fire first. They
/// were written in the order of their fires.
template <class See>
Result<void> each_run(Store& store, BackfillId id, Time since, std::optional<Time> until,
                      std::vector<RunState> states, const See& see) {
  RunFilter filter;
  filter.backfill = id;
  filter.since = since;
  filter.until = until;
  filter.states = std::move(states);
  filter.limit = kPage;
  while (true) {
    TRY(const std::vector<job::Run> page, store.list_runs(filter));
    for (const job::Run& run : page) see(run);
    if (page.size() < kPage) return {};
    filter.until = page.back().fire_time;
  }
}

std::int64_t sum(const BackfillTally::Counts& counts, bool ended_only) {
  std::int64_t total = 0;
  for (const auto& [state, count] : counts) total += !ended_only || is_final(state) ? count : 0;
  return total;
}

}  // namespace

Result<job::Schedule> schedule_of(Store& store, const Backfill& backfill, const job::Job& job) {
  TRY(const std::vector<JobVersion> versions, store.versions_of(backfill.job_name));
  const JobVersion* then = nullptr;
  for (const JobVersion& version : versions) {
    const bool known = version.job_id == backfill.job_id && version.since <= backfill.created_at;
    if (known && (then == nullptr || version.version > then->version)) then = &version;
  }
  return then != nullptr ? then->definition.schedule : job.definition.schedule;
}

Result<BackfillFires> BackfillFires::make(Store& store, const Backfill& backfill,
                                          job::FireSeries series) {
  BackfillFires fires(backfill.job_id, backfill.to, std::move(series), backfill.missing);
  if (!backfill.missing) return fires;
  TRY(const std::vector<Backfill> all,
      store.list_backfills({.job_id = backfill.job_id, .limit = kEarlier}));
  for (const Backfill& earlier : all) {
    const bool overlaps = earlier.from < backfill.to && backfill.from < earlier.to;
    if (earlier.id == backfill.id || !overlaps) continue;
    TRY_VOID(each_run(store, earlier.id, backfill.from, backfill.to, {RunState::succeeded},
                      [&](const job::Run& run) { fires.done_.insert(run.fire_time); }));
  }
  return fires;
}

Result<BackfillFires::Look> BackfillFires::next(Store& store, Time through,
                                                std::size_t most) const {
  for (std::size_t looks = 0; looks < most; ++looks) {
    const std::optional<Time> fire = series_.next_after(through);
    if (!fire || *fire >= to_) return Look{.fire = {}, .through = through};
    TRY(const bool wanted, is_missing(store, *fire));
    if (wanted) return Look{.fire = fire, .through = through};
    through = *fire;
  }
  return Look{.fire = {}, .through = through, .more = true};
}

Result<bool> BackfillFires::is_missing(Store& store, Time fire) const {
  if (!only_missing_) return true;
  if (done_.contains(fire)) return false;
  // Rows of a job's schedule do not overlap: the latest that begins in time is the only one that
  // can reach the fire.
  TRY(const std::vector<job::Run> rows, store.list_runs({.job_id = job_,
                                                         .until = fire + kTick,
                                                         .cause = job::Cause::schedule,
                                                         .by_fire_time = true,
                                                         .limit = 1}));
  if (rows.empty() || rows[0].last_fire_time.value_or(rows[0].fire_time) < fire) return true;
  return is_final(rows[0].state) && rows[0].state != RunState::succeeded;
}

Result<void> BackfillTally::count(Store& store) {
  std::vector<std::pair<Time, RunState>> found;
  TRY_VOID(each_run(store, id_, settled_before_, std::nullopt, {},
                    [&](const job::Run& run) { found.emplace_back(run.fire_time, run.state); }));
  std::ranges::sort(found);
  Counts counts = settled_;
  bool settled = true;
  for (const auto& [fire, state] : found) {
    ++counts[state];
    settled = settled && is_final(state);
    if (!settled) continue;
    ++settled_[state];
    settled_before_ = fire + kTick;
  }
  counts_ = std::move(counts);
  return {};
}

std::int64_t BackfillTally::in(RunState state) const {
  const auto found = counts_.find(state);
  return found == counts_.end() ? 0 : found->second;
}

std::int64_t BackfillTally::runs() const {
  return sum(counts_, false);
}

std::int64_t BackfillTally::ended() const {
  return sum(counts_, true);
}

}  // namespace schedctl::store
