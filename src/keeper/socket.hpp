#pragma once

#include <cstdint>
#include <string>

#include "schedctl/base/result.hpp"
#include "schedctl/base/unique_fd.hpp"

/// The keeper's socket in its directory. Addressed through /proc/self/fd, because a socket's path
/// may have 107 bytes at most, and the directory's may be longer.
namespace schedctl::keeper {

/// Opens the keeper's directory, which is no symbolic link.
Result<UniqueFd> open_directory(const std::string& path);

/// Nobody else may put anything into it. One that others could write to is closed to them; what
/// they put there before is judged file by file.
Result<void> make_private(int dir, const std::string& path);

/// Listens (0600), in the place of a socket that an earlier keeper left. Only for the holder of the
/// keeper's lock.
Result<UniqueFd> listen_in(int keeper_dir);

/// Connects, without waiting. The socket is non-blocking.
Result<UniqueFd> connect_in(int keeper_dir);

/// Whether the peer of a connection is this process's user or root.
bool is_trusted(int connection);

/// The process that listens at the other end; 0: the kernel does not tell.
std::int64_t listener_of(int connection);

}  // namespace schedctl::keeper
