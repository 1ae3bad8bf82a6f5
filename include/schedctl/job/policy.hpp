#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schedctl/base/time.hpp"

namespace schedctl::job {

/// What happens to an occurrence that is due while its job still runs.
enum class Overlap {
  skip,
  queue,    ///< it waits for its turn, with at most max_queued others
  replace,  ///< the one that runs is ended, and this one runs instead
  allow,    ///< it runs beside the others, max_instances of them at most
};
/// Which of several overdue occurrences run.
enum class Coalesce { latest, earliest, all };
/// What becomes of a run whose process was lost: at most one start, or at least one.
enum class OnLost { fail, retry };
/// Where the output of a run goes: into a file of its own, nowhere, or into the info log.
enum class Output { file, discard, log };

/// A limit on a resource that is not set.
inline constexpr std::int64_t kNoLimit = -1;

std::string_view to_string(Overlap v);
std::string_view to_string(Coalesce v);
std::string_view to_string(OnLost v);
std::string_view to_string(Output v);
std::optional<Overlap> parse_overlap(std::string_view text);
std::optional<Coalesce> parse_coalesce(std::string_view text);
std::optional<OnLost> parse_on_lost(std::string_view text);
std::optional<Output> parse_output(std::string_view text);

/// A job's own word on how it is run; what it does not say comes from [defaults], then from
/// the built-in values. The meaning of each is said at Policy.
struct PolicyDraft {
  std::optional<Overlap> overlap = {};
  std::optional<Duration> misfire_grace = {};
  std::optional<Coalesce> coalesce = {};
  std::optional<Duration> jitter = {};
  std::optional<Duration> timeout = {};
  std::optional<Duration> kill_grace = {};
  std::optional<int> max_attempts = {};
  std::optional<Duration> backoff = {};
  std::optional<Duration> max_delay = {};
  std::optional<OnLost> on_lost = {};
  std::optional<Duration> alert_grace = {};
  std::optional<int> max_catchup = {};
  std::optional<Duration> catchup_spread = {};
  std::optional<Duration> max_wait = {};
  std::optional<int> max_runs = {};
  std::optional<int> max_instances = {};
  std::optional<int> max_queued = {};
  std::optional<std::vector<int>> success_codes = {};
  std::optional<std::string> group = {};
  std::optional<int> priority = {};
  std::optional<std::vector<std::string>> after = {};
  std::optional<std::string> user = {};
  std::optional<int> umask = {};
  std::optional<std::string> env_file = {};
  std::optional<std::string> stdin_file = {};
  std::optional<std::string> stdin_text = {};
  std::optional<int> nice = {};
  std::optional<std::string> ionice = {};
  std::optional<std::int64_t> limit_as = {};
  std::optional<std::int64_t> limit_core = {};
  std::optional<std::int64_t> limit_cpu = {};
  std::optional<std::int64_t> limit_fsize = {};
  std::optional<std::int64_t> limit_nofile = {};
  std::optional<std::int64_t> limit_nproc = {};
  std::optional<int> oom_score_adj = {};
  std::optional<std::int64_t> memory_max = {};
  std::optional<std::int64_t> cpu_max = {};
  std::optional<std::int64_t> pids_max = {};
  std::optional<int> stop_signal = {};
  std::optional<bool> keep_children = {};
  std::optional<std::string> success_match = {};
  std::optional<std::string> fail_match = {};
  std::optional<std::int64_t> min_output = {};
  std::optional<Output> output = {};
  std::optional<std::int64_t> max_output = {};
  bool operator==(const PolicyDraft&) const = default;
};

/// Everything decided.
struct Policy {
  Overlap overlap = Overlap::skip;
  Duration misfire_grace = std::chrono::hours(1);
  Coalesce coalesce = Coalesce::latest;
  Duration jitter{};                               ///< 0: none
  Duration timeout{};                              ///< 0: none
  Duration kill_grace = std::chrono::seconds(10);  ///< between the stop signal and KILL
  int max_attempts = 1;
  Duration backoff = std::chrono::seconds(10);  ///< before the second attempt; then doubled
  Duration max_delay = std::chrono::hours(1);   ///< cap of the doubling
  OnLost on_lost = OnLost::fail;
  Duration alert_grace = std::chrono::seconds(60);  ///< a start later than this is told
  int max_catchup = 100;      ///< coalesce = all: so many of the overdue run, the latest ones
  Duration catchup_spread{};  ///< overdue runs start within it, not all at once; 0: at once
  Duration max_wait{};        ///< longest wait for a slot; then the run is missed; 0: no limit
  int max_runs = 0;           ///< scheduled runs after which the schedule ends; 0: no limit
  int max_instances = 3;      ///< overlap = allow: so many runs of the job live at a time
  int max_queued = 10;        ///< overlap = queue: so many wait for their turn
  std::vector<int> success_codes = {0};  ///< exit codes that mean success, ascending; 0 always does

  std::string group;               ///< its runs share this group's slots; empty: of no group
  int priority = 0;                ///< lower first; a step is worth a minute of waiting (run_rank)
  std::vector<std::string> after;  ///< names of jobs; see Run::gated

  std::string user;  ///< whose process it is: NAME or NAME:GROUP; empty: the keeper's user
  int umask = 022;
  std::string env_file;    ///< absolute path of NAME=VALUE lines; empty: none
  std::string stdin_file;  ///< absolute path; empty: /dev/null
  std::string stdin_text;  ///< its standard input, if not empty
  int nice = 0;            ///< 0: as the keeper
  std::string ionice;      ///< "idle", "best-effort:4", "realtime:0"; empty: as the keeper
  std::int64_t limit_as = kNoLimit;      ///< bytes
  std::int64_t limit_core = kNoLimit;    ///< bytes
  std::int64_t limit_cpu = kNoLimit;     ///< seconds
  std::int64_t limit_fsize = kNoLimit;   ///< bytes
  std::int64_t limit_nofile = kNoLimit;  ///< descriptors
  std::int64_t limit_nproc = kNoLimit;   ///< processes of its user
  int oom_score_adj = 0;                 ///< 0: as a process of its own
  std::int64_t memory_max = kNoLimit;    ///< bytes; this and the next two by a control group
  std::int64_t cpu_max = kNoLimit;       ///< percent of one processor
  std::int64_t pids_max = kNoLimit;      ///< processes

  int stop_signal = 15;         ///< what a run gets first that is to end; SIGTERM
  bool keep_children = false;   ///< what its session leaves behind lives on
  std::string success_match;    ///< RE2; a run without it in its output has failed
  std::string fail_match;       ///< RE2; a run with it in its output has failed
  std::int64_t min_output = 0;  ///< bytes; a run that wrote less has failed
  Output output = Output::file;
  std::int64_t max_output = std::int64_t{16} << 20;  ///< bytes kept; 0: all

  bool is_success(int exit_code) const;
};

/// `own` over `defaults` over the built-in values.
Policy resolve(const PolicyDraft& own, const PolicyDraft& defaults);

/// A policy as a draft that says everything.
PolicyDraft draft_of(const Policy& policy);
/// The built-in values, likewise.
PolicyDraft builtin_draft();

/// One policy setting by its TOML name ("misfire_grace"), for files, [defaults] and --unset. Values
/// are text as on the command line ("1h", "latest", "3"). Errors are of kind usage.
Result<void> set_policy(PolicyDraft& draft, std::string_view key, std::string_view value);
/// Forgets it; false if there is no such key.
bool unset_policy(PolicyDraft& draft, std::string_view key);
/// All keys set_policy knows, in the order in which people should read them.
const std::vector<std::string>& policy_keys();
/// The draft's value as text, or nothing if unset. `key` is one of policy_keys().
std::optional<std::string> policy_value(const PolicyDraft& draft, std::string_view key);

}  // namespace schedctl::job
