#pragma once

#include <map>
#include <string>
#include <vector>

#include "schedctl/ops/ops.hpp"

namespace schedctl::ops {

/// What jobs come after that are not stored as they will be: by name.
using AfterOf = std::map<std::string, std::vector<std::string>>;

/// Whether job `name` may come after these jobs: each of them exists, among `together` or in the
/// store, and none of them, over whatever jobs, comes after this one. Kind usage, at "after".
Result<void> check_after(const Context& context, const std::string& name,
                         const std::vector<std::string>& after, const AfterOf& together);

}  // namespace schedctl::ops
