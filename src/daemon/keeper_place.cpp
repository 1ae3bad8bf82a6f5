// Where the keeper lives, and that it is the one that has this store's runs.
//
// A keeper in another directory than yesterday's knows nothing of what yesterday's keeps: to a
// daemon that went over to it those runs would be lost, and started again beside themselves. So a
// symbolic link in state_dir, which nobody follows, names the directory in use unless that is the
// default one.

#include <unistd.h>

#include <array>
#include <climits>

#include "instance.hpp"
#include "schedctl/base/log.hpp"
#include "schedctl/host/processes.hpp"

namespace schedctl::daemon {
namespace {

std::string default_dir(const config::Config& config) {
  return config.state_dir + "/keeper";
}

std::string last_dir(const config::Config& config) {
  std::array<char, PATH_MAX> target{};
  const ssize_t length =
      ::readlink(config.last_keeper_file().c_str(), target.data(), target.size());
  if (length <= 0) return default_dir(config);
  return {target.data(), static_cast<std::size_t>(length)};
}

}  // namespace

bool Instance::keeper_is_external() const {
  return config_.keeper == config::KeeperFrom::external;
}

keeper::KeeperPaths Instance::keeper_paths() const {
  return {.keeper_dir = config_.keeper_dir,
          .output_dir = config_.output_dir(),
          .config_file = config_.config_file,
          .own = config_.own,
          .external = keeper_is_external()};
}

Result<void> Instance::expect_no_other_keeper(const config::Config& config) {
  const std::string last = last_dir(config);
  if (last == config.keeper_dir) return {};
  const std::int64_t pid = keeper::living_keeper(last);
  if (pid == 0 || !host::has_children(static_cast<pid_t>(pid))) return {};
  return fail(ErrorKind::unavailable,
              "jobs still run under the keeper (process " + std::to_string(pid) + ") in " + last +
                  ", where keeper_dir was, and a daemon with keeper_dir = \"" + config.keeper_dir +
                  "\" would not know of them; wait until they have ended, or set it back",
              "keeper_dir");
}

/// A power cut that undoes this costs nothing: it has ended those runs, too.
void Instance::note_keeper_place() const {
  if (last_dir(config_) == config_.keeper_dir) return;
  const std::string path = config_.last_keeper_file();
  const std::string beside = path + ".new";
  ::unlink(beside.c_str());
  const bool done = config_.keeper_dir == default_dir(config_)
                        ? ::unlink(path.c_str()) == 0
                        : ::symlink(config_.keeper_dir.c_str(), beside.c_str()) == 0 &&
                              ::rename(beside.c_str(), path.c_str()) == 0;
  if (done) return;
  log::error("keeper-place-not-noted",
             {{"path", path},
              {"error", errno_text(errno)},
              {"effect", "before keeper_dir is changed, let all jobs end"}});
}

}  // namespace schedctl::daemon
