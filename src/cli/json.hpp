#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "schedctl/config/config.hpp"
#include "schedctl/job/run.hpp"
#include "schedctl/ops/ops.hpp"
#include "schedctl/ops/why.hpp"
#include "schedctl/retention/sweep.hpp"
#include "schedctl/store/store.hpp"

/// The documents of --json, as text (no JSON library in a header). Shapes: DESIGN section 5. All
/// keys are always there; null where unknown. Times are RFC 3339 UTC, durations seconds.
namespace schedctl::cli {

class CheckReport;
class Findings;

std::string json_error(const Error& error, int exit_code);
std::string json_listing(const store::JobListing& listing);
std::string json_run(const job::Run& run, const std::string& store_id);
/// `job` is null for a schedule that belongs to no job.
std::string json_fire(const ops::Fire& fire, const std::string* job);
/// What add and set answer: the listing, what was understood, and the next fires.
std::string json_understood(const store::JobListing& listing, const std::string& description,
                            const std::vector<ops::Fire>& fires);
/// Everything `show` knows.
std::string json_job(const store::JobListing& listing, const std::string& description,
                     const job::PolicyDraft& defaults, const std::vector<job::Run>& runs,
                     const std::string& store_id);
std::string json_setting(const config::Setting& setting);
/// What `why` found.
std::string json_why(const ops::WhyAnswer& answer, const std::string& store_id);
std::string json_cancelled(const ops::Cancelled& cancelled, const std::string& store_id);
/// What is known of a backfill; `first` and `last` of the fires only where it is asked for.
struct BackfillReport {
  store::Backfill backfill;
  std::map<job::RunState, std::int64_t> runs = {};
  std::optional<Time> first = {};
  std::optional<Time> last = {};
  bool dry_run = false;
};
std::string json_backfill(const BackfillReport& report);
std::string json_output(const job::Run& run, const std::string& output, bool truncated);
std::string json_validated(std::size_t jobs, std::size_t files, const std::vector<Error>& errors,
                           const std::vector<Error>& warnings);
/// What became of a crontab; `notes` are about lines that are no jobs.
std::string json_imported(const ops::Imported& imported,
                          const std::vector<config::CrontabNote>& notes);
/// What apply changes, or with --dry-run would: {"changed": true, "added": ["a"], "changed_jobs":
/// [{"name", "changes": {"every": ["5m", "1h"]}}], "removed", "unchanged": 3, ...}.
std::string json_difference(const ops::Difference& difference, bool dry_run);
/// {"jobs": ["a"], "toml": "[job.a]...", "errors": []}
std::string json_exported(const std::vector<std::string>& names, const std::string& toml,
                          const std::vector<Error>& errors);
/// {"VERB": true, "pid": 1, "message": "..."}: what a daemon command did.
std::string json_answer(const char* verb, bool done, std::int64_t pid, const std::string& message);
/// {"version": "0.1.0"}
std::string json_version();
/// {"KEY": ["a", "b"]}
std::string json_names(const char* key, const std::vector<std::string>& names);

/// What `status` says; absent is null.
struct StatusReport {
  bool running = false;
  std::optional<std::int64_t> pid;
  std::optional<std::int64_t> keeper_pid;
  std::optional<Duration> uptime;
  std::string version;
  std::optional<std::string> node;
  std::string environment;
  std::string store;
  std::optional<std::int64_t> jobs;
  std::optional<std::int64_t> runs_running;
  std::optional<Time> next_fire;
  std::optional<std::int64_t> alerts_open;
  std::vector<std::string> stopped_notifiers;  ///< each with why; for people
};
std::string json_status(const StatusReport& status);
std::string json_alert(const job::Alert& alert);
/// What `db VERB` did: {"VERB": true, "database": ..., "file": ..., "findings": [...]}.
std::string json_database(const char* verb, bool done, const std::string& database,
                          const std::string& file, const std::vector<std::string>& findings);
/// What `db prune` removed, or would remove, and what room the database has then.
std::string json_pruned(const retention::Gone& gone, bool dry_run, const std::string& database,
                        const std::optional<store::SqliteSpace>& space, const std::string& trouble);
/// What `alerts test` saw.
std::string json_tried(const std::string& notifier, bool sent, int status,
                       const std::string& answer);
/// {"status": "OK", "code": 0, "message": "...", "perfdata": {"jobs": 12}}
std::string json_check(const CheckReport& report);
/// {"errors": 1, "warnings": 0, "findings": [{"level", "area", "what", "remedy"}]}
std::string json_findings(const Findings& findings);

/// One document of an array, an element a line.
std::string json_array(const std::vector<std::string>& elements);

/// Where a policy setting of a job comes from.
struct EffectiveSetting {
  std::string key;
  std::string value;
  const char* origin = "";  ///< "job", "[defaults]", "built-in"
};
std::vector<EffectiveSetting> effective_policy(const job::PolicyDraft& own,
                                               const job::PolicyDraft& defaults);

}  // namespace schedctl::cli
