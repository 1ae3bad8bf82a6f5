#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schedctl/job/job.hpp"
#include "schedctl/ops/why.hpp"
#include "schedctl/store/store.hpp"

/// What `why` knows, and what it makes of it: History gathers facts from the rows, judge() turns
/// them into sentences and touches nothing.
namespace schedctl::ops {

/// A stretch of time in which nothing was started, or not everything.
struct Gap {
  enum class Kind {
    never,    ///< there had been no daemon yet
    stopped,  ///< the daemon was stopped
    died,     ///< it ended without saying so
    off,      ///< and the machine with it
    clock,    ///< the clock was set forward, past it
    asleep,   ///< the machine was suspended
    store,    ///< the store could not be written
    keeper,   ///< the keeper could not be reached
    slots,    ///< max_running was reached
  };
  Kind kind = Kind::stopped;
  Time from{};
  Time to{};
  std::string detail;  ///< an error, or how far the clock was set
};

/// The instant that follows `word` in the text: "stopped at 2026-03-29T01:00:00Z, ...".
std::optional<Time> instant_after(std::string_view text, std::string_view word);

/// The gap that an event ended; nothing if it ended none.
std::optional<Gap> gap_ended_by(const store::Event& event);

/// One life of a job's name: a job from its creation to its removal.
struct Life {
  JobId id;
  Time created{};
  std::optional<Time> ended;
  std::vector<store::JobVersion> versions;  ///< oldest first, never empty
  std::optional<store::Audit> added;
  std::optional<store::Audit> removed;
  std::optional<store::Audit> renamed;  ///< it did not end there, but goes on under another name
  std::string renamed_to;
  std::string renamed_from;  ///< the name it was made with; empty: this one
};

/// Why the schedule has no fire at a moment that somebody expected one at.
enum class NotDue {
  between,      ///< it simply lies between two fires
  manual,       ///< the job fires by no clock
  reboot,       ///< only after a boot
  not_before,   ///< its time had not begun
  until,        ///< its time was over
  once,         ///< --at, at another moment
  used_up,      ///< max_runs
  gap_skipped,  ///< the clock never showed that time, and dst_gap says to leave it out
  fold_other,   ///< the clock showed that time twice, and it fires at the other one
  other_week,   ///< not in this week
  excluded,     ///< a calendar rules it out
};

/// All that is known of one occurrence, or of a moment without one. Members that do not matter to
/// it are left empty.
struct WhyFacts {
  std::string name;
  Time at{};
  Time now{};
  job::ZonePtr zone;
  bool is_fire = false;         ///< the schedule (as of then) has a fire at `at`
  std::optional<job::Run> run;  ///< its row
  std::int64_t count = 1;       ///< fires of which this is said, where there is no row
  std::optional<Time> last;

  // The job.
  std::optional<Life> life;         ///< none: it did not exist at `at`
  std::optional<Life> next_life;    ///< no life: the next one that began
  std::optional<Life> life_before;  ///< no life: the one that had ended
  std::optional<job::Job> job;      ///< as it is now; none: removed since
  std::int64_t version = 0;         ///< in force at `at`
  std::string schedule_then;        ///< in words
  std::string schedule_now;         ///< of the latest version; the same text if nothing changed
  std::optional<store::JobVersion> next_version;  ///< that ended the schedule in force
  std::optional<store::Audit> changed;            ///< who did
  job::Policy policy;                             ///< in force at `at`
  std::string calendars;                          ///< that rule it out

  // What was done by people.
  std::optional<store::Audit> asked;  ///< trigger, or the backfill
  std::optional<store::Audit> cancelled;
  std::optional<store::Audit> paused;
  std::optional<store::Audit> resumed;

  // The run.
  std::optional<Time> first_start;           ///< of its first attempt
  std::optional<Time> first_due;             ///< fire time + jitter
  std::vector<job::AttemptResult> attempts;  ///< earlier ones
  std::optional<job::Run> other;  ///< overlap: the one in the way; coalesced: the one that ran
  /// Of a late one that waited for its job: its runs that ended meanwhile, the last end last.
  std::vector<job::Run> in_line;
  /// Of a late one that came after other jobs: their successes that let it by, the last one last.
  std::vector<job::Run> let_by;
  std::vector<job::Run> running;  ///< of a waiting one: all that run now
  int max_running = 0;
  std::string max_running_setting = "max_running";  ///< which setting says so
  int group_limit = 1;                              ///< of its group, if it is in one
  std::vector<std::string> awaited_gone;            ///< of these, the ones that no job is called
  std::vector<std::string> awaited;  ///< of a gated one: the jobs that have not succeeded yet

  // The scheduler.
  bool served = false;         ///< a daemon runs now
  std::optional<Gap> down;     ///< since when none does
  std::vector<Gap> gaps;       ///< between its time and its start (or its row), longest first
  std::string late_words;      ///< what an alert said of its delay
  std::string keeper_trouble;  ///< why the keeper cannot be reached now
  std::string set_aside;       ///< the job cannot be planned
  bool unreadable = false;     ///< because its row means nothing

  // The surroundings of a moment.
  NotDue why_not = NotDue::between;
  std::optional<Time> meant;  ///< fold_other, excluded: where it fires instead
  std::string gap_words;      ///< gap_skipped: "at 02:00 the clock went forward to 03:00"
  std::optional<Time> fire_before;
  std::optional<Time> fire_after;
  std::string dst_note;                ///< of a fire that a clock change moved or repeated
  std::optional<Time> history_starts;  ///< unknown: the oldest row; none: there is none
  std::optional<Time> pruned_at;       ///< when retention last removed runs after that moment
};

/// What happened, and why. Pure.
Finding judge(const WhyFacts& facts);

}  // namespace schedctl::ops
