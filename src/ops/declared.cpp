#include "src/ops/declared.hpp"

#include <algorithm>

#include "src/ops/compile.hpp"

namespace schedctl::ops {
namespace {

/// A file that goes on saying `immediately` means the job's creation, not each reading.
job::JobDraft without_restart(job::JobDraft draft, const job::Job& existing) {
  const job::Schedule& old = existing.definition.schedule;
  if (!draft.immediately || !draft.every || old.kind != job::ScheduleKind::every) return draft;
  const Result<Duration> period = parse_duration(*draft.every);
  if (period && *period == old.every) draft.immediately = false;
  return draft;
}

}  // namespace

Result<Declared> compile_declared(const Context& context, const config::FileJob& job,
                                  const job::Job* existing, const AfterOf& together, Time now) {
  const job::JobDraft draft =
      existing != nullptr ? without_restart(job.draft, *existing) : job.draft;
  Result<job::Definition> definition = compile_draft(context, draft, existing, now);
  if (!definition) return fail(placed(std::move(definition).error(), job));
  const std::vector<std::string> after =
      definition->policy.after.value_or(std::vector<std::string>{});
  if (Result<void> may = check_after(context, job.name, after, together); !may)
    return fail(placed(std::move(may).error(), job));
  return Declared{.definition = std::move(*definition), .immediately = draft.immediately};
}

AfterOf after_of(const config::JobFiles& files) {
  AfterOf all;
  for (const config::FileJob& job : files.jobs) {
    all[job.name] = job.draft.policy.after.value_or(std::vector<std::string>{});
  }
  return all;
}

Error placed(Error error, const config::FileJob& job) {
  const auto position = job.positions.find(error.where);
  error.where = position != job.positions.end() ? position->second : job.position;
  error.message = "job " + job.name + ": " + error.message;
  if (error.kind == ErrorKind::usage) error.kind = ErrorKind::config;
  return error;
}

Result<void> add_declared(const Context& context, const std::string& name, Declared declared,
                          const std::string& manager, const std::string& action,
                          const std::string& detail, Time now) {
  const Birth birth{.managed_by = manager, .immediately = declared.immediately};
  TRY_VOID(create(context, name, std::move(declared.definition), birth, now));
  return audit(context, action, name, detail, now);
}

Result<void> change_declared(const Context& context, job::Job existing, Declared declared,
                             const std::string& manager, const std::string& action,
                             const std::string& detail, Time now) {
  std::string what = changed_keys(existing.definition, declared.definition);
  if (!detail.empty()) what += (what.empty() ? "" : ", ") + detail;
  const std::string name = existing.name;
  existing.managed_by = manager;
  TRY_VOID(redefine(context, existing, std::move(declared.definition), declared.immediately, now));
  return audit(context, action, name, "changed: " + what, now);
}

Result<void> remove_declared(const Context& context, const job::Job& existing,
                             const std::string& action, const std::string& detail, Time now) {
  TRY_VOID(erase(context, existing, job::Happening::withdrawn_removed, now));
  return audit(context, action, existing.name, "removed: " + detail, now);
}

bool is_under(const std::string& path, const std::string& directory) {
  if (!path.starts_with(directory)) return false;
  return path.size() == directory.size() || directory.ends_with('/') ||
         path[directory.size()] == '/';
}

bool is_under_any(const std::string& path, const std::vector<std::string>& directories) {
  return std::any_of(directories.begin(), directories.end(),
                     [&path](const std::string& one) { return is_under(path, one); });
}

}  // namespace schedctl::ops
