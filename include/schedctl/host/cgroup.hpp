#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <tl/expected.hpp>

#include "schedctl/base/unique_fd.hpp"

namespace schedctl::host {

/// 0: none.
struct CgroupLimits {
  std::int64_t memory_max = 0;  ///< bytes
  int cpu_max = 0;              ///< percent of one processor
  std::int64_t pids_max = 0;
};

/// A cgroup (version 2) below this process's own, by its name. Nothing is touched before the first
/// is made. Used by one thread.
class Cgroup {
 public:
  explicit Cgroup(std::string name) : name_(std::move(name)) {}

  /// What to write "0" to in order to go in. The error is an errno value: EOPNOTSUPP: no cgroup v2
  /// here, or it lacks a controller; EBUSY: this process's own cgroup holds processes and is not
  /// delegated.
  tl::expected<UniqueFd, int> make(const CgroupLimits& limits) const;
  std::vector<pid_t> members() const;
  /// KILL to all that is in it, and to what that is about to start.
  void kill() const;
  bool had_oom_kill() const;
  /// False: something is still in it.
  bool remove() const;
  /// Kills what is in it and removes it, if it is there.
  void sweep() const;

 private:
  std::string path() const;

  std::string name_;
};

/// This process's place in the tree of version 2; nothing: there is no such tree here.
std::optional<std::string> own_cgroup();

}  // namespace schedctl::host
