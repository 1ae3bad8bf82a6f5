// What keeps a run that is due from taking a free slot: the jobs that its own comes after, and the
// other runs of its group.
//
// A run that waits for other jobs is marked so in its row (`gated`), which keeps it out of the
// beats. Whether it may go on is asked again when anything has succeeded, and when somebody may
// have changed a job.

#include <algorithm>

#include "schedctl/store/gate.hpp"
#include "work.hpp"

namespace schedctl::runner {
namespace {

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

/// Whether these runs of a job, which have waited for others, run like what is caught up: where all
/// are wanted, none is skipped for another of them, nor for what its job does at that moment.
Result<bool> run_in_a_row(store::Store& store, const job::Policy& policy,
                          const std::vector<job::Run>& runs) {
  if (policy.coalesce != job::Coalesce::all) return false;
  if (runs.size() > 1) return true;
  if (policy.overlap != job::Overlap::skip) return false;
  TRY(const std::vector<job::Run> in_line,
      store.list_runs({.job_id = runs.front().job_id,
                       .states = {job::RunState::pending, job::RunState::running},
                       .in_line = true,
                       .limit = 1}));
  return !in_line.empty();
}

}  // namespace

void Runner::poked() {
  watches_->gates_stale = true;
}

Result<std::vector<std::string>> Runner::awaited_of(const job::Run& run, const job::Job& job,
                                                    const job::Policy& policy) {
  const bool has_gate = run.cause == job::Cause::schedule && run.fence == 0 && !run.forced;
  if (!has_gate || policy.after.empty()) return std::vector<std::string>{};
  const auto fires = series_of(job);
  // It cannot be planned any more, which people have been told; what is due is due.
  if (!fires) return std::vector<std::string>{};
  return store::awaited_jobs(store_, job, policy.after, *fires, run.fire_time);
}

// An earlier occurrence that still waits loses its turn to the one that waits now, unless all of
// them are wanted: then only those go that are too many.
Result<void> Runner::give_up_earlier(Work& work, const job::Run& run, const job::Policy& policy) {
  const bool all = policy.coalesce == job::Coalesce::all;
  const auto kept = static_cast<std::size_t>(all ? policy.max_catchup - 1 : 0);
  TRY(std::vector<job::Run> earlier, store_.gated_runs());
  std::erase_if(earlier, [&run](const job::Run& other) {
    return other.job_id != run.job_id || other.fire_time >= run.fire_time;
  });
  std::ranges::sort(earlier, {}, &job::Run::fire_time);
  for (std::size_t i = 0; i + kept < earlier.size(); ++i)
    TRY_VOID(withdraw(work, earlier[i], job::Happening::waited_too_long));
  return {};
}

// True: it has been marked.
Result<bool> Runner::stop_at_gate(Work& work, job::Run& run, const job::Job& job,
                                  const job::Policy& policy) {
  TRY(const std::vector<std::string> awaited, awaited_of(run, job, policy));
  if (awaited.empty()) return false;
  TRY_VOID(give_up_earlier(work, run, policy));
  run.gated = true;
  TRY_VOID(store_.update_run(run, run.fence));
  work.dirty = true;
  work.run_line(
      log::Level::info, "run-waits", run,
      {{"reason", "after"}, {"for", listed(awaited)}, {"fire", format_rfc3339(run.fire_time)}});
  return true;
}

Result<void> Runner::open_gates(Work& work) {
  if (!work.succeeded && !watches_->gates_stale) return {};
  work.asked_gates = true;
  TRY(const std::vector<job::Run> gated, store_.gated_runs());
  std::map<JobId, std::vector<job::Run>> open;
  for (const job::Run& run : gated) {
    TRY(const std::optional<job::Job> job, store_.get_job(run.job_id));
    if (job) {
      TRY(const std::vector<std::string> awaited, awaited_of(run, *job, policy_of(job)));
      if (!awaited.empty()) continue;
    }
    open[run.job_id].push_back(run);
  }
  for (auto& [id, runs] : open) {
    TRY(const std::optional<job::Job> job, store_.get_job(id));
    const job::Policy policy = policy_of(job);
    TRY(const bool in_a_row, run_in_a_row(store_, policy, runs));
    for (job::Run& run : runs) {
      run.gated = false;
      run.waits = run.waits || in_a_row;
      TRY_VOID(store_.update_run(run, run.fence));
      work.dirty = true;
      // From now on nothing but a slot is in its way, or what was due before it.
      watches_->late.await({run.job_id, run.id, work.now, work.now + policy.alert_grace});
    }
  }
  return {};
}

int Runner::limit_of(const std::string& group) const {
  const auto found = settings_.tuning.groups.find(group);
  return found == settings_.tuning.groups.end() ? 1 : found->second;
}

Runner::InGroups Runner::count_groups(const Work& work) const {
  InGroups count;
  for (const auto& [id, live] : live_) {
    if (live.group.empty() || work.over.contains(id)) continue;
    ++count[live.group];
  }
  for (const auto& [id, live] : work.begun) {
    const bool counted = live_.contains(id) && !work.over.contains(id);
    if (!live.group.empty() && !counted) ++count[live.group];
  }
  return count;
}

std::vector<std::string> Runner::full_groups(const InGroups& count) const {
  std::vector<std::string> full;
  for (const auto& [group, running] : count)
    if (running >= limit_of(group)) full.push_back(group);
  return full;
}

}  // namespace schedctl::runner
