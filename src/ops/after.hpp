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

/// The jobs that come after this one.
Result<std::vector<job::Job>> jobs_after(const Context& context, const std::string& name);

/// "job b comes after a (after), which ...": for each job that stays and comes after one of those
/// that go. What jobs come after is as `together` says, else as the store does.
Result<std::vector<std::string>> left_alone(const Context& context,
                                            const std::vector<std::string>& going,
                                            const AfterOf& together);

}  // namespace schedctl::ops
