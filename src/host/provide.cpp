#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string_view>

#include "schedctl/host/host.hpp"
#include "schedctl/host/privilege.hpp"

// Root prepares directories for a user who may be hostile by now. Two rules keep that harmless:
//
//   1. In a directory that the user can write, root does nothing at all. What is to be done there
//      is done with the user's own rights, which can lead nowhere that the user could not go.
//   2. What root does with its own rights begins at "/" and takes one step at a time through
//      directories that are root's alone, following no symbolic link. In there nobody else can have
//      planted anything, nor change anything meanwhile.
//
// A directory of earlier days, when the daemon ran as root, is such a place. It is handed over from
// the inside to the outside, itself last, so that the second rule holds until the end, and an
// interruption is made good by the next start.

namespace schedctl::host {
namespace {

constexpr int kWay = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr mode_t kOthersWrite = S_IWGRP | S_IWOTH;
constexpr std::string_view kKeeper = "keeper";

Error blocked(const std::string& path, const std::string& why, const Account& user) {
  return {ErrorKind::config, path + " " + why + ", so root does not touch it for " + user.name +
                                 " (daemon_user); look at it, then: chown " + user.name + " " +
                                 path};
}

/// Steps into `name`, or makes it (0755) where it is not there.
Result<UniqueFd> step(int dir, const std::string& name, const std::string& path,
                      const Account& user) {
  UniqueFd next(::openat(dir, name.c_str(), kWay));
  if (!next && errno == ENOENT && ::mkdirat(dir, name.c_str(), 0755) == 0) {
    next.reset(::openat(dir, name.c_str(), kWay));
  }
  if (!next && (errno == ELOOP || errno == ENOTDIR)) {
    return fail(ErrorKind::config, path +
                                       " is a symbolic link or no directory; with daemon_user "
                                       "the settings name each directory by its own path");
  }
  struct stat st {};
  if (!next || ::fstat(next.get(), &st) != 0) {
    return fail(error_from_errno("cannot open the directory " + path, errno));
  }
  // In a directory like /tmp others can make entries, but not touch those of root.
  const bool shared = (st.st_mode & S_ISVTX) != 0;
  if (st.st_uid != 0 || ((st.st_mode & kOthersWrite) != 0 && !shared)) {
    return fail(blocked(path,
                        "can be written by others than root, and " + user.name +
                            " cannot make what is needed in it",
                        user));
  }
  return next;
}

/// The directory above `path`, every step of the way root's alone.
Result<UniqueFd> open_parent(const std::string& path, const Account& user) {
  UniqueFd dir(::open("/", kWay));
  if (!dir) return fail(error_from_errno("cannot open /", errno));
  for (std::size_t begin = 1, slash = 0; (slash = path.find('/', begin)) != std::string::npos;
       begin = slash + 1) {
    if (slash == begin) continue;
    TRY(dir, step(dir.get(), path.substr(begin, slash - begin), path.substr(0, slash), user));
  }
  return dir;
}

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

Result<std::vector<std::string>> names_in(int dir, const std::string& path) {
  const int fd = ::openat(dir, ".", kWay);
  const std::unique_ptr<DIR, CloseDir> walk(fd >= 0 ? ::fdopendir(fd) : nullptr);
  if (!walk) {
    const int error = errno;
    if (fd >= 0) ::close(fd);
    return fail(error_from_errno("cannot look into " + path, error));
  }
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(walk.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  return names;
}

Result<void> hand_over(int dir, const std::string& path, const Account& user);

/// One entry of a directory that is root's alone. The output of a command that ran as a third user
/// stays that user's, and becomes readable for the new one.
Result<void> hand_over_entry(int dir, const std::string& name, const std::string& path,
                             const Account& user) {
  struct stat st {};
  if (::fstatat(dir, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return {};
  if (S_ISDIR(st.st_mode)) {
    UniqueFd inner(::openat(dir, name.c_str(), kWay));
    if (!inner) return fail(error_from_errno("cannot open " + path, errno));
    return hand_over(inner.get(), path, user);
  }
  // Another name of it may lie anywhere.
  if (!S_ISREG(st.st_mode) || st.st_nlink != 1) return {};
  const bool roots = st.st_uid == 0;
  if (::fchownat(dir, name.c_str(), roots ? user.uid : static_cast<uid_t>(-1), user.gid,
                 AT_SYMLINK_NOFOLLOW) != 0 ||
      (!roots && st.st_uid != user.uid && ::fchmodat(dir, name.c_str(), 0640, 0) != 0)) {
    return fail(error_from_errno("cannot give " + path + " to " + user.name, errno));
  }
  return {};
}

Result<void> hand_over(int dir, const std::string& path, const Account& user) {
  struct stat st {};
  if (::fstat(dir, &st) != 0) return fail(error_from_errno("cannot look at " + path, errno));
  if (st.st_uid == user.uid) return {};
  if (st.st_uid != 0 || (st.st_mode & kOthersWrite) != 0) {
    return fail(blocked(path, "is not root's alone", user));
  }
  TRY(const std::vector<std::string> names, names_in(dir, path));
  for (const std::string& name : names) {
    // The keeper's directory stays root's.
    if (name != kKeeper) TRY_VOID(hand_over_entry(dir, name, path + "/" + name, user));
  }
  if (::fchown(dir, user.uid, user.gid) == 0) return {};
  return fail(error_from_errno("cannot give " + path + " to " + user.name, errno));
}

Result<bool> can_use(const std::string& path, mode_t mode, const Account& user) {
  TRY(const ActingAs acting, ActingAs::begin(user));
  return make_directory(path, mode).has_value() && ::eaccess(path.c_str(), W_OK | X_OK) == 0;
}

}  // namespace

Result<void> provide_directory(const std::string& path, mode_t mode, const Account& user,
                               const std::function<bool(const std::string&)>& is_ours) {
  TRY(const bool usable, can_use(path, mode, user));
  if (usable) return {};
  TRY(const UniqueFd parent, open_parent(path, user));
  const std::string name = path.substr(path.rfind('/') + 1);
  const bool made = ::mkdirat(parent.get(), name.c_str(), mode) == 0;
  const UniqueFd dir(::openat(parent.get(), name.c_str(), kWay));
  if (!dir) {
    if (errno == ELOOP || errno == ENOTDIR) {
      return fail(blocked(path, "is a symbolic link or no directory", user));
    }
    return fail(error_from_errno("cannot make the directory " + path, errno));
  }
  if (made && ::fchmod(dir.get(), mode) != 0) {
    return fail(error_from_errno("cannot set the mode of " + path, errno));
  }
  TRY(const std::vector<std::string> names, names_in(dir.get(), path));
  for (const std::string& entry : names) {
    if (is_ours(entry)) continue;
    return fail(ErrorKind::config, path + " holds more than schedctl's own (" + entry +
                                       "), so root does not hand it over to " + user.name +
                                       " (daemon_user); move that elsewhere");
  }
  TRY_VOID(hand_over(dir.get(), path, user));
  TRY(const bool now, can_use(path, mode, user));
  if (now) return {};
  return fail(ErrorKind::config, user.name + " (daemon_user) cannot write " + path +
                                     ", or not reach it; look at the modes on the way: namei -l " +
                                     path);
}

Result<void> provide_log_file(const std::string& path, const Account& user) {
  constexpr int kFlags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  {
    TRY(const ActingAs acting, ActingAs::begin(user));
    if (const UniqueFd file(::open(path.c_str(), kFlags, 0640)); file) return {};
  }
  TRY(const UniqueFd parent, open_parent(path, user));
  const std::string name = path.substr(path.rfind('/') + 1);
  const UniqueFd file(::openat(parent.get(), name.c_str(), kFlags | O_NOFOLLOW, 0640));
  struct stat st {};
  if (!file || ::fstat(file.get(), &st) != 0) {
    return fail(error_from_errno("cannot open the log file " + path, errno));
  }
  if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_uid != 0) {
    return fail(blocked(path, "is not a plain file of root's", user));
  }
  if (::fchown(file.get(), user.uid, user.gid) == 0) return {};
  return fail(error_from_errno("cannot give " + path + " to " + user.name, errno));
}

Result<UniqueFd> open_directory(const std::string& path) {
  UniqueFd dir(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!dir) return fail(error_from_errno("cannot open the directory " + path, errno));
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
                                         " is a symbolic link, which root does not follow for "
                                         "another user");
    }
    return fail(error_from_errno("cannot open " + path, errno));
  }
  if (st.st_uid == owner) return dir;
  return fail(ErrorKind::not_allowed, path + " belongs to user id " + std::to_string(st.st_uid) +
                                          ", not to " + std::to_string(owner) +
                                          "; look who made it, then move it away");
}

Result<void> make_private(int dir, const std::string& path, const Account* reader) {
  struct stat st {};
  if (::fstat(dir, &st) != 0) return fail(error_from_errno("cannot look at " + path, errno));
  if (st.st_uid != ::geteuid() && st.st_uid != 0) {
    return fail(ErrorKind::not_allowed,
                path + " belongs to another user; look who made it, then remove it");
  }
  if (reader != nullptr) {
    if (::fchown(dir, 0, reader->gid) == 0 && ::fchmod(dir, 0750) == 0) return {};
    return fail(
        error_from_errno("cannot let the group of " + reader->name + " into " + path, errno));
  }
  if ((st.st_mode & (S_IWGRP | S_IWOTH)) == 0) return {};
  if (::fchmod(dir, 0700) == 0) return {};
  return fail(error_from_errno("others may write to " + path + ", and its mode", errno));
}

std::optional<Account> other_owner(int dir, const std::string& name) {
  struct stat st {};
  if (::fstatat(dir, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
  if (st.st_uid == ::geteuid()) return std::nullopt;
  return Account{"user id " + std::to_string(st.st_uid), st.st_uid, st.st_gid};
}

bool is_roots_alone(const std::string& path, mode_t kind) {
  if (!path.starts_with('/')) return false;
  // Each directory on the way, "/" first, and the thing itself last.
  for (std::size_t end = 0;;) {
    const bool last = end == path.size();
    struct stat st {};
    if (::lstat(end == 0 ? "/" : path.substr(0, end).c_str(), &st) != 0) return false;
    // In a directory like /tmp others can make entries, but not touch those of root.
    const bool shared = !last && (st.st_mode & S_ISVTX) != 0;
    if ((st.st_mode & S_IFMT) != (last ? kind : S_IFDIR) || st.st_uid != 0) return false;
    if ((st.st_mode & kOthersWrite) != 0 && !shared) return false;
    if (last) return true;
    end = std::min(path.find('/', end + 1), path.size());
  }
}

}  // namespace schedctl::host
