#pragma once

#include "schedctl/base/result.hpp"
#include "schedctl/keeper/client.hpp"

namespace schedctl::keeper {

/// The keeper process: takes its lock, recovers its journal, listens, serves one daemon at a time,
/// until it is idle without a daemon for a minute or is told to end. `ready_fd` (or -1) gets one
/// byte 'R' when it listens, or the error's text. Returns when the process should exit.
Result<void> serve(const KeeperPaths& paths, int ready_fd);

}  // namespace schedctl::keeper
