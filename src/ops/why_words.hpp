#pragma once

#include <string>
#include <string_view>

#include "src/ops/why_facts.hpp"

/// The phrases of which judge() makes its sentences.
namespace schedctl::ops {

/// "12ms", "4.5s", "2m3s", "5h10m", "3d4h".
std::string rough(Duration d);

/// What somebody else wrote, fit for a sentence: its first line, escaped, without a full stop.
std::string quoted_line(std::string_view text);

/// `text` with its first letter in upper case.
std::string capital(std::string text);

/// "1 occurrence", "12 occurrences".
std::string counted(std::int64_t n, std::string_view noun);

/// "its one run", "all its 3 runs": what max_runs allows.
std::string all_runs(std::int64_t max_runs);

/// "#42".
std::string number(const job::Run& run);
std::string number(RunId id);

/// "anna", or "somebody" where no row says who.
std::string who(const std::optional<store::Audit>& audit);

/// `text` and a full stop, unless it has one.
std::string sentence(std::string text);

/// Tells instants in one zone, by what the reader knows already: the date and the offset are left
/// out where they are those of the moment that is talked about.
class Moments {
 public:
  Moments(const job::Zone& zone, Time reference, Time now)
      : zone_(zone), reference_(reference), now_(now) {}

  /// "2026-11-20 02:30:00+01:00".
  std::string full(Time t) const;
  /// "2026-11-20 02:30:00+01:00 (5h10m ago)".
  std::string with_age(Time t) const;
  /// "02:30:00", "2026-11-19 23:12:03", "03:00:00+02:00".
  std::string brief(Time t) const;
  /// "from 23:12:03 to 07:40:11 (8h28m)".
  std::string span(Time from, Time to) const;
  /// "5h10m ago", "in 3h", "now".
  std::string age(Time t) const;

 private:
  const job::Zone& zone_;
  Time reference_;
  Time now_;
};

/// "no daemon was running from A to B: it had been stopped"; a clause without capital or stop.
std::string gap_words(const Gap& gap, const Moments& moments);
/// The word for `reason`: "daemon_down", "clock_jump", ...
std::string_view gap_reason(Gap::Kind kind);

/// "by anna at 14:02:11, \"disk is full\"": of a pause, a change, a removal.
std::string deed_words(const std::optional<store::Audit>& audit, const Moments& moments);

}  // namespace schedctl::ops
