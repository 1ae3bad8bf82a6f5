#pragma once

#include <memory>
#include <string>
#include <vector>

#include "schedctl/job/zone.hpp"

namespace schedctl::zone {

/// The zones of this machine's tz database ($TZDIR, else /usr/share/zoneinfo), read through Abseil
/// (cctz). Thread safe; a zone is loaded once and kept until refresh() finds that the data was
/// replaced; one that has gone from it is kept still. Names are checked before a file is opened: no
/// absolute paths, no "..". refresh() reads "2026f 0123456789abcdef": the release, where the
/// database names it, and a hash of the files. It costs a look at some 600 of them.
std::unique_ptr<job::ZoneSource> system_zones();

/// A directory whose entries change when the database, or a zone in it, is replaced.
struct DataPlace {
  std::string directory = {};
  std::string entry = {};  ///< the only one that matters; empty: all do
};
/// The database's own directory, those of its regions, and the one in which it is an entry (of a
/// database that is a link, the ones at both ends).
std::vector<DataPlace> data_places();

/// The IANA name of the host's zone: $TZ if it is one, else where /etc/localtime points, else
/// /etc/timezone, else "UTC".
std::string host_zone_name();

}  // namespace schedctl::zone
