#include "src/config/settings.hpp"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "schedctl/base/bytes.hpp"
#include "schedctl/base/limits.hpp"
#include "schedctl/base/log.hpp"
#include "schedctl/base/text.hpp"

namespace schedctl::config {
namespace {

/// Each run that lives holds a descriptor or two in the keeper; beyond this a machine's default
/// limits on processes and descriptors are the real bound, and failures would look like bugs.
constexpr std::int64_t kMostRunning = 10'000;
constexpr std::size_t kLabelBytes = 64;
constexpr std::size_t kUserBytes = 256;
/// Called more often, an outside monitor would be the one to fail.
constexpr Duration kShortestInterval = std::chrono::seconds(1);

tl::unexpected<Error> wrong(std::string message) {
  return fail(ErrorKind::config, std::move(message));
}

bool has_control(const std::string& text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

Result<std::string> absolute(const std::string& key, const std::string& text,
                             bool relative_allowed) {
  if (text.empty()) return wrong(key + " is empty; it must be an absolute path");
  if (has_control(text)) return wrong(key + " contains control characters");
  std::filesystem::path path(text);
  if (!path.is_absolute()) {
    if (!relative_allowed) {
      return wrong(key + " must be an absolute path, not '" + escape_control(text) + "'");
    }
    std::error_code error;
    const std::filesystem::path here = std::filesystem::current_path(error);
    if (error) return wrong(key + " is relative, and the working directory is gone");
    path = here / path;
  }
  std::string normal = path.lexically_normal().string();
  while (normal.size() > 1 && normal.back() == '/') normal.pop_back();
  return normal;
}

template <std::string Config::*member>
Result<void> read_path(Config& config, const std::string& key, const Given& given) {
  TRY(config.*member, absolute(key, given.text, given.relative_allowed));
  return {};
}

template <std::string Config::*member>
std::string print_text(const Config& config, const std::string&) {
  return config.*member;
}

Result<void> read_store(Config& config, const std::string&, const Given& given) {
  TRY(config.store, read_store_url(given.text, given.relative_allowed));
  return {};
}

Result<void> read_log_file(Config& config, const std::string& key, const Given& given) {
  if (given.text.empty() || given.text == "-") {
    config.log_file.clear();
    return {};
  }
  return read_path<&Config::log_file>(config, key, given);
}

Result<void> read_log_level(Config& config, const std::string&, const Given& given) {
  if (!log::parse_level(given.text)) {
    return wrong("log_level must be debug, info, warning or error, not '" +
                 escape_control(given.text) + "'");
  }
  config.log_level = given.text;
  return {};
}

Result<void> read_jobs_dirs(Config& config, const std::string& key, const Given& given) {
  std::vector<std::string> paths;
  for (const std::string& text : given.list) {
    TRY(std::string path, absolute(key, text, given.relative_allowed));
    if (std::find(paths.begin(), paths.end(), path) == paths.end()) paths.push_back(path);
  }
  config.jobs_dirs = std::move(paths);
  return {};
}

std::string print_jobs_dirs(const Config& config, const std::string&) {
  std::string text;
  for (const std::string& path : config.jobs_dirs) text += (text.empty() ? "" : ", ") + path;
  return text;
}

/// Names as useradd(8) takes them; a number would be another user's name for a user.
bool is_user_name(const std::string& name) {
  const bool shaped = !name.empty() && name.size() <= kUserBytes && name.front() != '-' &&
                      std::all_of(name.begin(), name.end(), [](char c) {
                        return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                               std::string_view("._-$").find(c) != std::string_view::npos;
                      });
  return shaped && !parse_int(name);
}

template <std::string Config::*member>
Result<void> read_user(Config& config, const std::string& key, const Given& given) {
  if (!given.text.empty() && !is_user_name(given.text)) {
    return wrong(key + " is the name of a user, not '" + escape_control(given.text) + "'");
  }
  config.*member = given.text;
  return {};
}

Result<void> read_allow_users(Config& config, const std::string&, const Given& given) {
  config.allow_users.clear();
  for (const std::string& name : given.list) {
    if (!is_user_name(name)) {
      return wrong("allow_users has names of users, not '" + escape_control(name) + "'");
    }
    config.allow_users.push_back(name);
  }
  return {};
}

std::string print_allow_users(const Config& config, const std::string&) {
  std::string text;
  for (const std::string& name : config.allow_users) text += (text.empty() ? "" : ", ") + name;
  return text;
}

Result<void> read_environment(Config& config, const std::string&, const Given& given) {
  if (has_control(given.text)) return wrong("environment contains control characters");
  if (given.text.size() > kLabelBytes) {
    return wrong("environment is a label of at most " + std::to_string(kLabelBytes) + " bytes");
  }
  config.environment = given.text;
  return {};
}

Result<void> read_timezone(Config& config, const std::string&, const Given& given) {
  if (given.text.empty() || has_control(given.text)) {
    return wrong("timezone must be the name of a zone, such as Europe/Berlin or UTC");
  }
  config.timezone = given.text;
  return {};
}

template <auto Member>
Result<void> read_slots(Config& config, const std::string& key, const Given& given) {
  const std::optional<std::int64_t> number = parse_int(given.text);
  if (!number || *number < 1 || *number > kMostRunning) {
    return wrong(key + " must be a number from 1 to " + std::to_string(kMostRunning) + ", not '" +
                 escape_control(given.text) + "'");
  }
  config.*Member = static_cast<int>(*number);
  return {};
}

std::string print_max_running(const Config& config, const std::string&) {
  return std::to_string(config.max_running);
}

std::string print_command_max_running(const Config& config, const std::string&) {
  return config.command_max_running ? std::to_string(*config.command_max_running) : "";
}

Result<void> read_stop_timeout(Config& config, const std::string&, const Given& given) {
  const Result<Duration> parsed = parse_duration(given.text);
  if (!parsed) return wrong("stop_timeout: " + parsed.error().message);
  config.stop_timeout = *parsed;
  return {};
}

std::string print_stop_timeout(const Config& config, const std::string&) {
  return format_duration(config.stop_timeout);
}

Result<void> read_keeper(Config& config, const std::string&, const Given& given) {
  if (given.text != "spawn" && given.text != "external") {
    return wrong("keeper must be spawn or external, not '" + escape_control(given.text) + "'");
  }
  config.keeper = given.text == "spawn" ? KeeperFrom::spawn : KeeperFrom::external;
  return {};
}

std::string print_keeper(const Config& config, const std::string&) {
  switch (config.keeper) {
    case KeeperFrom::spawn:
      return "spawn";
    case KeeperFrom::external:
      return "external";
  }
  return "";
}

Result<void> read_on_sigterm(Config& config, const std::string&, const Given& given) {
  if (given.text != "drain" && given.text != "leave") {
    return wrong("on_sigterm must be drain or leave, not '" + escape_control(given.text) + "'");
  }
  config.on_sigterm = given.text == "drain" ? OnSigterm::drain : OnSigterm::leave;
  return {};
}

std::string print_on_sigterm(const Config& config, const std::string&) {
  switch (config.on_sigterm) {
    case OnSigterm::drain:
      return "drain";
    case OnSigterm::leave:
      return "leave";
  }
  return "";
}

template <Duration Config::*member>
Result<void> read_interval(Config& config, const std::string& key, const Given& given) {
  const Result<Duration> parsed = parse_duration(given.text);
  if (!parsed) return wrong(key + ": " + parsed.error().message);
  if (*parsed < kShortestInterval) {
    return wrong(key + " is at least " + format_duration(kShortestInterval));
  }
  config.*member = *parsed;
  return {};
}

template <Duration Config::*member>
std::string print_interval(const Config& config, const std::string&) {
  return format_duration(config.*member);
}

template <Duration Alerts::*member>
Result<void> read_alert_duration(Config& config, const std::string& key, const Given& given) {
  const Result<Duration> parsed = parse_duration(given.text);
  if (!parsed) return wrong(key + ": " + parsed.error().message);
  config.alerts.*member = *parsed;
  return {};
}

template <Duration Alerts::*member>
std::string print_alert_duration(const Config& config, const std::string&) {
  return format_duration(config.alerts.*member);
}

// Of retention a zero is no limit.
Result<void> read_max_age(Config& config, const std::string& key, const Given& given) {
  const Result<Duration> parsed = parse_duration(given.text == "0" ? "0s" : given.text);
  if (!parsed) return wrong(key + ": " + parsed.error().message);
  if (*parsed > Duration::zero() && *parsed < limits::kKeptAlways) {
    return wrong(key + " is at least " + format_duration(limits::kKeptAlways) +
                 ", or 0 for no limit: what is younger is always kept");
  }
  config.retention.max_age = *parsed;
  return {};
}

/// In days, as people think of it.
std::string print_max_age(const Config& config, const std::string&) {
  constexpr Duration kDay = std::chrono::hours(24);
  const Duration age = config.retention.max_age;
  if (age == Duration::zero() || age % kDay != Duration::zero()) return format_duration(age);
  return std::to_string(age / kDay) + "d";
}

Result<void> read_max_runs(Config& config, const std::string& key, const Given& given) {
  const std::optional<std::int64_t> number = parse_int(given.text);
  if (!number || *number < 0 || *number > limits::kMaxRuns) {
    return wrong(key + " must be a number from 1 to " + std::to_string(limits::kMaxRuns) +
                 ", or 0 for no limit, not '" + escape_control(given.text) + "'");
  }
  config.retention.max_runs = *number;
  return {};
}

std::string print_max_runs(const Config& config, const std::string&) {
  return std::to_string(config.retention.max_runs);
}

Result<void> read_max_output_bytes(Config& config, const std::string& key, const Given& given) {
  const Result<std::int64_t> parsed = parse_bytes(given.text);
  if (!parsed) return wrong(key + ": " + parsed.error().message);
  config.retention.max_output_bytes = *parsed;
  return {};
}

std::string print_max_output_bytes(const Config& config, const std::string&) {
  return format_bytes(config.retention.max_output_bytes);
}

template <std::string Slack::*member>
std::string& slack(Config& config) {
  return config.alerts.slack.*member;
}
template <std::string Config::*member>
std::string& own(Config& config) {
  return config.*member;
}

/// An address is a secret: whatever is wrong with it, it is not repeated. A stronger source that
/// gives it makes a file that a weaker one names be forgotten, and the other way round.
template <std::string& (*address)(Config&), std::string& (*file)(Config&)>
Result<void> read_address(Config& config, const std::string& key, const Given& given) {
  if (!given.text.empty()) TRY_VOID(check_address(given.text, key));
  address(config) = given.text;
  file(config).clear();
  return {};
}

template <std::string& (*address)(Config&), std::string& (*file)(Config&)>
Result<void> read_address_file(Config& config, const std::string& key, const Given& given) {
  address(config).clear();
  file(config).clear();
  if (given.text.empty()) return {};
  TRY(file(config), absolute(key, given.text, given.relative_allowed));
  return {};
}

template <std::string& (*member)(Config&)>
std::string print_secret(const Config& config, const std::string&) {
  Config copy = config;
  return member(copy).empty() ? "" : "***";
}

template <std::string& (*member)(Config&)>
std::string print_open(const Config& config, const std::string&) {
  Config copy = config;
  return member(copy);
}

template <std::string Slack::*member>
Result<void> read_slack_label(Config& config, const std::string& key, const Given& given) {
  if (has_control(given.text)) return wrong(key + " contains control characters");
  if (given.text.size() > kLabelBytes) {
    return wrong(key + " has at most " + std::to_string(kLabelBytes) + " bytes");
  }
  config.alerts.slack.*member = given.text;
  return {};
}

constexpr std::string_view kDefaults = "defaults.";

Result<void> read_default(Config& config, const std::string& key, const Given& given) {
  const Result<void> read =
      job::set_policy(config.defaults, key.substr(kDefaults.size()), given.text);
  if (!read) return wrong(key + ": " + read.error().message);
  return {};
}

/// What jobs get that say nothing: the file's value, or the built-in one.
std::string print_default(const Config& config, const std::string& key) {
  const std::string policy_key = key.substr(kDefaults.size());
  if (const auto value = job::policy_value(config.defaults, policy_key)) return *value;
  return job::policy_value(job::builtin_draft(), policy_key).value_or("");
}

std::vector<SettingSpec> make_specs() {
  using Type = SettingSpec::Type;
  std::vector<SettingSpec> specs{
      {"store", Type::string, read_store, print_text<&Config::store>},
      {"state_dir", Type::string, read_path<&Config::state_dir>, print_text<&Config::state_dir>},
      {"runtime_dir", Type::string, read_path<&Config::runtime_dir>,
       print_text<&Config::runtime_dir>},
      {"log_file", Type::string, read_log_file, print_text<&Config::log_file>},
      {"log_level", Type::string, read_log_level, print_text<&Config::log_level>},
      {"jobs_dirs", Type::list, read_jobs_dirs, print_jobs_dirs},
      {"environment", Type::string, read_environment, print_text<&Config::environment>},
      {"timezone", Type::string, read_timezone, print_text<&Config::timezone>},
      {"max_running", Type::text_or_integer, read_slots<&Config::max_running>, print_max_running},
      {"executors.command.max_running", Type::text_or_integer,
       read_slots<&Config::command_max_running>, print_command_max_running},
      {"stop_timeout", Type::text_or_integer, read_stop_timeout, print_stop_timeout},
      {"on_sigterm", Type::string, read_on_sigterm, print_on_sigterm},
      {"keeper", Type::string, read_keeper, print_keeper},
      {"keeper_dir", Type::string, read_path<&Config::keeper_dir>, print_text<&Config::keeper_dir>},
      {"daemon_user", Type::string, read_user<&Config::daemon_user>,
       print_text<&Config::daemon_user>},
      {"job_user", Type::string, read_user<&Config::job_user>, print_text<&Config::job_user>},
      {"allow_users", Type::list, read_allow_users, print_allow_users, true},
  };
  const auto address = [&](const char* key, auto read, auto print) {
    specs.push_back({key, Type::string, read, print});
  };
  address("heartbeat_url",
          read_address<own<&Config::heartbeat_url>, own<&Config::heartbeat_url_file>>,
          print_secret<own<&Config::heartbeat_url>>);
  address("heartbeat_url_file",
          read_address_file<own<&Config::heartbeat_url>, own<&Config::heartbeat_url_file>>,
          print_open<own<&Config::heartbeat_url_file>>);
  specs.push_back({"heartbeat_interval", Type::text_or_integer,
                   read_interval<&Config::heartbeat_interval>,
                   print_interval<&Config::heartbeat_interval>});
  specs.push_back({"alerts.realert_after", Type::text_or_integer,
                   read_alert_duration<&Alerts::realert_after>,
                   print_alert_duration<&Alerts::realert_after>});
  specs.push_back({"alerts.flap_window", Type::text_or_integer,
                   read_alert_duration<&Alerts::flap_window>,
                   print_alert_duration<&Alerts::flap_window>});
  address("alerts.slack.webhook_url",
          read_address<slack<&Slack::webhook_url>, slack<&Slack::webhook_url_file>>,
          print_secret<slack<&Slack::webhook_url>>);
  address("alerts.slack.webhook_url_file",
          read_address_file<slack<&Slack::webhook_url>, slack<&Slack::webhook_url_file>>,
          print_open<slack<&Slack::webhook_url_file>>);
  address("alerts.slack.channel", read_slack_label<&Slack::channel>,
          print_open<slack<&Slack::channel>>);
  address("alerts.slack.username", read_slack_label<&Slack::username>,
          print_open<slack<&Slack::username>>);
  specs.push_back({"retention.max_age", Type::text_or_integer, read_max_age, print_max_age});
  specs.push_back({"retention.max_runs", Type::text_or_integer, read_max_runs, print_max_runs});
  specs.push_back({"retention.max_output_bytes", Type::text_or_integer, read_max_output_bytes,
                   print_max_output_bytes});
  for (const std::string& key : job::policy_keys()) {
    // Which jobs one comes after is its own affair: as a default, they would wait for themselves.
    if (key == "after") continue;
    specs.push_back(
        {std::string(kDefaults) + key, Type::text_or_integer, read_default, print_default});
  }
  return specs;
}

}  // namespace

std::string SettingSpec::variable() const {
  if (file_only) return {};
  std::string name = "SCHEDCTL_";
  for (const char c : key) {
    name += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

const std::vector<SettingSpec>& setting_specs() {
  static const std::vector<SettingSpec> kSpecs = make_specs();
  return kSpecs;
}

const SettingSpec* find_setting(std::string_view key) {
  for (const SettingSpec& spec : setting_specs()) {
    if (spec.key == key) return &spec;
  }
  return nullptr;
}

std::vector<std::string> setting_keys() {
  std::vector<std::string> keys;
  for (const SettingSpec& spec : setting_specs()) keys.push_back(spec.key);
  return keys;
}

Result<std::string> read_store_url(const std::string& text, bool relative_allowed) {
  static const std::string kScheme = "sqlite:";
  static const std::string kStateDir = "<state_dir>/";
  if (text.starts_with("postgresql:") || text.starts_with("postgres:")) {
    return wrong("PostgreSQL stores are not available in this version; use sqlite:PATH");
  }
  if (!text.starts_with(kScheme)) {
    std::string message = "store must be sqlite:PATH, not '" + escape_control(text) + "'";
    if (text.starts_with("/")) message += "; did you mean sqlite:" + escape_control(text) + "?";
    return wrong(std::move(message));
  }
  const std::string path = text.substr(kScheme.size());
  if (path.empty() || path.back() == '/' || path == ":memory:") {
    return wrong("store needs the path of a file: sqlite:PATH");
  }
  // The settings file may name the state directory without knowing it; load() fills it in.
  if (path.starts_with(kStateDir) && path.size() > kStateDir.size()) return text;
  TRY(const std::string normal, absolute("store", path, relative_allowed));
  return kScheme + normal;
}

}  // namespace schedctl::config
