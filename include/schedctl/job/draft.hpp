#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "schedctl/job/policy.hpp"

namespace schedctl::job {

/// A job as somebody wrote it, on a command line or in a file: texts not yet read in a zone, and
/// only what was said. ops compiles it into a Definition. Member names are the TOML keys.
struct JobDraft {
  // At most one of these six (more is an error of ops): the schedule.
  std::optional<std::string> every;
  std::optional<std::string> cron;
  std::optional<std::string> at;
  std::optional<std::string> in;  ///< command line only: a duration from now
  bool on_reboot = false;
  bool manual = false;

  std::optional<std::string> anchor;  ///< every: a moment of the grid; weeks: a date
  bool immediately = false;           ///< every: fire at once, too
  std::optional<std::string> timezone;
  std::optional<std::string> dst_gap;
  std::optional<std::string> dst_fold;
  std::optional<std::string> weeks;  ///< cron: "2"
  std::optional<std::string> not_before;
  std::optional<std::string> until;
  std::optional<std::vector<std::string>> only;  ///< calendars
  std::optional<std::vector<std::string>> exclude;
  std::optional<std::string> on_excluded;

  // At most one of these two: the action.
  std::optional<std::vector<std::string>> command;
  std::optional<std::string> shell;

  PolicyDraft policy;
  std::optional<std::string> cwd;
  std::vector<std::pair<std::string, std::string>> env;  ///< set adds to and replaces among these
  std::optional<std::vector<std::string>> tags;

  bool has_schedule() const { return every || cron || at || in || on_reboot || manual; }
};

}  // namespace schedctl::job
