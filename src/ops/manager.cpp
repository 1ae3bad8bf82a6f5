#include "src/ops/manager.hpp"

#include <filesystem>
#include <string_view>

#include "schedctl/base/text.hpp"
#include "schedctl/ops/apply.hpp"
#include "src/ops/change.hpp"

namespace schedctl::ops {
namespace {

constexpr std::string_view kApplyPrefix = "apply:";

bool is_path(const std::string& set) {
  return set.starts_with('/');
}

bool is_gone(const std::string& path) {
  std::error_code error;
  return !std::filesystem::exists(path, error) && !error;
}

}  // namespace

std::string applied_set(const job::Job& job) {
  if (!job.managed_by.starts_with(kApplyPrefix)) return "";
  return job.managed_by.substr(kApplyPrefix.size());
}

std::string manager_of_set(const std::string& set) {
  return std::string(kApplyPrefix) + set;
}

std::string origin_of(const job::Job& job) {
  if (job.managed_by == kCommandLine) return "made on the command line";
  if (const std::string file = managing_file(job); !file.empty())
    return "defined in " + escape_control(file);
  if (const std::string set = applied_set(job); !set.empty())
    return (is_path(set) ? "defined in " : "defined by the set ") + escape_control(set);
  return "managed by " + escape_control(job.managed_by);
}

std::string instead(const job::Job& job, const std::string& verb) {
  if (job.managed_by == kCommandLine) return "";
  if (!managing_file(job).empty()) return verb + " it there and reload";
  const std::string set = applied_set(job);
  if (set.empty()) return verb + " it there";
  const std::string prune = verb == "remove" ? "--prune " : "";
  if (is_path(set)) return verb + " it there and run schedctl apply " + prune + escape_control(set);
  return verb + " it in that set's files and run schedctl apply " + prune + "--name " +
         escape_control(set) + " on them";
}

bool is_orphan(const job::Job& job) {
  if (const std::string file = managing_file(job); !file.empty()) return is_gone(file);
  const std::string set = applied_set(job);
  return is_path(set) && is_gone(set);
}

std::string place_of_definition(const job::Job& job) {
  if (job.managed_by == kCommandLine) return "";
  return "is " + origin_of(job) + "; " + instead(job, "change");
}

}  // namespace schedctl::ops
