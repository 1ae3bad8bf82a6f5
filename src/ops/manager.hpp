#pragma once

#include <string>

#include "schedctl/job/job.hpp"

/// Who defines a job (job::Job::managed_by), in words.
namespace schedctl::ops {

inline constexpr const char* kCommandLine = "cli";

/// The set of `apply` that defines the job: an absolute path, or a name. "" if none does.
std::string applied_set(const job::Job& job);
std::string manager_of_set(const std::string& set);

/// What follows "job NAME is": "defined in /etc/jobs.d/a.toml", "made on the command line".
std::string origin_of(const job::Job& job);

/// What to do there instead: "change it there and reload", where `verb` is "change" or "remove".
/// "" for jobs of the command line.
std::string instead(const job::Job& job, const std::string& verb);

/// Whether nobody will ever do that: the file, or the path of the set, is gone.
bool is_orphan(const job::Job& job);

}  // namespace schedctl::ops
