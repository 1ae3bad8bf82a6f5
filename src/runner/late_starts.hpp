#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "schedctl/base/ids.hpp"
#include "schedctl/base/time.hpp"

namespace schedctl::runner {

/// The jobs of which a start is awaited: the earliest occurrence since the job last started, and
/// until when its start is in time. In memory only; the rows say all of it again at the next start.
class LateStarts {
 public:
  struct Awaited {
    JobId job;
    RunId run;        ///< pending, or skipped because the job still ran
    Time expected{};  ///< fire time + jitter
    Time deadline{};  ///< + alert_grace
  };

  /// Nothing changes if an earlier one of the job is awaited already.
  void await(const Awaited& awaited) {
    if (!by_job_.emplace(awaited.job, awaited).second) return;
    by_deadline_.emplace(awaited.deadline, awaited.job);
  }
  /// It has started, or need not any more.
  void forget(JobId job) {
    const auto found = by_job_.find(job);
    if (found == by_job_.end()) return;
    by_deadline_.erase({found->second.deadline, job});
    by_job_.erase(found);
  }
  bool empty() const { return by_job_.empty(); }
  std::optional<Time> next() const {
    if (by_deadline_.empty()) return std::nullopt;
    return by_deadline_.begin()->first;
  }
  /// Those whose deadline has passed, earliest first; they stay until forget().
  std::vector<Awaited> overdue(Time now) const {
    std::vector<Awaited> found;
    for (const auto& [deadline, job] : by_deadline_) {
      if (deadline > now) break;
      found.push_back(by_job_.at(job));
    }
    return found;
  }

 private:
  std::map<JobId, Awaited> by_job_;
  std::set<std::pair<Time, JobId>> by_deadline_;
};

}  // namespace schedctl::runner
