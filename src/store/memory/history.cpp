#include <algorithm>

#include "src/store/memory/tables.hpp"

namespace schedctl::store::memory {
namespace {

bool is_held(const Tables& tables, const job::Run& run, Time before) {
  const Time until = std::max({run.created_at, run.fire_time, last_fire(run),
                               run.result.ended_at.value_or(run.created_at)});
  if (!job::is_final(run.state) || until >= before) return true;
  const auto speaks = [&run](const auto& row) { return row.second.run == run.id; };
  if (std::ranges::any_of(tables.alerts, speaks)) return true;
  const auto backfill = tables.backfills.find(run.backfill);
  if (backfill != tables.backfills.end() && !backfill->second.ended_at) return true;
  const auto job = tables.jobs.find(run.job_id);
  if (job == tables.jobs.end()) return false;
  if (run.result.started_at && job->second.last_start == run.result.started_at) return true;
  return std::none_of(tables.runs.upper_bound(run.id), tables.runs.end(),
                      [&run](const auto& row) { return row.second.job_id == run.job_id; });
}

bool is_over(const job::Alert& alert, Time before) {
  if (alert.open() || alert.over_untold || alert.tell_at) return false;
  return std::max({alert.began_at, *alert.ended_at, alert.told_at.value_or(alert.began_at),
                   alert.silenced_until.value_or(alert.began_at)}) < before;
}

bool is_forgotten(const Tables& tables, const JobVersion& version) {
  const auto of_it = [&](const auto& run) { return run.second.job_id == version.job_id; };
  const auto removal = [&](const Audit& audit) {
    const bool removes = audit.action == "remove" || audit.detail.starts_with("removed");
    return audit.job == version.name && removes;
  };
  return !tables.jobs.contains(version.job_id) && std::ranges::none_of(tables.runs, of_it) &&
         std::ranges::none_of(tables.audits, removal);
}

}  // namespace

HistoryPage history(const Tables& tables, const HistoryFilter& filter) {
  HistoryPage page;
  page.last = filter.after;
  bool reached_youth = false;
  for (auto it = tables.runs.upper_bound(filter.after); it != tables.runs.end(); ++it) {
    const job::Run& run = it->second;
    if (filter.up_to && run.id > *filter.up_to) break;
    if (filter.job_id && run.job_id != *filter.job_id) continue;
    HistoryRun row{
        .id = run.id, .held = is_held(tables, run, filter.before), .attempts = 0, .files = {}};
    bool has_output = !run.result.output_path.empty() && job::is_final(run.state);
    if (!run.result.output_path.empty()) row.files.push_back(run.result.output_path);
    for (const AttemptRow& attempt : tables.attempts) {
      if (attempt.run_id != run.id) continue;
      ++row.attempts;
      has_output = has_output || !attempt.result.output_path.empty();
      if (!attempt.result.output_path.empty()) row.files.push_back(attempt.result.output_path);
    }
    if (filter.with_output && !has_output) continue;
    if (page.runs.size() >= filter.limit) break;
    page.last = run.id;
    reached_youth = run.created_at >= filter.before;
    page.runs.push_back(std::move(row));
  }
  page.more = page.runs.size() >= filter.limit && !reached_youth;
  return page;
}

std::vector<Surplus> surplus_runs(const Tables& tables, JobId after, std::int64_t keep,
                                  std::size_t limit) {
  std::vector<Surplus> jobs;
  for (auto it = tables.jobs.upper_bound(after); it != tables.jobs.end(); ++it) {
    if (jobs.size() >= limit) break;
    Surplus job{.job_id = it->first, .up_to = {}};
    std::int64_t younger = 0;
    for (auto run = tables.runs.rbegin(); run != tables.runs.rend() && !job.up_to; ++run)
      if (run->second.job_id == job.job_id && ++younger > keep) job.up_to = run->first;
    jobs.push_back(job);
  }
  return jobs;
}

std::int64_t delete_runs(Tables& tables, const std::vector<RunId>& ids) {
  std::int64_t removed = 0;
  for (const RunId id : ids) {
    auto it = tables.runs.find(id);
    if (it == tables.runs.end() || !job::is_final(it->second.state)) continue;
    tables.runs.erase(it);
    std::erase_if(tables.attempts, [id](const AttemptRow& row) { return row.run_id == id; });
    ++removed;
  }
  return removed;
}

void forget_outputs(Tables& tables, const std::vector<RunId>& ids) {
  for (const RunId id : ids) {
    auto it = tables.runs.find(id);
    if (it == tables.runs.end() || !job::is_final(it->second.state)) continue;
    it->second.result.output_path.clear();
    for (AttemptRow& row : tables.attempts)
      if (row.run_id == id) row.result.output_path.clear();
  }
}

RecordPage prune_records(Tables& tables, const RecordFilter& filter) {
  RecordPage page;
  const auto prune = [&](auto& rows, auto may_go) {
    if (filter.count_only)
      page.removed = std::ranges::count_if(rows, may_go);
    else
      page.removed = static_cast<std::int64_t>(std::erase_if(rows, may_go));
  };
  const Time before = filter.before;
  switch (filter.kind) {
    case RecordKind::event:
      prune(tables.events, [&](const Event& e) {
        const bool stays = e.kind == "zone-data" || e.kind == "calendars" || e.kind == "job-error";
        return e.at < before && !stays;
      });
      break;
    case RecordKind::audit:
      prune(tables.audits, [&](const Audit& a) { return a.at < before; });
      break;
    case RecordKind::message:
      prune(tables.messages,
            [&](const auto& row) { return row.second.settled_at.value_or(before) < before; });
      break;
    case RecordKind::alert:
      prune(tables.alerts, [&](const auto& row) { return is_over(row.second, before); });
      break;
    case RecordKind::backfill:
      prune(tables.backfills, [&](const auto& row) {
        const bool used = std::ranges::any_of(
            tables.runs, [&](const auto& run) { return run.second.backfill == row.first; });
        return row.second.ended_at.value_or(before) < before && !used;
      });
      break;
    case RecordKind::version:
      prune(tables.versions, [&](const JobVersion& version) {
        return version.since < before && is_forgotten(tables, version);
      });
      break;
  }
  return page;
}

}  // namespace schedctl::store::memory
