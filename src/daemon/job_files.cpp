#include "job_files.hpp"

#include <algorithm>
#include <map>

#include "schedctl/alert/episodes.hpp"
#include "schedctl/base/log.hpp"
#include "schedctl/host/host.hpp"

namespace schedctl::daemon {
namespace {

/// "/etc/schedctl/jobs.d/a.toml:3:1" speaks of the file before the first colon that a number
/// follows.
std::string file_of(const std::string& where) {
  std::size_t end = where.find_last_not_of("0123456789:");
  return end == std::string::npos ? where : where.substr(0, end + 1);
}

}  // namespace

Result<ops::Synced> sync_job_files(store::Store& store, const Parts& parts,
                                   const config::Config& config, const std::string& node) {
  const config::JobFiles files = config::read_job_files(config.jobs_dirs, false);
  ops::Ops ops({store, *parts.zones, *parts.clock, config, "daemon", [] {}, host::boot_id()});
  TRY(ops::Synced synced, ops.sync_job_files(files, config.jobs_dirs));
  synced.errors.insert(synced.errors.begin(), files.errors.begin(), files.errors.end());
  std::map<std::string, std::string> wrong;
  for (const Error& error : synced.errors) {
    log::error("job-file-error", {{"at", error.where}, {"error", error.message}});
    std::string& words = wrong[file_of(error.where)];
    if (words.empty())
      words = error.where + ": " + error.message.substr(0, error.message.find('\n'));
  }
  for (const std::string& name : synced.added) log::info("job-added", {{"job", name}});
  for (const std::string& name : synced.changed) log::info("job-changed", {{"job", name}});
  for (const std::string& name : synced.removed) log::info("job-removed", {{"job", name}});
  for (const std::string& words : synced.warnings)
    log::warning("job-file-warning", {{"warning", words}});
  log::flush();
  alert::Episodes episodes(store, node);
  TRY_VOID(episodes.settle(job::AlertKind::job_file, wrong,
                           {config.alerts.realert_after, config.alerts.flap_window},
                           parts.clock->wall()));
  return synced;
}

std::string summary_of(const ops::Synced& synced) {
  std::string words = "jobs of files: " + std::to_string(synced.added.size()) + " added, " +
                      std::to_string(synced.changed.size()) + " changed, " +
                      std::to_string(synced.removed.size()) + " removed";
  if (!synced.errors.empty()) {
    words += "; errors in job files: " + std::to_string(synced.errors.size());
  }
  return words;
}

std::string without_calendars(store::Store& store, const job::Calendars& calendars) {
  const auto jobs = store.list_jobs("");
  if (!jobs) return {};
  constexpr std::size_t kNamed = 5;
  std::size_t found = 0;
  std::string names;
  for (const store::JobListing& listing : *jobs) {
    const job::Schedule& schedule = listing.job.definition.schedule;
    const auto is_missing = [&](const std::string& name) { return !calendars.contains(name); };
    if (std::ranges::none_of(schedule.only, is_missing) &&
        std::ranges::none_of(schedule.exclude, is_missing)) {
      continue;
    }
    if (++found <= kNamed) names += (names.empty() ? "" : ", ") + listing.job.name;
  }
  if (found == 0) return {};
  if (found > kNamed) names += " and " + std::to_string(found - kNamed) + " more";
  return "set aside, for a calendar of theirs is not defined any more: " + names;
}

}  // namespace schedctl::daemon
