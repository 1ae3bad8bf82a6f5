#include "schedctl/store/gate.hpp"

namespace schedctl::store {
namespace {

/// Since when a success counts.
Time previous_fire(const job::Job& job, const job::FireSeries& fires, Time fire) {
  if (const auto before = fires.last_before(fire)) return *before;
  const job::Schedule& schedule = job.definition.schedule;
  // The first of a grid would have had one a period earlier. What fires once only begins its life
  // with the job.
  return schedule.kind == job::ScheduleKind::every ? fire - schedule.every : job.created_at;
}

}  // namespace

Result<std::vector<std::string>> awaited_jobs(Store& store, const job::Job& job,
                                              const std::vector<std::string>& after,
                                              const job::FireSeries& fires, Time fire) {
  const Time since = previous_fire(job, fires, fire);
  std::vector<std::string> awaited;
  for (const std::string& name : after) {
    TRY(const std::optional<job::Job> other, store.find_job(name));
    if (other) {
      TRY(const bool succeeded, store.has_succeeded(other->id, since));
      if (succeeded) continue;
    }
    awaited.push_back(name);
  }
  return awaited;
}

}  // namespace schedctl::store
