#pragma once

#include "schedctl/base/result.hpp"
#include "schedctl/keeper/client.hpp"

namespace schedctl::keeper {

/// The keeper process: takes its lock, recovers its journal, listens, serves one daemon at a time,
/// until it is idle without a daemon for `idle_limit` or is told to end. `ready_fd` (or -1) gets
/// one byte 'R' when it listens, or the error's text, and is closed. An external one tells the
/// service manager of its environment, and is never idle long enough to end. Returns when the
/// process should exit. Where an environment variable says that this process has been such a keeper
/// already, before its exec, it goes on with what that one held. The process must have one thread
/// and no children, and is changed for good: signals, limits, umask, subreaper.
Result<void> serve(const KeeperPaths& paths, int ready_fd,
                   Duration idle_limit = std::chrono::minutes(1));

}  // namespace schedctl::keeper
