#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "schedctl/store/store.hpp"

namespace schedctl::store::memory {

struct AttemptRow {
  RunId run_id;
  job::AttemptResult result;
};

/// Everything a transaction may change. A copy of it is what rollback() puts back.
struct Tables {
  std::map<JobId, job::Job> jobs;
  std::map<RunId, job::Run> runs;
  std::deque<AttemptRow> attempts;
  std::map<std::string, Node> nodes;
  std::deque<Event> events;
  std::deque<Audit> audits;
  std::map<AlertId, job::Alert> alerts;
  std::map<MessageId, Message> messages;
  std::map<std::string, NotifierState> notifiers;
  std::deque<JobVersion> versions;
  std::map<BackfillId, Backfill> backfills;
  std::int64_t last_alert_id = 0;
  std::int64_t last_message_id = 0;
  std::int64_t last_backfill_id = 0;
  std::int64_t last_job_id = 0;
  std::int64_t last_run_id = 0;
};

inline Time last_fire(const job::Run& run) {
  return run.last_fire_time.value_or(run.fire_time);
}

// The verbs by which history goes; history.cpp.
HistoryPage history(const Tables& tables, const HistoryFilter& filter);
std::vector<Surplus> surplus_runs(const Tables& tables, JobId after, std::int64_t keep,
                                  std::size_t limit);
std::int64_t delete_runs(Tables& tables, const std::vector<RunId>& ids);
void forget_outputs(Tables& tables, const std::vector<RunId>& ids);
/// All in one page.
RecordPage prune_records(Tables& tables, const RecordFilter& filter);

}  // namespace schedctl::store::memory
