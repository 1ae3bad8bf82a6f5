#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "identity.hpp"
#include "schedctl/base/result.hpp"
#include "schedctl/base/unique_fd.hpp"

/// The keeper's socket in its directory. Addressed through /proc/self/fd, because a socket's path
/// may have 107 bytes at most, and the directory's may be longer.
namespace schedctl::keeper {

/// Opens the keeper's directory, which is no symbolic link.
Result<UniqueFd> open_directory(const std::string& path);

/// Opens a directory whose way may be in the hands of another user: no part of it is a symbolic
/// link, and `owner` or nobody owns it. Made (0700), in a directory that exists, if `make`.
Result<UniqueFd> open_strictly(const std::string& path, uid_t owner, bool make);

/// Nobody else may put anything into it. One that others could write to is closed to them; what
/// they put there before is judged file by file. The daemon's group, if that is another user, may
/// enter.
Result<void> make_private(int dir, const std::string& path, const Reader* daemon = nullptr);

/// Listens (0600), in the place of a socket that an earlier keeper left. Only for the holder of the
/// keeper's lock. The socket's file is the daemon's, if that is another user.
Result<UniqueFd> listen_in(int keeper_dir, const Reader* daemon = nullptr);

/// Whose orders count besides root's, if it is another user than the keeper: the owner of the
/// socket's file, which nobody else can have put there, so that it holds over a change of settings
/// and of the keeper's program.
std::optional<Reader> daemon_of(int keeper_dir);

/// Connects, without waiting. The socket is non-blocking.
Result<UniqueFd> connect_in(int keeper_dir);

/// Whether the peer of a connection is that user or root.
bool is_trusted(int connection, uid_t user);

/// The process that listens at the other end; 0: the kernel does not tell.
std::int64_t listener_of(int connection);

}  // namespace schedctl::keeper
