#pragma once

#include <string>

#include "schedctl/job/job.hpp"
#include "schedctl/job/run.hpp"

/// What would be started for a job, exactly as the daemon would have it started.
namespace schedctl::cli {

struct Planned {
  const job::Job& job;
  const job::Policy& policy;
  std::string job_user;  ///< of the settings; empty: this process's user
  Time now;
};

/// NAME=VALUE lines, sorted, of the job's next run; an env_file is not read, but named in a line
/// of `#` at the end.
std::string environment_lines(const Planned& planned);
/// The same, the command and all terms, for people and as one document.
std::string launch_text(const Planned& planned);
std::string launch_json(const Planned& planned);

}  // namespace schedctl::cli
