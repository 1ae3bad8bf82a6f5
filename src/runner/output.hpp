#pragma once

#include <string>
#include <vector>

#include "schedctl/job/policy.hpp"
#include "schedctl/job/run.hpp"

/// What the runner does with the output of a run that has ended.
namespace schedctl::runner {

/// Whether anything of that is to be done.
bool judges_output(const job::Policy& policy);

/// Whether a regular expression is to be looked for in it, which takes time.
bool searches_output(const job::Policy& policy);

/// What is wrong with it under success_match, fail_match and min_output, in words; empty: nothing.
/// Reads what is there of the file, at most limits::kJudgedOutput of it, half at either end.
std::string output_fault(const job::Policy& policy, const job::AttemptResult& result);

/// The lines of its end, at most limits::kLoggedOutput bytes.
struct LoggedOutput {
  std::vector<std::string> lines;
  std::int64_t before = 0;  ///< bytes that are not among them
};
LoggedOutput output_for_log(const job::AttemptResult& result);

}  // namespace schedctl::runner
