#include <grp.h>

#include <algorithm>

#include "schedctl/base/text.hpp"
#include "src/cli/draft.hpp"
#include "src/cli/errors.hpp"
#include "src/cli/families.hpp"
#include "src/cli/json.hpp"
#include "src/cli/output.hpp"
#include "src/cli/session.hpp"
#include "src/cli/times.hpp"
#include "src/cli/understood.hpp"

// add, set, remove, pause, resume: the commands that change jobs.

namespace schedctl::cli {
namespace {

Result<void> check_complete(const Invocation& call, const job::JobDraft& draft) {
  if (!draft.has_schedule())
    return fail(ErrorKind::usage,
                "when should it run? Give one of --every D, --cron E, --at T, --in D, --on-reboot, "
                "--manual");
  if (!draft.command && !draft.shell)
    return fail(ErrorKind::usage,
                "what should it run? Give the command after \"--\" (schedctl add " +
                    escape_control(call.words[0]) + " ... -- COMMAND ARG...) or --shell LINE");
  return {};
}

/// "misfire-grace" and "tag", as flags are called, into the TOML keys that ops knows.
std::string toml_key(std::string name) {
  if (name.starts_with("--")) name.erase(0, 2);
  std::replace(name.begin(), name.end(), '-', '_');
  if (name.starts_with("retry.")) name.erase(0, 6);
  return name == "tag" ? "tags" : name;
}

/// The jobs that NAME..., --all or --tag mean.
Result<std::vector<std::string>> chosen_jobs(Session& session) {
  const Invocation& call = session.call;
  const int ways =
      (call.words.empty() ? 0 : 1) + (call.has("all") ? 1 : 0) + (call.has("tag") ? 1 : 0);
  if (ways != 1) return fail(ErrorKind::usage, "name jobs, or give one of --all and --tag T");
  if (!call.words.empty()) return call.words;
  TRY(const std::vector<store::JobListing> all, session.store->list_jobs(""));
  std::vector<std::string> names;
  const auto tag = call.value("tag");
  for (const store::JobListing& listing : all) {
    const auto& tags = listing.job.definition.tags;
    if (!tag || std::find(tags.begin(), tags.end(), *tag) != tags.end())
      names.push_back(listing.job.name);
  }
  if (names.empty() && tag)
    return fail(ErrorKind::not_found, "no job has the tag \"" + escape_control(*tag) + "\"");
  return names;
}

Outcome say_changed(const Invocation& call, const char* verb, const std::vector<std::string>& named,
                    const std::vector<std::string>& changed, const char* already) {
  if (call.globals.json) {
    print(json_names(verb, changed) + "\n");
    return Done{};
  }
  for (const std::string& name : changed) print_result(call, std::string(verb) + " " + name);
  for (const std::string& name : named)
    if (std::find(changed.begin(), changed.end(), name) == changed.end())
      print_result(call, name + " " + already);
  return Done{};
}

}  // namespace

namespace {

/// --group names one of [groups]. With --user it may instead be the group of that user's process,
/// as other tools have it; what is stored then is the user as U:GROUP.
void settle_group(const Session& session, job::JobDraft& draft) {
  job::PolicyDraft& policy = draft.policy;
  const std::string group = policy.group.value_or("");
  const std::map<std::string, int>& known = session.config().groups;
  if (group.empty() || known.contains(group)) return;
  const bool has_user = policy.user && policy.user->find(':') == std::string::npos;
  if (has_user && !policy.user->empty() && ::getgrnam(group.c_str()) != nullptr) {
    *policy.user += ":" + group;
    policy.group.reset();
    talk(session.call, "runs as " + *policy.user + ": no group of [groups] is called " + group);
    return;
  }
  warn(session.call, "[groups] does not have " + group +
                         ": one run of it starts at a time, until the settings say more");
}

}  // namespace

Result<Outcome> run_add(const Invocation& call) {
  TRY(job::JobDraft draft, draft_of(call));
  TRY_VOID(check_complete(call, draft));
  TRY_VOID(with_flag(job::check_name(call.words[0])));
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::write));
  session->name_other_store();
  settle_group(*session, draft);
  TRY(const job::Job job,
      with_flag(session->ops().add(
          call.words[0], draft, {.replace = call.has("replace"), .paused = call.has("paused")})));
  TRY_VOID(print_understood(*session, job, job.version > 1 ? "changed" : "added"));
  warn_of_trouble(*session, job);
  return Done{};
}

Result<Outcome> run_set(const Invocation& call) {
  TRY(job::JobDraft draft, draft_of(call));
  std::vector<std::string> unset;
  for (const std::string& key : call.values("unset")) unset.push_back(toml_key(key));
  bool changes = call.argv.has_value();
  for (const Option& option : call.command->options) changes = changes || call.has(option.name);
  if (!changes)
    return fail(ErrorKind::usage, "what should change? schedctl set --help lists the options");
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::write));
  settle_group(*session, draft);
  TRY(const job::Job job, with_flag(session->ops().set(call.words[0], draft, unset)));
  TRY_VOID(print_understood(*session, job, "changed"));
  warn_of_trouble(*session, job);
  return Done{};
}

Result<Outcome> run_rename(const Invocation& call) {
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::write));
  TRY(const job::Job job, session->ops().rename(call.words[0], call.words[1]));
  if (call.globals.json) {
    print(json_names("renamed", {call.words[0], job.name}) + "\n");
    return Done{};
  }
  if (call.words[0] == job.name) {
    print_result(call, job.name + " has that name already");
    return Done{};
  }
  print_result(call, "renamed " + call.words[0] + " to " + job.name +
                         "; what it ran before keeps the old name");
  return Done{};
}

Result<Outcome> run_remove(const Invocation& call) {
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::write));
  std::vector<std::string> names;
  for (const std::string& word : call.words)
    if (std::find(names.begin(), names.end(), word) == names.end()) names.push_back(word);
  TRY_VOID(session->ops().remove(names, call.has("force")));
  return say_changed(call, "removed", {}, names, "");
}

Result<Outcome> run_pause(const Invocation& call) {
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::write));
  TRY(const std::vector<std::string> names, chosen_jobs(*session));
  std::optional<Time> until;
  if (const auto text = call.value("until")) {
    Result<Time> moment = job::parse_time(*text, session->local_zone(), session->now);
    if (!moment) return fail(ErrorKind::usage, std::move(moment.error().message), "--until");
    until = *moment;
  }
  TRY(const std::vector<std::string> paused,
      with_flag(session->ops().pause(names, call.value("reason").value_or(""), until)));
  return say_changed(call, "paused", names, paused, "was paused already");
}

Result<Outcome> run_resume(const Invocation& call) {
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::write));
  TRY(const std::vector<std::string> names, chosen_jobs(*session));
  TRY(const std::vector<std::string> resumed, session->ops().resume(names));
  return say_changed(call, "resumed", names, resumed, "was not paused");
}

}  // namespace schedctl::cli
