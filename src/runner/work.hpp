#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gaps.hpp"
#include "keeper_watch.hpp"
#include "late_starts.hpp"
#include "schedctl/base/log.hpp"
#include "schedctl/runner/runner.hpp"
#include "tidying.hpp"

namespace schedctl::runner {

/// Whether a run of the job waits for a slot behind what was due before it, and for nothing else.
bool is_next_by_time(const job::Job& job, const job::Policy& policy);

/// What the runner keeps an eye on between beats, to tell people of it.
struct Runner::Watches {
  /// The store cannot be written. Told from memory, so it lives here.
  struct Storage {
    Error error;
    Time since{};
    Duration since_elapsed{};
    bool told = false;
    int tries = 0;
    Duration not_before{};
    bool on_its_way = false;
  };

  Watches(Duration now, std::optional<Duration> absence) : keeper(now), tidying(now, absence) {}

  LateStarts late;
  KeeperWatch keeper;
  Gaps gaps;
  Tidying tidying;
  std::unique_ptr<Storage> storage;                         ///< while it fails
  std::optional<Duration> storage_told_at;                  ///< Clock::elapsed of the last time
  std::optional<Time> keeper_gone;                          ///< since when, while an alert says so
  std::string keeper_words = "no keeper has answered yet";  ///< why it is gone
  std::optional<Duration> last_heartbeat;
  std::optional<Time> slots_full;           ///< since when a due run found no free slot
  std::optional<Duration> slept;            ///< elapsed time minus time awake, as of the last beat
  std::optional<Time> silent_until;         ///< while an alert says so of jobs
  std::vector<Recheck> rechecks;            ///< wanted
  std::optional<Duration> zones_looked_at;  ///< Clock::elapsed; none: look
  std::string zones;                        ///< what the store says of the zone data
  bool calendars_noted = false;             ///< the store has heard of the calendars
  /// Those that a reload has just replaced.
  std::optional<job::Calendars> calendars_before;
  std::map<BackfillId, store::BackfillFires> backfills;  ///< those that are open
  bool reboots_fired = false;  ///< jobs that fire on reboot have seen this boot
  std::uint64_t revision = 0;  ///< of the store, after the last commit
  /// Somebody's cancel, signal or backfill may be in the rows, though nobody has written since.
  bool may_have_wishes = true;
  std::optional<Duration> walked_at;       ///< Clock::elapsed of the last walk over all that wait
  bool in_step = false;                    ///< of Work, as it was
  std::optional<Duration> left_since;      ///< Clock::elapsed; jobs are left due, as Work says
  std::optional<Duration> looked_at;       ///< Clock::elapsed of the last look at all that are due
  std::optional<Duration> turned_over_at;  ///< Clock::elapsed of the last beat with many slots
  Duration ahead_until{};                  ///< Clock::elapsed; no start is held for longer
  bool gates_stale = true;                 ///< what waits for other jobs is to be asked again
  bool awaits_again = false;               ///< the rows have been asked which starts are awaited
};

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

  struct Signal {
    RunId run;
    std::int64_t fence = 0;
    int number = 0;
  };

  Time now{};
  Duration elapsed{};  ///< the same instant on the other clock
  Duration awake{};    ///< and on the third
  bool dirty = false;  ///< something was written: the commit is worth a sync
  bool again = false;
  std::vector<executor::StartRequest> starts;
  std::vector<End> ends;
  std::vector<Signal> signals;
  std::vector<std::pair<RunId, std::int64_t>> recorded;
  std::vector<Start> held;  ///< not recorded yet, that their ends may overtake them
  std::map<RunId, Live> begun;
  std::set<RunId> over;
  std::set<JobId> busy_jobs;  ///< claimed in this beat
  std::size_t at_once = 0;    ///< so many runs may yet be claimed as they are planned
  Time claims_until{};        ///< if they are due then
  /// What is in the way of further runs of a job, as read in this beat.
  std::map<JobId, std::vector<job::Run>> lines_of_jobs;
  bool looks = false;       ///< at all jobs that are due, not only at as many as have slots
  bool in_step = false;     ///< jobs that are due are left until slots are free for them
  bool asks_first = false;  ///< or until the keeper has given a sign of life
  std::vector<Line> lines;
  std::vector<std::string> read_outputs;  ///< files that have gone into the log
  std::optional<executor::Adoption> adopted;
  bool may_have_wishes = false;     ///< somebody's cancel, signal or backfill may be in the rows
  bool wishes = false;              ///< this beat has written some
  std::uint64_t revision = 0;       ///< of the store, after the commit
  bool walked = false;              ///< over all that wait, for those that need no slot
  std::optional<Duration> walk_at;  ///< Clock::elapsed of the next time, if it is to be
  bool slots_full = false;          ///< a due run found no free slot
  bool wants_keeper = false;        ///< it has something to do, and has not been heard of lately
  bool ping = false;
  bool heartbeat = false;
  bool started_something = false;    ///< a start was recorded
  bool succeeded = false;            ///< some run has
  bool asked_gates = false;          ///< of what waits for other jobs
  bool reboots_fired = false;        ///< of Watches, as it will be
  bool told_store = false;           ///< episodes and outbox know the tuning
  std::optional<Time> keeper_gone;   ///< of Watches, as it will be
  std::optional<Time> silent_until;  ///< of Watches, as it will be
  bool looked_at_zones = false;
  bool rechecked = false;        ///< what was wanted is done
  bool noted_calendars = false;  ///< of Watches, as it will be
  std::string zones;             ///< of Watches, as it will be if it was looked at
  std::vector<JobId> looked_at;  ///< late starts that need not be looked at again
  std::vector<alert::Delivery> deliveries;

  bool leaves_jobs_due() const { return in_step || asks_first; }
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
  /// What became of a message.
  void message_line(const alert::Outcome& outcome, const alert::Outbox::Recorded& recorded);
  /// The run's line: event, job and id first, so that a column of them reads well.
  void run_line(log::Level level, std::string event, const job::Run& run,
                std::vector<log::Field> fields) {
    fields.insert(fields.begin(),
                  {{"job", run.job_name}, {"run", "#" + std::to_string(run.id.value)}});
    line(level, std::move(event), std::move(fields));
  }
};

}  // namespace schedctl::runner
