#pragma once

#include <optional>
#include <string>

#include "schedctl/base/ids.hpp"

namespace schedctl::cli {

/// The run that "#42" names, or "42", since a shell takes an unquoted # for a comment. A job may be
/// called 42 as well: of a bare number the caller looks for the job first.
struct RunTarget {
  RunId id;
  bool bare = false;
};
std::optional<RunTarget> run_target(const std::string& word);

}  // namespace schedctl::cli
