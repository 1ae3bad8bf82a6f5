#pragma once

#include <string>

#include "schedctl/job/transition.hpp"
#include "schedctl/ops/ops.hpp"

/// The steps of which the operations are made. All of them belong inside a transaction.
namespace schedctl::ops {

/// Kind not_found, with the nearest name, if there is no such job.
Result<job::Job> find_job(const Context& context, const std::string& name);
Error no_such_job(const Context& context, const std::string& name);

/// The file that defines the job, "" if none does.
std::string managing_file(const job::Job& job);

Result<void> audit(const Context& context, std::string action, const std::string& job,
                   std::string detail, Time now);

/// What a new or changed job starts from.
struct Birth {
  std::string managed_by = "cli";
  bool paused = false;
  bool immediately = false;  ///< the anchor is now, and fires
};
Result<job::Job> create(const Context& context, const std::string& name, job::Definition definition,
                        const Birth& birth, Time now);

/// Gives a stored job another definition. If that changes its fires, those up to now get their rows
/// first, pending ones become skipped (schedule_changed), and the new schedule counts from now.
/// Writes the row and raises the version.
Result<void> redefine(const Context& context, job::Job& job, job::Definition definition,
                      bool immediately, Time now);

/// Settles the job, ends its pending runs as `happening` says, and deletes it.
Result<void> erase(const Context& context, job::Job job, job::Happening happening, Time now);

/// When the job is to be looked at next: its next fire after planned_through, or the end of its
/// pause.
std::optional<Time> next_of(const Context& context, const job::Job& job,
                            const job::FireSeries& fires);

/// Gives every fire of the job up to now its row: as plan() judges them now, and those since the
/// job was paused as one stretch of skipped, reason paused. Moves planned_through, in the row and
/// in `job`.
Result<void> settle(const Context& context, job::Job& job, const job::FireSeries& fires, Time now);

/// Lets `happening` come to the run and writes it; false if it cannot in the run's state.
Result<bool> step_run(const Context& context, job::Run& run, job::Happening happening,
                      const job::Policy& policy, Time now);

/// The runs of a job in these states, newest first.
Result<std::vector<job::Run>> runs_of(const Context& context, JobId id,
                                      std::vector<job::RunState> states);

/// Nothing more is started for the open backfills of a job; what lives of them goes on. How many.
Result<std::size_t> end_backfills(const Context& context, JobId id, Time now);

/// "every 5m, timezone": what differs between two definitions, for the audit.
std::string changed_keys(const job::Definition& before, const job::Definition& after);

}  // namespace schedctl::ops
