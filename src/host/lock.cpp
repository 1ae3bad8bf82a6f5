// The lock is a flock on a file that only its owner may open, because whoever can open a file can
// lock it. flock and not fcntl: a POSIX lock is lost when any descriptor of the file is closed.

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <fstream>

#include "schedctl/base/text.hpp"
#include "schedctl/host/host.hpp"

namespace schedctl::host {
namespace {

Result<UniqueFd> open_lock(const std::string& path) {
  UniqueFd file(::open(path.c_str(),
                       O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600));
  if (!file) {
    if (errno == ELOOP) {
      return fail(ErrorKind::not_allowed,
                  "the lock file " + path + " is a symbolic link; remove it");
    }
    return fail(error_from_errno("cannot open the lock file " + path, errno));
  }
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) {
    return fail(error_from_errno("cannot look at the lock file " + path, errno));
  }
  if (!S_ISREG(status.st_mode) || status.st_nlink > 1 ||
      (status.st_uid != ::geteuid() && status.st_uid != 0)) {
    return fail(ErrorKind::not_allowed, "the lock file " + path +
                                            " is not a plain file of ours; look who made it, "
                                            "then remove it");
  }
  ::fchmod(file.get(), 0600);
  return file;
}

bool is_still_there(int fd, const std::string& path) {
  struct stat ours {};
  struct stat there {};
  return ::fstat(fd, &ours) == 0 && ::lstat(path.c_str(), &there) == 0 &&
         ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

}  // namespace

bool FileLock::is_of(const std::string& path) const {
  return is_still_there(fd_.get(), path);
}

Result<FileLock> FileLock::take(const std::string& path, int patience_ms) {
  constexpr int kStepMs = 10;
  for (int waited = 0;; waited += kStepMs) {
    TRY(UniqueFd file, open_lock(path));
    if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) {
      // Somebody may have removed or replaced the file between open and flock.
      if (is_still_there(file.get(), path)) return FileLock(std::move(file));
    } else if (errno != EWOULDBLOCK && errno != EINTR) {
      return fail(error_from_errno("cannot lock " + path, errno));
    }
    if (waited >= patience_ms) break;
    ::poll(nullptr, 0, kStepMs);
  }
  const pid_t holder = lock_holder(path).value_or(0);
  return fail(ErrorKind::conflict, path + " is locked by " +
                                       (holder != 0 ? "process " + std::to_string(holder)
                                                    : std::string("another process")));
}

Result<pid_t> lock_holder(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return 0;
    return fail(error_from_errno("cannot look at " + path, errno));
  }
  std::array<char, 64> wanted{};
  std::snprintf(wanted.data(), wanted.size(), "%02x:%02x:%lu", major(status.st_dev),
                minor(status.st_dev), static_cast<unsigned long>(status.st_ino));
  std::ifstream locks("/proc/locks");
  if (!locks) return fail(ErrorKind::failed, "cannot read /proc/locks to see who holds " + path);
  // "12: FLOCK  ADVISORY  WRITE 811 fe:00:1234 0 EOF"; a waiter's line has "->" in it.
  std::string number;
  for (std::string line; std::getline(locks, line);) {
    if (line.find("->") != std::string::npos || line.find("FLOCK") == std::string::npos) continue;
    const std::size_t place = line.find(' ' + std::string(wanted.data()) + ' ');
    if (place == std::string::npos) continue;
    const std::size_t before = line.rfind(' ', place - 1);
    if (before == std::string::npos) continue;
    const auto pid = parse_int(std::string_view(line).substr(before + 1, place - before - 1));
    if (pid && *pid > 0) return static_cast<pid_t>(*pid);
    // A holder outside this pid namespace is printed as 0 or -1: somebody holds it all the same.
    return fail(ErrorKind::failed, path + " is locked by a process that cannot be seen from here");
  }
  return 0;
}

Result<void> write_pidfile(const std::string& path) {
  const std::string beside = path + ".new";
  ::unlink(beside.c_str());
  UniqueFd file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!file) return fail(error_from_errno("cannot write the pidfile " + path, errno));
  const std::string line = std::to_string(::getpid()) + "\n";
  ::fchmod(file.get(), 0644);
  const bool written =
      ::write(file.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size()) &&
      ::rename(beside.c_str(), path.c_str()) == 0;
  if (!written) {
    const int error = errno;
    ::unlink(beside.c_str());
    return fail(error_from_errno("cannot write the pidfile " + path, error));
  }
  return {};
}

pid_t read_pidfile(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return 0;
  std::array<char, 32> text{};
  const ssize_t n = ::read(file.get(), text.data(), text.size());
  std::string_view line(text.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
  while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.remove_suffix(1);
  const auto pid = parse_int(line);
  return pid && *pid > 0 && *pid <= INT32_MAX ? static_cast<pid_t>(*pid) : 0;
}

void remove_pidfile(const std::string& path) {
  if (read_pidfile(path) != ::getpid()) return;
  if (::unlink(path.c_str()) == 0) return;
  // The directory may belong to somebody else; the file is ours, and an empty one names nobody.
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
}

}  // namespace schedctl::host
