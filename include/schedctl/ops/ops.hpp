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
#include "schedctl/ops/apply.hpp"
#include "schedctl/ops/import.hpp"
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

/// A past range of a job that is to be run.
struct BackfillRequest {
  Time from{};                           ///< the range is [from, to)
  std::optional<Time> to = {};           ///< none: up to now, or as the open one from there has it
  std::optional<int> max_parallel = {};  ///< none: 1, or as the open one has it
  bool missing = false;                  ///< only fires of which no run has succeeded
  bool dry_run = false;                  ///< only say what would be done
};

/// What `backfill` did, or would do.
struct Backfilled {
  store::Backfill backfill;  ///< `fires` of it run; without an id it was not written
  std::int64_t fires_in_range = 0;
  std::optional<Time> first = {};  ///< of the fires that run
  std::optional<Time> last = {};
  bool resumed = false;  ///< it was open already
};

/// A change of what one file or directory says.
struct Synced {
  std::vector<std::string> added, changed, removed;
  std::vector<Error> errors;          ///< jobs left as they were; `where` is FILE:LINE:COLUMN
  std::vector<std::string> warnings;  ///< jobs that come after a removed one
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
  /// `target` is a job's name (all its live and waiting runs, and its open backfill) or "#42". Kind
  /// not_found; conflict if there is nothing to cancel.
  Result<std::vector<Cancelled>> cancel(const std::string& target);

  /// Has the daemon send a signal to the processes of these living runs (of all of a job, or one).
  /// Kind not_found; conflict if none runs.
  Result<std::vector<job::Run>> signal(const std::string& target, int number);

  /// Asks for a run of each fire in a past range; the daemon writes and starts them. The same range
  /// again while it is open is the same backfill; nothing is written where no fire is missing. Kind
  /// conflict: another range of the job is open, or it fires by no clock; usage: a range that
  /// reaches into the future, has no fires or too many.
  Result<Backfilled> backfill(const std::string& name, const BackfillRequest& request);

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
  /// What `apply` would have to change; writes nothing. Kind usage: the set's name is none.
  Result<Difference> compare(const config::JobFiles& files, const ApplyOptions& options);
  /// Makes the store as the files say, in one transaction, if there are no errors and the
  /// difference still is the one that was shown; else kind conflict, or the first error. Pauses,
  /// history and what has been planned stay; unchanged jobs are not touched.
  Result<void> apply(const config::JobFiles& files, const ApplyOptions& options,
                     const Difference& shown);
  /// Gives a job another name; it stays the same job. What it ran keeps the old one, and so kind
  /// conflict while it runs, waits or is being backfilled; or if the new name is taken, or the job
  /// is defined elsewhere.
  Result<job::Job> rename(const std::string& from, const std::string& to);
  /// Gives a job the definition that `text` holds, if it still is as it was `seen`. Kind conflict
  /// if not, or if it is defined elsewhere; config, with its place, if the text is wrong.
  Result<job::Job> edit(const job::Job& seen, const config::FileJob& text);
  /// Makes a job of each line, in one transaction. Jobs of an earlier import of the same crontab
  /// are found again and become what their lines say now; what a line does not say of them stays.
  Result<Imported> import_crontab(const config::Crontab& crontab, const ImportOptions& options);
  /// Checks without writing: every error found, those of the reading itself included. With `late`,
  /// that of a job which is over already goes there: its file may keep saying it if it was loaded
  /// in time.
  std::vector<Error> validate(const config::JobFiles& files, std::vector<Error>* late = nullptr);

 private:
  Context context_;
};

}  // namespace schedctl::ops
