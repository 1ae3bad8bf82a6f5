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
#include <optional>
#include <string_view>

#include "schedctl/base/text.hpp"
#include "schedctl/host/host.hpp"
#include "schedctl/host/privilege.hpp"
#include "schedctl/host/processes.hpp"

namespace schedctl::host {
namespace {

constexpr std::size_t kPage = 4096;
constexpr int kStepMs = 10;
// A killed process gives its memory back before its locks, which takes a while on a busy machine.
constexpr int kEndingPatienceMs = 10'000;

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

Result<std::string> read_all(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail(error_from_errno("cannot read " + path, errno));
  std::string text;
  std::array<char, kPage> page{};
  for (ssize_t n = 0; (n = ::read(file.get(), page.data(), page.size())) != 0;) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(error_from_errno("cannot read " + path, errno));
    text.append(page.data(), static_cast<std::size_t>(n));
  }
  return text;
}

std::string place_in_locks(dev_t device, ino_t inode) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), " %02x:%02x:%lu ", major(device), minor(device),
                static_cast<unsigned long>(inode));
  return text.data();
}

// The lines are "12: FLOCK  ADVISORY  WRITE 811 fe:00:1234 0 EOF"; a waiter's has "->" in it.
// Locks whose holder has no number in this pid namespace are not in the list.
pid_t flock_holder(std::string_view locks, const std::string& place) {
  for (std::size_t at = locks.find(place); at != std::string_view::npos;
       at = locks.find(place, at + 1)) {
    const std::size_t begin = locks.rfind('\n', at) + 1;
    const std::string_view line = locks.substr(begin, at - begin);
    const auto pid = parse_int(line.substr(line.rfind(' ') + 1));
    if (line.find("->") != std::string_view::npos) continue;
    if (line.find("FLOCK") == std::string_view::npos) continue;
    if (pid && *pid > 0 && *pid <= INT32_MAX) return static_cast<pid_t>(*pid);
  }
  return 0;
}

// By /proc/self/mountinfo: "36 35 98:0 / /mnt rw ...".
Result<std::optional<dev_t>> device_of_mount(const std::string& path) {
  struct statx status {};
  if (::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, STATX_MNT_ID, &status) != 0 ||
      (status.stx_mask & STATX_MNT_ID) == 0) {
    return std::nullopt;
  }
  TRY(const std::string mounts, read_all("/proc/self/mountinfo"));
  for (std::size_t at = 0; at < mounts.size(); at = mounts.find('\n', at) + 1) {
    unsigned long long id = 0;
    unsigned int first = 0;
    unsigned int second = 0;
    if (std::sscanf(mounts.c_str() + at, "%llu %*u %u:%u", &id, &first, &second) == 3 &&
        id == status.stx_mnt_id) {
      return makedev(first, second);
    }
  }
  return std::nullopt;
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

void FileLock::describe_holder(const std::string& instance) const {
  const std::optional<ProcessStat> self = process_stat(::getpid());
  const std::string text = "pid " + std::to_string(::getpid()) + "\nstarted_us " +
                           std::to_string(self ? to_us(self->started) : 0) + "\nboot_id " +
                           boot_id() + "\ninstance " + instance + "\n";
  if (::ftruncate(fd(), 0) != 0 ||
      ::pwrite(fd(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return;  // a full disk; the lock is what counts
  }
}

bool FileLock::show_to(const Account& reader, int dir, const std::string& name) const {
  struct stat ours {};
  struct stat there {};
  return ::fstat(fd(), &ours) == 0 &&
         ::fstatat(dir, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
         ours.st_ino == there.st_ino && ours.st_dev == there.st_dev &&
         ::fchown(fd(), 0, reader.gid) == 0 && ::fchmod(fd(), 0640) == 0;
}

namespace {

bool is_held_by_the_ending(const std::string& path) {
  const pid_t holder = lock_holder(path).value_or(0);
  return holder != 0 && is_ending(holder);
}

}  // namespace

Result<FileLock> FileLock::take(const std::string& path, int patience_ms) {
  for (int waited = 0;; waited += kStepMs) {
    TRY(UniqueFd file, open_lock(path));
    if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) {
      // Somebody may have removed or replaced the file between open and flock.
      if (is_still_there(file.get(), path)) return FileLock(std::move(file));
    } else if (errno != EWOULDBLOCK && errno != EINTR) {
      return fail(error_from_errno("cannot lock " + path, errno));
    }
    if (waited >= patience_ms && (waited >= kEndingPatienceMs || !is_held_by_the_ending(path))) {
      break;
    }
    ::poll(nullptr, 0, kStepMs);
  }
  const pid_t holder = lock_holder(path).value_or(0);
  return fail(ErrorKind::conflict, path + " is locked by " +
                                       (holder != 0 ? "process " + std::to_string(holder)
                                                    : std::string("another process")));
}

Result<pid_t> lock_holder(const std::string& path) {
  struct stat status {};
  // A symbolic link is never locked by us, and what it points to is somebody else's.
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return 0;
    return fail(error_from_errno("cannot look at " + path, errno));
  }
  const std::string file = place_in_locks(status.st_dev, status.st_ino);
  // The kernel hands the list out a page at a time, and forgets nothing between two pages but its
  // place: when a lock before that place goes, one behind it is skipped. Ours is looked for again.
  constexpr int kLooks = 12;
  std::string locks;
  for (int look = 0; look < kLooks; ++look) {
    TRY(locks, read_all("/proc/locks"));
    if (const pid_t pid = flock_holder(locks, file); pid != 0) return pid;
    if (locks.size() < kPage / 2) break;
  }
  if (locks.find(':' + std::to_string(status.st_ino) + ' ') == std::string::npos) return 0;
  // On btrfs and overlayfs stat tells another device than the kernel's own lists.
  TRY(const std::optional<dev_t> device, device_of_mount(path));
  if (!device || *device == status.st_dev) return 0;
  return flock_holder(locks, place_in_locks(*device, status.st_ino));
}

Result<pid_t> lasting_lock_holder(const std::string& path) {
  for (int waited = 0;; waited += kStepMs) {
    TRY(const pid_t holder, lock_holder(path));
    if (holder == 0 || waited >= kEndingPatienceMs || !is_ending(holder)) return holder;
    ::poll(nullptr, 0, kStepMs);
  }
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
    if (error == EISDIR)
      return fail(ErrorKind::failed, "a directory stands where the pidfile " + path +
                                         " belongs; look who made it, then remove it");
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
