#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "schedctl/job/schedule.hpp"
#include "schedctl/store/store.hpp"

namespace schedctl::store {

/// Fires in the range of one backfill: their rows can still be read to be counted, and whoever
/// wants more can ask for one part after the other.
inline constexpr std::int64_t kMostBackfillFires = 10'000;

/// The job's schedule as it was when the backfill was asked for; as it is now if that is not known
/// any more. A backfill keeps to it whatever becomes of the job's schedule meanwhile.
Result<job::Schedule> schedule_of(Store& store, const Backfill& backfill, const job::Job& job);

/// The fires of [from, to) that a backfill runs: all of them, or only those that are missing.
/// Missing is a fire of which no run has succeeded, be it a scheduled one or that of an earlier
/// backfill, and of which no scheduled run is pending or running.
class BackfillFires {
 public:
  /// `backfill.missing` says which of the two; then the store is asked for the runs of earlier
  /// backfills.
  static Result<BackfillFires> make(Store& store, const Backfill& backfill, job::FireSeries series);

  struct Look {
    std::optional<Time> fire;  ///< the first fire after `through` that is to run
    Time through{};            ///< every fire up to and including this instant need not
    bool more = false;         ///< no such fire among the first `most`: look again from `through`
  };
  /// What follows `through`; asks the store about `most` fires at most.
  Result<Look> next(Store& store, Time through, std::size_t most) const;

 private:
  BackfillFires(JobId job, Time to, job::FireSeries series, bool only_missing)
      : job_(job), to_(to), series_(std::move(series)), only_missing_(only_missing) {}
  Result<bool> is_missing(Store& store, Time fire) const;

  JobId job_;
  Time to_;
  job::FireSeries series_;
  bool only_missing_;
  std::set<Time> done_;  ///< succeeded in earlier backfills; empty if all fires are wanted
};

/// Counts the runs of a backfill by their state; a second count reads only what can have changed.
class BackfillTally {
 public:
  using Counts = std::map<job::RunState, std::int64_t>;

  explicit BackfillTally(BackfillId id) : id_(id) {}
  Result<void> count(Store& store);

  std::int64_t in(job::RunState state) const;
  std::int64_t runs() const;   ///< fires that have their run
  std::int64_t ended() const;  ///< runs in a final state
  /// Ended, but not well.
  std::int64_t unsuccessful() const { return ended() - in(job::RunState::succeeded); }
  const Counts& counts() const { return counts_; }

 private:
  BackfillId id_;
  Time settled_before_ = Time::min();  ///< all runs that fired before have ended
  Counts settled_;                     ///< those
  Counts counts_;
};

}  // namespace schedctl::store
