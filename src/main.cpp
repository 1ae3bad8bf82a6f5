// The only file that names concrete classes together.

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "schedctl/base/clock.hpp"
#include "schedctl/cli/cli.hpp"
#include "schedctl/daemon/daemon.hpp"
#include "schedctl/host/host.hpp"
#include "schedctl/keeper/serve.hpp"
#include "schedctl/store/store.hpp"
#include "schedctl/zone/system_zones.hpp"

namespace {

using namespace schedctl;

int start_daemon(cli::StartRequest request) {
  daemon::Parts parts;
  parts.open_store = [](const config::Config& config) {
    return store::open_sqlite({.path = config.sqlite_path()});
  };
  parts.zones = zone::system_zones();
  parts.clock = std::make_shared<SystemClock>();
  parts.version = cli::version();
  const auto ended = daemon::start({.foreground = request.foreground,
                                    .sources = std::move(request.sources),
                                    .loaded = std::move(request.loaded),
                                    .argv = {}},
                                   parts);
  return ended ? *ended : cli::report(ended.error(), request.json);
}

int run_keeper(const cli::KeeperRequest& request) {
  host::set_process_title("schedctl: keeper");
  const auto served = keeper::serve(request.paths, request.ready_fd);
  return served ? 0 : cli::report(served.error(), false);
}

}  // namespace

int main(int argc, char** argv) {
  schedctl::host::remember_argv(argc, argv);
  auto outcome = schedctl::cli::run(std::vector<std::string>(argv, argv + argc));
  if (auto* start = std::get_if<schedctl::cli::StartRequest>(&outcome)) {
    return start_daemon(std::move(*start));
  }
  if (const auto* keeper = std::get_if<schedctl::cli::KeeperRequest>(&outcome)) {
    return run_keeper(*keeper);
  }
  return std::get<schedctl::cli::Done>(outcome).exit_code;
}
