#pragma once

#include <string>
#include <vector>

#include "schedctl/base/result.hpp"
#include "schedctl/keeper/client.hpp"

namespace schedctl::keeper {

/// What a root keeper goes by.
struct Rules {
  std::vector<std::string> allow_users;  ///< whom it runs commands as, besides job_user
  std::string daemon_user;               ///< whose orders it takes besides root's; empty: nobody's
  std::string job_user;                  ///< of orders that name nobody; empty: its own user
};

/// They stand in the config file, which counts only if nobody but root can have written it, or put
/// it where it is. Environment and flags do not count. Kind config: it cannot be gone by, and why.
Result<Rules> read_rules(const KeeperPaths& paths);

}  // namespace schedctl::keeper
