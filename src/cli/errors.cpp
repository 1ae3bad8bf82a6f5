#include "src/cli/errors.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "schedctl/cli/cli.hpp"
#include "src/cli/json.hpp"
#include "src/cli/output.hpp"

namespace schedctl::cli {

int report(const Error& error, bool json) {
  const int code = exit_code(error.kind);
  print_error(json ? json_error(error, code) : error_line(error));
  return code;
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
  static constexpr std::array<std::string_view, 24> kSameWord{
      "every",   "cron",       "at",       "in",        "manual",        "anchor",
      "shell",   "timezone",   "dst_gap",  "dst_fold",  "immediately",   "cwd",
      "env",     "overlap",    "coalesce", "jitter",    "misfire_grace", "timeout",
      "on_lost", "kill_grace", "backoff",  "max_delay", "max_attempts",  "unset"};
  std::string_view key = error.where;
  if (key == "command") {
    error.where = "the command after --";
  } else if (key == "name") {
    error.where = "NAME";
  } else if (key == "tags") {
    error.where = "--tag";
  } else {
    if (key.starts_with("retry.")) key.remove_prefix(6);
    if (std::find(kSameWord.begin(), kSameWord.end(), key) == kSameWord.end()) return error;
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
