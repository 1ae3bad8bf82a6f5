#pragma once

#include <string>
#include <vector>

namespace schedctl::keeper {

/// The users that a root keeper may run commands as: `allow_users` of its config file, which counts
/// only if nobody but root can have written it, or put it where it is. Environment and flags do not
/// count. Whatever is wrong with the file, nobody is allowed.
std::vector<std::string> allowed_users(const std::string& config_file);

/// Whether the absolute path leads, without a symbolic link, to a file that only root can change,
/// through directories that only root can change.
bool is_roots_alone(const std::string& path);

}  // namespace schedctl::keeper
