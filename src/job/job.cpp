#include "schedctl/job/job.hpp"

#include <algorithm>
#include <set>

#include "schedctl/base/limits.hpp"
#include "schedctl/base/text.hpp"
#include "src/job/cron.hpp"

namespace schedctl::job {
namespace {

/// Far more than anybody sorts jobs by.
constexpr std::size_t kMaxTags = 64;
/// PATH_MAX of Linux.
constexpr std::size_t kPathBytes = 4096;
constexpr std::string_view kReservedPrefix = "SCHEDCTL_";

constexpr bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_name_char(char c) {
  return is_letter(c) || is_digit(c) || c == '.' || c == '_' || c == '-';
}

std::string quoted(std::string_view text) {
  return "'" + escape_control(utf8_prefix(text, limits::kJobName)) + "'";
}

tl::unexpected<Error> usage(std::string message, std::string where) {
  return fail(ErrorKind::usage, std::move(message), std::move(where));
}

/// `what` is "a job name" or "a tag".
Result<void> check_word(std::string_view text, const std::string& what, std::string where) {
  const std::string rule = "; " + what + " has 1 to " + std::to_string(limits::kJobName) +
                           " letters, digits, '.', '_' or '-', and begins with a letter or digit";
  if (text.empty()) return usage(what + " is empty" + rule, std::move(where));
  if (text.size() > limits::kJobName) {
    return usage(quoted(text) + "... is too long" + rule, std::move(where));
  }
  const bool starts_well = is_letter(text.front()) || is_digit(text.front());
  if (!starts_well || !std::all_of(text.begin(), text.end(), is_name_char)) {
    return usage(quoted(text) + " is not " + what + rule, std::move(where));
  }
  return {};
}

Result<void> check_calendars(const std::vector<std::string>& names, const char* where) {
  if (names.size() > limits::kMaxCalendars) {
    return usage(std::to_string(names.size()) + " calendars; at most " +
                     std::to_string(limits::kMaxCalendars),
                 where);
  }
  for (const std::string& name : names) TRY_VOID(check_word(name, "a calendar's name", where));
  return {};
}

Result<void> check_schedule(const Schedule& schedule) {
  TRY_VOID(check_calendars(schedule.only, "only"));
  TRY_VOID(check_calendars(schedule.exclude, "exclude"));
  if (schedule.timezone.find('\0') != std::string::npos) {
    return usage("the time zone has a NUL in it", "timezone");
  }
  switch (schedule.kind) {
    case ScheduleKind::manual:
    case ScheduleKind::reboot:
    case ScheduleKind::at:
      return {};
    case ScheduleKind::cron:
      if (schedule.weeks < 1 || schedule.weeks > limits::kMaxWeeks) {
        return usage(std::to_string(schedule.weeks) + " is not a number from 1 to " +
                         std::to_string(limits::kMaxWeeks),
                     "weeks");
      }
      return check_cron(schedule.cron);
    case ScheduleKind::every:
      break;
  }
  if (schedule.every < limits::kShortestEvery) {
    return usage("the shortest period is " + format_duration(limits::kShortestEvery), "every");
  }
  if (schedule.every > limits::kLongestDuration) {
    return usage("the longest period is " + format_duration(limits::kLongestDuration), "every");
  }
  return {};
}

Result<void> check_command(const Action& action) {
  if (!action.command.empty() && !action.shell.empty()) {
    return usage("a job has a command or a shell line, not both", "command");
  }
  if (action.command.empty()) {
    if (action.shell.find_first_not_of(" \t\n") == std::string::npos) {
      return usage("what to run is missing: give a command after --, or --shell LINE", "command");
    }
  } else if (action.command.front().empty()) {
    return usage("the command's first word, the program, is empty", "command");
  }
  for (const std::string& word : action.argv()) {
    if (word.find('\0') != std::string::npos) {
      return usage("the command has a NUL in it", action.shell.empty() ? "command" : "shell");
    }
  }
  return {};
}

Result<void> check_variable(const std::string& name, const std::string& value) {
  const bool starts_well = !name.empty() && (is_letter(name.front()) || name.front() == '_');
  const bool well_formed = starts_well && std::all_of(name.begin(), name.end(), [](char c) {
                             return is_letter(c) || is_digit(c) || c == '_';
                           });
  if (!well_formed) {
    return usage(
        quoted(name) + " is not the name of a variable; letters, digits and '_', no digit first",
        "env");
  }
  if (name.starts_with(kReservedPrefix)) {
    return usage(quoted(name) + " is reserved: schedctl sets the SCHEDCTL_ variables itself",
                 "env");
  }
  if (value.find('\0') != std::string::npos) {
    return usage("the value of " + name + " has a NUL in it", "env");
  }
  return {};
}

Result<void> check_env(const Definition& definition) {
  std::set<std::string_view> seen;
  for (const auto& [name, value] : definition.env) {
    TRY_VOID(check_variable(name, value));
    if (!seen.insert(name).second) return usage(name + " is set twice", "env");
  }
  return {};
}

/// What execve is given: each string with its NUL, variables with their '='.
Result<void> check_size(const Definition& definition) {
  std::size_t argv_bytes = 0, env_bytes = 0;
  for (const std::string& word : definition.action.argv()) argv_bytes += word.size() + 1;
  for (const auto& [name, value] : definition.env) env_bytes += name.size() + value.size() + 2;
  if (argv_bytes + env_bytes <= limits::kCommandBytes) return {};
  return usage("command and environment have " + std::to_string(argv_bytes + env_bytes) +
                   " bytes together; at most " + std::to_string(limits::kCommandBytes) +
                   " are possible: put long data into a file",
               argv_bytes > env_bytes ? "command" : "env");
}

Result<void> check_cwd(const std::string& cwd) {
  if (cwd.empty()) return {};
  if (cwd.front() != '/') return usage(quoted(cwd) + " is no absolute path", "cwd");
  if (cwd.size() >= kPathBytes) return usage("the path is too long", "cwd");
  if (cwd.find('\0') != std::string::npos) return usage("the path has a NUL in it", "cwd");
  return {};
}

Result<void> check_tags(const std::vector<std::string>& tags) {
  if (tags.size() > kMaxTags) {
    return usage(std::to_string(tags.size()) + " tags; at most " + std::to_string(kMaxTags),
                 "tags");
  }
  for (const std::string& tag : tags) TRY_VOID(check_word(tag, "a tag", "tags"));
  return {};
}

Result<void> check_duration(const std::optional<Duration>& value, const char* where) {
  if (!value) return {};
  if (*value < Duration::zero()) return usage("a duration cannot be negative", where);
  if (*value > limits::kLongestDuration) {
    return usage("at most " + format_duration(limits::kLongestDuration) + " is possible", where);
  }
  return {};
}

Result<void> check_policy(const PolicyDraft& policy) {
  TRY_VOID(check_duration(policy.misfire_grace, "misfire_grace"));
  TRY_VOID(check_duration(policy.jitter, "jitter"));
  TRY_VOID(check_duration(policy.timeout, "timeout"));
  TRY_VOID(check_duration(policy.kill_grace, "kill_grace"));
  TRY_VOID(check_duration(policy.backoff, "retry.backoff"));
  TRY_VOID(check_duration(policy.max_delay, "retry.max_delay"));
  TRY_VOID(check_duration(policy.catchup_spread, "catchup_spread"));
  TRY_VOID(check_duration(policy.max_wait, "max_wait"));
  const int attempts = policy.max_attempts.value_or(1);
  if (attempts < 1 || attempts > limits::kMaxAttempts) {
    return usage(std::to_string(attempts) + " is not a number from 1 to " +
                     std::to_string(limits::kMaxAttempts) + " (1: no retry)",
                 "retry.max_attempts");
  }
  return {};
}

}  // namespace

std::vector<std::string> Action::argv() const {
  if (shell.empty()) return command;
  return {"/bin/sh", "-c", shell};
}

std::uint64_t Job::seed() const {
  return stable_hash(std::to_string(id.value) + "@" + std::to_string(to_us(created_at)));
}

Result<void> check_name(std::string_view name) {
  return check_word(name, "a job name", "name");
}

Result<void> check_definition(const Definition& definition) {
  TRY_VOID(check_schedule(definition.schedule));
  TRY_VOID(check_command(definition.action));
  TRY_VOID(check_env(definition));
  TRY_VOID(check_size(definition));
  TRY_VOID(check_cwd(definition.cwd));
  TRY_VOID(check_tags(definition.tags));
  return check_policy(definition.policy);
}

}  // namespace schedctl::job
