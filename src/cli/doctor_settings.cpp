#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "schedctl/base/text.hpp"
#include "schedctl/config/job_file.hpp"
#include "schedctl/host/host.hpp"
#include "schedctl/host/privilege.hpp"
#include "schedctl/keeper/allowed.hpp"
#include "src/cli/doctor.hpp"
#include "src/cli/errors.hpp"
#include "src/cli/output.hpp"

// doctor: settings, directories, job files.

namespace schedctl::cli {
namespace {

constexpr std::size_t kErrorsShown = 5;

std::string user_name(uid_t uid) {
  std::array<char, 16384> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr)
    return entry.pw_name;
  return "user id " + std::to_string(uid);
}

/// A secret that stands in the settings file itself, which others can read.
void look_for_open_secrets(Findings& findings, const Patient& patient) {
  const std::string& file = patient.config().config_file;
  struct stat status {};
  if (file.empty() || ::stat(file.c_str(), &status) != 0) return;
  // The daemon's user reads it by its group.
  const bool shared = !patient.config().daemon_user.empty();
  if ((status.st_mode & (shared ? S_IROTH : S_IRGRP | S_IROTH)) == 0) return;
  for (const config::Setting& setting : patient.session.loaded.settings) {
    const bool secret = setting.key == "alerts.slack.webhook_url" || setting.key == "heartbeat_url";
    if (!secret || !setting.origin.starts_with(file + ":")) continue;
    findings.warning(
        "others can read " + setting.key + " in " + file + ", and whoever knows it can use it",
        quote_command({"chmod", shared ? "640" : "600", file}));
  }
}

/// What start would refuse, and what changes nothing before it.
void look_at_users(Findings& findings, const Patient& patient) {
  const config::Config& config = patient.config();
  if (config.daemon_user.empty()) return;
  for (const char* key : {"daemon_user", "job_user"}) {
    const std::string& name =
        key == std::string_view("job_user") ? config.job_user : config.daemon_user;
    if (const auto user = host::find_account(name, key); !user)
      return findings.error(std::string(key) + ": " + user.error().message,
                            "then: " + patient.schedctl() + " start");
  }
  const auto rules = keeper::read_rules(
      {.keeper_dir = {}, .output_dir = {}, .config_file = config.config_file, .own = config.own});
  if (!rules && rules.error().kind == ErrorKind::config)
    return findings.error(
        "a root keeper does not go by " + rules.error().where + ": " + rules.error().message,
        quote_command({"namei", "-l", config.config_file}));
  if (rules && (rules->daemon_user != config.daemon_user || rules->job_user != config.job_user))
    return findings.error(
        "daemon_user and job_user count as the settings file has them, which "
        "says otherwise than the flags or variables here",
        "write them into " + config.config_file);
  const auto uid =
      patient.daemon.pid > 0 ? host::user_of_process(patient.daemon.pid) : std::optional<uid_t>();
  if (uid && user_name(*uid) != config.daemon_user)
    findings.warning("the daemon runs as " + user_name(*uid) + ", not as daemon_user says",
                     patient.schedctl() + " stop, then " + patient.schedctl() + " start");
}

struct Place {
  std::string what;  ///< "state_dir"
  std::string path;
  bool is_private = false;  ///< nobody else should read it
  bool is_ours = true;      ///< nobody else may write it; false for a log directory
};

void look_at_mode(Findings& findings, const Place& place, const struct stat& status,
                  std::size_t& wrong) {
  const bool sticky = (status.st_mode & S_ISVTX) != 0;
  const mode_t writers = place.is_ours ? S_IWGRP | S_IWOTH : S_IWOTH;
  if ((status.st_mode & writers) != 0 && !sticky) {
    ++wrong;
    findings.error("others can write " + place.what + " " + place.path +
                       (place.is_ours ? ", and so decide what runs" : ""),
                   quote_command({"chmod", place.is_ours ? "go-w" : "o-w", place.path}));
  } else if (place.is_private && (status.st_mode & (S_IRGRP | S_IROTH | S_IXGRP | S_IXOTH)) != 0) {
    ++wrong;
    findings.warning(
        "others can look into " + place.what + " " + place.path + ", where the output of jobs lies",
        quote_command({"chmod", "700", place.path}));
  }
}

/// Whoever started the daemon owns what is in its directories.
void look_at_owner(Findings& findings, const Place& place, const struct stat& status, uid_t daemon,
                   std::size_t& wrong) {
  if (place.is_ours && status.st_uid != daemon && status.st_uid != 0) {
    ++wrong;
    findings.error(place.what + " " + place.path + " belongs to " + user_name(status.st_uid) +
                       ", not to " + user_name(daemon),
                   quote_command({"chown", user_name(daemon), place.path}));
    return;
  }
  if (::geteuid() != daemon && ::geteuid() != 0) return;
  if (::geteuid() == 0 || status.st_uid == ::geteuid()) {
    if (::access(place.path.c_str(), W_OK | X_OK) == 0) return;
    const bool read_only = errno == EROFS;
    ++wrong;
    findings.error(place.what + " " + place.path + " cannot be written: " + errno_text(errno),
                   read_only ? "mount -o remount,rw (see dmesg for why it is read-only)"
                             : quote_command({"chmod", "u+rwx", place.path}));
  }
}

void look_at_place(Findings& findings, const Patient& patient, const Place& place, uid_t daemon,
                   std::size_t& wrong) {
  struct stat status {};
  if (::stat(place.path.c_str(), &status) != 0) {
    if (errno == ENOENT && patient.daemon.state == DaemonHealth::State::dead)
      return findings.ok(place.what + " " + place.path + " is not there yet; start makes it");
    ++wrong;
    if (errno == ENOENT)
      return findings.error(place.what + " " + place.path + " is gone under a living daemon",
                            patient.config().daemon_user.empty()
                                ? "kill -USR2 " + std::to_string(patient.daemon.pid) +
                                      " (the daemon starts again in place and makes it; jobs go on)"
                                : patient.schedctl() + " restart (as root; jobs go on)");
    const std::string why = errno_text(errno);
    return findings.warning("cannot look at " + place.what + " " + place.path + ": " + why,
                            errno == EACCES ? "sudo " + patient.schedctl() + " doctor"
                                            : quote_command({"ls", "-ld", place.path}));
  }
  if (!S_ISDIR(status.st_mode)) {
    ++wrong;
    return findings.error(place.what + " " + place.path + " is not a directory",
                          quote_command({"mv", place.path, place.path + ".moved"}));
  }
  look_at_mode(findings, place, status, wrong);
  look_at_owner(findings, place, status, daemon, wrong);
}

std::string error_text(const Error& error) {
  return (error.where.empty() ? "" : error.where + ": ") + error.message;
}

}  // namespace

std::string parent_directory(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos || slash == 0 ? "/" : path.substr(0, slash);
}

std::string nearest_directory(const std::string& path) {
  std::string directory = path;
  struct stat status {};
  while (directory != "/" && ::stat(directory.c_str(), &status) != 0)
    directory = parent_directory(directory);
  return directory;
}

void look_at_settings(Findings& findings, const Patient& patient) {
  findings.begin("settings");
  const std::string& file = patient.config().config_file;
  findings.ok(file.empty() ? "no settings file; what is built in holds" : "read " + file);
  for (const std::string& warning : patient.session.loaded.warnings)
    findings.warning(warning,
                     "unset that variable, or name it as " + patient.schedctl() + " config does");
  look_for_open_secrets(findings, patient);
  look_at_users(findings, patient);
}

void look_at_directories(Findings& findings, const Patient& patient) {
  findings.begin("directories");
  const config::Config& config = patient.config();
  std::vector<Place> places{
      {.what = "state_dir", .path = config.state_dir, .is_private = true},
      {.what = "runtime_dir", .path = config.runtime_dir},
      {.what = "the log's directory", .path = parent_directory(config.log_file), .is_ours = false}};
  if (const std::string home = parent_directory(config.sqlite_path()); home != config.state_dir)
    places.push_back({.what = "the database's directory", .path = home, .is_ours = false});
  struct stat state {};
  const bool known = ::stat(config.state_dir.c_str(), &state) == 0;
  const auto user = config.daemon_user.empty() ? std::nullopt : host::find_user(config.daemon_user);
  const bool is_daemons = user && user->uid == state.st_uid;
  // One that the daemon would not use belongs to somebody else: start says so, too.
  if (known && ::geteuid() == 0 && state.st_uid != 0 && !is_daemons)
    findings.error("state_dir " + config.state_dir + " belongs to " + user_name(state.st_uid) +
                       ", whose commands would run as root",
                   quote_command({"chown", "-R", "root", config.state_dir}) +
                       ", or run schedctl as that user");
  const uid_t daemon = known && (!user || state.st_uid != 0) ? state.st_uid
                       : user                                ? user->uid
                                                             : ::geteuid();
  std::size_t wrong = 0;
  const std::size_t before = findings.all().size();
  for (const Place& place : places) look_at_place(findings, patient, place, daemon, wrong);
  if (wrong == 0 && findings.all().size() == before)
    findings.ok("state, run and log directories are there, and belong to " + user_name(daemon));
}

void look_at_job_files(Findings& findings, const Patient& patient) {
  findings.begin("job files");
  const config::JobFiles files = config::read_job_files(patient.config().jobs_dirs, false);
  const std::vector<Error> errors =
      patient.session.store ? patient.session.ops().validate(files) : files.errors;
  for (std::size_t i = 0; i < errors.size() && i < kErrorsShown; ++i)
    findings.error(error_text(clipped(errors[i])),
                   "mend it, then: " + patient.schedctl() + " reload");
  if (errors.size() > kErrorsShown)
    findings.error(plural(static_cast<std::int64_t>(errors.size() - kErrorsShown), "more error"),
                   patient.schedctl() + " validate " + quote_command(patient.config().jobs_dirs));
  if (errors.empty())
    findings.ok(plural(static_cast<std::int64_t>(files.jobs.size()), "job") + " in " +
                plural(static_cast<std::int64_t>(files.files.size()), "file"));
}

}  // namespace schedctl::cli
