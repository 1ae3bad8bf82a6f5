#pragma once

#include <array>
#include <memory>

#include "schedctl/zone/system_zones.hpp"
#include "target.hpp"

/// Zones with all that zones have: none, half hours, gaps at midnight, a missing day, no more
/// rules.
namespace schedctl::fuzz {

inline const job::ZoneSource& zone_source() {
  static const std::unique_ptr<job::ZoneSource> kSource = zone::system_zones();
  return *kSource;
}

inline job::ZonePtr any_zone(std::uint8_t which) {
  static const std::array<job::ZonePtr, 7> kZones = [] {
    const std::array<const char*, 7> names{
        "UTC",          "Europe/Berlin",     "America/New_York", "Australia/Lord_Howe",
        "Pacific/Apia", "America/Sao_Paulo", "Asia/Kathmandu"};
    std::array<job::ZonePtr, 7> zones;
    for (std::size_t i = 0; i < names.size(); ++i) {
      auto zone = zone_source().find(names[i]);
      require(zone.has_value(), "the zone is there");
      zones[i] = *zone;
    }
    return zones;
  }();
  return kZones[which % kZones.size()];
}

}  // namespace schedctl::fuzz
