#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "schedctl/base/text.hpp"
#include "schedctl/base/unique_fd.hpp"
#include "schedctl/config/crontab.hpp"
#include "schedctl/host/host.hpp"
#include "src/cli/draft.hpp"
#include "src/cli/errors.hpp"
#include "src/cli/families.hpp"
#include "src/cli/json.hpp"
#include "src/cli/output.hpp"
#include "src/cli/session.hpp"
#include "src/cli/table.hpp"

// import-crontab

namespace schedctl::cli {
namespace {

namespace fs = std::filesystem;
using Did = ops::ImportedJob::Did;

/// Ten thousand lines of some length; what is larger is no crontab.
constexpr std::size_t kCrontabBytes = std::size_t{8} * 1024 * 1024;
constexpr const char* kSystemCrontab = "/etc/crontab";
constexpr const char* kSystemDirectory = "/etc/cron.d";

/// A crontab and what its path tells of it.
struct Source {
  std::string shown;   ///< as the user named it
  std::string path;    ///< absolute; empty: standard input, or another pipe
  std::string prefix;  ///< of names
  bool system = false;
  std::string text;
};

Result<std::string> read_all(int fd, const std::string& shown) {
  std::string text;
  char buffer[1 << 16];
  while (true) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(error_from_errno("cannot read " + escape_control(shown), errno));
    if (n == 0) return text;
    text.append(buffer, static_cast<std::size_t>(n));
    if (text.size() > kCrontabBytes)
      return fail(ErrorKind::failed, escape_control(shown) + " is larger than " +
                                         std::to_string(kCrontabBytes >> 20) +
                                         " MiB and cannot be a crontab");
  }
}

Result<Source> read_source(const Invocation& call) {
  Source source{.shown = call.words[0], .path = {}, .prefix = {}, .text = {}};
  source.system = call.has("system");
  if (source.shown == "-") {
    source.shown = "standard input";
    if (::isatty(STDIN_FILENO) == 1)
      talk(call, "reading a crontab from the terminal; Ctrl-D ends it");
    TRY(source.text, read_all(STDIN_FILENO, source.shown));
    return source;
  }
  const std::string shown = escape_control(source.shown);
  const UniqueFd file(::open(source.shown.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) {
    Error error = error_from_errno("cannot read " + shown, errno);
    if (errno == ENOENT) error.kind = ErrorKind::not_found;
    return fail(with_permission_hint(std::move(error)));
  }
  if (S_ISDIR(status.st_mode))
    return fail(ErrorKind::usage, shown +
                                      " is a directory; import its files one by one: for f in " +
                                      shown + "/*; do schedctl import-crontab \"$f\"; done");
  TRY(source.text, read_all(file.get(), source.shown));
  // What comes through <(crontab -l) has another path each time.
  if (!S_ISREG(status.st_mode)) return source;
  std::error_code error;
  const fs::path path = fs::absolute(source.shown, error).lexically_normal();
  source.path = path.string();
  const bool drop_in = path.parent_path().filename() == "cron.d";
  if (drop_in) source.prefix = path.filename().string();
  source.system |= source.path == kSystemCrontab || path.parent_path() == kSystemDirectory;
  return source;
}

/// Debian's cron reads only files of cron.d whose names have letters, digits, - and _.
void warn_of_name(const Invocation& call, const Source& source) {
  const bool read = std::all_of(source.prefix.begin(), source.prefix.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_';
  });
  if (!read)
    warn(call, "Debian's cron does not read " + escape_control(source.path) +
                   ", because of the other characters than letters, digits, - and _ in its name");
}

std::string verdict(const ops::ImportedJob& job, bool dry_run) {
  switch (job.did) {
    case Did::added:
      return dry_run ? "would be added" : "added";
    case Did::unchanged:
      return "unchanged";
    case Did::present:
      return "not added: that job runs the same at the same time";
    case Did::changed:
      break;
  }
  std::string text;
  for (const ops::KeyChange& change : job.changes) {
    text += (text.empty() ? "" : ", ") + change.key;
    if (change.before) text += " from " + config::toml_value(*change.before);
    text += change.after ? " to " + config::toml_value(*change.after) : " gone";
  }
  return (dry_run ? "would change: " : "changed: ") + text;
}

/// As the crontab has it, where that can be told.
std::string words_of(const job::Action& action) {
  if (action.shell.empty()) return short_action(action);
  const std::optional<config::LineWithInput> parts = config::parse_line_with_input(action.shell);
  return parts ? parts->line + "  (with input)" : action.shell;
}

void print_table(const ops::Imported& imported, bool dry_run) {
  Table table({{.title = "LINE", .right = true},
               {.title = "JOB"},
               {.title = "SCHEDULE"},
               {.title = "COMMAND", .flexible = true},
               {.title = "WHAT", .flexible = true}});
  for (const ops::ImportedJob& job : imported.jobs)
    table.add({{std::to_string(job.line)},
               {job.name},
               {short_schedule(job.definition.schedule)},
               {words_of(job.definition.action)},
               {verdict(job, dry_run), job.did == Did::unchanged ? Color::dim : Color::none}});
  if (!table.empty()) print(table.render(terminal_width()));
}

std::int64_t count(const ops::Imported& imported, Did did) {
  return std::count_if(imported.jobs.begin(), imported.jobs.end(),
                       [did](const ops::ImportedJob& job) { return job.did == did; });
}

std::string summary(const ops::Imported& imported, bool dry_run) {
  std::string text;
  const auto add = [&](std::int64_t n, const std::string& what) {
    if (n > 0) text += (text.empty() ? "" : ", ") + what;
  };
  const std::string would = dry_run ? " would be" : "";
  const std::int64_t added = count(imported, Did::added);
  const std::int64_t changed = count(imported, Did::changed);
  const std::int64_t same = count(imported, Did::unchanged) + count(imported, Did::present);
  const auto left_out = static_cast<std::int64_t>(imported.left_out.size());
  add(added, plural(added, "job") + would + " added");
  add(changed, plural(changed, "job") + would + " changed");
  add(same, plural(same, "job") + (same == 1 ? " is" : " are") + " as before");
  add(left_out, plural(left_out, "line") + " not imported");
  return text.empty() ? "the crontab runs nothing" : text;
}

std::set<std::string> mail_addresses(const ops::Imported& imported) {
  std::set<std::string> addresses;
  for (const ops::ImportedJob& job : imported.jobs)
    if (!job.mailto.empty()) addresses.insert(job.mailto);
  return addresses;
}

/// What is to be said about single lines and jobs.
void talk_of_lines(const Invocation& call, const Source& source, const config::Crontab& crontab,
                   const ops::Imported& imported) {
  const std::string file = escape_control(source.shown) + ":";
  for (const config::CrontabNote& note : crontab.notes)
    talk(call, file + std::to_string(note.line) + ": " + note.message);
  for (const ops::ImportedJob& job : imported.jobs) {
    const std::string line = file + std::to_string(job.line) + ": ";
    for (const std::string& note : job.notes) talk(call, line + note);
    std::string kept;
    for (const std::string& name : job.kept) kept += (kept.empty() ? "" : ", ") + name;
    if (!kept.empty())
      talk(call, line + "job " + job.name + " keeps " + kept + ", which the crontab does not set");
  }
  for (const config::CrontabNote& note : imported.left_out)
    print_error(error_line(
        {ErrorKind::failed, "not imported: " + note.message,
         source.shown + ":" + std::to_string(note.line) + ":" + std::to_string(note.column)}));
  for (const std::string& name : imported.gone)
    talk(call, "job " + name + " came from a line that is gone; schedctl remove " + name);
}

/// What is to be said once.
void talk_of_differences(Session& session, const Source& source, const ops::Imported& imported) {
  const Invocation& call = session.call;
  std::string addresses;
  for (const std::string& address : mail_addresses(imported))
    addresses += (addresses.empty() ? "" : ", ") + escape_control(address);
  if (!addresses.empty())
    talk(call, "mail to " + addresses +
                   " is not sent: output is kept (schedctl logs NAME), and alerts go to the "
                   "notifiers of schedctl");
  const bool fresh = count(imported, Did::added) > 0;
  if (!fresh) return;
  const char* tz = std::getenv("TZ");
  talk(call, "schedules without CRON_TZ count in the time zone " + session.sources.host_timezone +
                 (tz != nullptr && *tz != '\0' ? ", by $TZ here" : ", the host's"));
  talk(call,
       "unlike under cron, a job that is due while it still runs is skipped, what was missed less "
       "than an hour ago is caught up, and the environment is PATH, HOME, USER, LOGNAME, SHELL, "
       "LANG, TZ and what the crontab sets; see import-crontab in schedctl(1)");
  if (call.has("dry-run") || call.has("paused")) return;
  talk(call, "cron goes on running these lines, too: take them out of " +
                 (source.path.empty() ? std::string("the crontab") : escape_control(source.path)) +
                 ", or each runs twice");
}

}  // namespace

Result<Outcome> run_import_crontab(const Invocation& call) {
  TRY(const Source source, read_source(call));
  const bool dry_run = call.has("dry-run");
  TRY(const std::unique_ptr<Session> session,
      Session::open(call, dry_run ? Access::read : Access::write));
  session->name_other_store();
  warn_of_name(call, source);
  const config::Crontab crontab = config::read_crontab(source.text, source.system);
  TRY(const ops::Imported imported,
      session->ops().import_crontab(crontab, {.source = source.path,
                                              .prefix = source.prefix,
                                              .user = session->job_user(),
                                              .timezone = session->sources.host_timezone,
                                              .paused = call.has("paused"),
                                              .dry_run = dry_run}));
  if (call.globals.json) {
    print(json_imported(imported, crontab.notes) + "\n");
  } else {
    print_table(imported, dry_run);
    print_result(call, summary(imported, dry_run));
    talk_of_lines(call, source, crontab, imported);
    talk_of_differences(*session, source, imported);
  }
  if (!dry_run && count(imported, Did::added) + count(imported, Did::changed) > 0 &&
      !session->is_served())
    warn(call, "no daemon is running: start it with schedctl start" +
                   std::string(call.globals.own ? " --own" : ""));
  return Done{imported.left_out.empty() ? 0 : kExitFailed};
}

}  // namespace schedctl::cli
