#include "schedctl/keeper/allowed.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "schedctl/config/config.hpp"

namespace schedctl::keeper {

bool is_roots_alone(const std::string& path) {
  if (!path.starts_with('/')) return false;
  // Each directory on the way, "/" first, and the file itself last.
  for (std::size_t end = 0;;) {
    const bool last = end == path.size();
    const std::string part = end == 0 ? "/" : path.substr(0, end);
    struct stat st {};
    if (::lstat(part.c_str(), &st) != 0) return false;
    const bool right_kind = last ? S_ISREG(st.st_mode) : S_ISDIR(st.st_mode);
    // In a directory like /tmp others can make entries, but not touch those of root.
    const bool shared = !last && (st.st_mode & S_ISVTX) != 0;
    const bool others_write = (st.st_mode & (S_IWGRP | S_IWOTH)) != 0;
    if (!right_kind || st.st_uid != 0 || (others_write && !shared)) return false;
    if (last) return true;
    end = std::min(path.find('/', end + 1), path.size());
  }
}

Result<Rules> read_rules(const KeeperPaths& paths) {
  const std::string& file = paths.config_file;
  if (file.empty()) return Rules{};
  if (!is_roots_alone(file)) {
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

std::vector<std::string> allowed_users(const std::string& config_file) {
  if (::geteuid() != 0) return {};
  Result<Rules> rules =
      read_rules({.keeper_dir = {}, .output_dir = {}, .config_file = config_file});
  return rules ? std::move(rules->allow_users) : std::vector<std::string>{};
}

}  // namespace schedctl::keeper
