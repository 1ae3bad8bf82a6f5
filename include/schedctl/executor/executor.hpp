#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "schedctl/base/ids.hpp"
#include "schedctl/base/time.hpp"
#include "schedctl/job/run.hpp"
#include "schedctl/job/transition.hpp"

namespace schedctl::executor {

/// A claimed run, complete: nothing of it has to be looked up again.
struct StartRequest {
  RunId run;
  std::int64_t fence = 0;
  int attempt = 1;
  std::string job;
  std::string key;       ///< SCHEDCTL_KEY
  Time fire_time{};
  std::vector<std::string> argv;
  std::vector<std::pair<std::string, std::string>> env;  ///< the job's own
  std::string cwd;       ///< empty: the user's home
  std::string timezone;  ///< TZ of the job
  Duration timeout{};    ///< 0: none
  Duration kill_grace{};
};

/// What an executor tells about a run it was handed.
struct Report {
  enum class Kind {
    started,   ///< result has pid, started_at, output_path
    finished,  ///< `happening` says how (exec_failed, start_refused, exited_zero, ...)
  };
  Kind kind = Kind::finished;
  RunId run;
  std::int64_t fence = 0;
  job::Happening happening = job::Happening::exited_zero;
  job::AttemptResult result;  ///< `attempt` is not set
};

/// Takes reports; called on the executor's thread, must not block.
class ReportSink {
 public:
  virtual ~ReportSink() = default;
  virtual void report(Report report) = 0;
  /// The keeper behind this executor died; every run that was handed to `instance` and is not
  /// finished is lost. `next` is the instance that takes orders from now on; empty: none.
  virtual void keeper_changed(std::string instance, std::string next) = 0;
};

/// Something that can do a job's action. Called on the runner's thread; never blocks: the outcome
/// comes to the ReportSink, exactly once for each request unless the keeper dies.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void start(std::vector<StartRequest> requests) = 0;
  /// End a run: politely, then by force after `kill_grace`. Unknown runs are ignored.
  virtual void end(RunId run, std::int64_t fence, Duration kill_grace) = 0;
  /// These have been committed: they need not be remembered any more.
  virtual void recorded(std::vector<std::pair<RunId, std::int64_t>> runs) = 0;
};

}  // namespace schedctl::executor
