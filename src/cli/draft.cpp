#include "src/cli/draft.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "schedctl/base/text.hpp"
#include "schedctl/host/host.hpp"
#include "schedctl/job/job.hpp"
#include "src/cli/errors.hpp"
#include "src/cli/output.hpp"

namespace schedctl::cli {
namespace {

/// At most one of these may be given.
Result<void> check_alternatives(const Invocation& call, std::initializer_list<const char*> names) {
  const char* first = nullptr;
  for (const char* name : names) {
    if (!call.has(name)) continue;
    if (first != nullptr)
      return fail(ErrorKind::usage,
                  std::string("cannot be combined with --") + first + "; a job has one schedule",
                  std::string("--") + name);
    first = name;
  }
  return {};
}

std::string joined(const std::vector<std::string>& parts, const char* separator) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : separator) + part;
  return text;
}

Result<void> read_policy(const Invocation& call, job::PolicyDraft& policy) {
  for (const std::string& key : job::policy_keys()) {
    std::string flag = key;
    std::replace(flag.begin(), flag.end(), '_', '-');
    std::optional<std::string> text = call.value(flag);
    // Flags without a value, and lists.
    if (key == "keep_children" && call.has(flag)) text = "true";
    if (key == "after" && call.has(flag)) text = joined(call.values(flag), ",");
    if (!text) continue;
    Result<void> done = job::set_policy(policy, key, *text);
    if (!done) return fail(ErrorKind::usage, std::move(done.error().message), "--" + flag);
  }
  return {};
}

Result<void> read_environment(const Invocation& call, job::JobDraft& draft) {
  for (const std::string& pair : call.values("env")) {
    const std::size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0)
      return fail(ErrorKind::usage, "\"" + escape_control(pair) + "\" is not NAME=VALUE", "--env");
    draft.env.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
  }
  return {};
}

bool is_program(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         ::access(path.c_str(), X_OK) == 0;
}

std::string search_path(const job::Definition& definition) {
  std::string path = ::geteuid() == 0
                         ? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
                         : "/usr/local/bin:/usr/bin:/bin";
  for (const auto& [name, value] : definition.env)
    if (name == "PATH") path = value;
  return path;
}

std::string trouble_of_path(const std::string& path) {
  if (is_program(path)) return {};
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    // Where others' directories may not be looked into, nothing can be said.
    if (errno == EACCES) return {};
    return path + ": " + errno_text(errno);
  }
  return path + (S_ISDIR(status.st_mode) ? " is a directory" : " is not executable");
}

}  // namespace

Result<job::JobDraft> draft_of(const Invocation& call) {
  TRY_VOID(check_alternatives(call, {"every", "cron", "at", "in", "on-reboot", "manual"}));
  job::JobDraft draft;
  draft.every = call.value("every");
  draft.cron = call.value("cron");
  draft.at = call.value("at");
  draft.in = call.value("in");
  draft.on_reboot = call.has("on-reboot");
  draft.manual = call.has("manual");
  draft.anchor = call.value("anchor");
  draft.immediately = call.has("immediately");
  draft.timezone = call.value("timezone");
  draft.dst_gap = call.value("dst-gap");
  draft.dst_fold = call.value("dst-fold");
  draft.weeks = call.value("weeks");
  draft.not_before = call.value("not-before");
  draft.until = call.value("until");
  if (call.has("only")) draft.only = call.values("only");
  if (call.has("exclude")) draft.exclude = call.values("exclude");
  draft.on_excluded = call.value("on-excluded");
  draft.shell = call.value("shell");
  if (call.argv) {
    if (draft.shell)
      return fail(ErrorKind::usage, "cannot be combined with a command after \"--\"", "--shell");
    if (call.argv->empty())
      return fail(ErrorKind::usage, "nothing follows \"--\": the command to run is missing");
    draft.command = call.argv;
  }
  draft.cwd = call.value("cwd");
  if (call.has("tag")) draft.tags = call.values("tag");
  TRY_VOID(read_environment(call, draft));
  TRY_VOID(read_policy(call, draft.policy));
  return draft;
}

std::string command_trouble(const job::Definition& definition) {
  if (const std::string& cwd = definition.cwd; !cwd.empty()) {
    struct stat status {};
    const bool there = ::stat(cwd.c_str(), &status) == 0;
    if (!there && errno != EACCES) return cwd + ": " + errno_text(errno);
    if (there && !S_ISDIR(status.st_mode)) return cwd + " is not a directory";
  }
  if (definition.action.command.empty()) return {};
  const std::string& program = definition.action.command.front();
  if (program.starts_with('/')) return trouble_of_path(program);
  const std::string cwd = definition.cwd.empty() ? host::current_user().home : definition.cwd;
  if (program.find('/') != std::string::npos) return trouble_of_path(cwd + "/" + program);
  const std::string path = search_path(definition);
  for (std::size_t start = 0; start <= path.size();) {
    const std::size_t end = std::min(path.find(':', start), path.size());
    const std::string directory = path.substr(start, end - start);
    if (is_program((directory.empty() ? cwd : directory) + "/" + program)) return {};
    start = end + 1;
  }
  return "no program \"" + program + "\" in PATH=" + path;
}

std::string short_schedule(const job::Schedule& schedule) {
  switch (schedule.kind) {
    case job::ScheduleKind::every:
      return "every " + format_duration(schedule.every);
    case job::ScheduleKind::cron:
      return schedule.cron;
    case job::ScheduleKind::at:
      return "once";
    case job::ScheduleKind::reboot:
      return "on reboot";
    case job::ScheduleKind::manual:
      return "manual";
  }
  return {};
}

std::string short_action(const job::Action& action) {
  return action.command.empty() ? "sh -c " + quote_command({action.shell})
                                : quote_command(action.command);
}

}  // namespace schedctl::cli
