#include "schedctl/config/config.hpp"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "schedctl/base/check.hpp"
#include "schedctl/base/limits.hpp"
#include "schedctl/base/text.hpp"
#include "schedctl/job/job.hpp"
#include "src/config/calendars.hpp"
#include "src/config/document.hpp"
#include "src/config/settings.hpp"

namespace schedctl::config {
namespace {

constexpr std::string_view kPrefix = "SCHEDCTL_";
constexpr std::string_view kSqlite = "sqlite:";
constexpr std::string_view kOwnVariable = "SCHEDCTL_OWN";
/// What the daemon hands to jobs; a job that calls schedctl has them all, and means nothing by it.
/// The last one is what systemd hands to the daemon (host::boot_id()).
constexpr std::string_view kReserved[] = {"SCHEDCTL_RUN_ID",  "SCHEDCTL_JOB", "SCHEDCTL_FIRE_TIME",
                                          "SCHEDCTL_ATTEMPT", "SCHEDCTL_KEY", "SCHEDCTL_BOOT_ID"};

using Origins = std::map<std::string, std::string>;

bool has_settings_under(const std::string& key) {
  return std::ranges::any_of(setting_specs(), [prefix = key + "."](const SettingSpec& spec) {
    return spec.key.starts_with(prefix);
  });
}

/// Paths that hold where nothing else is said.
struct Places {
  bool own = false;
  std::string config_file;
  std::string state_dir;
};

/// The settings as they grow, from the weakest source to the strongest.
class Loader {
 public:
  explicit Loader(const Sources& sources) : sources_(sources) {}
  Result<Loaded> run();

 private:
  Result<void> find_places();
  Result<bool> wants_own() const;
  Result<void> read_file();
  Result<void> read_table(const Value& table, const std::string& prefix);
  Result<void> read_groups(const Entry& groups);
  Result<void> apply_value(const SettingSpec& spec, const Entry& entry);
  Result<void> read_environment();
  Result<void> read_flags();
  Result<void> check() const;
  Result<void> apply_text(const SettingSpec& spec, const std::string& text,
                          const std::string& origin);
  void fill_in();
  bool given(const std::string& key) const { return origins_.count(key) != 0; }

  const Sources& sources_;
  Places places_;
  Loaded loaded_;
  Origins origins_;
  std::vector<Setting> own_settings_;  ///< of keys that the file makes up
};

Result<Loaded> Loader::run() {
  TRY_VOID(find_places());
  TRY_VOID(read_file());
  TRY_VOID(read_environment());
  TRY_VOID(read_flags());
  fill_in();
  TRY_VOID(check());
  for (const SettingSpec& spec : setting_specs()) {
    const auto origin = origins_.find(spec.key);
    loaded_.settings.push_back({spec.key, spec.print(loaded_.config, spec.key),
                                origin == origins_.end() ? "default" : origin->second,
                                spec.variable()});
  }
  std::move(own_settings_.begin(), own_settings_.end(), std::back_inserter(loaded_.settings));
  return std::move(loaded_);
}

/// What two settings say together.
Result<void> Loader::check() const {
  const Config& config = loaded_.config;
  if (config.daemon_user.empty() && !config.job_user.empty()) {
    return fail(ErrorKind::config,
                "job_user goes with daemon_user, which is not set: without it jobs run as whoever "
                "started the daemon",
                origins_.at("job_user"));
  }
  if (config.keeper_dir == config.state_dir + "/keeper") return {};
  for (const std::string& other : {config.state_dir, config.runtime_dir}) {
    if ((config.keeper_dir + "/").starts_with(other + "/")) {
      return fail(ErrorKind::config,
                  "keeper_dir is a directory of its own, outside of " + other +
                      " (but for <state_dir>/keeper)",
                  origins_.at("keeper_dir"));
    }
  }
  return {};
}

Result<bool> Loader::wants_own() const {
  if (sources_.own) return true;
  const auto variable = sources_.environment.find(std::string(kOwnVariable));
  if (variable != sources_.environment.end()) {
    const std::string& text = variable->second;
    if (text == "1" || text == "true" || text == "yes") return true;
    if (!text.empty() && text != "0" && text != "false" && text != "no") {
      return fail(ErrorKind::config,
                  "SCHEDCTL_OWN must be 1 or 0, not '" + escape_control(text) + "'",
                  std::string(kOwnVariable));
    }
  }
  if (sources_.uid == 0 || sources_.system_daemon) return false;
  // A file that cannot even be looked at is there for all we know: reading it then says so.
  struct stat st {};
  const bool missing = ::stat(sources_.system_config_file.c_str(), &st) != 0 && errno != EACCES;
  return missing;
}

Result<void> Loader::find_places() {
  TRY(places_.own, wants_own());
  if (!places_.own) {
    places_.config_file = sources_.system_config_file;
    places_.state_dir = "/var/lib/schedctl";
    return {};
  }
  const auto base = [this](const std::string& variable, const char* under_home) -> std::string {
    const auto found = sources_.environment.find(variable);
    // The XDG base directory specification: a relative path is invalid and ignored.
    if (found != sources_.environment.end() && found->second.starts_with("/")) return found->second;
    return sources_.home.empty() ? "" : sources_.home + under_home;
  };
  const std::string config_home = base("XDG_CONFIG_HOME", "/.config");
  const std::string state_home = base("XDG_STATE_HOME", "/.local/state");
  if (config_home.empty() || state_home.empty()) {
    return fail(ErrorKind::config,
                "there is no home directory for a daemon of your own; "
                "set XDG_CONFIG_HOME and XDG_STATE_HOME",
                "--own");
  }
  places_.config_file = config_home + "/schedctl/schedctl.toml";
  places_.state_dir = state_home + "/schedctl";
  return {};
}

Result<void> Loader::read_file() {
  std::string path = sources_.config_file.value_or(places_.config_file);
  if (sources_.config_file) {
    std::error_code error;
    const auto full = std::filesystem::absolute(path, error);
    if (path.empty())
      return fail(ErrorKind::config, "the path of the settings file is empty", "--config");
    if (error) {
      return fail(ErrorKind::config, "the path is relative, and the working directory is gone",
                  "--config");
    }
    path = full.lexically_normal().string();
  }
  Result<Value> document = read_document(path, sources_.uid);
  if (!document) {
    Error error = std::move(document).error();
    if (error.kind == ErrorKind::not_found) {
      if (!sources_.config_file) return {};
      error.kind = ErrorKind::config;
    }
    if (error.kind == ErrorKind::not_allowed && !places_.own) {
      error.message += "; use sudo, or --own for a daemon of your own";
    }
    return fail(std::move(error));
  }
  loaded_.config.config_file = path;
  return read_table(*document, "");
}

Result<void> Loader::read_table(const Value& table, const std::string& prefix) {
  for (const Entry& entry : table.table) {
    const std::string key = prefix + entry.key;
    const bool is_table = has_settings_under(key);
    if (is_table && entry.value.kind == Value::Kind::table) {
      TRY_VOID(read_table(entry.value, key + "."));
      continue;
    }
    if (is_table) {
      return fail(ErrorKind::config, key + " is a table, with [" + key + "] on a line of its own",
                  entry.where);
    }
    if (key == "calendars") {
      TRY(ReadCalendars read, read_calendars(entry, sources_.uid));
      loaded_.config.calendars = std::move(read.calendars);
      own_settings_.insert(own_settings_.end(), read.settings.begin(), read.settings.end());
      continue;
    }
    if (key == "groups") {
      TRY_VOID(read_groups(entry));
      continue;
    }
    if (key == "defaults.retry" && entry.value.kind == Value::Kind::table) {
      TRY_VOID(check_retry_table(entry.value));
      // [defaults] retry = { max_attempts = 3 } says defaults.max_attempts.
      TRY_VOID(read_table(entry.value, "defaults."));
      continue;
    }
    if (key == "job" || key == "jobs") {
      const std::string folder = std::filesystem::path(places_.config_file).parent_path().string();
      return fail(ErrorKind::config,
                  "jobs do not belong in this file but in one of their own in a directory of "
                  "jobs_dirs (" +
                      folder + "/jobs.d)",
                  entry.where);
    }
    const SettingSpec* spec = find_setting(key);
    if (spec == nullptr) {
      std::vector<std::string> known = setting_keys();
      known.insert(known.end(), {"defaults", "calendars", "groups"});
      return fail(ErrorKind::config, unknown_key(key, "a setting", known), entry.where);
    }
    TRY_VOID(apply_value(*spec, entry));
  }
  return {};
}

Result<void> Loader::read_groups(const Entry& groups) {
  if (groups.value.kind != Value::Kind::table) {
    return fail(ErrorKind::config,
                "groups is a table of names and numbers: [groups], and under it db = 2",
                groups.where);
  }
  for (const Entry& entry : groups.value.table) {
    const Value& value = entry.value;
    if (Result<void> name = job::check_name(entry.key); !name) {
      return fail(ErrorKind::config, "groups: " + name.error().message, entry.where);
    }
    const bool fits = value.kind == Value::Kind::integer && value.integer >= 1 &&
                      value.integer <= limits::kMaxInstances;
    if (!fits) {
      return fail(ErrorKind::config,
                  "groups." + entry.key + " must be a number from 1 to " +
                      std::to_string(limits::kMaxInstances) + ": so many of its runs at once",
                  value.where);
    }
    loaded_.config.groups[entry.key] = static_cast<int>(value.integer);
    own_settings_.push_back(
        {"groups." + entry.key, std::to_string(value.integer), entry.where, ""});
  }
  return {};
}

Result<void> Loader::apply_value(const SettingSpec& spec, const Entry& entry) {
  if (given(spec.key)) {
    return fail(ErrorKind::config,
                spec.key + " is set twice, the first time at " + origins_[spec.key], entry.where);
  }
  // Only the file has been read so far.
  const std::string other =
      spec.key.ends_with("_file") ? spec.key.substr(0, spec.key.size() - 5) : spec.key + "_file";
  // A job's own word on one of the two goes before the other's default.
  if (given(other) && !spec.key.starts_with("defaults.")) {
    return fail(ErrorKind::config, spec.key + " and " + other + " say the same thing; keep one",
                entry.where);
  }
  Given value;
  switch (spec.type) {
    case SettingSpec::Type::list: {
      TRY(value.list, string_list(entry.value, spec.key));
      break;
    }
    case SettingSpec::Type::string:
    case SettingSpec::Type::text_or_integer: {
      if (spec.type == SettingSpec::Type::string && entry.value.kind != Value::Kind::string) {
        return fail(ErrorKind::config,
                    spec.key + " must be a string, not " + std::string(kind_name(entry.value.kind)),
                    entry.value.where);
      }
      TRY(value.text, scalar_text(entry.value, spec.key));
      break;
    }
  }
  Result<void> read = spec.read(loaded_.config, spec.key, value);
  if (!read) return fail(ErrorKind::config, read.error().message, entry.value.where);
  origins_[spec.key] = entry.where;
  return {};
}

Result<void> Loader::read_environment() {
  std::map<std::string, const SettingSpec*> known;
  // Without what all have in common: with it, everything looks alike.
  const auto bare = [](std::string_view name) { return std::string(name.substr(kPrefix.size())); };
  std::vector<std::string> names{bare(kOwnVariable)};
  for (const SettingSpec& spec : setting_specs()) {
    if (spec.file_only) continue;
    known[spec.variable()] = &spec;
    names.push_back(bare(spec.variable()));
  }
  for (const auto& [name, text] : sources_.environment) {
    if (!name.starts_with(kPrefix) || name == kOwnVariable) continue;
    if (std::find(std::begin(kReserved), std::end(kReserved), name) != std::end(kReserved)) {
      continue;
    }
    const auto spec = known.find(name);
    if (spec == known.end()) {
      std::string warning =
          "ignored: '" + escape_control(name) + "' is not a variable schedctl knows";
      if (const auto near = nearest(bare(name), names))
        warning += "; did you mean " + std::string(kPrefix) + *near + "?";
      loaded_.warnings.push_back(std::move(warning));
      continue;
    }
    TRY_VOID(apply_text(*spec->second, text, name));
  }
  return {};
}

Result<void> Loader::read_flags() {
  for (const auto& [key, text] : sources_.set) {
    const SettingSpec* spec = find_setting(key);
    for (const std::string what : {"calendars", "groups"}) {
      if (spec != nullptr || !key.starts_with(what)) continue;
      return fail(ErrorKind::config, what + " are defined in the settings file only", "--set");
    }
    if (spec == nullptr) {
      return fail(ErrorKind::config, unknown_key(key, "a setting", setting_keys()), "--set");
    }
    if (spec->file_only) {
      return fail(ErrorKind::config, key + " is set in the settings file only", "--set");
    }
    TRY_VOID(apply_text(*spec, text, "--set"));
  }
  if (sources_.store) {
    const SettingSpec* spec = find_setting("store");
    CHECK(spec != nullptr);
    TRY_VOID(apply_text(*spec, *sources_.store, "--store"));
  }
  return {};
}

/// A list in a variable or flag is written like PATH, with colons.
Result<void> Loader::apply_text(const SettingSpec& spec, const std::string& text,
                                const std::string& origin) {
  Given value{.text = text, .list = {}, .relative_allowed = true};
  if (spec.type == SettingSpec::Type::list) {
    for (std::size_t begin = 0; begin <= text.size() && !text.empty();) {
      const std::size_t end = std::min(text.find(':', begin), text.size());
      if (end > begin) value.list.push_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  Result<void> read = spec.read(loaded_.config, spec.key, value);
  if (!read) return fail(ErrorKind::config, read.error().message, origin);
  origins_[spec.key] = origin;
  return {};
}

/// Defaults that depend on other settings: one's own daemon keeps everything under its state
/// directory, the machine's uses the places of the FHS.
void Loader::fill_in() {
  Config& config = loaded_.config;
  config.own = places_.own;
  if (config.own) {
    config.daemon_user.clear();
    config.job_user.clear();
  } else if (config.job_user.empty()) {
    config.job_user = config.daemon_user;
  }
  if (!given("state_dir")) config.state_dir = places_.state_dir;
  if (!given("keeper_dir")) config.keeper_dir = config.state_dir + "/keeper";
  if (!given("runtime_dir")) {
    config.runtime_dir = places_.own ? config.state_dir + "/run" : "/run/schedctl";
  }
  if (!given("log_file")) {
    config.log_file = places_.own ? config.state_dir + "/info.log" : "/var/log/schedctl/info.log";
  }
  if (!given("jobs_dirs")) {
    const std::filesystem::path folder = std::filesystem::path(places_.config_file).parent_path();
    config.jobs_dirs = {(folder / "jobs.d").string()};
  }
  if (!given("timezone")) {
    config.timezone = sources_.host_timezone.empty() ? "UTC" : sources_.host_timezone;
  }
  if (!given("store")) config.store = std::string(kSqlite) + "<state_dir>/schedctl.db";
  static const std::string kMarker = std::string(kSqlite) + "<state_dir>/";
  if (config.store.starts_with(kMarker)) {
    config.store =
        std::string(kSqlite) + config.state_dir + "/" + config.store.substr(kMarker.size());
  }
}

std::string home_of(uid_t uid) {
  std::vector<char> buffer(16384);
  struct passwd entry {};
  struct passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr &&
      found->pw_dir != nullptr) {
    return found->pw_dir;
  }
  return "";
}

}  // namespace

bool Config::is_own_file(const std::string& directory, const std::string& name) const {
  const auto is_here = [&](const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (path.empty() || path.substr(0, slash) != directory) return false;
    // A directory by its name; of a file also what lies beside it: .lock, -wal, .1.gz.
    return name.starts_with(path.substr(slash + 1));
  };
  if (directory == state_dir &&
      (name.starts_with("node-id") || name.starts_with("last-keeper") || name == "output")) {
    return true;
  }
  return is_here(keeper_dir) || is_here(lock_file()) || is_here(pid_file()) ||
         is_here(control_socket()) || is_here(sqlite_path()) || is_here(log_file) ||
         (is_here(runtime_dir) && runtime_dir == directory + "/" + name);
}

Config::Slots Config::command_slots() const {
  if (command_max_running && *command_max_running < max_running)
    return {*command_max_running, "executors.command.max_running"};
  return {max_running, "max_running"};
}

std::string Config::sqlite_path() const {
  return store.starts_with(kSqlite) ? store.substr(kSqlite.size()) : "";
}

Sources process_sources() {
  Sources sources;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    const std::string text = *variable;
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) continue;
    // Where a name comes twice, getenv sees the first.
    sources.environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  sources.uid = ::geteuid();
  sources.system_daemon = sources.environment.contains(kInheritVariable);
  // $HOME, as every tool does, if it is this user's: under sudo it may still be somebody else's.
  const auto home = sources.environment.find("HOME");
  struct stat status {};
  const bool ours = home != sources.environment.end() && home->second.starts_with('/') &&
                    ::stat(home->second.c_str(), &status) == 0 && status.st_uid == sources.uid;
  sources.home = ours ? home->second : home_of(sources.uid);
  return sources;
}

Result<Loaded> load(const Sources& sources) {
  return Loader(sources).run();
}

}  // namespace schedctl::config
