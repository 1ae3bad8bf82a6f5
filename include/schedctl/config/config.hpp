#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "schedctl/base/result.hpp"
#include "schedctl/base/time.hpp"
#include "schedctl/job/calendar.hpp"
#include "schedctl/job/policy.hpp"
#include "schedctl/job/retention.hpp"

namespace schedctl::config {

enum class OnSigterm { drain, leave };

/// Who starts the keeper.
enum class KeeperFrom {
  spawn,     ///< the daemon, whenever none lives
  external,  ///< somebody else, as a service of its own
};

/// [alerts.slack]: an incoming webhook.
struct Slack {
  std::string webhook_url;       ///< a secret
  std::string webhook_url_file;  ///< or the file that holds it
  std::string channel;           ///< only legacy webhooks honour channel and username
  std::string username;
  bool configured() const { return !webhook_url.empty() || !webhook_url_file.empty(); }
};

/// [alerts]
struct Alerts {
  Slack slack;
  Duration realert_after = std::chrono::hours(24);  ///< between reminders; 0: none
  Duration flap_window = std::chrono::hours(1);  ///< an episode that is back within it is not told
  /// Names of the notifiers that are set up: "slack".
  std::vector<std::string> notifiers() const;
};

/// Every setting, decided. Paths are absolute.
struct Config {
  std::string store;        ///< "sqlite:/var/lib/schedctl/schedctl.db"
  std::string state_dir;    ///< database, output/, node-id
  std::string runtime_dir;  ///< pidfile, lock, control socket
  std::string log_file;
  std::string log_level = "info";
  std::vector<std::string> jobs_dirs;
  std::string environment;  ///< "production": a label
  std::string timezone;     ///< of jobs that name none; never empty after load()
  int max_running = 100;    ///< runs at once on this node
  /// Of these, commands; none: as many.
  std::optional<int> command_max_running;
  Duration stop_timeout = std::chrono::seconds(30);
  OnSigterm on_sigterm = OnSigterm::drain;
  KeeperFrom keeper = KeeperFrom::spawn;
  std::string keeper_dir;  ///< the keeper's lock, socket and journal
  /// Whom a daemon that root starts becomes, its keeper staying root; empty: nobody. Never set in a
  /// user's own daemon.
  std::string daemon_user;
  std::string job_user;  ///< whom jobs run as that name nobody; daemon_user if nothing else is said
  /// Users that a keeper which runs as root may run jobs as; only in the file.
  std::vector<std::string> allow_users;
  Alerts alerts;
  job::Retention retention;
  std::string heartbeat_url;       ///< called while beats succeed; a secret; empty: none
  std::string heartbeat_url_file;  ///< or the file that holds it
  Duration heartbeat_interval = std::chrono::seconds(60);
  job::PolicyDraft defaults;  ///< [defaults]
  job::Calendars calendars;   ///< [calendars]; only in the file

  std::map<std::string, int> groups;  ///< [groups]: runs at once of each; only in the file

  bool own = false;         ///< a user's own daemon, not the machine's
  std::string config_file;  ///< the file that was read; empty: none

  /// How many commands run at once, and which setting says so.
  struct Slots {
    int most = 0;
    std::string setting;
  };
  Slots command_slots() const;
  std::string sqlite_path() const;  ///< the path inside `store`
  /// Whether an entry of that directory, one of the above, is something that schedctl makes there.
  bool is_own_file(const std::string& directory, const std::string& name) const;
  std::string output_dir() const { return state_dir + "/output"; }
  /// Names the keeper_dir in which this state's runs were last kept, if not the default one.
  std::string last_keeper_file() const { return state_dir + "/last-keeper"; }
  std::string lock_file() const { return runtime_dir + "/schedctl.lock"; }
  std::string pid_file() const { return runtime_dir + "/schedctl.pid"; }
  std::string control_socket() const { return runtime_dir + "/schedctl.sock"; }
};

/// One line of `schedctl config`.
struct Setting {
  std::string key;       ///< "stop_timeout", "defaults.misfire_grace"
  std::string value;     ///< as text; lists joined by ", "
  std::string origin;    ///< "default", "/etc/schedctl/schedctl.toml:3:1", "SCHEDCTL_X", "--set"
  std::string variable;  ///< "SCHEDCTL_STOP_TIMEOUT"; empty: only the file can say it
};

struct Loaded {
  Config config;
  std::vector<Setting> settings;      ///< in a fixed, sensible order
  std::vector<std::string> warnings;  ///< unknown SCHEDCTL_ variables and the like
};

/// Where settings come from, first wins: --set and --store, environment, file, built-in. Plain data
/// so that tests need no real environment.
struct Sources {
  std::optional<std::string> config_file;                ///< --config; it must then exist
  std::optional<std::string> store;                      ///< --store
  bool own = false;                                      ///< --own (or SCHEDCTL_OWN=1)
  std::vector<std::pair<std::string, std::string>> set;  ///< --set KEY=VALUE
  std::map<std::string, std::string> environment;        ///< the whole environment
  uid_t uid = 0;
  std::string home;  ///< the user's home directory
  std::string system_config_file = "/etc/schedctl/schedctl.toml";
  bool system_daemon = false;  ///< the machine's daemon runs (then it is everybody's default)
  std::string host_timezone;   ///< default of `timezone`
};

/// Environment variable by which a daemon that becomes another program hands its descriptors on;
/// its name must not look like a setting. Whoever has it, and is not told --own, is the machine's
/// daemon, whatever user that one runs as.
inline constexpr const char* kInheritVariable = "_SCHEDCTL_INHERIT";

/// The process's real sources, without flags.
Sources process_sources();

/// Reads and checks everything. Without --own, the machine's paths apply for root, and for others
/// if the system's config file exists or its daemon runs; else the user's own (XDG). Kind config:
/// syntax with file:line:column, unknown keys with the nearest name, values that cannot be, a file
/// that is group- or world-writable or belongs to somebody else than root or the caller;
/// not_allowed: not readable.
Result<Loaded> load(const Sources& sources);

/// The webhook's URL, read now from its file if it lies in one; "" if Slack is not set up. Kind
/// config: the file is missing, empty, holds no http or https URL, or others may write it;
/// not_allowed. Never part of load(): most commands, and users who may not read it, do without.
Result<std::string> slack_webhook_url(const Config& config);
/// The same for heartbeat_url.
Result<std::string> heartbeat_address(const Config& config);

}  // namespace schedctl::config
