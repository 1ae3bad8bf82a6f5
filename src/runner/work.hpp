#pragma once

#include <string>
#include <utility>
#include <vector>

#include "schedctl/base/log.hpp"
#include "schedctl/runner/runner.hpp"

namespace schedctl::runner {

/// What one beat has decided and may do only after its commit. Thrown away if it fails.
struct Runner::Work {
  struct Line {
    log::Level level = log::Level::info;
    std::string event;
    std::vector<log::Field> fields;
  };
  struct End {
    RunId run;
    std::int64_t fence = 0;
    Duration kill_grace{};
  };

  Time now{};
  Duration elapsed{};  ///< the same instant on the other clock
  bool dirty = false;  ///< something was written: the commit is worth a sync
  bool again = false;
  std::vector<executor::StartRequest> starts;
  std::vector<End> ends;
  std::vector<std::pair<RunId, std::int64_t>> recorded;
  std::map<RunId, Live> begun;
  std::set<RunId> over;
  std::set<JobId> busy_jobs;  ///< claimed in this beat
  std::vector<Line> lines;
  std::optional<executor::Adoption> adopted;

  /// How many of `live` runs live after this beat.
  std::size_t count_live(const std::map<RunId, Live>& live) const {
    std::size_t n = live.size();
    for (const RunId id : over) n -= live.contains(id) ? 1 : 0;
    for (const auto& [id, unused] : begun) n += !live.contains(id) || over.contains(id) ? 1 : 0;
    return n;
  }

  void line(log::Level level, std::string event, std::vector<log::Field> fields) {
    lines.push_back({level, std::move(event), std::move(fields)});
  }
  /// The run's line: event, job and id first, so that a column of them reads well.
  void run_line(log::Level level, std::string event, const job::Run& run,
                std::vector<log::Field> fields) {
    fields.insert(fields.begin(),
                  {{"job", run.job_name}, {"run", "#" + std::to_string(run.id.value)}});
    line(level, std::move(event), std::move(fields));
  }
};

}  // namespace schedctl::runner
