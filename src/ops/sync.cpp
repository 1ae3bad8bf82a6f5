#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "schedctl/ops/ops.hpp"
#include "src/ops/after.hpp"
#include "src/ops/change.hpp"
#include "src/ops/declared.hpp"
#include "src/ops/manager.hpp"

namespace schedctl::ops {
namespace {

std::string manager_of(const config::FileJob& job) {
  return "file:" + job.file;
}

Error managed_elsewhere(const job::Job& existing, const config::FileJob& job) {
  return Error{ErrorKind::conflict,
               "job " + job.name + " is " + origin_of(existing) +
                   " already; remove it there, or rename this one",
               job.position};
}

/// One reading of the job files, put into the store.
class Sync {
 public:
  Sync(const Context& context, const config::JobFiles& files,
       const std::vector<std::string>& directories, Time now)
      : context_(context),
        files_(files),
        together_(after_of(files)),
        directories_(directories),
        now_(now) {}

  Result<Synced> run() {
    TRY_VOID(load());
    for (const config::FileJob& job : files_.jobs) TRY_VOID(put(job));
    TRY_VOID(remove_gone());
    tell_missing();
    return std::move(synced_);
  }

 private:
  Result<void> load() {
    TRY(std::vector<job::Job> managed, context_.store.managed_jobs());
    for (job::Job& job : managed) {
      std::string name = job.name;
      stored_.emplace(std::move(name), std::move(job));
    }
    for (const config::FileJob& job : files_.jobs) {
      named_.insert(job.name);
      if (stored_.contains(job.name)) continue;
      TRY(std::optional<job::Job> other, context_.store.find_job(job.name));
      if (other) stored_.emplace(job.name, std::move(*other));
    }
    return {};
  }

  /// A bad file keeps its last good jobs; a directory that could not be read keeps all of them.
  bool is_bad(const std::string& file) const { return is_under_any(file, files_.bad_files); }

  /// A directory that is gone (renamed, not mounted) does not define its jobs away.
  bool is_missing(const std::string& file) const { return is_under_any(file, files_.missing); }

  /// A job may move from one of our files to another and stays the same job.
  bool may_take(const job::Job& existing, const config::FileJob& job) const {
    if (existing.managed_by == manager_of(job)) return true;
    const std::string file = managing_file(existing);
    if (file.empty()) return false;
    if (is_under_any(file, directories_)) return !is_bad(file);
    // The setting names other directories now, and the files went along.
    std::error_code error;
    return !std::filesystem::exists(file, error) && !error;
  }

  Result<void> put(const config::FileJob& job) {
    const auto found = stored_.find(job.name);
    if (found == stored_.end()) return add(job);
    const job::Job& existing = found->second;
    if (!may_take(existing, job)) {
      synced_.errors.push_back(managed_elsewhere(existing, job));
      return {};
    }
    Result<Declared> declared = compile_declared(context_, job, &existing, together_, now_);
    if (!declared) {
      synced_.errors.push_back(std::move(declared).error());
      return {};
    }
    const bool moved = existing.managed_by != manager_of(job);
    if (declared->definition == existing.definition && !moved) return {};
    TRY_VOID(change_declared(context_, existing, std::move(*declared), manager_of(job), "load",
                             moved ? "moved to " + job.file : "", now_));
    synced_.changed.push_back(job.name);
    return {};
  }

  Result<void> add(const config::FileJob& job) {
    Result<Declared> declared = compile_declared(context_, job, nullptr, together_, now_);
    if (!declared) {
      synced_.errors.push_back(std::move(declared).error());
      return {};
    }
    TRY_VOID(add_declared(context_, job.name, std::move(*declared), manager_of(job), "load",
                          "added from " + job.file, now_));
    synced_.added.push_back(job.name);
    return {};
  }

  Result<void> remove_gone() {
    for (const auto& [name, job] : stored_) {
      const std::string file = managing_file(job);
      if (file.empty() || named_.count(name) != 0) continue;
      if (!is_under_any(file, directories_)) continue;
      if (is_bad(file)) continue;
      if (is_missing(file)) {
        missed_.insert(file);
        continue;
      }
      TRY_VOID(remove_declared(context_, job, "load", "no longer in " + file, now_));
      synced_.removed.push_back(name);
    }
    return {};
  }

  void tell_missing() {
    for (const std::string& directory : files_.missing) {
      const bool missed = std::any_of(missed_.begin(), missed_.end(), [&](const std::string& file) {
        return is_under(file, directory);
      });
      if (!missed) continue;
      synced_.errors.push_back(
          Error{ErrorKind::config,
                directory + " is missing; its jobs stay as they were (bring it back, or make it " +
                    "empty to remove them)",
                directory});
    }
  }

  const Context& context_;
  const config::JobFiles& files_;
  const AfterOf together_;
  const std::vector<std::string>& directories_;
  const Time now_;
  std::map<std::string, job::Job> stored_;
  std::set<std::string> named_;
  std::set<std::string> missed_;  ///< files of jobs, in directories that are missing
  Synced synced_;
};

}  // namespace

Result<Synced> Ops::sync_job_files(const config::JobFiles& files,
                                   const std::vector<std::string>& directories) {
  TRY(store::Transaction transaction, store::Transaction::begin(context_.store));
  TRY(Synced synced, Sync(context_, files, directories, context_.clock.wall()).run());
  if (synced.added.empty() && synced.changed.empty() && synced.removed.empty()) return synced;
  TRY(synced.warnings, left_alone(context_, synced.removed, {}));
  TRY_VOID(transaction.commit());
  context_.poke();
  return synced;
}

std::vector<Error> Ops::validate(const config::JobFiles& files, std::vector<Error>* late) {
  std::vector<Error> errors = files.errors;
  const Time now = context_.clock.wall();
  const AfterOf together = after_of(files);
  for (const config::FileJob& job : files.jobs) {
    const auto found = context_.store.find_job(job.name);
    if (!found) {
      errors.push_back(found.error());
      return errors;
    }
    const job::Job* existing = *found ? &**found : nullptr;
    if (existing != nullptr && managing_file(*existing).empty()) {
      errors.push_back(managed_elsewhere(*existing, job));
    }
    const auto declared = compile_declared(context_, job, existing, together, now);
    if (declared) continue;
    // There was a time when nothing was wrong with it.
    const bool is_late = late != nullptr && existing == nullptr &&
                         compile_declared(context_, job, nullptr, together, Time{}).has_value();
    (is_late ? *late : errors).push_back(declared.error());
  }
  return errors;
}

}  // namespace schedctl::ops
