#include "schedctl/store/gate.hpp"

namespace schedctl::store {

Result<std::vector<std::string>> awaited_jobs(Store& store, const job::Job& job,
                                              const std::vector<std::string>& after,
                                              const job::FireSeries& fires, Time fire) {
  // What fires once only has no previous fire: its life begins with the job.
  const Time since = fires.last_before(fire).value_or(job.created_at);
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
