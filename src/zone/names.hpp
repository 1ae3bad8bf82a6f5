#pragma once

#include <optional>
#include <string>
#include <vector>

#include "schedctl/base/result.hpp"

namespace schedctl::zone {

/// Whether `name` can be the name of a zone at all; looked at before any file is. Kind usage.
Result<void> check_zone_name(const std::string& name);

/// The names this machine's database has; only "UTC" if there is none. Read from disk each time.
std::vector<std::string> zone_names();

/// The known name that was probably meant: another case, the last part only ("Berlin"), or a typo.
std::optional<std::string> nearest_zone_name(const std::string& name);

}  // namespace schedctl::zone
