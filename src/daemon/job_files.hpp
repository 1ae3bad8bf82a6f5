#pragma once

#include <string>

#include "schedctl/config/config.hpp"
#include "schedctl/daemon/daemon.hpp"
#include "schedctl/ops/ops.hpp"

namespace schedctl::daemon {

/// Makes the stored jobs equal to the job files, and tells about each error, in the log and as an
/// episode for each file. On the thread that uses the store.
Result<ops::Synced> sync_job_files(store::Store& store, const Parts& parts,
                                   const config::Config& config, const std::string& node);

/// "jobs of files: 2 added, 0 changed, 1 removed"
std::string summary_of(const ops::Synced& synced);

/// Names the jobs that use a calendar which is not there; empty: none does.
std::string without_calendars(store::Store& store, const job::Calendars& calendars);

}  // namespace schedctl::daemon
