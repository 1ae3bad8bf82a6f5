#include "socket.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace schedctl::keeper {
namespace {

constexpr const char* kName = "socket";
/// A daemon connects once; a crowd here is no daemon.
constexpr int kBacklog = 8;

sockaddr_un address_in(int keeper_dir) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", keeper_dir,
                kName);
  return address;
}

}  // namespace

Result<UniqueFd> open_directory(const std::string& path) {
  UniqueFd dir(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!dir) return fail(error_from_errno("cannot open the keeper's directory " + path, errno));
  return dir;
}

Result<UniqueFd> open_strictly(const std::string& path, uid_t owner, bool make) {
  const std::size_t slash = path.rfind('/');
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS;
  const UniqueFd parent(static_cast<int>(::syscall(
      SYS_openat2, AT_FDCWD, slash == 0 ? "/" : path.substr(0, slash).c_str(), &how, sizeof how)));
  const std::string name = path.substr(slash + 1);
  if (parent && make) ::mkdirat(parent.get(), name.c_str(), 0700);
  UniqueFd dir;
  if (parent) dir.reset(::openat(parent.get(), name.c_str(), how.flags | O_NOFOLLOW));
  struct stat st {};
  if (!dir || ::fstat(dir.get(), &st) != 0) {
    if (errno == ELOOP || errno == ENOTDIR) {
      return fail(ErrorKind::config, "a part of " + path +
                                         " is a symbolic link, which a root keeper does not follow "
                                         "for another user's daemon");
    }
    return fail(error_from_errno("cannot open " + path, errno));
  }
  if (st.st_uid == owner) return dir;
  return fail(ErrorKind::not_allowed, path + " belongs to user id " + std::to_string(st.st_uid) +
                                          ", not to " + std::to_string(owner) +
                                          "; look who made it, then move it away");
}

Result<void> make_private(int dir, const std::string& path, const Reader* daemon) {
  struct stat st {};
  if (::fstat(dir, &st) != 0) return fail(error_from_errno("cannot look at " + path, errno));
  if (st.st_uid != ::geteuid() && st.st_uid != 0) {
    return fail(ErrorKind::not_allowed,
                path + " belongs to another user; look who made it, then remove it");
  }
  if (daemon != nullptr) {
    if (::fchown(dir, 0, daemon->gid) == 0 && ::fchmod(dir, 0750) == 0) return {};
    return fail(error_from_errno("cannot let the daemon's group into " + path, errno));
  }
  if ((st.st_mode & (S_IWGRP | S_IWOTH)) == 0) return {};
  if (::fchmod(dir, 0700) == 0) return {};
  return fail(error_from_errno("others may write to " + path + ", and its mode", errno));
}

Result<UniqueFd> listen_in(int keeper_dir, const Reader* daemon) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail(error_from_errno("cannot make a socket", errno));
  ::unlinkat(keeper_dir, kName, 0);
  const sockaddr_un address = address_in(keeper_dir);
  const mode_t old = ::umask(0177);
  const int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error_number = errno;
  ::umask(old);
  if (bound != 0) return fail(error_from_errno("cannot bind the keeper's socket", error_number));
  if (daemon != nullptr &&
      ::fchownat(keeper_dir, kName, daemon->uid, daemon->gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return fail(error_from_errno("cannot give the keeper's socket to the daemon", errno));
  }
  if (::listen(fd.get(), kBacklog) != 0) {
    return fail(error_from_errno("cannot listen on the keeper's socket", errno));
  }
  return fd;
}

Result<UniqueFd> connect_in(int keeper_dir) {
  struct stat st {};
  if (::fstatat(keeper_dir, kName, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISSOCK(st.st_mode)) {
    return fail(ErrorKind::unavailable, "what stands in its socket's place is no socket");
  }
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail(error_from_errno("cannot make a socket", errno));
  const sockaddr_un address = address_in(keeper_dir);
  // unix(7): it is connected at once, or there is nobody, or (EAGAIN) the backlog is full, since
  // the keeper has accepted nobody for long.
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EAGAIN) return fail(ErrorKind::unavailable, "it does not answer");
    Error error = error_from_errno("cannot connect to the keeper", errno);
    error.kind = ErrorKind::unavailable;
    return fail(std::move(error));
  }
  return fd;
}

std::optional<Reader> daemon_of(int keeper_dir) {
  struct stat st {};
  if (::fstatat(keeper_dir, kName, &st, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
  if (st.st_uid == ::geteuid()) return std::nullopt;
  return Reader{st.st_uid, st.st_gid};
}

bool is_trusted(int connection, uid_t user) {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (::getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return false;
  return peer.uid == 0 || peer.uid == user;
}

std::int64_t listener_of(int connection) {
  ucred peer{};
  socklen_t length = sizeof peer;
  const int got = ::getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &length);
  return got == 0 ? peer.pid : 0;
}

}  // namespace schedctl::keeper
