#include "schedctl/host/at_hand.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <sstream>
#include <string_view>

#include "schedctl/base/clock.hpp"
#include "schedctl/base/fd_io.hpp"

// At hand is what is found with RESOLVE_CACHED, that is in the kernel's cache without a question to
// any file system, and lies on a mount that is this machine's own.

namespace schedctl::host {
namespace {

/// File systems without a server or a user's program behind them. Unknown kinds are not local.
constexpr std::array<std::string_view, 14> kLocal = {
    "bcachefs", "btrfs",   "erofs", "ext2",     "ext3",  "ext4", "f2fs",
    "jfs",      "overlay", "ramfs", "squashfs", "tmpfs", "xfs",  "zfs"};
/// How long, and of how many commands, it is remembered that they are at hand.
constexpr Duration kRemembered = std::chrono::seconds(1);
constexpr std::size_t kMostRemembered = 1000;
constexpr std::size_t kLongestMounts = std::size_t{16} * 1024 * 1024;

}  // namespace

AtHand::AtHand() : mountinfo_(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)) {
  read_mounts();
}

/// An answer holds for a second: asking costs as much as a tenth of a small program's run.
bool AtHand::has(const std::string& cwd, const std::vector<std::string>& programs) {
  const Duration now = SystemClock().awake();
  if (now - known_since_ > kRemembered || known_.size() > kMostRemembered) {
    known_.clear();
    known_since_ = now;
  }
  std::string what = cwd;
  for (const std::string& program : programs) what.append(1, '\0').append(program);
  if (known_.contains(what)) return true;
  if (!look_for(cwd, programs)) return false;
  known_.insert(std::move(what));
  return true;
}

bool AtHand::look_for(const std::string& cwd, const std::vector<std::string>& programs) {
  int error_number = 0;
  UniqueFd dir;
  if (!look_up(AT_FDCWD, cwd, dir, error_number)) return false;
  for (const std::string& program : programs) {
    UniqueFd found;
    if (look_up(dir.get(), program, found, error_number)) return true;
    if (error_number != ENOENT && error_number != ENOTDIR) return false;
  }
  return true;
}

/// If it is not, `error_number` says what the cache knows: ENOENT is an answer too, EAGAIN is none.
bool AtHand::look_up(int dir, const std::string& path, UniqueFd& found, int& error_number) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_CACHED;
  found.reset(static_cast<int>(::syscall(SYS_openat2, dir, path.c_str(), &how, sizeof how)));
  if (!found) {
    error_number = errno;
    return false;
  }
  error_number = EAGAIN;
  struct statx st {};
  return ::statx(found.get(), "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &st) == 0 &&
         (st.stx_mask & STATX_MNT_ID) != 0 && is_local(st.stx_mnt_id);
}

/// `mount_id` is that of statx(2).
bool AtHand::is_local(std::uint64_t mount_id) {
  // proc(5): an open mountinfo polls as POLLERR | POLLPRI once after every change.
  pollfd poll{mountinfo_.get(), POLLPRI, 0};
  if (::poll(&poll, 1, 0) > 0 && (poll.revents & (POLLERR | POLLPRI)) != 0) read_mounts();
  return local_mounts_.contains(mount_id);
}

void AtHand::read_mounts() {
  local_mounts_.clear();
  std::string text;
  if (!mountinfo_ || ::lseek(mountinfo_.get(), 0, SEEK_SET) != 0) return;
  static_cast<void>(read_to_end(mountinfo_.get(), kLongestMounts, text));
  // "36 35 98:0 / /mnt rw,noatime master:1 - ext3 /dev/root rw": the id is first, the type follows
  // the lone dash.
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const std::size_t at = dash + 3;
    const std::string type = line.substr(at, line.find(' ', at) - at);
    if (std::find(kLocal.begin(), kLocal.end(), type) == kLocal.end()) continue;
    local_mounts_.insert(std::strtoull(line.c_str(), nullptr, 10));
  }
}

}  // namespace schedctl::host
