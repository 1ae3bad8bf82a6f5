#pragma once

#include <memory>
#include <optional>
#include <string>

#include "schedctl/base/time.hpp"
#include "schedctl/retention/sweep.hpp"

namespace schedctl::runner {

/// When retention works, and where it is. All instants are of Clock::elapsed.
struct Tidying {
  /// `absence`: how long no daemon was here before.
  Tidying(Duration now, std::optional<Duration> absence);

  /// The wall clock was set.
  void clock_stepped(Duration now, Duration step);
  void rules_changed(Duration now);

  Duration next;                            ///< nothing is done before
  Duration doubt_until{};                   ///< the clock may be wrong
  std::unique_ptr<retention::Sweep> sweep;  ///< the one that is under way
  std::optional<Duration> strays_at;        ///< when a sweep last looked for them
  std::string trouble;                      ///< the last that was told
};

}  // namespace schedctl::runner
