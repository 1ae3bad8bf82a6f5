#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "schedctl/base/time.hpp"

namespace schedctl::job {

/// What a reading of the wall clock means in a zone.
struct CivilMeaning {
  enum class Kind {
    unique,    ///< one instant: `first`
    skipped,   ///< the clock never showed it: `transition` is the first instant after the gap
    repeated,  ///< shown twice: `first` and `second`; `transition` is where the second pass begins
  };
  Kind kind = Kind::unique;
  Time first;
  Time second;
  Time transition;
};

/// A change of a zone's offset from UTC.
struct ZoneChange {
  Time at;                      ///< the first instant of the new offset
  std::chrono::seconds before;  ///< offset east of UTC until then
  std::chrono::seconds after;   ///< and from then on
};

/// A time zone. Immutable and thread safe. Fakes in tests are fixed offsets or hand-made tables.
class Zone {
 public:
  virtual ~Zone() = default;
  /// The IANA name ("Europe/Berlin"), or "UTC".
  virtual const std::string& name() const = 0;
  /// Offset east of UTC in force at `t`.
  virtual std::chrono::seconds offset(Time t) const = 0;
  /// What the wall clock shows at `t` (fractions of a second dropped towards the past).
  virtual CivilTime civil(Time t) const = 0;
  virtual CivilMeaning meaning(CivilTime civil) const = 0;
  /// The first change of offset strictly after `t`; none if the zone has no more.
  virtual std::optional<ZoneChange> next_change(Time t) const = 0;
};

using ZonePtr = std::shared_ptr<const Zone>;

/// Finds zones by name. Thread safe.
class ZoneSource {
 public:
  virtual ~ZoneSource() = default;
  /// An IANA name or "UTC"; an unknown one is an error of kind usage that names a near match.
  virtual Result<ZonePtr> find(const std::string& name) const = 0;
  /// Looks whether the data behind the zones was replaced; if so, zones that are found from now on
  /// are of the new data, and those that were found before stay as they are. Words that stand for
  /// the data as it is now, others for other data; empty: it never changes.
  virtual std::string refresh() const { return {}; }
};

/// "2026-03-29T03:00:00+02:00": local time with the offset in force.
std::string format_local(Time t, const Zone& zone);

}  // namespace schedctl::job
