#pragma once

#include <string>

#include "schedctl/base/time.hpp"
#include "schedctl/job/zone.hpp"

/// Instants and lengths of time as tables show them to people.
namespace schedctl::cli {

/// "2026-03-29 03:00:00+02:00": what the wall clock of the zone shows, to the second.
std::string absolute(Time t, const job::Zone& zone);
/// "in 3m", "2h10m ago", "now".
std::string relative(Time t, Time now);
/// "2026-03-29 03:00:00+02:00 (in 3m)".
std::string absolute_and_relative(Time t, const job::Zone& zone, Time now);
/// `now - then`, of instants that anybody may have written into a row: far too long, but a length
/// of time, where that cannot be told.
Duration since(Time then, Time now);
/// "12ms", "1.5s", "3m20s", "2h10m", "3d4h": rounded to what a person cares for.
std::string rough(Duration d);

}  // namespace schedctl::cli
