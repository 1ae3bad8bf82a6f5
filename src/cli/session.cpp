#include "src/cli/session.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string_view>

#include "schedctl/base/check.hpp"
#include "schedctl/base/text.hpp"
#include "schedctl/host/control.hpp"
#include "schedctl/host/host.hpp"
#include "schedctl/zone/system_zones.hpp"
#include "src/cli/daemon_process.hpp"
#include "src/cli/errors.hpp"
#include "src/cli/output.hpp"

namespace schedctl::cli {
namespace {

/// The lock of the machine's daemon: while it is held, that daemon is everybody's default.
constexpr const char* kSystemLock = "/run/schedctl/schedctl.lock";
constexpr Duration kPokePatience = std::chrono::milliseconds(300);

bool system_daemon_runs() {
  const Result<pid_t> holder = host::lock_holder(kSystemLock);
  return holder && *holder != 0;
}

config::Sources sources_of(const Invocation& call) {
  config::Sources sources = config::process_sources();
  sources.config_file = call.globals.config;
  sources.store = call.globals.store;
  sources.own = call.globals.own;
  sources.set = call.globals.set;
  if (sources.uid != 0 && !sources.own && !sources.system_daemon)
    sources.system_daemon = system_daemon_runs();
  if (sources.host_timezone.empty()) sources.host_timezone = zone::host_zone_name();
  return sources;
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos || slash == 0 ? "/" : path.substr(0, slash);
}

/// In a directory with the sticky bit others can make files, but not replace ours.
Result<void> check_unwritable(const std::string& path, mode_t others) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || S_ISLNK(status.st_mode)) return {};
  const bool sticky = S_ISDIR(status.st_mode) && (status.st_mode & S_ISVTX) != 0;
  if ((status.st_mode & others) == 0 || sticky) return {};
  return fail(ErrorKind::config,
              "others can write " + path + ", and so decide what runs; chmod go-w it", path);
}

}  // namespace

Result<std::unique_ptr<Session>> Session::open(const Invocation& call, Access access) {
  auto session = std::make_unique<Session>(call);
  session->who_ = host::acting_user();
  session->sources = sources_of(call);
  TRY(session->loaded, config::load(session->sources));
  for (const std::string& warning : session->loaded.warnings) warn(call, warning);
  if (access != Access::none)
    if (const Result<void> trust = session->check_trust(); !trust)
      warn(call, trust.error().message);
  session->zones = zone::system_zones();
  session->now = session->clock.wall();
  if (access != Access::none) TRY_VOID(session->open_store(access));
  return session;
}

Result<void> Session::open_store(Access access) {
  const std::string path = config().sqlite_path();
  tell(call, "store " + config().store);
  TRY_VOID(become_store_user(access));
  if (access == Access::write && parent_of(path) == config().state_dir) {
    Result<void> made = host::make_directory(config().state_dir, 0700);
    if (!made) return fail(with_permission_hint(std::move(made.error())));
  }
  store::SqliteOptions options{.path = path, .create = access == Access::write, .migrate = false};
  auto opened = store::open_sqlite(options);
  if (!opened && opened.error().kind == ErrorKind::conflict) {
    // Of an older version, and not to be changed under a daemon that is of that version, too.
    if (const pid_t pid = host::lock_holder(path + ".lock").value_or(0); pid != 0) {
      opened.error().message += ". The daemon that uses it (pid " + std::to_string(pid) +
                                ") is an older one: schedctl restart brings both up to date";
      return fail(std::move(opened.error()));
    }
    options.migrate = true;
    opened = store::open_sqlite(options);
  }
  if (!opened && opened.error().kind == ErrorKind::not_found && access == Access::read) {
    tell(call, "there is no database yet");
    store = store::open_memory();
    return {};
  }
  if (!opened) return fail(with_permission_hint(std::move(opened.error())));
  store = std::move(*opened);
  return {};
}

/// Where everything is root's alone, as before the first start with a daemon_user, root can follow
/// nobody there, and start hands it over.
Result<std::optional<host::Account>> Session::store_user() const {
  if (::geteuid() != 0 || config().daemon_user.empty()) return std::nullopt;
  TRY(const host::Account user, host::find_account(config().daemon_user, "daemon_user"));
  if (user.uid == 0 || host::is_roots_alone(parent_of(config().sqlite_path()), S_IFDIR)) {
    return std::nullopt;
  }
  return user;
}

Result<host::ActingAs> Session::act_as_store_user() const {
  TRY(const std::optional<host::Account> user, store_user());
  return host::ActingAs::begin(user);
}

Result<void> Session::become_store_user(Access access) {
  TRY(const std::optional<host::Account> user, store_user());
  if (!user) return {};
  const std::string& place = config().state_dir;
  if (access == Access::write && parent_of(config().sqlite_path()) == place) {
    TRY_VOID(host::provide_directory(place, 0700, *user, [&](const std::string& name) {
      return config().is_own_file(place, name);
    }));
  }
  return host::become_for_good(*user);
}

std::string Session::job_user() const {
  return config().job_user.empty() ? host::current_user().name : config().job_user;
}

ops::Ops Session::ops() {
  return ops::Ops(context());
}

ops::Context Session::context() {
  return {.store = *store,
          .zones = *zones,
          .clock = clock,
          .config = config(),
          .who = who_,
          .poke = [this] { poke(); },
          .boot_id = host::boot_id()};
}

const job::Zone& Session::local_zone() {
  if (!local_) {
    auto found = zones->find(sources.host_timezone);
    if (!found) found = zones->find("UTC");
    CHECK(found.has_value());
    local_ = std::move(*found);
  }
  return *local_;
}

Result<job::ZonePtr> Session::zone_of(const job::Schedule& schedule) {
  return zones->find(schedule.timezone.empty() ? config().timezone : schedule.timezone);
}

Result<void> Session::check_timezone() const {
  const auto check = [this](const std::string& key, const std::string& name) -> Result<void> {
    const Result<job::ZonePtr> zone = zones->find(name);
    if (zone) return {};
    std::string origin = key;
    for (const config::Setting& setting : loaded.settings)
      if (setting.key == key && setting.origin != "default") origin = setting.origin;
    return fail(ErrorKind::config, key + ": " + zone.error().message, origin);
  };
  TRY_VOID(check("timezone", config().timezone));
  for (const auto& [name, calendar] : config().calendars) {
    if (calendar->timezone().empty()) continue;
    TRY_VOID(check("calendars." + name + ".timezone", calendar->timezone()));
  }
  return {};
}

Result<void> Session::check_trust() const {
  // The store looks at its file itself.
  TRY_VOID(check_unwritable(config().state_dir, S_IWGRP | S_IWOTH));
  return check_unwritable(parent_of(config().sqlite_path()), S_IWOTH);
}

Result<job::Job> Session::job(const std::string& name) {
  TRY(const std::optional<job::Job> found, store->find_job(name));
  if (found) return *found;
  std::string message = "there is no job \"" + escape_control(name) + "\"";
  TRY(const std::vector<store::JobListing> all, store->list_jobs(""));
  std::vector<std::string> names;
  names.reserve(all.size());
  for (const store::JobListing& listing : all) names.push_back(listing.job.name);
  if (const auto near = nearest(name, names))
    message += "; did you mean \"" + *near + "\"?";
  else
    message += "; schedctl list shows all";
  return fail(ErrorKind::not_found, message);
}

Result<store::JobListing> Session::listing(const job::Job& job) {
  TRY(const std::vector<job::Run> live,
      store->list_runs({.job_id = job.id, .states = {job::RunState::running}, .limit = 10'000}));
  TRY(const std::vector<job::Alert> alerts,
      store->list_alerts({.open_only = true, .job_id = job.id}));
  return store::JobListing{job, static_cast<int>(live.size()), static_cast<int>(alerts.size())};
}

bool Session::is_served() {
  return poked_ || request_nodes("ping");
}

bool Session::request_nodes(const std::string& request) {
  const auto nodes = store->list_nodes();
  if (!nodes) return false;
  bool answered = false;
  for (const store::Node& node : *nodes) {
    if (node.pid == 0 || node.control_path.empty()) continue;
    const auto reply = host::control_request(node.control_path, request, kPokePatience);
    if (reply || lives(node.pid, request == "poke")) answered = true;
    if (!reply) tell(call, request + ": " + reply.error().message);
  }
  return answered;
}

/// One that is too busy to answer in time, or answers only others, is there all the same. One whose
/// socket was removed hears signals, and that of a reload makes it look at the store, too.
bool Session::lives(pid_t pid, bool wake) {
  const Result<std::optional<DaemonProcess>> daemon = DaemonProcess::find(*this);
  if (!daemon || !*daemon || (*daemon)->pid() != pid) return false;
  if (wake && (*daemon)->is_deaf() && (*daemon)->send(SIGHUP))
    warn(call, "the control socket of the daemon (pid " + std::to_string(pid) +
                   ") is gone, so it was woken by a signal; schedctl restart puts it back");
  return true;
}

void Session::name_other_store() {
  const bool chosen = config().own || call.globals.store || call.globals.config ||
                      !call.globals.set.empty() || std::getenv("SCHEDCTL_STORE") != nullptr ||
                      std::getenv("SCHEDCTL_STATE_DIR") != nullptr;
  if (!chosen) return;
  const bool machine_has_one =
      ::access(sources.system_config_file.c_str(), F_OK) == 0 || system_daemon_runs();
  if (!machine_has_one) return;
  config::Sources machine;
  machine.uid = sources.uid;
  machine.system_config_file = sources.system_config_file;
  machine.system_daemon = true;
  machine.host_timezone = sources.host_timezone;
  const auto theirs = config::load(machine);
  if (!theirs || theirs->config.store != config().store)
    talk(call, "using the store " + config().store + ", not the machine's");
}

}  // namespace schedctl::cli
