#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "schedctl/base/ids.hpp"
#include "schedctl/base/time.hpp"
#include "schedctl/job/policy.hpp"
#include "schedctl/job/run.hpp"
#include "schedctl/job/schedule.hpp"

namespace schedctl::job {

/// What a job does. A shell line is kept as one and run as `/bin/sh -c LINE`.
struct Action {
  std::vector<std::string> command;  ///< argv; empty if `shell` is set
  std::string shell;                 ///< empty if `command` is set
  bool operator==(const Action&) const = default;
  /// The argv to execute.
  std::vector<std::string> argv() const;
};

/// The definition of a job: what `add`, `set` and job files write. Two equal definitions behave the
/// same.
struct Definition {
  Schedule schedule;
  Action action;
  PolicyDraft policy;
  std::string cwd;  ///< empty: the user's home
  std::vector<std::pair<std::string, std::string>> env;
  std::vector<std::string> tags;
  bool operator==(const Definition&) const = default;
};

/// A stored job.
struct Job {
  JobId id;
  std::string name;
  std::int64_t version = 1;  ///< raised by each change of the definition
  Definition definition;
  std::string managed_by = "cli";  ///< `cli`, `file:PATH`, `apply:SET`
  Time created_at{};
  Time defined_at{};  ///< since when the definition is what it is

  bool paused = false;
  Time paused_at{};
  std::string paused_reason;
  std::optional<Time> paused_until;  ///< it resumes by itself then

  /// Every fire up to and including this instant has its row (or was before the job's time).
  Time planned_through{};
  /// When the job is to be looked at next: its next fire; of a paused one paused_until. None:
  /// paused for good, fires by no clock, or no more fires.
  std::optional<Time> next_fire;

  std::int64_t run_count = 0;  ///< scheduled runs that were claimed; kept only with max_runs
  std::string boot_id;         ///< on-reboot: the boot for which it has fired, or was made in

  /// What `list` shows of the latest run that started or ended.
  std::optional<Time> last_fire;
  std::optional<Time> last_start;
  std::optional<Time> last_end;
  std::optional<RunState> last_state;

  /// What people call its next fire: none while it is paused.
  std::optional<Time> upcoming_fire() const { return paused ? std::nullopt : next_fire; }
  bool has_had_all_runs(const Policy& policy) const {
    return policy.max_runs > 0 && run_count >= policy.max_runs;
  }
  /// Seed of jitter, `H` and `~`: stays the same for the job's whole life.
  std::uint64_t seed() const;
};

/// Kind usage: names what is wrong with it and what a name looks like.
Result<void> check_name(std::string_view name);
/// Everything about a definition that can be checked without a zone database or the machine:
/// command present, sizes, env names, durations. Errors are of kind usage; `where` names the field
/// as the TOML key ("command", "env", "retry.max_attempts").
Result<void> check_definition(const Definition& definition);

}  // namespace schedctl::job
