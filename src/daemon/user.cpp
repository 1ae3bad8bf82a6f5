// With daemon_user: root prepares what that user needs, starts the keeper, which stays root, and
// becomes the user for good. After this the daemon is like any that the user has started, but for a
// keeper that it could not make again.

#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "instance.hpp"
#include "schedctl/base/log.hpp"
#include "schedctl/keeper/allowed.hpp"

namespace schedctl::daemon {
namespace {

std::string origin_of(const config::Loaded& loaded, const std::string& key) {
  for (const config::Setting& setting : loaded.settings)
    if (setting.key == key) return setting.origin;
  return "default";
}

std::string quoted(const std::string& name) {
  return name.empty() ? "nothing" : "\"" + name + "\"";
}

std::string group_name(gid_t gid) {
  const group* found = ::getgrgid(gid);
  return found != nullptr ? found->gr_name : std::to_string(gid);
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos || slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

/// Nobody: this process stays who it is.
Result<std::optional<host::Account>> Instance::whom_to_become(bool restarted) const {
  if (config_.daemon_user.empty()) return std::nullopt;
  TRY(const host::Account user, host::find_account(config_.daemon_user, "daemon_user"));
  const bool is_root = ::geteuid() == 0;
  if (user.uid == ::geteuid()) {
    if (is_root || restarted || keeper_is_external() || config_.job_user == config_.daemon_user)
      return std::nullopt;
    return fail(ErrorKind::config,
                "only root can start a keeper that runs jobs as " + config_.job_user +
                    "; use sudo, and the daemon becomes " + user.name + " by itself",
                "job_user");
  }
  if (!is_root) {
    return fail(
        ErrorKind::config,
        "only root can become " + user.name + "; use sudo, or --own for a daemon of your own",
        "daemon_user");
  }
  if (!keeper_is_external()) TRY_VOID(expect_same_rules());
  if (config_.job_user != config_.daemon_user) {
    TRY_VOID(host::find_account(config_.job_user, "job_user"));
  }
  TRY(const host::ActingAs acting, host::ActingAs::begin(user));
  const std::string& file = config_.config_file;
  const UniqueFd readable(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (readable) return user;
  return fail(ErrorKind::config,
              user.name +
                  " (daemon_user) cannot read it, and so neither reload nor restart; say "
                  "chgrp " +
                  group_name(user.gid) + " " + file + "; chmod 640 " + file + "; namei -l " + file +
                  " shows the way to it",
              file);
}

/// What holds for the keeper is what the file says, whatever this daemon was told.
Result<void> Instance::expect_same_rules() const {
  Result<keeper::Rules> rules = keeper::read_rules(keeper_paths());
  if (!rules) {
    rules.error().message =
        "with daemon_user, a root keeper goes by this file: " + rules.error().message;
    return fail(std::move(rules.error()));
  }
  const auto compare = [&](const char* key, const std::string& told,
                           const std::string& written) -> Result<void> {
    if (told == written) return {};
    return fail(ErrorKind::config,
                std::string(key) + " is " + quoted(told) + " here, but the keeper, which stays " +
                    "root and goes by the settings file alone, finds " + quoted(written) +
                    " there; write it into " +
                    (config_.config_file.empty() ? options_.sources.system_config_file
                                                 : config_.config_file),
                origin_of(options_.loaded, key));
  };
  TRY_VOID(compare("daemon_user", config_.daemon_user, rules->daemon_user));
  return compare("job_user", config_.job_user, rules->job_user);
}

Result<void> Instance::provide_directories(const host::Account& user) const {
  // Under a daemon that runs, nothing changes hands.
  if (const pid_t pid = host::lasting_lock_holder(config_.lock_file()).value_or(0); pid != 0) {
    return fail(ErrorKind::conflict,
                "schedctl is already running (pid " + std::to_string(pid) + ")");
  }
  const auto provide = [&](const std::string& path, mode_t mode) {
    return host::provide_directory(
        path, mode, user, [&](const std::string& name) { return config_.is_own_file(path, name); });
  };
  TRY_VOID(provide(config_.state_dir, 0700));
  TRY_VOID(provide(config_.output_dir(), 0700));
  TRY_VOID(provide(config_.runtime_dir, 0755));
  if (config_.log_file.empty()) return {};
  // A directory of many, such as /var/log, stays as it is; the file alone is the daemon's then.
  const Result<void> whole = provide(parent_of(config_.log_file), 0750);
  if (whole) return {};
  return host::provide_log_file(config_.log_file, user);
}

/// While this process still is root.
Result<void> Instance::provide_keeper(const host::Account& user) const {
  const std::string& dir = config_.keeper_dir;
  const std::int64_t pid = keeper::living_keeper(dir);
  if (pid == 0 && keeper_is_external()) return {};
  if (pid == 0) return keeper::spawn_keeper(host::program_path(), keeper_paths());
  struct stat socket {};
  if (::lstat((dir + "/socket").c_str(), &socket) != 0 || socket.st_uid == user.uid) return {};
  return fail(ErrorKind::unavailable,
              "the keeper (process " + std::to_string(pid) +
                  ") was started before daemon_user was " + user.name +
                  ", and takes no orders of that user; it ends within a minute once its jobs have "
                  "ended, then start again");
}

/// With the user's rights wherever the user may have been before.
Result<void> Instance::drop_to(const host::Account& user) {
  {
    TRY(const host::ActingAs acting, host::ActingAs::begin(user));
    TRY_VOID(take_locks(std::nullopt));
  }
  TRY_VOID(provide_keeper(user));
  {
    TRY(const host::ActingAs acting, host::ActingAs::begin(user));
    TRY_VOID(host::write_pidfile(config_.pid_file()));
    pidfile_written_ = true;
  }
  TRY_VOID(host::become_for_good(user));
  // What it has read as root that user may read, too: it may be looked at like any other process.
  ::prctl(PR_SET_DUMPABLE, 1);
  return {};
}

void Instance::on_orphaned() {
  orphaned_ = true;
  if (!working_) return;
  runner_->post([](runner::Runner& runner, store::Store&) { runner.keeper_given_up(); });
  if (!stopping_) stop(runner::RunnerThread::Stop::leave);
}

/// The same process cannot become another user, and one that fails to begin again would be gone.
Result<void> Instance::expect_restartable() const {
  const auto loaded = config::load(options_.sources);
  if (!loaded) return {};  // told by whoever needs the rest of it
  const config::Config& next = loaded->config;
  if (Result<void> same = expect_no_other_keeper(next); !same) {
    // A start may be tried again when those runs have ended; a restart is not done.
    same.error().kind = ErrorKind::config;
    return same;
  }
  const bool same = next.daemon_user == config_.daemon_user && next.job_user == config_.job_user;
  // Of what was removed under it, a daemon that is not root can make again only so much.
  if (same) return make_directories(next);
  return fail(ErrorKind::config,
              "daemon_user or job_user has changed, which needs `schedctl stop` and `schedctl "
              "start`, once no job runs; until then the daemon goes on as it is");
}

}  // namespace schedctl::daemon
