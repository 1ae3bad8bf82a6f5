#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "schedctl/base/unique_fd.hpp"
#include "schedctl/keeper/messages.hpp"

namespace schedctl::keeper {

/// The cgroups (version 2) of runs that ask for limits of them: one each, below the keeper's own,
/// for as long as something of the run lives. Nothing is touched before the first is made. Used by
/// one thread.
class Cgroups {
 public:
  explicit Cgroups(std::string instance) : instance_(std::move(instance)) {}

  /// Makes one that has the limits of the terms; what to write "0" to in order to go in. The error
  /// is an errno value: EOPNOTSUPP: no cgroup v2 here, or it lacks that controller; EBUSY: the
  /// keeper's own cgroup holds processes and is not delegated.
  tl::expected<UniqueFd, int> make(const RunKey& key, const Terms& terms);
  std::vector<pid_t> members(const RunKey& key) const;
  /// KILL to all that is in it, and to what that is about to start.
  void kill(const RunKey& key) const;
  bool had_oom_kill(const RunKey& key) const;
  /// False: something is still in it.
  bool remove(const RunKey& key) const;
  /// Kills and removes what an earlier keeper left of a run.
  void sweep(const RunKey& key, const std::string& instance) const;

 private:
  std::string path_of(const RunKey& key) const;
  std::string path_of(const RunKey& key, const std::string& instance) const;

  std::string instance_;
};

/// The keeper's own place in the tree of version 2; nothing: there is no such tree here.
std::optional<std::string> own_cgroup();

}  // namespace schedctl::keeper
