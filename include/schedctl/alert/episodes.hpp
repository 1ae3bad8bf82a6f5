#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "schedctl/job/alert.hpp"
#include "schedctl/store/store.hpp"

namespace schedctl::alert {

/// When what is told.
struct Rules {
  Duration realert_after = std::chrono::hours(24);  ///< between reminders; 0: there are none
  Duration flap_window = std::chrono::hours(1);     ///< what is back within it is not told again

  std::optional<Time> next_reminder(Time now) const {
    if (realert_after <= Duration::zero()) return std::nullopt;
    return now + realert_after;
  }
};

/// A beginning is told this much later, so that many that begin together are one message.
inline constexpr Duration kGather = std::chrono::seconds(1);
/// Reminders of one episode.
inline constexpr int kMostReminders = 3;

/// Something that people must know has come true, or come true again.
struct Beginning {
  job::AlertKind kind = job::AlertKind::failed;
  JobId job = {};  ///< none: about the scheduler itself
  std::string subject = {};
  RunId run = {};
  std::optional<Time> expected_at = {};
  std::int64_t events = 1;
  std::string detail = {};
  std::string cause = {};
};

/// Begins and ends episodes, as rows, in the caller's transaction; Teller tells of them later.
/// Remembers which jobs have open ones, so that a run of any other job costs nothing. Used by the
/// thread that uses the store.
class Episodes {
 public:
  Episodes(store::Store& store, std::string node);

  /// Reads which jobs have open ones. Once, before anything else; only begin() makes new ones, and
  /// whoever else ends one (`alerts ack`, pause, removal) leaves this memory harmlessly too large.
  Result<void> load();

  /// An open episode goes on and counts the event; one that ended within the flap window begins
  /// again as the same row, and is told only if it then stays open for a flap window; one that was
  /// silenced is not told before the silence ends. Else a new one, told soon.
  Result<void> begin(const Beginning& beginning, const Rules& rules, Time now);
  /// Ends the open ones of the job (of these kinds; none given: of all). Nothing if there is none.
  Result<void> end(JobId job, const std::vector<job::AlertKind>& kinds, job::AlertEnd how,
                   Time now);

  /// Of the scheduler's own episodes of this kind exactly these are open afterwards: subjects, each
  /// with what is wrong with it.
  Result<void> settle(job::AlertKind kind, const std::map<std::string, std::string>& wrong,
                      const Rules& rules, Time now);

 private:
  store::Store& store_;
  std::string node_;
  /// At least the jobs with open episodes; a transaction that is rolled back leaves too many.
  std::set<JobId> alerted_;
};

}  // namespace schedctl::alert
