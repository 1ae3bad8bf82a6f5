#include <absl/time/time.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "schedctl/zone/system_zones.hpp"
#include "src/zone/names.hpp"

namespace schedctl::zone {
namespace {

/// Links that /etc/localtime may lead through.
constexpr int kMaxLinks = 8;

bool is_zone(const std::string& name) {
  absl::TimeZone zone;
  return check_zone_name(name) && absl::LoadTimeZone(name, &zone);
}

/// The zone's name in a path like /usr/share/zoneinfo/Europe/Berlin; empty if there is none.
std::string name_in_path(const std::string& path) {
  static constexpr std::string_view kTree = "zoneinfo/";
  const std::size_t at = path.rfind(kTree);
  if (at == std::string::npos) return {};
  std::string name = path.substr(at + kTree.size());
  for (const std::string_view prefix : {"posix/", "right/"}) {
    if (name.starts_with(prefix)) name.erase(0, prefix.size());
  }
  return name;
}

std::string from_environment() {
  const char* tz = std::getenv("TZ");
  if (tz == nullptr) return {};
  std::string name = *tz == ':' ? tz + 1 : tz;
  return name.starts_with('/') ? name_in_path(name) : name;
}

/// Follows the links one by one, since the last one may be the database's own, from the name the
/// administrator chose to another.
std::string from_localtime() {
  std::filesystem::path path = "/etc/localtime";
  std::error_code error;
  for (int i = 0; i < kMaxLinks; ++i) {
    const std::filesystem::path target = std::filesystem::read_symlink(path, error);
    if (error) return {};
    path = (path.parent_path() / target).lexically_normal();
    std::string name = name_in_path(path.string());
    if (!name.empty()) return name;
  }
  return {};
}

std::string from_timezone_file() {
  std::ifstream file("/etc/timezone");
  std::string name;
  file >> name;
  return name;
}

}  // namespace

std::string host_zone_name() {
  for (std::string (*source)() : {from_environment, from_localtime, from_timezone_file}) {
    if (std::string name = source(); is_zone(name)) return name;
  }
  return "UTC";
}

}  // namespace schedctl::zone
