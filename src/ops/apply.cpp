// apply compares twice: once without a lock, for people to see, and once inside the transaction
// that writes. If the jobs have changed in between, what was shown is no longer what would be done,
// and nothing is.
#include "schedctl/ops/apply.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "schedctl/base/text.hpp"
#include "schedctl/ops/ops.hpp"
#include "src/ops/after.hpp"
#include "src/ops/compile.hpp"
#include "src/ops/declared.hpp"
#include "src/ops/manager.hpp"

namespace schedctl::ops {
namespace {

constexpr const char* kAction = "apply";

/// The zone in which people read the schedule; UTC for one that this machine does not have.
Result<job::ZonePtr> shown_zone(const Context& context, const job::Schedule& schedule) {
  Result<job::ZonePtr> zone = zone_of(context, schedule);
  return zone ? std::move(zone) : context.zones.find("UTC");
}

/// A set is named like a job, so that it is no path.
Result<void> check_set(const std::string& set) {
  if (set.empty() || job::check_name(set)) return {};
  return fail(ErrorKind::usage,
              "'" + escape_control(set) +
                  "' is not the name of a set; it has letters, digits, "
                  "'.', '_' or '-', and begins with a letter or digit",
              "name");
}

/// What is to be done, compiled, and how it is told.
class Comparison {
 public:
  Comparison(const Context& context, const config::JobFiles& files, const ApplyOptions& options,
             Time now)
      : context_(context),
        files_(files),
        together_(after_of(files)),
        options_(options),
        now_(now) {}

  Result<void> compare() {
    difference_.errors = files_.errors;
    for (const std::string& root : files_.roots) check_root(root);
    for (const config::FileJob& job : files_.jobs) TRY_VOID(compare_job(job));
    return compare_rest();
  }

  const Difference& difference() const { return difference_; }

  Result<void> write() {
    for (Addition& one : additions_)
      TRY_VOID(add_declared(context_, one.job->name, std::move(one.declared), manager_of(*one.job),
                            kAction, "added from " + one.job->file, now_));
    for (Change& one : changes_) {
      const std::string manager = manager_of(*one.job);
      const std::string taken =
          one.existing.managed_by == manager ? "" : "taken over from " + one.existing.managed_by;
      TRY_VOID(change_declared(context_, std::move(one.existing), std::move(one.declared), manager,
                               kAction, taken, now_));
    }
    for (const job::Job& job : removals_)
      TRY_VOID(remove_declared(context_, job, kAction, "no longer in " + applied_set(job), now_));
    return {};
  }

 private:
  struct Addition {
    const config::FileJob* job;
    Declared declared;
  };
  struct Change {
    const config::FileJob* job;
    job::Job existing;
    Declared declared;
  };

  std::string manager_of(const config::FileJob& job) const {
    return manager_of_set(options_.set.empty() ? job.root : options_.set);
  }

  /// Two managers of one file would take turns.
  void check_root(const std::string& root) {
    for (const std::string& directory : context_.config.jobs_dirs) {
      if (!is_under(root, directory)) continue;
      difference_.errors.push_back(Error{
          ErrorKind::config,
          root + " lies in jobs_dirs, which the daemon reads by itself: schedctl reload", root});
      return;
    }
  }

  Result<void> compare_job(const config::FileJob& job) {
    named_.insert(job.name);
    TRY(std::optional<job::Job> existing, context_.store.find_job(job.name));
    Result<Declared> declared =
        compile_declared(context_, job, existing ? &*existing : nullptr, together_, now_);
    if (!declared) {
      difference_.errors.push_back(std::move(declared).error());
      return {};
    }
    if (existing) return compare_existing(job, std::move(*existing), std::move(*declared));
    JobChange change{.name = job.name, .keys = {}};
    TRY(const job::ZonePtr zone, shown_zone(context_, declared->definition.schedule));
    for (config::JobKey& key : config::job_keys(declared->definition, *zone)) {
      const std::string name = key.key;
      change.keys.push_back({.key = name, .after = std::move(key)});
    }
    forget_unsaid_anchor(job, change);
    difference_.added.push_back(std::move(change));
    additions_.push_back({&job, std::move(*declared)});
    return {};
  }

  Result<void> compare_existing(const config::FileJob& job, job::Job existing, Declared declared) {
    const bool same = declared.definition == existing.definition;
    const bool ours = existing.managed_by == manager_of(job);
    if (same && (ours || !may_take(existing))) {
      ++difference_.unchanged;
      if (!ours) difference_.others.push_back(job.name);
      return {};
    }
    if (!ours && !may_take(existing)) {
      difference_.errors.push_back(not_ours(job, existing));
      return {};
    }
    JobChange change{.name = job.name, .keys = {}};
    TRY(change.keys, changed(existing.definition, declared.definition));
    if (!same) forget_unsaid_anchor(job, change);
    if (!ours) {
      change.keys.push_back(
          {.key = "managed_by",
           .before = config::JobKey{.key = "managed_by", .text = existing.managed_by},
           .after = config::JobKey{.key = "managed_by", .text = manager_of(job)}});
    }
    difference_.changed.push_back(std::move(change));
    changes_.push_back({&job, std::move(existing), std::move(declared)});
    return {};
  }

  /// What a file defines, the next reload would want back.
  bool may_take(const job::Job& existing) const {
    return options_.adopt && (managing_file(existing).empty() || is_orphan(existing));
  }

  static Error not_ours(const config::FileJob& job, const job::Job& existing) {
    std::string message =
        "job " + job.name + " is " + origin_of(existing) + " and differs from this file; ";
    const bool of_daemon = !managing_file(existing).empty() && !is_orphan(existing);
    if (of_daemon)
      message += instead(existing, "change");
    else
      message += "--adopt takes it over and changes it";
    return Error{ErrorKind::conflict, std::move(message), job.position};
  }

  Result<std::vector<KeyChange>> changed(const job::Definition& before,
                                         const job::Definition& after) {
    // One zone for both, or an anchor that stays would look like another.
    TRY(const job::ZonePtr zone, shown_zone(context_, after.schedule));
    std::vector<config::JobKey> old_keys = config::job_keys(before, *zone);
    std::vector<KeyChange> changes;
    for (config::JobKey& key : config::job_keys(after, *zone)) {
      const std::string name = key.key;
      const auto old = std::find_if(old_keys.begin(), old_keys.end(),
                                    [&](const auto& one) { return one.key == name; });
      if (old == old_keys.end()) {
        changes.push_back({.key = name, .after = std::move(key)});
        continue;
      }
      if (*old != key)
        changes.push_back({.key = name, .before = std::move(*old), .after = std::move(key)});
      old_keys.erase(old);
    }
    for (config::JobKey& key : old_keys) {
      const std::string name = key.key;
      changes.push_back({.key = name, .before = std::move(key)});
    }
    // The same variables in another order are another definition, though not to people.
    if (changes.empty() && before != after) {
      changes.push_back({.key = "env", .before = order_of(before), .after = order_of(after)});
    }
    return changes;
  }

  static config::JobKey order_of(const job::Definition& definition) {
    config::JobKey key{.key = "env", .kind = config::JobKey::Kind::list};
    for (const auto& [name, value] : definition.env) key.list.push_back(name);
    return key;
  }

  /// It is the moment of the change, another one at each comparison.
  static void forget_unsaid_anchor(const config::FileJob& job, JobChange& change) {
    if (job.draft.anchor || change.keys.size() < 2) return;
    std::erase_if(change.keys,
                  [](const KeyChange& one) { return one.key == "anchor" && one.after; });
  }

  /// Jobs of the sets that are in no file any more. Those of files with errors may be.
  Result<void> compare_rest() {
    std::set<std::string> managers;
    if (!options_.set.empty())
      managers.insert(manager_of_set(options_.set));
    else
      for (const std::string& root : files_.roots) managers.insert(manager_of_set(root));
    TRY(std::vector<job::Job> managed, context_.store.managed_jobs());
    for (job::Job& job : managed) {
      if (!managers.contains(job.managed_by) || named_.contains(job.name)) continue;
      if (!options_.prune) {
        difference_.left.push_back(job.name);
        continue;
      }
      difference_.removed.push_back(job.name);
      removals_.push_back(std::move(job));
    }
    TRY(difference_.warnings, left_alone(context_, difference_.removed, together_));
    return {};
  }

  const Context& context_;
  const config::JobFiles& files_;
  const AfterOf together_;
  const ApplyOptions& options_;
  const Time now_;
  std::set<std::string> named_;
  std::vector<Addition> additions_;
  std::vector<Change> changes_;
  std::vector<job::Job> removals_;
  Difference difference_;
};

}  // namespace

Result<Difference> Ops::compare(const config::JobFiles& files, const ApplyOptions& options) {
  TRY_VOID(check_set(options.set));
  Comparison comparison(context_, files, options, context_.clock.wall());
  TRY_VOID(comparison.compare());
  return comparison.difference();
}

Result<void> Ops::apply(const config::JobFiles& files, const ApplyOptions& options,
                        const Difference& shown) {
  TRY_VOID(check_set(options.set));
  TRY(store::Transaction transaction, store::Transaction::begin(context_.store));
  Comparison comparison(context_, files, options, context_.clock.wall());
  TRY_VOID(comparison.compare());
  const Difference& now = comparison.difference();
  if (!now.errors.empty()) return fail(now.errors.front());
  if (!now.same_changes(shown)) {
    return fail(ErrorKind::conflict,
                "somebody changed these jobs at the same moment, and nothing was applied; "
                "try again");
  }
  if (now.empty()) return {};
  TRY_VOID(comparison.write());
  TRY_VOID(transaction.commit());
  context_.poke();
  return {};
}

Result<job::Job> Ops::edit(const job::Job& seen, const config::FileJob& text) {
  const Time now = context_.clock.wall();
  TRY(store::Transaction transaction, store::Transaction::begin(context_.store));
  TRY(const std::optional<job::Job> existing, context_.store.find_job(seen.name));
  if (!existing || existing->id != seen.id || existing->version != seen.version) {
    return fail(ErrorKind::conflict, "job " + seen.name + " was " +
                                         (existing ? "changed" : "removed") +
                                         " by somebody else in the meantime");
  }
  if (const std::string elsewhere = place_of_definition(*existing); !elsewhere.empty())
    return fail(ErrorKind::conflict, "job " + seen.name + " " + elsewhere);
  TRY(Declared declared, compile_declared(context_, text, &*existing, {}, now));
  if (declared.definition == existing->definition) return *existing;
  TRY_VOID(change_declared(context_, *existing, std::move(declared), existing->managed_by, "edit",
                           "", now));
  TRY(job::Job changed, find_job(context_, seen.name));
  TRY_VOID(transaction.commit());
  context_.poke();
  return changed;
}

}  // namespace schedctl::ops
