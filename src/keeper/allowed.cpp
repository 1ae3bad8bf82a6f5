#include "schedctl/keeper/allowed.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "schedctl/config/config.hpp"
#include "schedctl/host/privilege.hpp"

namespace schedctl::keeper {

Result<Rules> read_rules(const KeeperPaths& paths) {
  const std::string& file = paths.config_file;
  if (file.empty()) return Rules{};
  if (!host::is_roots_alone(file, S_IFREG)) {
    return fail(ErrorKind::config,
                "others than root can change this file or move it: look at "
                "namei -l " +
                    file,
                file);
  }
  config::Sources sources;
  sources.config_file = file;
  sources.own = paths.own;
  sources.home = "/";
  sources.host_timezone = "UTC";
  TRY(config::Loaded loaded, config::load(sources));
  return Rules{std::move(loaded.config.allow_users), std::move(loaded.config.daemon_user),
               std::move(loaded.config.job_user)};
}

}  // namespace schedctl::keeper
