#pragma once

#include "child.hpp"
#include "schedctl/keeper/messages.hpp"

namespace schedctl::keeper {

/// Whether the terms ask for another user or group than the keeper's.
inline bool changes_identity(const Terms& terms) {
  return !terms.user.empty() || !terms.group.empty();
}

/// Turns the calling process, a forked child of the keeper, into the user of the terms for good:
/// groups, group, user, no capabilities. `output_fd` is given to that user first; -1: none. A
/// report with a stage: it did not come to that, and the process must not go on.
ChildReport become_user(const Terms& terms, int output_fd);

}  // namespace schedctl::keeper
