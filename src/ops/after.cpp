#include "src/ops/after.hpp"

#include <algorithm>
#include <set>

#include "schedctl/base/text.hpp"

namespace schedctl::ops {
namespace {

using Names = std::vector<std::string>;

/// Walks from a job to those it comes after.
class Walk {
 public:
  Walk(const Context& context, const std::string& start, const AfterOf& together)
      : context_(context), start_(start), together_(together) {}

  Result<void> visit(const Names& names) {
    for (const std::string& name : names) {
      path_.push_back(name);
      if (name == start_) return circle();
      if (seen_.insert(name).second) {
        TRY(const std::optional<Names> next, after_of(name));
        // Only of its own words a job is asked to account.
        if (!next && path_.size() == 1) return missing(name);
        if (next) TRY_VOID(visit(*next));
      }
      path_.pop_back();
    }
    return {};
  }

 private:
  Result<std::optional<Names>> after_of(const std::string& name) const {
    if (const auto found = together_.find(name); found != together_.end()) return found->second;
    TRY(const std::optional<job::Job> job, context_.store.find_job(name));
    if (!job) return std::nullopt;
    return job->definition.policy.after.value_or(Names{});
  }

  tl::unexpected<Error> circle() const {
    if (path_.size() == 1) return fail(ErrorKind::usage, "a job cannot come after itself", "after");
    std::string words = start_;
    for (const std::string& name : path_) words += " after " + name;
    return fail(ErrorKind::usage, "each would wait for the other: " + words, "after");
  }

  static tl::unexpected<Error> missing(const std::string& name) {
    return fail(ErrorKind::usage, "there is no job '" + escape_control(name) + "' to come after",
                "after");
  }

  const Context& context_;
  const std::string& start_;
  const AfterOf& together_;
  std::set<std::string> seen_;
  Names path_;
};

}  // namespace

Result<void> check_after(const Context& context, const std::string& name, const Names& after,
                         const AfterOf& together) {
  if (after.empty()) return {};
  return Walk(context, name, together).visit(after);
}

Result<std::vector<job::Job>> jobs_after(const Context& context, const std::string& name) {
  TRY(std::vector<store::JobListing> all, context.store.list_jobs(""));
  std::vector<job::Job> found;
  for (store::JobListing& listing : all) {
    const auto& after = listing.job.definition.policy.after;
    if (after && std::ranges::find(*after, name) != after->end())
      found.push_back(std::move(listing.job));
  }
  return found;
}

Result<Names> left_alone(const Context& context, const Names& going, const AfterOf& together) {
  Names found;
  if (going.empty()) return found;
  const std::set<std::string> gone(going.begin(), going.end());
  TRY(const std::vector<store::JobListing> all, context.store.list_jobs(""));
  for (const store::JobListing& listing : all) {
    const job::Job& job = listing.job;
    if (gone.contains(job.name)) continue;
    const auto as_it_will_be = together.find(job.name);
    const Names after = as_it_will_be != together.end()
                            ? as_it_will_be->second
                            : job.definition.policy.after.value_or(Names{});
    for (const std::string& name : after) {
      if (!gone.contains(name)) continue;
      found.push_back("job " + job.name + " comes after " + name +
                      " (after), which is removed: it will wait in vain until that is changed");
    }
  }
  return found;
}

}  // namespace schedctl::ops
