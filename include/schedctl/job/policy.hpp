#pragma once

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

std::string_view to_string(Overlap v);
std::string_view to_string(Coalesce v);
std::string_view to_string(OnLost v);
std::optional<Overlap> parse_overlap(std::string_view text);
std::optional<Coalesce> parse_coalesce(std::string_view text);
std::optional<OnLost> parse_on_lost(std::string_view text);

/// A job's own word on how it is run; what it does not say comes from [defaults], then from
/// Policy::builtin().
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
  bool operator==(const PolicyDraft&) const = default;
};

/// Everything decided.
struct Policy {
  Overlap overlap = Overlap::skip;
  Duration misfire_grace = std::chrono::hours(1);
  Coalesce coalesce = Coalesce::latest;
  Duration jitter{};                               ///< 0: none
  Duration timeout{};                              ///< 0: none
  Duration kill_grace = std::chrono::seconds(10);  ///< between TERM and KILL
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

  bool is_success(int exit_code) const;
};

/// `own` over `defaults` over the built-in values.
Policy resolve(const PolicyDraft& own, const PolicyDraft& defaults);

/// The built-in values as a draft that says everything.
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
