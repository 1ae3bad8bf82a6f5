// The job that a line of a crontab means. Input after a % becomes a pipe,
//   printf '%s\n' 'INPUT' | SHELL -c 'LINE'
// whose exit status is the command's, and which a person can still read and edit.
#include <algorithm>

#include "schedctl/base/limits.hpp"
#include "schedctl/base/text.hpp"
#include "schedctl/config/crontab.hpp"
#include "src/config/shell_words.hpp"

namespace schedctl::config {
namespace {

constexpr std::string_view kDefaultShell = "/bin/sh";
constexpr std::string_view kPrint = "printf '%s\\n' ";
constexpr std::string_view kInto = " | ";
constexpr std::string_view kRun = " -c ";
/// A day; cronie takes any number, but a delay longer than that is a typing error.
constexpr std::int64_t kLongestDelay = 1440;

/// Variables that are cron's own, not the command's.
bool is_for_cron(std::string_view name) {
  return name == "MAILTO" || name == "MAILFROM" || name == "CONTENT_TYPE" ||
         name == "CONTENT_TRANSFER_ENCODING" || name == "CRON_TZ" || name == "RANDOM_DELAY";
}

Result<std::optional<Duration>> delay_of(const std::string& text) {
  const std::optional<std::int64_t> minutes = parse_int(text);
  if (!minutes || *minutes < 0 || *minutes > kLongestDelay) {
    return fail(ErrorKind::usage, "RANDOM_DELAY is a number of minutes from 0 to " +
                                      std::to_string(kLongestDelay) + ", not \"" +
                                      escape_control(utf8_prefix(text, 60)) + "\"");
  }
  if (*minutes == 0) return std::nullopt;
  return std::chrono::minutes(*minutes);
}

Result<void> read_variables(const CrontabEntry& entry, CrontabJob& job, std::string& shell) {
  for (const auto& [name, value] : entry.variables) {
    if (name == "SHELL" && !value.empty()) shell = value;
    if (name == "HOME") job.draft.cwd = value;
    if (name == "MAILTO") job.mailto = value;
    if (name == "RANDOM_DELAY") {
      TRY(job.draft.policy.jitter, delay_of(value));
    }
    if (name == "CRON_TZ" && !value.empty()) {
      job.draft.timezone = value;
      job.notes.emplace_back(
          "CRON_TZ is the job's time zone, as in cronie; Debian's cron ignores it");
    }
    if (!is_for_cron(name)) job.draft.env.emplace_back(name, value);
  }
  return {};
}

}  // namespace

Result<CrontabJob> crontab_job(const CrontabEntry& entry, const std::string& host_timezone) {
  CrontabJob job;
  job.notes = entry.notes;
  job.draft.timezone = host_timezone;
  if (entry.schedule == "@reboot")
    job.draft.on_reboot = true;
  else
    job.draft.cron = entry.schedule;
  std::string shell(kDefaultShell);
  TRY_VOID(read_variables(entry, job, shell));
  if (!entry.input.empty())
    job.draft.shell = shell_line_with_input(shell, entry.command, entry.input);
  else if (shell == kDefaultShell)
    job.draft.shell = entry.command;
  else
    job.draft.command = std::vector<std::string>{shell, "-c", entry.command};
  return job;
}

std::string shell_line_with_input(const std::string& shell, const std::string& line,
                                  const std::string& input) {
  std::string_view text = input;
  if (text.ends_with('\n')) text.remove_suffix(1);
  return std::string(kPrint) + shell_quoted(text) + std::string(kInto) + shell_word(shell) +
         std::string(kRun) + shell_quoted(line);
}

std::optional<LineWithInput> parse_line_with_input(std::string_view text) {
  LineWithInput parts;
  const std::string whole(text);
  if (!text.starts_with(kPrint)) return std::nullopt;
  text.remove_prefix(kPrint.size());
  const auto take = [&text](std::string& word) {
    std::optional<std::string> taken = take_shell_quoted(text);
    if (taken) word = std::move(*taken);
    return taken.has_value();
  };
  if (!take(parts.input) || !text.starts_with(kInto)) return std::nullopt;
  parts.input += '\n';
  text.remove_prefix(kInto.size());
  if (text.starts_with('\'')) {
    if (!take(parts.shell)) return std::nullopt;
  } else {
    parts.shell = text.substr(0, text.find(' '));
    text.remove_prefix(parts.shell.size());
  }
  if (!text.starts_with(kRun)) return std::nullopt;
  text.remove_prefix(kRun.size());
  if (!take(parts.line) || !text.empty()) return std::nullopt;
  // Anything written another way is somebody's own line, to be left as it is.
  if (shell_line_with_input(parts.shell, parts.line, parts.input) != whole) return std::nullopt;
  return parts;
}

}  // namespace schedctl::config
