#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "schedctl/config/job_writer.hpp"
#include "schedctl/job/job.hpp"

/// What `apply` asks for and what it finds. A *set* is the jobs that one argument of apply (a file
/// or a directory), or one --name, defines; they are managed by `apply:SET`.
namespace schedctl::ops {

struct ApplyOptions {
  std::string set;     ///< the set's name; empty: each path is a set of its own
  bool prune = false;  ///< remove jobs of the sets that the files no longer hold
  bool adopt = false;  ///< take over jobs that somebody else manages, unless a file defines them
};

/// One key of a job, before and after.
struct KeyChange {
  std::string key;
  std::optional<config::JobKey> before = {};  ///< none: not set
  std::optional<config::JobKey> after = {};
  bool operator==(const KeyChange&) const = default;
};

struct JobChange {
  std::string name;
  /// Never empty. "managed_by" among them: the job is taken over. An anchor that the file does not
  /// say and a changed schedule brings along is not: it is the moment of the change.
  std::vector<KeyChange> keys;
  bool operator==(const JobChange&) const = default;
};

/// What would have to change so that the store is as the files say.
struct Difference {
  std::vector<JobChange> added = {};  ///< of their keys only those that the definition has
  std::vector<JobChange> changed = {};
  std::vector<std::string> removed = {};
  std::vector<std::string> left = {};    ///< of the sets, in no file, kept for want of `prune`
  std::vector<std::string> others = {};  ///< equal already, and managed by others, who keep them
  std::size_t unchanged = 0;             ///< `others` included
  /// What keeps all of it from being done: errors of the reading, of single jobs, and jobs that
  /// somebody else manages (kind conflict). `where` is FILE:LINE:COLUMN.
  std::vector<Error> errors = {};
  std::vector<std::string> warnings = {};  ///< jobs that come after one of those removed

  bool empty() const { return added.empty() && changed.empty() && removed.empty(); }
  bool same_changes(const Difference& other) const {
    return added == other.added && changed == other.changed && removed == other.removed;
  }
};

/// Where a job's definition must be changed instead, in words that follow "job NAME": "is defined
/// in FILE; change it there and reload". Empty: on the command line.
std::string place_of_definition(const job::Job& job);

}  // namespace schedctl::ops
