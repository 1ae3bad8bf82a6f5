#pragma once

#include <cstddef>
#include <cstdint>

#include "schedctl/base/time.hpp"

/// Everything that could grow without end has its bound here, with the reason for it.
namespace schedctl::limits {

/// A job's name is a key in files, rows and messages ([A-Za-z0-9][A-Za-z0-9._-]{0,127}).
inline constexpr std::size_t kJobName = 128;
/// argv and environment together: they travel to the keeper in one message, and a seqpacket message
/// over some 200 KiB fails with EMSGSIZE.
inline constexpr std::size_t kCommandBytes = std::size_t{120} * 1024;
/// What a job may have on its standard input as a text of its own; it travels in the same message.
inline constexpr std::size_t kStdinText = std::size_t{64} * 1024;
/// The end of a run's output kept in its row.
inline constexpr std::size_t kOutputTail = std::size_t{8} * 1024;
/// Shortest period of `every`: below a second a scheduler is the wrong tool.
inline constexpr Duration kShortestEvery = std::chrono::seconds(1);
/// Longest duration any setting may have; far below where microseconds overflow 64 bits.
inline constexpr Duration kLongestDuration = std::chrono::hours(24 * 365 * 100);
/// Highest amount of data any setting may have (1 PiB): sums of it stay far from 64 bits.
inline constexpr std::int64_t kMostBytes = std::int64_t{1} << 50;
/// How far next_fire looks for a match before it says "never": 29 February on a given weekday comes
/// back within 40 years.
inline constexpr std::chrono::years kSearchHorizon{50};
/// A fire planned later than this was held up by something (the daemon was down): it is caught up.
inline constexpr Duration kOverdue = std::chrono::seconds(10);
/// Jobs planned, and runs claimed, in one beat: keeps a beat short so that starts are not late.
inline constexpr std::size_t kJobsPerBeat = 100;
inline constexpr std::size_t kRunsPerBeat = 500;
/// Runs younger than this are never removed, whatever `[retention]` says: while the row of an
/// occurrence is there it cannot be planned again, should somebody set the clock back.
inline constexpr Duration kKeptAlways = std::chrono::hours(24);
/// Rows that one step of retention looks at, and files that it removes: some milliseconds, in which
/// no beat can be.
inline constexpr std::size_t kRowsPerSweepStep = 500;
inline constexpr std::size_t kFilesPerSweepStep = 100;
/// Tries of a run, first included.
inline constexpr int kMaxAttempts = 1000;
/// Overdue occurrences of one job that may be caught up (coalesce = all): a beat can still write
/// them, and nobody waits for more.
inline constexpr int kMaxCatchup = 10'000;
/// Highest max_runs.
inline constexpr int kMaxRuns = 1'000'000'000;
/// Highest max_instances, and highest max_queued.
inline constexpr int kMaxInstances = 1000;
/// Rarest week of `weeks`: once a year.
inline constexpr int kMaxWeeks = 52;
/// Calendars one job may name.
inline constexpr std::size_t kMaxCalendars = 32;
/// Fires and borders of calendars that a search for the next allowed fire looks at before it says
/// "none": nine months of a job of whose fires, one an hour, none is allowed. Some milliseconds.
inline constexpr int kCalendarSteps = 20'000;
/// Dates and windows of one calendar.
inline constexpr std::size_t kMaxCalendarParts = 10'000;
/// Runs of one backfill at the same time.
inline constexpr int kMaxParallel = 1000;
/// A run whose process was lost is started again this often at most under on_lost = "retry".
inline constexpr int kMaxLost = 3;

/// A regular expression of a job, and how much of an output one match may span.
inline constexpr std::size_t kPatternBytes = 4096;
inline constexpr std::size_t kPatternWindow = std::size_t{64} * 1024;
/// How much of an output is searched for success_match and fail_match, and of its end goes into the
/// info log (output = "log").
inline constexpr std::size_t kJudgedOutput = std::size_t{64} << 20;
inline constexpr std::size_t kLoggedOutput = std::size_t{64} * 1024;
/// Highest priority, and lowest with a minus: as many minutes of waiting make up for it.
inline constexpr int kMaxPriority = 1000;
/// Jobs that one job may wait for (after).
inline constexpr std::size_t kMaxAfter = 32;

}  // namespace schedctl::limits
