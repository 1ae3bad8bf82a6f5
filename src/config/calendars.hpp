#pragma once

#include <sys/types.h>

#include <vector>

#include "schedctl/config/config.hpp"
#include "src/config/document.hpp"

namespace schedctl::config {

struct ReadCalendars {
  job::Calendars calendars;
  std::vector<Setting> settings;  ///< as `schedctl config` shows them
};

/// Reads the tables under [calendars] and the lists of dates that they name. Kind config, or
/// not_allowed for a list that may not be read; `where` is FILE:LINE:COLUMN.
Result<ReadCalendars> read_calendars(const Entry& calendars, uid_t uid);

}  // namespace schedctl::config
