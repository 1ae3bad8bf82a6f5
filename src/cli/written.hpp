#pragma once

#include <string>

#include "src/cli/session.hpp"

namespace schedctl::cli {

/// The job as a job file says it. Kind failed: TOML cannot hold it.
Result<std::string> job_file_text(Session& session, const job::Job& job);

}  // namespace schedctl::cli
