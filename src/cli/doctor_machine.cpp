#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <set>

#include "schedctl/base/bytes.hpp"
#include "schedctl/base/text.hpp"
#include "schedctl/base/unique_fd.hpp"
#include "src/cli/doctor.hpp"
#include "src/cli/output.hpp"
#include "src/cli/times.hpp"

// doctor: disks, clock, zone data.

namespace schedctl::cli {
namespace {

/// Below this a burst of output or a long WAL fills the disk within minutes.
constexpr std::uint64_t kBytesNeeded = std::uint64_t{64} * 1024 * 1024;
constexpr std::uint64_t kBytesWished = std::uint64_t{512} * 1024 * 1024;
constexpr std::uint64_t kInodesNeeded = 1000;
constexpr std::size_t kEventsLooked = 1000;
constexpr Duration kStepsLooked = std::chrono::hours(24 * 7);
/// Planned further ahead than this is silence; DESIGN, section 4.6.
constexpr Duration kAhead = std::chrono::minutes(1);
/// Governments change their rules several times a year.
constexpr int kOldRulesYears = 2;

// --- disks -------------------------------------------------------------------------------------

void look_at_disk(Findings& findings, const std::string& what, const std::string& path) {
  const std::string directory = nearest_directory(path);
  struct statvfs status {};
  if (::statvfs(directory.c_str(), &status) != 0)
    return findings.warning(
        "cannot look at the disk of " + what + " " + directory + ": " + errno_text(errno),
        quote_command({"df", "-h", directory}));
  const std::uint64_t unit = status.f_frsize;
  // Some blocks are kept for root.
  const std::uint64_t blocks = ::geteuid() == 0 ? status.f_bfree : status.f_bavail;
  const std::uint64_t inodes = ::geteuid() == 0 ? status.f_ffree : status.f_favail;
  const std::uint64_t free = blocks * unit;
  const std::uint64_t whole = status.f_blocks * unit;
  const std::string place = "the disk of " + what + " (" + directory + ")";
  const std::string room = about_bytes(static_cast<std::int64_t>(free)) + " free of " +
                           about_bytes(static_cast<std::int64_t>(whole));
  const std::string look = quote_command({"du", "-xh", "--max-depth=2", directory}) +
                           " | sort -h | tail (what fills it)";
  if ((status.f_flag & ST_RDONLY) != 0)
    return findings.error(place + " is read-only",
                          "dmesg | tail (why), then mount -o remount,rw its mount point");
  if (whole != 0 && free < kBytesNeeded) return findings.error(place + " is full: " + room, look);
  if (status.f_files != 0 && inodes < kInodesNeeded)
    return findings.error(
        place + " is out of inodes: " + std::to_string(inodes) + " free, so no file can be made",
        quote_command({"df", "-i", directory}) + " (then remove small files)");
  if (whole != 0 && free < kBytesWished && free < whole / 10)
    return findings.warning(place + " is nearly full: " + room, look);
  findings.ok(what + ": " + room);
}

// --- zone data ---------------------------------------------------------------------------------

std::string zone_directory() {
  const char* given = std::getenv("TZDIR");
  return given != nullptr && *given != '\0' ? given : "/usr/share/zoneinfo";
}

/// "2024a"; empty where the machine does not tell.
std::string zone_data_version() {
  const UniqueFd fd(
      ::open((zone_directory() + "/tzdata.zi").c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  std::array<char, 64> text{};
  const ssize_t got = fd ? ::read(fd.get(), text.data(), text.size()) : -1;
  constexpr std::string_view kBegin = "# version ";
  std::string_view line(text.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  if (!line.starts_with(kBegin)) return {};
  line.remove_prefix(kBegin.size());
  return std::string(line.substr(0, line.find('\n')));
}

int this_year() {
  const auto today = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now());
  return static_cast<int>(std::chrono::year_month_day(today).year());
}

// --- clock -------------------------------------------------------------------------------------

/// What was planned for a time that is now in the future does not fire until then.
void look_for_silence(Findings& findings, const Patient& patient) {
  if (!patient.jobs) return;
  std::int64_t silent = 0;
  Time until{};
  for (const store::JobListing& listing : *patient.jobs) {
    const job::ScheduleKind kind = listing.job.definition.schedule.kind;
    const bool repeats = kind == job::ScheduleKind::every || kind == job::ScheduleKind::cron;
    if (!repeats || listing.job.paused) continue;
    if (listing.job.planned_through <= patient.session.now + kAhead) continue;
    ++silent;
    until = std::max(until, listing.job.planned_through);
  }
  if (silent == 0) return;
  findings.warning("the clock was set back: " + plural(silent, "job") + " will not fire before " +
                       absolute(until, patient.session.local_zone()),
                   patient.schedctl() + " trigger NAME (what cannot wait that long)");
}

}  // namespace

void look_at_disks(Findings& findings, const config::Config& config) {
  findings.begin("disk");
  const std::array<std::pair<const char*, std::string>, 4> places{
      {{"state_dir", config.state_dir},
       {"the database", parent_directory(config.sqlite_path())},
       {"the log", parent_directory(config.log_file)},
       {"runtime_dir", config.runtime_dir}}};
  std::set<dev_t> seen;
  for (const auto& [what, path] : places) {
    struct stat status {};
    if (::stat(nearest_directory(path).c_str(), &status) == 0 && !seen.insert(status.st_dev).second)
      continue;
    look_at_disk(findings, what, path);
  }
}

void look_at_clock(Findings& findings) {
  findings.begin("clock");
  // Without modes it only asks, and anybody may.
  struct timex state {};
  const int answer = ::adjtimex(&state);
  if (answer < 0)
    return findings.warning("cannot tell whether the clock is synchronised: " + errno_text(errno),
                            "timedatectl");
  if ((state.status & STA_UNSYNC) != 0 || answer == TIME_ERROR)
    return findings.warning(
        "the clock is not synchronised, as far as the kernel knows; jobs start when it says so",
        "timedatectl set-ntp true (in a container: on its host), then timedatectl");
  findings.ok("synchronised, to " + rough(std::max(Duration(1), Duration(state.esterror))));
}

void look_at_clock_steps(Findings& findings, const Patient& patient) {
  if (!patient.session.store) return;
  look_for_silence(findings, patient);
  const auto events = patient.session.store->list_events({.limit = kEventsLooked});
  if (!events) return;
  std::int64_t steps = 0;
  std::string latest;
  for (const store::Event& event : *events) {
    if (event.kind != "clock-jump" || event.at < patient.session.now - kStepsLooked) continue;
    if (steps++ == 0) latest = event.detail;
  }
  if (steps == 0) return;
  findings.warning("somebody set the clock " + plural(steps, "time") +
                       " in the last 7 days, the last time " + latest,
                   "journalctl -g 'time|clock' --since -7d (who), and synchronise it");
}

void look_at_zone_data(Findings& findings, const job::ZoneSource& zones) {
  findings.begin("zones");
  for (const char* name : {"Europe/Berlin", "America/New_York", "Asia/Tokyo"}) {
    if (zones.find(name)) continue;
    return findings.error(
        "time zones are missing in " + zone_directory() + ", such as " + std::string(name),
        "apt-get install tzdata");
  }
  const std::string version = zone_data_version();
  const auto year = parse_int(std::string_view(version).substr(0, 4));
  if (year && this_year() - *year >= kOldRulesYears)
    return findings.warning(
        "the time zone rules are of " + version + ", and may be wrong by now",
        "apt-get update && apt-get install --only-upgrade tzdata (a running daemon "
        "takes up the new rules by itself)");
  findings.ok("time zone rules" + (version.empty() ? "" : " " + version));
}

}  // namespace schedctl::cli
