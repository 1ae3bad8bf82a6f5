#include "src/cli/errors.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "schedctl/base/text.hpp"
#include "schedctl/cli/cli.hpp"
#include "schedctl/job/policy.hpp"
#include "src/cli/json.hpp"
#include "src/cli/output.hpp"

namespace schedctl::cli {
namespace {

/// An error may quote a whole argument; beyond this nobody reads it. A cron expression fits twice.
constexpr std::size_t kMostShown = 4096;

void clip(std::string& text) {
  if (text.size() <= kMostShown) return;
  // Both ends say something: what is wrong comes first or last.
  const std::string end(text.substr(text.size() - kMostShown / 8));
  text = std::string(utf8_prefix(text, kMostShown)) + " [...] " + end;
}

}  // namespace

int report(const Error& error, bool json) {
  const int code = exit_code(error.kind);
  const Error shown = clipped(error);
  print_error(json ? json_error(shown, code) : error_line(shown));
  return code;
}

Error clipped(Error error) {
  clip(error.message);
  clip(error.where);
  return error;
}

int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::failed:
      return kExitFailed;
    case ErrorKind::usage:
      return kExitUsage;
    case ErrorKind::not_found:
      return 3;
    case ErrorKind::conflict:
      return 5;
    case ErrorKind::unavailable:
      return 69;
    case ErrorKind::not_allowed:
      return 77;
    case ErrorKind::config:
      return kExitConfig;
  }
  return kExitFailed;
}

const char* to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::failed:
      return "failed";
    case ErrorKind::usage:
      return "usage";
    case ErrorKind::not_found:
      return "not_found";
    case ErrorKind::conflict:
      return "conflict";
    case ErrorKind::unavailable:
      return "unavailable";
    case ErrorKind::not_allowed:
      return "not_allowed";
    case ErrorKind::config:
      return "config";
  }
  return "failed";
}

Error with_flag(Error error) {
  static constexpr auto kSameWord = std::to_array<std::string_view>(
      {"every",    "cron",       "at",       "in",          "on_reboot", "manual",      "anchor",
       "weeks",    "not_before", "until",    "only",        "exclude",   "on_excluded", "shell",
       "timezone", "dst_gap",    "dst_fold", "immediately", "cwd",       "env",         "unset",
       "reason",   "from",       "to",       "max_parallel"});
  std::string_view key = error.where;
  if (key == "command") {
    error.where = "the command after --";
  } else if (key == "name") {
    error.where = "NAME";
  } else if (key == "tags") {
    error.where = "--tag";
  } else {
    if (key.starts_with("retry.")) key.remove_prefix(6);
    const std::vector<std::string>& policies = job::policy_keys();
    if (std::find(kSameWord.begin(), kSameWord.end(), key) == kSameWord.end() &&
        std::find(policies.begin(), policies.end(), key) == policies.end())
      return error;
    std::string flag = "--" + std::string(key);
    std::replace(flag.begin(), flag.end(), '_', '-');
    error.where = flag;
  }
  return error;
}

Error with_permission_hint(Error error) {
  if (error.kind == ErrorKind::not_allowed && error.message.find("--own") == std::string::npos)
    error.message +=
        "; use sudo for the machine's daemon, or --own for a daemon and jobs of your own";
  return error;
}

}  // namespace schedctl::cli
