#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "schedctl/base/ids.hpp"
#include "schedctl/base/limits.hpp"
#include "schedctl/base/time.hpp"

/// What the verbs of Store that remove history speak of.
namespace schedctl::store {

/// Which rows of runs to look at, in order of their ids, which is about that of their age.
struct HistoryFilter {
  Time before{};                  ///< what ended, or was due, or written, later is held
  RunId after = {};               ///< only ids above this one
  std::optional<RunId> up_to{};   ///< and not above this one
  std::optional<JobId> job_id{};  ///< only of this job
  bool with_output = false;       ///< only those with an output file, of an earlier attempt maybe
  std::size_t limit = limits::kRowsPerSweepStep;  ///< rows looked at
};

struct HistoryRun {
  RunId id;
  /// It must stay: it has not ended, is too young, is its job's last run or the last that was
  /// started, an alert speaks of it, or its backfill is open.
  bool held = false;
  std::int64_t attempts = 0;       ///< rows of earlier ones, which go with it
  std::vector<std::string> files;  ///< output files, its own and theirs
};

struct HistoryPage {
  std::vector<HistoryRun> runs;
  RunId last;         ///< the last row that was looked at; where the next page begins
  bool more = false;  ///< there may be more that are not held for their age
};

/// Of a job that has more runs than it may.
struct Surplus {
  JobId job_id;
  RunId up_to;  ///< this run and those before are too many; none: there are none
};

/// Records beside runs.
enum class RecordKind {
  event,  ///< but for those that say what zone data, calendars and broken jobs there were last
  audit,
  message,   ///< settled ones
  alert,     ///< those that ended and were told
  backfill,  ///< those that ended, and have no run any more
  version,   ///< of removed jobs that have no run any more, and whose removal no audit tells of
};

struct RecordFilter {
  RecordKind kind = RecordKind::event;
  Time before{};           ///< what is as young or younger stays
  std::int64_t after = 0;  ///< RecordPage::last of the page before
  bool count_only = false;
  std::size_t limit = limits::kRowsPerSweepStep;  ///< rows looked at
};

struct RecordPage {
  std::int64_t removed = 0;
  std::int64_t last = 0;
  bool more = false;
};

}  // namespace schedctl::store
