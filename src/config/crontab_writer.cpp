// Variables in a crontab hold for all lines below and cannot be unset. So only those that every
// line wants stand at the top; the others are exported by the lines themselves. CRON_TZ,
// RANDOM_DELAY and SHELL can be set back, and are, wherever the next line needs another one.
#include <algorithm>
#include <map>

#include "schedctl/base/text.hpp"
#include "schedctl/config/crontab.hpp"
#include "src/config/crontab_fields.hpp"
#include "src/config/shell_words.hpp"

namespace schedctl::config {
namespace {

constexpr std::string_view kDefaultShell = "/bin/sh";
/// The longest command that Debian's cron reads, and the longest setting.
constexpr std::size_t kCommandBytes = 998;
constexpr std::size_t kSettingBytes = 990;

using Variables = std::vector<std::pair<std::string, std::string>>;

/// A job that cron can express, or what keeps it from being one.
struct Line {
  std::string name;
  std::string timezone;
  std::string schedule;
  std::string shell{kDefaultShell};
  std::string command;  ///< for that shell
  std::string input;
  std::string cwd;
  Variables env;
  std::int64_t delay_minutes = 0;
  std::vector<std::string> reasons;  ///< why cron cannot do it
  std::vector<std::string> lost;     ///< keys that have no effect there
  bool writable = true;  ///< schedule and command can be written, whatever `reasons` say
};

std::string joined(const std::vector<std::string>& words, const char* separator) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : separator) + word;
  return out;
}

const std::string* find(const Variables& variables, std::string_view name) {
  for (const auto& [known, value] : variables)
    if (known == name) return &value;
  return nullptr;
}

/// A program found by PATH may have the name of something that the shell does itself.
std::string shell_command(const std::vector<std::string>& argv) {
  std::string out;
  const bool is_path =
      argv[0].find('/') != std::string::npos && argv[0].find('=') == std::string::npos;
  if (!is_path) out = "exec ";
  for (const std::string& word : argv) out += shell_word(word) + " ";
  out.pop_back();
  return out;
}

/// The command of a line in a crontab, so that it reads back as it is.
std::string escaped_command(std::string_view command) {
  std::string out;
  for (std::size_t at = 0; at < command.size(); ++at) {
    const char next = at + 1 < command.size() ? command[at + 1] : '\\';
    if (command[at] == '%' || (command[at] == '\\' && (next == '\\' || next == '%'))) out += '\\';
    out += command[at];
  }
  return out;
}

/// Nothing if it cannot be said: a backslash at the end of a line would escape the %.
std::optional<std::string> escaped_input(std::string_view input) {
  std::string out = "%";
  if (input.ends_with('\n') && input.size() > 1 && input[input.size() - 2] != '\n')
    input.remove_suffix(1);
  for (std::size_t at = 0; at < input.size(); ++at) {
    if (input[at] == '\n') {
      if (at > 0 && input[at - 1] == '\\') return std::nullopt;
      out += '%';
    } else {
      if (input[at] == '%') out += '\\';
      out += input[at];
    }
  }
  return out;
}

/// How a value is written so that every cron reads it alike; nothing if there is no such way.
std::optional<std::string> setting(const std::string& name, const std::string& value) {
  const bool plain = value.find_first_of("\n\r") == std::string::npos && !value.ends_with(' ') &&
                     !value.ends_with('\t') && name.size() + value.size() < kSettingBytes;
  const bool quotes = value.starts_with('"') || value.starts_with('\'');
  if (!plain || quotes || value.find('"') != std::string::npos) return std::nullopt;
  const bool bare = !value.empty() && value.find_first_of(" \t'#=") == std::string::npos;
  return name + "=" + (bare ? value : "\"" + value + "\"");
}

/// The zones that have always been UTC, under all their names.
bool same_zone(const std::string& a, const std::string& b) {
  static constexpr std::string_view kUtc[] = {"UTC",  "Etc/UTC",  "Etc/UCT",   "UCT",
                                              "Zulu", "Etc/Zulu", "Universal", "Etc/Universal"};
  const auto is_utc = [](const std::string& name) {
    return std::find(std::begin(kUtc), std::end(kUtc), name) != std::end(kUtc);
  };
  return a == b || (is_utc(a) && is_utc(b));
}

bool is_cron_own(const std::string& name) {
  return name == "MAILTO" || name == "MAILFROM" || name == "CONTENT_TYPE" ||
         name == "CONTENT_TRANSFER_ENCODING" || name == "CRON_TZ" || name == "RANDOM_DELAY" ||
         name == "LOGNAME" || name == "SHELL";
}

void read_schedule(const job::Schedule& schedule, Line& line) {
  const auto no = [&line](std::string reason) { line.reasons.push_back(std::move(reason)); };
  switch (schedule.kind) {
    case job::ScheduleKind::every:
      no("every " + format_duration(schedule.every) +
         " counts elapsed time, and cron the minutes of the clock");
      break;
    case job::ScheduleKind::at:
      no("it fires once, at " + format_rfc3339(schedule.at));
      break;
    case job::ScheduleKind::manual:
      no("it fires only when it is triggered");
      break;
    case job::ScheduleKind::reboot:
      line.schedule = "@reboot";
      break;
    case job::ScheduleKind::cron:
      if (Result<std::string> fields = debian_fields(schedule.cron))
        line.schedule = std::move(*fields);
      else
        no("cron " + fields.error().message);
  }
  line.writable = !line.schedule.empty();
  if (schedule.weeks > 1) no("cron has no every " + std::to_string(schedule.weeks) + " weeks");
  if (schedule.not_before) no("cron has no not_before");
  if (schedule.until) no("cron has no until");
  if (!schedule.only.empty() || !schedule.exclude.empty()) no("cron has no calendars");
  if (schedule.dst_gap != job::DstGap::shift) line.lost.emplace_back("dst_gap");
  if (schedule.dst_fold != job::DstFold::first) line.lost.emplace_back("dst_fold");
}

void read_policy(const job::PolicyDraft& own, const job::PolicyDraft& defaults, Line& line) {
  const job::Policy policy = job::resolve(own, defaults);
  if (policy.timeout > Duration::zero())
    line.reasons.push_back("cron has no timeout (" + format_duration(policy.timeout) + ")");
  if (policy.max_attempts > 1)
    line.reasons.push_back("cron has no retries (" + std::to_string(policy.max_attempts) +
                           " attempts)");
  if (policy.max_runs > 0)
    line.reasons.push_back("cron has no max_runs (" + std::to_string(policy.max_runs) + ")");
  const auto whole = std::chrono::duration_cast<std::chrono::minutes>(policy.jitter);
  line.delay_minutes = whole == policy.jitter ? whole.count() : 0;
  if (whole != policy.jitter) line.lost.emplace_back("jitter");
  // Cron lets runs overlap; that jobs which skip will, too, is said once for all of them.
  const bool overlaps =
      policy.overlap == job::Overlap::skip || policy.overlap == job::Overlap::allow;
  for (const std::string& key : job::policy_keys()) {
    const bool told = key == "timeout" || key == "max_attempts" || key == "max_runs" ||
                      key == "jitter" || (key == "overlap" && overlaps);
    if (!told && job::policy_value(own, key)) line.lost.push_back(key);
  }
}

void read_action(const job::Definition& definition, Line& line) {
  const job::Action& action = definition.action;
  const std::string* shell = find(definition.env, "SHELL");
  line.cwd = definition.cwd;
  line.env = definition.env;
  const bool by_shell = shell != nullptr && action.command.size() == 3 &&
                        action.command[0] == *shell && action.command[1] == "-c";
  if (by_shell) {
    line.shell = *shell;
    line.command = action.command[2];
  } else if (!action.command.empty()) {
    line.command = shell_command(action.command);
  } else if (const auto parts = parse_line_with_input(action.shell);
             parts &&
             (parts->shell == kDefaultShell || (shell != nullptr && *shell == parts->shell)) &&
             escaped_input(parts->input)) {
    line.shell = parts->shell;
    line.command = parts->line;
    line.input = parts->input;
  } else {
    line.command = action.shell;
  }
  line.command.erase(0, std::min(line.command.find_first_not_of(" \t"), line.command.size()));
}

/// What the line itself must do before its command, given the variables at the top.
std::string prelude(const Line& line, const Variables& top) {
  std::string out;
  const std::string* home = find(top, "HOME");
  if (!line.cwd.empty() && (home == nullptr || *home != line.cwd))
    out += "cd " + shell_word(line.cwd) + " || exit; ";
  std::string exports;
  for (const auto& [name, value] : line.env) {
    const bool set = name == "SHELL" ? value == line.shell : find(top, name) != nullptr;
    if (!set) exports += " " + name + "=" + shell_quoted(value);
  }
  return exports.empty() ? out : out + "export" + exports + "; ";
}

/// Shells differ in how they set variables: what must be done before a command of another one is
/// done by /bin/sh. Comments stand under no SHELL either.
void settle_shell(Line& line, const Variables& top) {
  const bool by_itself =
      line.reasons.empty() && prelude(line, top).empty() && setting("SHELL", line.shell);
  if (line.shell == kDefaultShell || by_itself) return;
  if (line.input.empty())
    line.command = shell_command({line.shell, "-c", line.command});
  else
    line.command = shell_line_with_input(line.shell, line.command, line.input);
  line.input.clear();
  line.shell = kDefaultShell;
}

/// The line as it stands in the crontab. Nothing if it cannot stand there, with the reason.
std::optional<std::string> rendered(Line& line, const Variables& top) {
  if (!line.writable) return std::nullopt;
  settle_shell(line, top);
  const std::string whole = prelude(line, top) + line.command;
  std::string reason;
  if (whole.find('\n') != std::string::npos)
    reason = "its command, environment or input has several lines, and a crontab's has one";
  else if (whole.starts_with('*') || whole.starts_with('='))
    reason = "its command begins with " + whole.substr(0, 1);
  else if (whole.substr(0, whole.find_first_of(" \t")) == "root")
    reason = "its command begins with root, as the lines of a system crontab";
  std::string text = escaped_command(whole);
  if (!line.input.empty()) text += escaped_input(line.input).value_or("");
  if (reason.empty() && text.size() > kCommandBytes)
    reason = "its command has " + std::to_string(text.size()) + " bytes, and Debian's cron reads " +
             std::to_string(kCommandBytes);
  if (reason.empty()) return line.schedule + " " + text;
  line.reasons.push_back(std::move(reason));
  return std::nullopt;
}

/// Variables that all the lines have, with one value.
Variables common_variables(const std::vector<Line>& lines) {
  Variables common;
  bool first = true;
  for (const Line& line : lines) {
    if (!line.reasons.empty()) continue;
    if (first) common = line.env;
    first = false;
    std::erase_if(common, [&line](const auto& one) {
      const std::string* value = find(line.env, one.first);
      const bool elsewhere = one.first == "HOME" && line.cwd != one.second;
      return value == nullptr || *value != one.second || elsewhere;
    });
  }
  std::erase_if(common, [](const auto& one) {
    return is_cron_own(one.first) || !setting(one.first, one.second);
  });
  return common;
}

class Writer {
 public:
  Writer(std::vector<Line> lines, const std::string& host_timezone)
      : lines_(std::move(lines)), host_timezone_(host_timezone), timezone_(host_timezone) {}

  std::string write() {
    const Variables top = common_variables(lines_);
    std::string active, rest;
    for (Line& line : lines_) {
      const std::optional<std::string> text = rendered(line, top);
      if (text && line.reasons.empty())
        active += active_line(line, *text);
      else
        rest += commented_line(line, text);
    }
    std::string out = header();
    for (const auto& [name, value] : top) out += setting(name, value).value_or("") + "\n";
    return out + active + (rest.empty() ? "" : "\n# Not for cron:\n" + rest);
  }

 private:
  std::string header() const {
    std::string out =
        "# Jobs of schedctl, as a user's crontab: cron runs them as the user whose crontab this "
        "is,\n# mails their output, lets them overlap and catches up on nothing.\n";
    if (other_zones_)
      out += "# CRON_TZ is for cronie: Debian's cron ignores it and goes by the host's zone, " +
             escape_control(host_timezone_) + ".\n";
    if (delays_) out += "# RANDOM_DELAY is for cronie: Debian's cron ignores it.\n";
    return out;
  }

  std::string active_line(const Line& line, const std::string& text) {
    std::string out = "# " + line.name;
    if (!line.lost.empty()) out += " (cron has no " + joined(line.lost, ", ") + ")";
    out += "\n";
    if (line.timezone != timezone_) out += "CRON_TZ=" + line.timezone + "\n";
    if (line.delay_minutes != delay_minutes_)
      out += "RANDOM_DELAY=" + std::to_string(line.delay_minutes) + "\n";
    if (line.shell != shell_) out += "SHELL=" + line.shell + "\n";
    other_zones_ |= line.timezone != timezone_;
    delays_ |= line.delay_minutes != delay_minutes_;
    timezone_ = line.timezone;
    delay_minutes_ = line.delay_minutes;
    shell_ = line.shell;
    return out + text + "\n";
  }

  std::string commented_line(const Line& line, const std::optional<std::string>& text) const {
    std::string out = "# " + line.name;
    if (line.timezone != host_timezone_) out += " (" + escape_control(line.timezone) + ")";
    out += ": " + joined(line.reasons, "; ") + "\n";
    return text ? out + "#" + *text + "\n" : out;
  }

  std::vector<Line> lines_;
  const std::string& host_timezone_;
  // What the lines so far have set.
  std::string timezone_;
  std::string shell_{kDefaultShell};
  std::int64_t delay_minutes_ = 0;
  bool other_zones_ = false;
  bool delays_ = false;
};

}  // namespace

std::string crontab_text(const std::vector<job::Job>& jobs, const std::string& host_timezone,
                         const job::PolicyDraft& defaults) {
  std::vector<Line> lines;
  for (const job::Job& job : jobs) {
    Line& line = lines.emplace_back();
    line.name = job.name;
    const job::Schedule& schedule = job.definition.schedule;
    const bool host_zone =
        schedule.kind == job::ScheduleKind::reboot || same_zone(schedule.timezone, host_timezone);
    line.timezone = host_zone ? host_timezone : schedule.timezone;
    if (job.paused) line.reasons.emplace_back("it is paused");
    read_schedule(schedule, line);
    read_policy(job.definition.policy, defaults, line);
    read_action(job.definition, line);
  }
  std::stable_sort(lines.begin(), lines.end(), [&](const Line& a, const Line& b) {
    const bool a_host = a.timezone == host_timezone;
    const bool b_host = b.timezone == host_timezone;
    return a_host != b_host ? a_host : !a_host && a.timezone < b.timezone;
  });
  return Writer(std::move(lines), host_timezone).write();
}

}  // namespace schedctl::config
