#include <algorithm>

#include "schedctl/base/text.hpp"
#include "schedctl/config/crontab.hpp"
#include "schedctl/config/job_writer.hpp"
#include "src/cli/errors.hpp"
#include "src/cli/families.hpp"
#include "src/cli/json.hpp"
#include "src/cli/output.hpp"
#include "src/cli/session.hpp"
#include "src/cli/written.hpp"

// export: jobs as what apply, or cron, reads.

namespace schedctl::cli {
namespace {

Result<std::vector<job::Job>> chosen(Session& session) {
  std::vector<job::Job> jobs;
  if (session.call.words.empty()) {
    TRY(std::vector<store::JobListing> all, session.store->list_jobs(""));
    for (store::JobListing& listing : all) jobs.push_back(std::move(listing.job));
    return jobs;
  }
  for (const std::string& name : session.call.words) {
    const bool again = std::any_of(jobs.begin(), jobs.end(),
                                   [&](const job::Job& job) { return job.name == name; });
    if (again) continue;
    TRY(job::Job job, session.job(name));
    jobs.push_back(std::move(job));
  }
  return jobs;
}

/// Being paused is no part of a definition; who moves the jobs elsewhere should know.
void warn_of_paused(const Invocation& call, const std::vector<job::Job>& jobs) {
  for (const job::Job& job : jobs)
    if (job.paused)
      warn(call, "job " + job.name +
                     " is paused, which job files do not say: where it is applied for the first "
                     "time, it fires");
}

}  // namespace

Result<Outcome> run_export(const Invocation& call) {
  if (call.has("crontab") && call.globals.json)
    return fail(ErrorKind::usage, "cannot be combined with --json", "--crontab");
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::read));
  session->name_other_store();
  TRY(const std::vector<job::Job> jobs, chosen(*session));
  if (call.has("crontab")) {
    print(config::crontab_text(jobs, session->sources.host_timezone, session->config().defaults));
    return Done{};
  }
  warn_of_paused(call, jobs);
  std::string toml;
  std::vector<std::string> names;
  std::vector<Error> errors;
  for (const job::Job& job : jobs) {
    Result<std::string> text = job_file_text(*session, job);
    if (!toml.empty()) toml += "\n";
    if (text) {
      names.push_back(job.name);
      toml += *text;
    } else {
      errors.push_back(text.error());
      toml += "# Left out: " + escape_control(text.error().message) + "\n";
    }
  }
  print(call.globals.json ? json_exported(names, toml, errors) + "\n" : toml);
  for (const Error& error : errors)
    print_error(error_line(Error{error.kind, "left out: " + error.message}));
  if (jobs.empty()) talk(call, "there are no jobs");
  return Done{errors.empty() ? 0 : kExitFailed};
}

Result<std::string> job_file_text(Session& session, const job::Job& job) {
  Result<job::ZonePtr> zone = session.zone_of(job.definition.schedule);
  // A zone that is gone from this machine is written by its name all the same.
  if (!zone) zone = session.zones->find("UTC");
  if (!zone) return fail(std::move(zone).error());
  return config::job_text(job.name, job.definition, **zone);
}

}  // namespace schedctl::cli
