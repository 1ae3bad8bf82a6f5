#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/cli/command.hpp"

namespace schedctl::cli {

/// Reads a whole command line, program name first. What follows the first "--" is set apart before
/// any flag is looked for, so a job's command may have any flags of its own. Errors are of kind
/// usage; `where` is the flag.
Result<Invocation> parse(const std::vector<std::string>& argv);

/// Whether --json stands among the flags, told even of a line that cannot be parsed.
bool wants_json(const std::vector<std::string>& argv);

/// The value of a flag as a number in [least, most]; `fallback` if it is not given.
Result<std::int64_t> number_option(const Invocation& call, std::string_view name,
                                   std::int64_t fallback, std::int64_t least, std::int64_t most);
/// The value of a flag as a duration.
Result<std::optional<Duration>> duration_option(const Invocation& call, std::string_view name);

}  // namespace schedctl::cli
