#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "schedctl/base/clock.hpp"
#include "schedctl/config/config.hpp"
#include "schedctl/job/zone.hpp"
#include "schedctl/store/store.hpp"

namespace schedctl::daemon {

/// The concrete parts, chosen by main.
struct Parts {
  std::function<Result<std::unique_ptr<store::Store>>(const config::Config&)> open_store;
  std::shared_ptr<const job::ZoneSource> zones;
  std::shared_ptr<const Clock> clock;
  std::string version;
};

struct StartOptions {
  bool foreground = false;
  config::Sources sources;  ///< to read the configuration again at reload
  config::Loaded loaded;
  std::vector<std::string> argv;  ///< for the re-exec in place
};

/// Exit code of a daemon that leaves its jobs to a successor (SIGUSR1).
inline constexpr int kExitLeft = 75;

/// Starts the daemon. In the background: returns in the calling process when it is ready (0) or has
/// failed (the error), and in the daemon itself when it ends. In the foreground: returns when it
/// ends. The int is the exit code.
Result<int> start(StartOptions options, const Parts& parts);

}  // namespace schedctl::daemon
