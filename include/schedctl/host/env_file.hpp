#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

namespace schedctl::host {

/// The variables of an environment file, as "NAME=VALUE". The error is an errno value: what open(2)
/// says, EISDIR, EINVAL (no regular file), EFBIG, EBADMSG (not as below). Never waits for a FIFO.
tl::expected<std::vector<std::string>, int> read_env_file(const std::string& path);

/// One NAME=VALUE a line; blank lines and those that begin with # or ; do not count. Spaces around
/// name and value go. A value in single quotes is taken as it is, in double quotes \" \\ \$ and \`
/// stand for the second character; no value goes over its line. The last of a name counts. The
/// error is EBADMSG.
tl::expected<std::vector<std::string>, int> parse_env_file(std::string_view text);

/// `env` over `file`: what `env` has wins, SCHEDCTL_* of the file is left out.
std::vector<std::string> merge_environment(const std::vector<std::string>& env,
                                           std::vector<std::string> file);

}  // namespace schedctl::host
