#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schedctl/job/run.hpp"
#include "schedctl/job/zone.hpp"
#include "schedctl/ops/ops.hpp"

/// Why a job ran, did not run, or has not run yet: told from the rows alone, so also with the
/// daemon down, and of jobs that were removed.
namespace schedctl::ops {

/// What became of an occurrence, or of a moment without one. The words are stable: programs read
/// them.
enum class Verdict {
  succeeded,
  failed,
  cancelled,
  lost,
  running,
  waiting,  ///< it has a run that has not started, or waits for its next attempt
  skipped,
  missed,
  due,       ///< its time has come, and no row says what becomes of it
  upcoming,  ///< its time is still to come
  not_due,   ///< nothing was due at that moment
  no_job,    ///< there was no such job at that moment
  unknown,   ///< it was due, and its row is gone
};
std::string_view to_string(Verdict v);

/// One occurrence, run or moment, explained.
struct Finding {
  Time at{};  ///< the fire time, or the moment that was asked about
  Verdict verdict = Verdict::unknown;
  /// Why, in one stable word: the run's reason ("overlap"), or "jitter", "retry", "slots",
  /// "daemon_down", "dst_gap", ...; empty: it needs none.
  std::string reason;
  std::string headline;              ///< one sentence that stands alone
  std::vector<std::string> details;  ///< the sentences after it
  std::string brief;                 ///< a few words, for a line of a list
  std::optional<job::Run> run;
  std::int64_t count = 1;    ///< occurrences of which this is said
  std::optional<Time> last;  ///< the last of them, if there are several
};

/// How the job stands at this moment.
struct WhyNow {
  bool exists = false;  ///< the job does
  bool paused = false;
  bool served = false;  ///< a daemon runs
  std::vector<RunId> running;
  std::optional<Time> next_fire;  ///< none: nothing makes it run by itself
  std::vector<std::string> sentences;
};

/// A moment or a day, [from, to).
struct WhyWindow {
  Time from{};
  Time to{};
  bool is_day = false;
  std::string note = {};  ///< where a change of the clock makes it another moment than was written
};

/// Reads what somebody asks about, by the wall clock of `zone`: "2026-11-20" and "yesterday" are
/// days; "2026-11-20 02:30" is that minute, "02:30:15" the latest such second that is over, "2h"
/// that long ago. Kind usage.
Result<WhyWindow> parse_why_window(std::string_view text, const job::Zone& zone, Time now);

struct WhyQuery {
  std::string name;
  std::optional<std::string> at = {};  ///< as the user wrote it; none: the latest occurrence
  bool served = false;                 ///< a daemon of this store answers
};

struct WhyAnswer {
  std::string job;
  std::string schedule;  ///< today's, or the last one, in words
  job::ZonePtr zone;     ///< the schedule's: in it the question was read, and all times are told
  std::optional<WhyWindow> window;
  /// In order of time; of a day or a moment at most kWhyLines, those before and after left out.
  std::vector<Finding> findings;
  std::int64_t occurrences = 0;  ///< in the window, the left out ones included
  std::int64_t left_out = 0;     ///< lines that are not among `findings`
  std::vector<std::pair<std::string, std::int64_t>> totals;  ///< "skipped (overlap)": how many
  WhyNow now;
};

/// More lines than this nobody reads; neighbours of a kind are summed up first.
inline constexpr std::size_t kWhyLines = 60;

/// Kind not_found if nothing is known of the name, with the nearest one; usage if `at` is no time.
Result<WhyAnswer> why(const Context& context, const WhyQuery& query);

}  // namespace schedctl::ops
