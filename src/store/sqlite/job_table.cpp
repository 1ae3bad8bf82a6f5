#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "src/store/sqlite/sqlite_store.hpp"
#include "src/store/sqlite/statements.hpp"
#include "src/store/sqlite/words.hpp"

// A row that this program cannot read (somebody edited it) must not stop the others. Where it
// matters what the job does (planning, showing, changing it), the row is an error of its own; a
// listing shows what could be read.

namespace schedctl::store::sqlite {
namespace {

template <class Enum>
std::optional<std::string> word_of(const std::optional<Enum>& value) {
  return value ? std::optional(std::string(to_string(*value))) : std::nullopt;
}

/// The policies with a column of their own; all others are in the column of `policies`.
constexpr auto kOwnColumn = std::to_array<std::string_view>(
    {"overlap", "misfire_grace", "coalesce", "jitter", "timeout", "kill_grace", "max_attempts",
     "backoff", "max_delay", "on_lost", "alert_grace", "max_catchup", "catchup_spread", "max_wait",
     "max_runs", "max_instances", "max_queued", "success_codes"});

std::optional<std::string> other_policies(const job::PolicyDraft& policy) {
  WordPairs pairs;
  for (const std::string& key : job::policy_keys()) {
    if (std::ranges::find(kOwnColumn, key) != kOwnColumn.end()) continue;
    if (auto value = job::policy_value(policy, key)) pairs.emplace_back(key, std::move(*value));
  }
  return encode_pairs(pairs);
}

/// Binds the columns of JOB.
void bind_job(Query& query, const job::Job& job) {
  const job::Definition& d = job.definition;
  query.bind_all(job.name, job.version, job.planned_through, job.next_fire, job.last_fire,
                 job.last_start, job.last_end, word_of(job.last_state), job.created_at, job.paused,
                 job.paused_at, job.paused_reason, job.managed_by, job.paused_until, job.run_count,
                 job.boot_id, job.defined_at);
  query.bind_all(to_string(d.schedule.kind), d.schedule.every, d.schedule.anchor, d.schedule.cron,
                 d.schedule.timezone, d.schedule.at, to_string(d.schedule.dst_gap),
                 to_string(d.schedule.dst_fold));
  query.bind_all(encode_words(d.action.command), d.action.shell, d.cwd, encode_pairs(d.env),
                 encode_words(d.tags));
  query.bind_all(word_of(d.policy.overlap), d.policy.misfire_grace, word_of(d.policy.coalesce),
                 d.policy.jitter, d.policy.timeout, d.policy.kill_grace, d.policy.max_attempts,
                 d.policy.backoff, d.policy.max_delay, word_of(d.policy.on_lost),
                 d.policy.alert_grace);
  query.bind_all(d.schedule.weeks, std::int64_t{d.schedule.week_anchor.time_since_epoch().count()},
                 d.schedule.not_before, d.schedule.until, encode_words(d.schedule.only),
                 encode_words(d.schedule.exclude), to_string(d.schedule.on_excluded));
  query.bind_all(d.policy.max_catchup, d.policy.catchup_spread, d.policy.max_wait,
                 d.policy.max_runs, d.policy.max_instances, d.policy.max_queued,
                 job::policy_value(d.policy, "success_codes"), other_policies(d.policy));
}

/// Reads columns, and notes the first that this program does not understand.
class Columns {
 public:
  explicit Columns(Query& query) : query_(query) {}

  template <class Enum>
  Enum word(std::optional<Enum> (*parse)(std::string_view), Enum otherwise, const char* column) {
    std::string_view text = query_.text();
    std::optional<Enum> value = parse(text);
    if (!value) note(column, text);
    return value.value_or(otherwise);
  }
  template <class Enum>
  std::optional<Enum> optional_word(std::optional<Enum> (*parse)(std::string_view),
                                    const char* column) {
    std::string_view text = query_.text();
    std::optional<Enum> value = text.empty() ? std::nullopt : parse(text);
    if (!value && !text.empty()) note(column, text);
    return value;
  }
  template <class List>
  void list(bool (*decode)(std::string_view, List&), List& into, const char* column) {
    std::string_view text = query_.text();
    if (!text.empty() && !decode(text, into)) note(column, text);
  }
  /// A policy in words.
  void policy(job::PolicyDraft& into, const char* key) {
    std::string_view text = query_.text();
    if (!text.empty() && !job::set_policy(into, key, text)) note(key, text);
  }
  /// Those that stand together.
  void policies(job::PolicyDraft& into) {
    WordPairs pairs;
    list(decode_pairs, pairs, "policies");
    for (const auto& [key, value] : pairs)
      if (!job::set_policy(into, key, value)) note(key.c_str(), value);
  }
  const std::string& problem() const { return problem_; }

 private:
  void note(const char* column, std::string_view text) {
    if (problem_.empty())
      problem_ = std::string("its ") + column + " '" + std::string(text) + "' means nothing to me";
  }

  Query& query_;
  std::string problem_;
};

/// Reads DEFINITION. What is wrong with it, or "".
std::string read_definition(Query& query, job::Definition& d) {
  Columns columns(query);
  d.schedule.kind =
      columns.word(job::parse_schedule_kind, job::ScheduleKind::manual, "schedule kind");
  query.read(d.schedule.every, d.schedule.anchor, d.schedule.cron, d.schedule.timezone,
             d.schedule.at);
  d.schedule.dst_gap = columns.word(job::parse_dst_gap, job::DstGap::shift, "dst_gap");
  d.schedule.dst_fold = columns.word(job::parse_dst_fold, job::DstFold::first, "dst_fold");
  columns.list(decode_words, d.action.command, "command");
  query.read(d.action.shell, d.cwd);
  columns.list(decode_pairs, d.env, "env");
  columns.list(decode_words, d.tags, "tags");

  job::PolicyDraft& p = d.policy;
  p.overlap = columns.optional_word(job::parse_overlap, "overlap");
  query.read(p.misfire_grace);
  p.coalesce = columns.optional_word(job::parse_coalesce, "coalesce");
  query.read(p.jitter, p.timeout, p.kill_grace, p.max_attempts, p.backoff, p.max_delay);
  p.on_lost = columns.optional_word(job::parse_on_lost, "on_lost");
  query.read(p.alert_grace);

  std::int64_t anchor_days = 0;
  query.read(d.schedule.weeks, anchor_days, d.schedule.not_before, d.schedule.until);
  d.schedule.week_anchor = std::chrono::local_days{std::chrono::days{anchor_days}};
  columns.list(decode_words, d.schedule.only, "only");
  columns.list(decode_words, d.schedule.exclude, "exclude");
  d.schedule.on_excluded =
      columns.word(job::parse_on_excluded, job::OnExcluded::skip, "on_excluded");
  query.read(p.max_catchup, p.catchup_spread, p.max_wait, p.max_runs, p.max_instances,
             p.max_queued);
  columns.policy(p, "success_codes");
  columns.policies(p);
  return columns.problem();
}

/// Reads "id, " JOB. What is wrong with the row, or "".
std::string read_job(Query& query, job::Job& job) {
  query.read(job.id, job.name, job.version, job.planned_through, job.next_fire, job.last_fire,
             job.last_start, job.last_end);
  job.last_state = query.word(job::parse_run_state);
  query.read(job.created_at, job.paused, job.paused_at, job.paused_reason, job.managed_by,
             job.paused_until, job.run_count, job.boot_id, job.defined_at);
  return read_definition(query, job.definition);
}

tl::unexpected<Error> taken(const std::string& name) {
  return fail(ErrorKind::conflict, "a job named '" + name + "' exists already");
}

}  // namespace

Result<void> SqliteStore::insert_job(job::Job& job) {
  return database_->write([&]() -> Result<void> {
    Query insert = query(sql::kInsertJob);
    bind_job(insert, job);
    if (insert.run() == 0) return taken(job.name);
    job.id = JobId{database_->raw().getLastInsertRowid()};
    record_version(job.id);
    return {};
  });
}

Result<void> SqliteStore::update_job(const job::Job& job) {
  return database_->write([&]() -> Result<void> {
    std::int64_t version_before = 0;
    {
      Query stored = query(sql::kJobVersion, job.id);
      if (!stored.next())
        return fail(ErrorKind::not_found, "job '" + job.name + "' does not exist any more");
      stored.read(version_before);
    }
    Query update = query(sql::kUpdateJob);
    bind_job(update, job);
    if (update.bind_all(job.id).run() == 0) return taken(job.name);
    if (job.version != version_before) record_version(job.id);
    return {};
  });
}

void SqliteStore::record_version(JobId id) {
  query(sql::kRecordVersion, id).run();
}

Result<void> SqliteStore::delete_job(JobId id) {
  return execute(sql::kDeleteJob, id);
}

Result<std::optional<job::Job>> SqliteStore::find_job(const std::string& name) {
  return database_->read([&] {
    Query found = query(sql::kFindJob, name);
    return one_job(found);
  });
}

Result<std::optional<job::Job>> SqliteStore::get_job(JobId id) {
  return database_->read([&] {
    Query found = query(sql::kGetJob, id);
    return one_job(found);
  });
}

Result<std::optional<job::Job>> SqliteStore::one_job(Query& found) {
  if (!found.next()) return std::nullopt;
  job::Job job;
  std::string problem = read_job(found, job);
  if (!problem.empty())
    return fail(ErrorKind::config, "job '" + job.name + "' in " + database_->options().path +
                                       " cannot be used: " + problem);
  return job;
}

Result<std::vector<job::Job>> SqliteStore::managed_jobs() {
  return database_->read([&]() -> Result<std::vector<job::Job>> {
    std::vector<job::Job> found;
    for (Query jobs = query(sql::kManagedJobs); jobs.next();) read_job(jobs, found.emplace_back());
    return found;
  });
}

Result<std::vector<JobListing>> SqliteStore::list_jobs(const std::string& pattern) {
  return database_->read([&]() -> Result<std::vector<JobListing>> {
    std::unordered_map<std::int64_t, int> running;
    for (Query per_job = query(sql::kRunningPerJob); per_job.next();) {
      std::int64_t id = 0;
      int count = 0;
      per_job.read(id, count);
      running[id] = count;
    }
    std::unordered_map<std::int64_t, int> alerts;
    for (Query per_job = query(sql::kAlertedJobs); per_job.next();) {
      std::int64_t id = 0;
      int count = 0;
      per_job.read(id, count);
      alerts[id] = count;
    }
    std::vector<JobListing> listings;
    std::size_t jobs_in_all = 0;
    if (Query count = query(sql::kJobCount); count.next()) count.read(jobs_in_all);
    if (pattern.empty()) listings.reserve(jobs_in_all);
    for (Query jobs = query(sql::kListJobs); jobs.next();) {
      JobListing& listing = listings.emplace_back();
      read_job(jobs, listing.job);
      if (!pattern.empty() && ::fnmatch(pattern.c_str(), listing.job.name.c_str(), 0) != 0) {
        listings.pop_back();
        continue;
      }
      if (auto it = running.find(listing.job.id.value); it != running.end())
        listing.running = it->second;
      if (auto it = alerts.find(listing.job.id.value); it != alerts.end())
        listing.open_alerts = it->second;
    }
    return listings;
  });
}

Result<std::vector<job::Job>> SqliteStore::due_jobs(Time now, std::size_t limit) {
  std::vector<job::Job> due;
  std::vector<std::pair<JobId, std::string>> broken;
  TRY_VOID(database_->read([&]() -> Result<void> {
    for (Query jobs = query(sql::kDueJobs, now, limit); jobs.next();) {
      job::Job job;
      std::string problem = read_job(jobs, job);
      if (problem.empty())
        due.push_back(std::move(job));
      else
        broken.emplace_back(job.id, "job '" + job.name + "' is set aside: " + problem);
    }
    return {};
  }));
  if (!broken.empty()) TRY_VOID(set_aside(broken, now));
  return due;
}

Result<bool> SqliteStore::is_ranked_job_due(Time now) {
  return database_->read([&]() -> Result<bool> {
    bool found = false;
    if (Query row = query(sql::kIsRankedJobDue, now); row.next()) row.read(found);
    return found;
  });
}

/// A row that cannot be planned would be due again at once, and for ever.
Result<void> SqliteStore::set_aside(const std::vector<std::pair<JobId, std::string>>& broken,
                                    Time now) {
  for (const auto& [id, problem] : broken) {
    TRY_VOID(execute(sql::kSetAside, id));
    TRY_VOID(add_event({.at = now, .node = "", .kind = "job-error", .detail = problem}));
  }
  return {};
}

Result<std::vector<JobVersion>> SqliteStore::versions_of(const std::string& name) {
  return database_->read([&]() -> Result<std::vector<JobVersion>> {
    std::vector<JobVersion> versions;
    for (Query rows = query(sql::kVersionsOf, name); rows.next();) {
      JobVersion& one = versions.emplace_back();
      rows.read(one.job_id, one.name, one.version, one.since);
      if (!read_definition(rows, one.definition).empty()) versions.pop_back();
    }
    return versions;
  });
}

Result<std::vector<job::Job>> SqliteStore::reboot_jobs(const std::string& boot_id) {
  return database_->read([&]() -> Result<std::vector<job::Job>> {
    std::vector<job::Job> found;
    for (Query jobs = query(sql::kRebootJobs, boot_id); jobs.next();) {
      if (!read_job(jobs, found.emplace_back()).empty()) found.pop_back();
    }
    return found;
  });
}

Result<void> SqliteStore::set_boot(JobId id, const std::string& boot_id) {
  return execute(sql::kSetBoot, boot_id, id);
}

Result<void> SqliteStore::count_run(JobId id) {
  return execute(sql::kCountRun, id);
}

Result<void> SqliteStore::set_planned(JobId id, Time planned_through,
                                      std::optional<Time> next_fire) {
  return execute(sql::kSetPlanned, planned_through, next_fire, id);
}

Result<void> SqliteStore::set_last_run(const job::Run& run) {
  return execute(sql::kSetLastRun, run.fire_time, run.result.started_at, run.result.ended_at,
                 to_string(run.state), run.job_id);
}

}  // namespace schedctl::store::sqlite
