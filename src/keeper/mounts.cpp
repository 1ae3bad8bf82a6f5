#include "mounts.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <string>
#include <string_view>

namespace schedctl::keeper {
namespace {

/// File systems without a server or a user's program behind them.
constexpr std::array<std::string_view, 14> kLocal = {
    "bcachefs", "btrfs",   "erofs", "ext2",     "ext3",  "ext4", "f2fs",
    "jfs",      "overlay", "ramfs", "squashfs", "tmpfs", "xfs",  "zfs"};

}  // namespace

Mounts::Mounts() : mountinfo_(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)) {
  if (mountinfo_) read();
}

bool Mounts::is_local(std::uint64_t mount_id) {
  if (!mountinfo_) return false;
  if (have_changed()) read();
  const auto known = local_.find(mount_id);
  return known != local_.end() && known->second;
}

// proc(5): an open mountinfo polls as POLLERR | POLLPRI once after every change.
bool Mounts::have_changed() const {
  pollfd poll{mountinfo_.get(), POLLPRI, 0};
  return ::poll(&poll, 1, 0) > 0 && (poll.revents & (POLLERR | POLLPRI)) != 0;
}

void Mounts::read() {
  local_.clear();
  std::string text;
  std::array<char, 4096> buffer{};
  ::lseek(mountinfo_.get(), 0, SEEK_SET);
  for (ssize_t got = 0; (got = ::read(mountinfo_.get(), buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  // "36 35 98:0 / /mnt rw,noatime master:1 - ext3 /dev/root rw": the id is first, the type follows
  // the lone dash.
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::uint64_t id = 0;
    std::string type;
    std::istringstream(line) >> id;
    std::istringstream(line.substr(dash + 3)) >> type;
    local_[id] = std::find(kLocal.begin(), kLocal.end(), type) != kLocal.end();
  }
}

}  // namespace schedctl::keeper
