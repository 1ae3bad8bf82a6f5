#pragma once

#include <map>
#include <string>
#include <vector>

#include "schedctl/base/result.hpp"
#include "schedctl/job/draft.hpp"

namespace schedctl::config {

/// One [job.NAME] of a file.
struct FileJob {
  std::string name;
  job::JobDraft draft;
  std::string file;      ///< absolute path
  std::string root;      ///< of the paths that were to be read, the one that led here; absolute
  std::string position;  ///< "FILE:LINE:COLUMN" of its header
  std::map<std::string, std::string> positions;  ///< TOML key -> "FILE:LINE:COLUMN"
};

/// What a file or a directory of files yielded; good files are not held back by bad ones.
struct JobFiles {
  std::vector<FileJob> jobs;
  std::vector<std::string> roots;      ///< the paths that were to be read, absolute
  std::vector<std::string> files;      ///< read without error
  std::vector<std::string> bad_files;  ///< with at least one error: their jobs are not in `jobs`
  std::vector<std::string> missing;    ///< of the paths, where they need not exist; no error
  std::vector<Error> errors;           ///< `where` is FILE:LINE:COLUMN
};

/// Reads a file, or the *.toml of a directory in byte order (not recursive, hidden ones skipped).
/// The same name twice is an error that names both places. A directory that does not exist yields
/// nothing unless `must_exist`. Files must not be writable by group or others, nor belong to anyone
/// but root and the caller.
JobFiles read_job_files(const std::vector<std::string>& paths, bool must_exist);

}  // namespace schedctl::config
