#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "schedctl/job/draft.hpp"
#include "schedctl/job/job.hpp"

/// Crontabs, as Debian's cron reads them (crontab(5), and cronie's CRON_TZ and RANDOM_DELAY): what
/// a line says, the job it means, and the way back. Pure functions of the text; whether a cron
/// expression is one is for ops to find out.
namespace schedctl::config {

/// Longest crontab; Debian's cron ignores a longer one.
inline constexpr std::size_t kCrontabLines = 10'000;
/// Longest line; Debian's cron reads commands of 998 bytes.
inline constexpr std::size_t kCrontabLineBytes = 4096;

/// Where something stands in a crontab, and what is to be said about it.
struct CrontabNote {
  std::size_t line = 0;    ///< from 1
  std::size_t column = 0;  ///< from 1, in bytes
  std::string message;
};

/// A line that runs something.
struct CrontabEntry {
  std::size_t line = 0;
  std::size_t column = 0;  ///< where the schedule begins
  std::string schedule;    ///< five fields, one blank between them; or a macro ("@daily")
  std::string user;        ///< empty in a user's crontab
  std::string command;     ///< what the shell is given: up to the first %, escapes resolved
  std::string input;       ///< standard input, with its last newline; empty: none
  /// In force at this line, in the order in which they were first set; a name is there once.
  std::vector<std::pair<std::string, std::string>> variables;
  std::vector<std::string>
      notes;  ///< what is read, but means something else to schedctl or other crons
};

struct Crontab {
  std::vector<CrontabEntry> entries;
  std::vector<CrontabNote> unread;  ///< lines that are no entry though they should be, and why
  std::vector<CrontabNote> notes;   ///< about lines that are no entries, and about the whole
};

/// Every line that is neither blank nor a comment is an entry, a variable or in `unread`. With
/// `system`, a user's name stands before each command.
Crontab read_crontab(std::string_view text, bool system);

/// The job that an entry means.
struct CrontabJob {
  job::JobDraft draft;
  std::string mailto;              ///< who gets its output by mail; empty: nobody is named
  std::vector<std::string> notes;  ///< about this entry
};

/// `host_timezone` is that of entries without CRON_TZ. Kind usage: a variable that cron itself
/// reads (RANDOM_DELAY) has a value that means nothing.
Result<CrontabJob> crontab_job(const CrontabEntry& entry, const std::string& host_timezone);

/// What to call the job: after the program that the command is about ("backup",
/// "run-parts-cron.daily"). Always a name that a job can have, and short enough for a prefix and a
/// number.
std::string crontab_job_name(const CrontabEntry& entry);

/// A line for /bin/sh that hands `input` to `line`, which `shell` runs; and back: nothing if
/// `text` is no such line.
std::string shell_line_with_input(const std::string& shell, const std::string& line,
                                  const std::string& input);
struct LineWithInput {
  std::string shell;
  std::string line;
  std::string input;
};
std::optional<LineWithInput> parse_line_with_input(std::string_view text);

/// A user's crontab with those of the jobs that cron can express; the others are comments that say
/// why. `host_timezone` is the zone that cron counts in, `defaults` the setting of that name.
std::string crontab_text(const std::vector<job::Job>& jobs, const std::string& host_timezone,
                         const job::PolicyDraft& defaults);

}  // namespace schedctl::config
