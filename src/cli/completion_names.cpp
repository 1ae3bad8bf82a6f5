#include <array>
#include <cstdlib>
#include <filesystem>

#include "schedctl/store/glance.hpp"
#include "src/cli/completion.hpp"
#include "src/cli/session.hpp"

// Names that are on this machine: in the settings, in the store, in the tz database.

namespace schedctl::cli {
namespace {

namespace fs = std::filesystem;

/// More than anybody can choose from, and no more than a shell can take in the blink of an eye.
constexpr std::size_t kMost = 20'000;
/// "America/Argentina/Buenos_Aires"
constexpr int kZoneDepth = 3;
constexpr std::size_t kMostZones = 2000;

void glance(const Session& session, store::Glance what, std::vector<Candidate>& names) {
  const std::string path = session.config().sqlite_path();
  for (store::Glimpse& found : store::glance_at_sqlite(path, what, kMost))
    names.push_back({std::move(found.word), std::move(found.note)});
}

void from_store(Session& session, Kind kind, std::vector<Candidate>& names) {
  // What root may not follow others to, it does not look at either.
  if (!session.become_store_user(Access::read)) return;
  switch (kind) {
    case Kind::jobs:
      return glance(session, store::Glance::jobs, names);
    case Kind::paused_jobs:
      return glance(session, store::Glance::paused_jobs, names);
    case Kind::tags:
      return glance(session, store::Glance::tags, names);
    case Kind::living:
      glance(session, store::Glance::jobs, names);
      return glance(session, store::Glance::living_runs, names);
    case Kind::open_alerts:
      glance(session, store::Glance::jobs, names);
      return glance(session, store::Glance::open_alerts, names);
    case Kind::nothing:
    case Kind::words:
    case Kind::calendars:
    case Kind::groups:
    case Kind::zones:
    case Kind::settings:
    case Kind::store:
    case Kind::commands:
    case Kind::files:
    case Kind::directories:
    case Kind::users:
      return;
  }
}

/// "Europe/Berlin", not "posix", "zone.tab" or "+VERSION".
bool is_zone_part(const std::string& name) {
  return !name.empty() && name[0] >= 'A' && name[0] <= 'Z' && name.find('.') == std::string::npos;
}

void add_zones(const fs::path& directory, const std::string& prefix, int depth,
               std::vector<Candidate>& zones) {
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (!is_zone_part(name) || zones.size() >= kMostZones) continue;
    std::error_code unknown;
    if (!at->is_directory(unknown))
      zones.push_back({prefix + name});
    else if (depth > 1)
      add_zones(at->path(), prefix + name + "/", depth - 1, zones);
  }
}

}  // namespace

std::vector<Candidate> names_of(Kind kind, const Invocation& call) {
  std::vector<Candidate> names;
  const Result<std::unique_ptr<Session>> session = Session::open(call, Access::none);
  if (!session) return names;
  const config::Config& config = (*session)->config();
  if (kind == Kind::calendars)
    for (const auto& [name, calendar] : config.calendars) names.push_back({name});
  else if (kind == Kind::groups)
    for (const auto& [name, slots] : config.groups)
      names.push_back({name, std::to_string(slots) + " at once"});
  else
    from_store(**session, kind, names);
  return names;
}

std::vector<Candidate> zone_names() {
  std::vector<Candidate> zones;
  const char* place = std::getenv("TZDIR");
  add_zones(place != nullptr && *place != '\0' ? place : "/usr/share/zoneinfo", "", kZoneDepth,
            zones);
  return zones;
}

std::vector<Candidate> setting_keys() {
  std::vector<Candidate> keys;
  config::Sources nothing;
  nothing.home = "/dev/null";  // where no file can be
  nothing.own = true;
  nothing.host_timezone = "UTC";
  const Result<config::Loaded> loaded = config::load(nothing);
  if (!loaded) return keys;
  for (const config::Setting& setting : loaded->settings)
    if (!setting.variable.empty()) keys.push_back({setting.key + "="});
  return keys;
}

}  // namespace schedctl::cli
