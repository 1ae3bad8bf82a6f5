#pragma once

#include "child.hpp"
#include "schedctl/keeper/messages.hpp"

namespace schedctl::keeper {

/// Whether the terms ask for another user or group than the keeper's.
inline bool changes_identity(const Terms& terms) {
  return !terms.user.empty() || !terms.group.empty();
}

/// A daemon that is not root, and reads what commands of other users have written.
struct Reader {
  uid_t uid = 0;
  gid_t gid = 0;
};

/// Turns the calling process, a forked child of the keeper, into the user of the terms for good:
/// groups, group, user, no capabilities. `output_fd` is given to that user first; -1: none. The
/// reader, if any, may read it. A report with a stage: it did not come to that, and the process
/// must not go on.
ChildReport become_user(const Terms& terms, int output_fd, const Reader* reader);

}  // namespace schedctl::keeper
