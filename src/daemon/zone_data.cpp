// The system's time zone data may be replaced under the daemon, by an update of a package or of the
// directory that a container mounts. Its directories are watched; the runner looks whether their
// content says anything new.

#include "instance.hpp"
#include "schedctl/base/log.hpp"
#include "schedctl/zone/system_zones.hpp"

namespace schedctl::daemon {
namespace {

/// A package is unpacked within seconds, and no rule is needed sooner.
constexpr Duration kSettle = std::chrono::seconds(2);

std::vector<loop::DirectoryWatch::Place> places() {
  std::vector<loop::DirectoryWatch::Place> all;
  for (zone::DataPlace& place : zone::data_places()) {
    all.push_back({std::move(place.directory), std::move(place.entry)});
  }
  return all;
}

}  // namespace

void Instance::watch_zone_data() {
  zone_watch_.reset();
  const auto look = [this] {
    runner_->post([](runner::Runner& runner, store::Store&) { runner.look_at_zones(); });
  };
  auto watch = loop::DirectoryWatch::create(*loop_, places, kSettle, look);
  if (watch) {
    zone_watch_ = std::move(*watch);
    // What was replaced before it was watched.
    return look();
  }
  log::warning("zone-data-not-watched",
               {{"error", watch.error().message},
                {"effect", "new time zone rules are noticed within an hour, or at a reload"}});
  log::flush();
}

}  // namespace schedctl::daemon
