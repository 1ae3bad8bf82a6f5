#pragma once

#include <string>
#include <vector>

#include "schedctl/base/result.hpp"
#include "schedctl/job/job.hpp"
#include "schedctl/job/zone.hpp"

/// The way back of job_file.hpp: from a definition to what a job file says.
namespace schedctl::config {

/// One key of a job, and what a job file gives it.
struct JobKey {
  enum class Kind { text, number, flag, list };
  std::string key = {};  ///< "every", "retry.backoff", "env.PATH"
  Kind kind = Kind::text;
  std::string text = {};  ///< of a number its digits, of a flag "true"; empty of a list
  std::vector<std::string> list = {};  ///< empty of everything else
  bool operator==(const JobKey&) const = default;
};

/// All that a job file must say so that it means this definition wherever and whenever it is read,
/// in the order in which people should read it. What the definition leaves to [defaults] is not
/// among it; what would depend on the reader is: the time zone, and the anchor of a grid or of
/// weeks. Instants are shown by the clock of `zone` (the schedule's, best), with its offset.
std::vector<JobKey> job_keys(const job::Definition& definition, const job::Zone& zone);

/// The value in TOML, on one line: "5m" in quotes, 3, true, ["a", "b"]. Control characters are
/// escaped. Bytes that are no UTF-8, which TOML cannot hold, become U+FFFD.
std::string toml_value(const JobKey& key);

/// The whole [job.NAME]; read_job_files() reads it back, and ops compiles that into an equal
/// definition. Kind failed: something in it is no UTF-8 (`where` is its key).
Result<std::string> job_text(const std::string& name, const job::Definition& definition,
                             const job::Zone& zone);

}  // namespace schedctl::config
