#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "schedctl/base/clock.hpp"
#include "schedctl/config/config.hpp"
#include "schedctl/config/job_file.hpp"
#include "schedctl/job/draft.hpp"
#include "schedctl/job/job.hpp"
#include "schedctl/job/schedule.hpp"
#include "schedctl/store/store.hpp"

namespace schedctl::ops {

/// What every operation needs. `poke` wakes the daemon after a commit and may do nothing.
struct Context {
  store::Store& store;
  const job::ZoneSource& zones;
  const Clock& clock;
  const config::Config& config;
  std::string who;  ///< for the audit
  std::function<void()> poke;
  std::string boot_id = {};  ///< of this machine, for jobs that fire on reboot
};

struct AddOptions {
  bool replace = false;
  bool paused = false;
  std::string managed_by = "cli";
};

/// A fire to come, as `next` shows it.
struct Fire {
  Time at{};
  std::string local;  ///< RFC 3339 with the zone's offset
  std::string note;   ///< "clock goes forward: 02:30 does not exist", "" for most
};

/// What `cancel` did to one run.
struct Cancelled {
  job::Run run;
  bool was_running = false;  ///< it is being ended; otherwise it is cancelled already
};

/// A change of what one file or directory says.
struct Synced {
  std::vector<std::string> added, changed, removed;
  std::vector<Error> errors;  ///< jobs left as they were; `where` is FILE:LINE:COLUMN
};

/// What a user can do to jobs and runs: check, one transaction with its audit row, poke. Used by
/// one thread. Errors name the field by its TOML key in `where` ("cron"); the command line turns it
/// into the flag.
class Ops {
 public:
  explicit Ops(Context context) : context_(std::move(context)) {}

  /// Compiles a draft that stands alone. `existing` (may be null) lends what must not change
  /// without reason: the anchor of an unchanged period.
  Result<job::Definition> compile(const job::JobDraft& draft, const job::Job* existing);

  /// Kind conflict: the name exists and `replace` is not set, or somebody else manages it.
  Result<job::Job> add(const std::string& name, const job::JobDraft& draft,
                       const AddOptions& options);
  /// Changes what the draft says and forgets `unset` (TOML keys); a new schedule counts from now:
  /// pending runs of the old one are skipped (schedule_changed), its fires up to now get their
  /// rows.
  Result<job::Job> set(const std::string& name, const job::JobDraft& draft,
                       const std::vector<std::string>& unset);
  /// All or nothing. Kind conflict while a run lives, unless `force`, which asks for its cancel.
  Result<void> remove(const std::vector<std::string>& names, bool force);
  /// Names of the jobs that were not paused before, or until another time. With `until` they
  /// resume by themselves then. Kind not_found if one does not exist (nothing is done then).
  Result<std::vector<std::string>> pause(const std::vector<std::string>& names,
                                         const std::string& reason,
                                         std::optional<Time> until = std::nullopt);
  /// Fires of the pause become one skipped row; the schedule goes on from now.
  Result<std::vector<std::string>> resume(const std::vector<std::string>& names);
  /// A pending manual run; or, while the job runs and `force` is not set, a skipped one (overlap).
  Result<job::Run> trigger(const std::string& name, bool force);
  /// `target` is a job's name (all its live and waiting runs) or "#42". Kind not_found; conflict if
  /// there is nothing to cancel.
  Result<std::vector<Cancelled>> cancel(const std::string& target);

  /// Ends open alerts, saying that somebody knows: of a job by its name, or one by "#7". With
  /// `silence` what begins again before that long is not told before. All or nothing. Kind
  /// not_found; conflict if there is nothing open.
  Result<std::vector<job::Alert>> ack(const std::vector<std::string>& targets,
                                      std::optional<Duration> silence);

  /// The next `n` fires after `from` of a schedule.
  Result<std::vector<Fire>> next(const job::Schedule& schedule, std::uint64_t seed, Time from,
                                 std::size_t n);

  /// Makes the jobs managed by these files equal to what they say, in one transaction. A job that
  /// somebody else manages is left alone with an error. Jobs of files that are gone are removed (a
  /// running one runs on to its end); jobs of bad files, and of files outside `directories`, stay
  /// as they are. One that moved from one of our files to another stays the same job. The errors of
  /// the reading itself (files.errors) are the caller's to tell.
  Result<Synced> sync_job_files(const config::JobFiles& files,
                                const std::vector<std::string>& directories);
  /// Checks without writing: every error found, those of the reading itself included.
  std::vector<Error> validate(const config::JobFiles& files);

 private:
  Context context_;
};

}  // namespace schedctl::ops
