#pragma once

#include <string>
#include <vector>

#include "schedctl/config/job_file.hpp"
#include "src/ops/after.hpp"
#include "src/ops/change.hpp"

/// What job files declare, and how it gets into the store: the mechanism that the reading of
/// jobs_dirs (sync) and `apply` share. Who may declare what is theirs to decide.
namespace schedctl::ops {

/// One job of a file, compiled.
struct Declared {
  job::Definition definition;
  bool immediately = false;  ///< the anchor is the moment at which it gets into the store
};
/// `existing` (may be null) is the stored job of that name. Errors are of kind config, with the
/// place where the key stands.
Result<Declared> compile_declared(const Context& context, const config::FileJob& job,
                                  const job::Job* existing, const AfterOf& together, Time now);
/// What the jobs of these files come after: each may name any other.
AfterOf after_of(const config::JobFiles& files);
/// The error as the reader of the file sees it: with the job's name and the place of the key.
Error placed(Error error, const config::FileJob& job);

/// Each writes the change and its audit row (`action`, `detail`).
Result<void> add_declared(const Context& context, const std::string& name, Declared declared,
                          const std::string& manager, const std::string& action,
                          const std::string& detail, Time now);
/// Also where only the manager changes; `detail` follows what has changed in the definition.
Result<void> change_declared(const Context& context, job::Job existing, Declared declared,
                             const std::string& manager, const std::string& action,
                             const std::string& detail, Time now);
/// A running run goes on to its end.
Result<void> remove_declared(const Context& context, const job::Job& existing,
                             const std::string& action, const std::string& detail, Time now);

/// Whether `path` is `directory` or lies below it.
bool is_under(const std::string& path, const std::string& directory);
bool is_under_any(const std::string& path, const std::vector<std::string>& directories);

}  // namespace schedctl::ops
