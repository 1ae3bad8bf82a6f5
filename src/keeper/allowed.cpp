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

std::vector<std::string> allowed_users(const std::string& config_file) {
  if (::geteuid() != 0 || config_file.empty() || !is_roots_alone(config_file)) return {};
  config::Sources sources;
  sources.config_file = config_file;
  sources.host_timezone = "UTC";
  Result<config::Loaded> loaded = config::load(sources);
  if (!loaded) return {};
  return std::move(loaded->config.allow_users);
}

}  // namespace schedctl::keeper
