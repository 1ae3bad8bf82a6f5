#pragma once

#include <memory>
#include <string>

#include "schedctl/job/zone.hpp"

namespace schedctl::zone {

/// The zones of this machine's tz database, read through Abseil (cctz). Thread safe; a zone is
/// loaded once and kept. Names are checked before a file is opened: no absolute paths, no "..".
std::unique_ptr<job::ZoneSource> system_zones();

/// The IANA name of the host's zone: $TZ if it is one, else where /etc/localtime points, else
/// /etc/timezone, else "UTC".
std::string host_zone_name();

}  // namespace schedctl::zone
