#pragma once

#include <cstdint>
#include <unordered_map>

#include "schedctl/base/unique_fd.hpp"

namespace schedctl::keeper {

/// Which mounts lie on this machine, so that what the kernel has cached of them is to be had
/// without waiting for anybody. A question costs one poll(2), unless mounts have changed.
class Mounts {
 public:
  Mounts();
  /// `mount_id` is that of statx(2). Unknown kinds of file systems are not local.
  bool is_local(std::uint64_t mount_id);

 private:
  bool have_changed() const;
  void read();

  UniqueFd mountinfo_;
  std::unordered_map<std::uint64_t, bool> local_;
};

}  // namespace schedctl::keeper
