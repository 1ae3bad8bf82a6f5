#pragma once

#include <string>
#include <string_view>

#include "schedctl/base/result.hpp"

namespace schedctl::config {

/// A cron expression of schedctl in the words that Debian's cron knows, with the same meaning: no
/// field of seconds, * for ?, 5-59/15 for 5/15. The error says what no cron knows; it follows
/// "cron" in a sentence ("has no seconds: ...").
Result<std::string> debian_fields(std::string_view expression);

}  // namespace schedctl::config
