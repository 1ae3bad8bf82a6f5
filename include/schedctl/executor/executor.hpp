#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "schedctl/base/ids.hpp"
#include "schedctl/base/time.hpp"
#include "schedctl/job/job.hpp"
#include "schedctl/job/run.hpp"
#include "schedctl/job/transition.hpp"

namespace schedctl::executor {

/// A claimed run, complete: nothing of it has to be looked up again.
struct StartRequest {
  RunId run;
  std::int64_t fence = 0;
  std::int64_t generation = 0;  ///< of the Adoption the claim was made under
  /// By the wall clock, and only a moment ahead. If the clock is set or the keeper is lost before
  /// it, the run is reported as never_started.
  Time not_before{};
  int attempt = 1;
  std::string job;
  std::string key;  ///< SCHEDCTL_KEY
  Time fire_time{};
  std::vector<std::string> argv;
  std::vector<std::pair<std::string, std::string>> env;  ///< the job's own
  std::string cwd;                                       ///< empty: the user's home
  std::string timezone;                                  ///< TZ of the job
  job::Policy policy = {};                               ///< how it runs and ends
};

/// What is started for a run: all of it but `generation`.
StartRequest request_of(const job::Run& run, const job::Definition& definition,
                        const job::Policy& policy);

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
  bool ended_on_order = false;  ///< end() had reached it before it ended
  job::AttemptResult result;    ///< `attempt` is not set
};

/// A keeper answers: everything it (or the journals of its predecessors) knows of this store's
/// runs. Sent before the first start and whenever the connection was made anew.
struct Adoption {
  std::string keeper;  ///< instance that takes orders from now on
  std::int64_t keeper_pid = 0;
  std::int64_t generation = 0;  ///< starts claimed under an earlier one are refused: never_started
  std::vector<Report>
      reports;  ///< `started`: it runs; `finished`: it ended and was not acknowledged
};

/// Takes reports; called on the executor's thread, must not block.
class ReportSink {
 public:
  virtual ~ReportSink() = default;
  virtual void report(Report report) = 0;
  virtual void adopt(Adoption adoption) = 0;
  /// No keeper can be reached: claim nothing, mark nothing, until the next adopt().
  virtual void keeper_lost(std::string why) = 0;
  /// The answer to Executor::ping.
  virtual void alive() = 0;
};

/// Something that can do a job's action. Called on the runner's thread; never blocks: the outcome
/// comes to the ReportSink, exactly once for each request while the keeper lives.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void start(std::vector<StartRequest> requests) = 0;
  /// End a run: politely, then by force after `kill_grace`. Unknown runs are ignored.
  virtual void end(RunId run, std::int64_t fence, Duration kill_grace) = 0;
  /// Sends a signal to the processes of a run, which need not end. Unknown runs are ignored.
  virtual void signal(RunId run, std::int64_t fence, int number) = 0;
  /// These have been committed: they need not be remembered any more.
  virtual void recorded(std::vector<std::pair<RunId, std::int64_t>> runs) = 0;
  /// Asks for a sign of life; ReportSink::alive() is the answer. A keeper that is stopped, or
  /// stuck, gives none.
  virtual void ping() = 0;
};

}  // namespace schedctl::executor
