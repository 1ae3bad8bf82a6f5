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
/// The end of a run's output kept in its row.
inline constexpr std::size_t kOutputTail = std::size_t{8} * 1024;
/// Shortest period of `every`: below a second a scheduler is the wrong tool.
inline constexpr Duration kShortestEvery = std::chrono::seconds(1);
/// Longest duration any setting may have; far below where microseconds overflow 64 bits.
inline constexpr Duration kLongestDuration = std::chrono::hours(24 * 365 * 100);
/// How far next_fire looks for a match before it says "never": 29 February on a given weekday comes
/// back within 40 years.
inline constexpr std::chrono::years kSearchHorizon{50};
/// Pending rows that one call of plan() may make; a longer backlog is planned in several beats.
inline constexpr std::int64_t kFiresPerPlan = 20'000;
/// Jobs planned, and runs claimed, in one beat: keeps a beat short so that starts are not late.
inline constexpr std::size_t kJobsPerBeat = 100;
inline constexpr std::size_t kRunsPerBeat = 500;
/// Tries of a run, first included.
inline constexpr int kMaxAttempts = 1000;
/// A run whose process was lost is started again this often at most under on_lost = "retry".
inline constexpr int kMaxLost = 3;

}  // namespace schedctl::limits
