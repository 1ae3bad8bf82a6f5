#include "instance.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <future>

#include "job_files.hpp"
#include "schedctl/base/log.hpp"
#include "schedctl/host/file_system.hpp"
#include "schedctl/ops/ops.hpp"
#include "tuning.hpp"

namespace schedctl::daemon {
namespace {

constexpr int kLockPatienceMs = 200;
// As long as `schedctl restart` waits.
constexpr Duration kRestartPatience = std::chrono::seconds(30);
constexpr int kRestartPauseMs = 500;
// Orphans are adopted in the first beat where the keeper answers; it does so in milliseconds.
constexpr Duration kKeeperPatience = std::chrono::seconds(5);
// One that somebody else starts may be on its way (KEEPER contract).
constexpr Duration kExternalKeeperPatience = std::chrono::seconds(10);

std::string joined(const std::vector<std::string>& words) {
  std::string all;
  for (const std::string& word : words) all += (all.empty() ? "" : ", ") + word;
  return all;
}

// What a reload cannot change: these are held open, locked, or known to the keeper.
std::string fixed_changes(const config::Config& old_config, const config::Config& new_config) {
  std::vector<std::string> changed;
  if (old_config.store != new_config.store) changed.emplace_back("store");
  if (old_config.state_dir != new_config.state_dir) changed.emplace_back("state_dir");
  if (old_config.runtime_dir != new_config.runtime_dir) changed.emplace_back("runtime_dir");
  if (old_config.log_file != new_config.log_file) changed.emplace_back("log_file");
  if (old_config.keeper != new_config.keeper) changed.emplace_back("keeper");
  if (old_config.keeper_dir != new_config.keeper_dir) changed.emplace_back("keeper_dir");
  return joined(changed);
}

// What the keeper has read when it was started, and takes no orders about.
std::string user_changes(const config::Config& old_config, const config::Config& new_config) {
  std::vector<std::string> changed;
  if (old_config.daemon_user != new_config.daemon_user) changed.emplace_back("daemon_user");
  if (old_config.job_user != new_config.job_user) changed.emplace_back("job_user");
  if (old_config.allow_users != new_config.allow_users) changed.emplace_back("allow_users");
  return joined(changed);
}

std::string database_lock_file(const config::Config& config) {
  return config.sqlite_path() + ".lock";
}

// One of those signals waits that end a daemon.
bool told_to_end() {
  sigset_t pending;
  ::sigpending(&pending);
  return ::sigismember(&pending, SIGTERM) == 1 || ::sigismember(&pending, SIGINT) == 1 ||
         ::sigismember(&pending, SIGUSR1) == 1;
}

Error already_running(const std::string& lock) {
  const pid_t pid = host::lock_holder(lock).value_or(0);
  return Error{ErrorKind::conflict,
               "schedctl is already running" +
                   (pid != 0 ? " (pid " + std::to_string(pid) + ")" : std::string())};
}

}  // namespace

Instance::Instance(StartOptions options, const Parts& parts)
    : options_(std::move(options)), parts_(parts), config_(options_.loaded.config) {}

Instance::~Instance() {
  if (pidfile_written_) host::remove_pidfile(config_.pid_file());
}

Result<void> Instance::become_ready(std::optional<Inherited> inherited) {
  const bool restarted = inherited.has_value();
  Result<void> begun = prepare(std::move(inherited));
  if (begun) begun = restarted ? begin_work_patiently() : begin_work();
  if (!begun && log_opened_) {
    log::error("start-failed", {{"at", begun.error().where}, {"error", begun.error().message}});
  }
  return begun;
}

// What does not depend on others.
Result<void> Instance::prepare(std::optional<Inherited> inherited) {
  started_at_ = parts_.clock->wall();
  TRY(const log::Level level, log::parse_level(config_.log_level));
  TRY(const std::optional<host::Account> user, whom_to_become(inherited.has_value()));
  // After a restart in place it is another process's keeper at any rate.
  keeper_is_roots_ = user.has_value() || (inherited && !config_.daemon_user.empty());
  TRY_VOID(user ? provide_directories(*user) : make_directories(config_));
  UniqueFd control;
  std::optional<Locks> held;
  if (inherited) {
    control = std::move(inherited->control);
    held = std::move(inherited->locks);
  }
  if (user) {
    TRY_VOID(drop_to(*user));
  } else {
    TRY_VOID(take_locks(std::move(held)));
  }
  TRY_VOID(log::open(config_.log_file, level, options_.foreground));
  log_opened_ = true;
  for (const std::string& warning : options_.loaded.warnings) {
    log::warning("config", {{"warning", warning}});
  }
  TRY(addresses_, addresses_of(config_));
  if (!pidfile_written_) TRY_VOID(host::write_pidfile(config_.pid_file()));
  pidfile_written_ = true;
  TRY(loop_, loop::Loop::create());
  TRY(ended_, loop::Bell::create());
  // In the background nobody but the command that started it waits for it.
  if (options_.foreground) manager_ = host::ServiceManager::from_environment();
  TRY_VOID(watch_signals());
  if (control) {
    TRY(control_, host::ControlServer::adopt(std::move(control), config_.control_socket()));
  } else {
    TRY(control_, host::ControlServer::listen(config_.control_socket()));
  }
  control_->set_handler(
      [this](const std::string& request, const host::ControlServer::Reply& reply) {
        on_request(request, reply);
      });
  return loop_->watch(control_->fd(), EPOLLIN, [this](auto) { control_->on_ready(); });
}

// Two machines that mount it would not even notice each other.
Result<void> Instance::check_place_of_store() const {
  const std::string path = config_.sqlite_path();
  const auto network = host::network_file_system(path);
  if (!network || !network->is_certain) return {};
  return fail(
      ErrorKind::config,
      "the database " + path + " lies on " + network->name +
          ", where SQLite's locks do not hold and two machines would run every job; set "
          "state_dir (or store) to a directory on a local disk, and move the database there",
      "store");
}

Result<void> Instance::begin_work() {
  courier_.reset();
  executor_.reset();
  judge_.reset();
  runner_.reset();
  TRY_VOID(check_place_of_store());
  TRY(store_, parts_.open_store(config_));
  TRY_VOID(announce());
  TRY_VOID(load_jobs_at_start());
  return start_runner();
}

// A busy database must not end a daemon that was running.
Result<void> Instance::begin_work_patiently() {
  const Duration until = parts_.clock->elapsed() + kRestartPatience;
  for (bool told = false;; told = true) {
    Result<void> begun = begin_work();
    if (begun || begun.error().kind != ErrorKind::unavailable || parts_.clock->elapsed() >= until ||
        told_to_end()) {
      return begun;
    }
    if (!told) log::warning("start-waits", {{"for", begun.error().message}});
    log::flush();
    manager_.still_alive();
    ::poll(nullptr, 0, kRestartPauseMs);
  }
}

Result<void> Instance::make_directories(const config::Config& config) {
  TRY_VOID(host::make_directory(config.state_dir, 0700));
  TRY_VOID(host::make_directory(config.output_dir(), 0700));
  TRY_VOID(host::make_directory(config.runtime_dir, 0755));
  const std::size_t slash = config.log_file.rfind('/');
  if (slash != std::string::npos && slash > 0) {
    TRY_VOID(host::make_directory(config.log_file.substr(0, slash), 0750));
  }
  return {};
}

// A lock that was inherited counts only if it still is the file of that name: the file may have
// been removed, or the configuration name another one now.
Result<void> Instance::take_locks(std::optional<Locks> held) {
  const bool runtime_held = held && held->runtime.is_of(config_.lock_file());
  const bool database_held = held && held->database.is_of(database_lock_file(config_));
  TRY(host::FileLock runtime,
      runtime_held ? Result<host::FileLock>(std::move(held->runtime)) : take_runtime_lock());
  TRY(host::FileLock database,
      database_held ? Result<host::FileLock>(std::move(held->database)) : take_database_lock());
  locks_ = Locks{std::move(runtime), std::move(database)};
  return {};
}

Result<host::FileLock> Instance::take_runtime_lock() const {
  auto lock = host::FileLock::take(config_.lock_file(), kLockPatienceMs);
  if (!lock && lock.error().kind == ErrorKind::conflict) {
    return fail(already_running(config_.lock_file()));
  }
  return lock;
}

Result<host::FileLock> Instance::take_database_lock() const {
  const std::string path = database_lock_file(config_);
  auto lock = host::FileLock::take(path, kLockPatienceMs);
  if (lock || lock.error().kind != ErrorKind::conflict) return lock;
  const pid_t pid = host::lock_holder(path).value_or(0);
  return fail(ErrorKind::conflict,
              "another daemon" + (pid != 0 ? " (pid " + std::to_string(pid) + ")" : "") +
                  " uses the database " + config_.sqlite_path() +
                  ", and its runtime_dir is, or was, another one than " + config_.runtime_dir +
                  "; if that was cleaned up under it, schedctl restart puts it back");
}

Result<void> Instance::watch_signals() {
  const sigset_t set = handled_signals();
  // Before the first thread, so that every thread leaves them to the signalfd.
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return fail(error_from_errno("signalfd", errno));
  return loop_->watch(signals_.get(), EPOLLIN, [this](auto) { on_signal(); });
}

// The node's row and the daemon-up event. What the row said before tells whether the predecessor
// stopped properly.
Result<void> Instance::announce() {
  TRY(node_.id, host::node_id(config_.state_dir));
  node_.hostname = host::hostname();
  node_.pid = ::getpid();
  node_.boot_id = host::boot_id();
  node_.version = parts_.version;
  node_.control_path = config_.control_socket();
  node_.started_at = started_at_;
  TRY(const std::vector<store::Node> nodes, store_->list_nodes());
  std::string detail = "first start";
  for (const store::Node& old : nodes) {
    if (old.id != node_.id) continue;
    node_.keeper = old.keeper;
    last_boot_ = old.boot_id;
    const bool proper = old.pid == 0 && old.stopped_at;
    const std::optional<Time> last = proper ? old.stopped_at : old.last_beat;
    detail = proper ? "stopped at " : "died after ";
    detail += last ? format_rfc3339(*last) : "an unknown time";
    if (old.boot_id != node_.boot_id) detail += ", the machine was restarted since";
    down_since_ = last;
    down_words_ = std::string(proper ? "the daemon was stopped" : "the daemon was not running");
    if (old.boot_id != node_.boot_id) down_words_ = "the machine was restarted";
    if (last)
      down_words_ += ", from " + format_rfc3339(*last) + " to " + format_rfc3339(started_at_);
  }
  TRY_VOID(store_->add_event({started_at_, node_.id, "daemon-up", detail}));
  log::info("daemon-up", {{"version", parts_.version},
                          {"pid", ::getpid()},
                          {"store", config_.store},
                          {"before", detail}});
  log::flush();
  return {};
}

Result<void> Instance::load_jobs_at_start() {
  TRY(const ops::Synced synced, sync_job_files(*store_, parts_, config_, node_.id));
  for (const Error& error : synced.errors) {
    TRY_VOID(store_->add_event(
        {started_at_, node_.id, "job-file-error", error.where + ": " + error.message}));
  }
  return {};
}

Result<void> Instance::start_runner() {
  TRY(runner_, runner::RunnerThread::create(*parts_.clock));
  TRY(executor_, executor::CommandExecutor::create(*loop_,
                                                   {.paths = keeper_paths(),
                                                    .program = host::program_path(),
                                                    .store_id = store_->id(),
                                                    .job_user = config_.job_user,
                                                    .keeper_is_roots = keeper_is_roots_,
                                                    .orphaned = [this] { on_orphaned(); }},
                                                   *runner_));
  http_.reset();
  TRY(http_, loop::Http::create(*loop_, "schedctl/" + parts_.version));
  TRY(courier_, alert::HttpCourier::create(*loop_, *http_, addresses_, *runner_));
  TRY(runner::Runner::Tuning tuning, tuning_of(config_, addresses_, parts_, node_.hostname));
  TRY_VOID(connect_keeper());
  judge_ = std::make_unique<runner::OutputJudge>(
      [this](runner::Judge::Verdict verdict) { runner_->judged(std::move(verdict)); });
  auto runner = std::make_unique<runner::Runner>(
      *store_, *executor_, *courier_, *judge_, *parts_.zones, *parts_.clock,
      runner::Runner::Settings{node_, std::move(tuning), last_boot_, down_since_, down_words_,
                               config_.output_dir()});
  std::promise<Result<void>> first_beat;
  std::future<Result<void>> beaten = first_beat.get_future();
  TRY_VOID(loop_->watch(ended_->fd(), EPOLLIN, [this](auto) { loop_->stop(); }));
  runner_->run(std::move(runner), *store_, std::move(first_beat), [this] { ended_->ring(); });
  const Result<void> done = beaten.get();
  if (!done) {
    runner_->join();
    executor_->dismiss_keeper();
    return fail(done.error());
  }
  working_ = true;
  return {};
}

// A keeper that lives and does not answer must not keep a daemon from telling so: nothing is
// claimed until it does.
Result<void> Instance::connect_keeper() {
  TRY_VOID(expect_no_other_keeper(config_));
  const bool external = keeper_is_external();
  Result<void> connected = executor_->connect(external ? kExternalKeeperPatience : kKeeperPatience);
  const bool may_go_on =
      connected || (connected.error().kind == ErrorKind::unavailable &&
                    (!external || keeper::living_keeper(config_.keeper_dir) != 0));
  if (!may_go_on) return connected;
  note_keeper_place();
  return {};
}

int Instance::serve() {
  watch_zone_data();
  if (const auto watched = watch_manager(); !watched)
    log::error("service-manager", {{"error", watched.error().message}});
  const auto served = loop_->run();
  if (!served) log::error("loop-failed", {{"error", served.error().message}});
  runner_->join();
  if (restarting_) {
    say_goodbye("daemon-restart", true);
    exec_successor();
  }
  say_goodbye(left_ ? "daemon-left" : "daemon-down", left_);
  if (!left_) executor_->dismiss_keeper();
  // The keeper hears of its dismissal through the loop's connection, which closes with us.
  return left_ ? kExitLeft : 0;
}

void Instance::say_goodbye(const char* event_kind, bool left) {
  const Time now = parts_.clock->wall();
  auto nodes = store_->list_nodes();
  store::Node node = node_;
  if (nodes) {
    for (const store::Node& row : *nodes) {
      if (row.id == node_.id) node = row;
    }
  }
  node.pid = 0;
  node.stopped_at = now;
  const auto written = store_->put_node(node);
  const auto told =
      store_->add_event({now, node_.id, event_kind, left ? "jobs left running" : "stopped"});
  log::info(event_kind, {{"pid", ::getpid()}});
  if (!written || !told) {
    log::error("goodbye-not-written", {{"error", (!written ? written : told).error().message}});
  }
  log::flush();
}

// --- signals and requests --------------------------------------------------------------------

void Instance::on_signal() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (restarting_) {
      // Too late for this one. A reload needs no message: the successor reads everything anew.
      const int signal = static_cast<int>(info.ssi_signo);
      if (signal != SIGHUP && signal != SIGUSR2) signal_for_successor_ = signal;
      continue;
    }
    switch (info.ssi_signo) {
      case SIGTERM:
      case SIGINT:
        stop(config_.on_sigterm == config::OnSigterm::leave ? runner::RunnerThread::Stop::leave
                                                            : runner::RunnerThread::Stop::drain);
        break;
      case SIGUSR1:
        stop(runner::RunnerThread::Stop::leave);
        break;
      case SIGUSR2:
        begin_restart();
        break;
      case SIGHUP:
        reload_and_log();
        break;
      default:
        break;
    }
  }
}

void Instance::stop(runner::RunnerThread::Stop how) {
  // The runner's rule, too: only a drain can be hurried.
  if (stopping_ && *stopping_ != runner::RunnerThread::Stop::drain) return;
  stopping_ = how;
  left_ = how == runner::RunnerThread::Stop::leave;
  log::info("stopping", {{"how", left_                                    ? "leave"
                                 : how == runner::RunnerThread::Stop::now ? "now"
                                                                          : "drain"}});
  log::flush();
  manager_.stopping();
  runner_->stop(how, config_.stop_timeout);
  feed_manager();
}

void Instance::on_request(const std::string& request, const host::ControlServer::Reply& reply) {
  if (request == "poke") {
    runner_->poke();
    reply("ok");
  } else if (request == "ping") {
    reply("ok " + std::to_string(::getpid()) + " " + std::to_string(to_us(started_at_)) + " " +
          std::to_string(executor_ ? executor_->keeper_pid() : 0));
  } else if (request == "health") {
    // Answered by the runner's thread, so that an answer proves that it lives.
    runner_->post(
        [reply](runner::Runner& runner, store::Store&) { reply("ok " + runner.health()); });
  } else if (request == "reload") {
    const auto begun = reload([reply](const Result<std::string>& done) {
      reply(done ? "ok " + *done
                 : "error " + std::to_string(static_cast<int>(done.error().kind)) + " " +
                       done.error().message);
    });
    if (!begun) {
      log::error("reload-failed", {{"error", begun.error().message}});
      log::flush();
      const Error& error = begun.error();
      reply("error " + std::to_string(static_cast<int>(error.kind)) + " " +
            (error.where.empty() ? "" : error.where + ": ") + error.message);
    }
  } else if (request == "may-restart") {
    const Result<void> may = expect_restartable();
    reply(may ? "ok"
              : "error " + std::to_string(static_cast<int>(may.error().kind)) + " " +
                    may.error().message);
  } else if (request == "reopen-logs") {
    const auto reopened = log::reopen();
    reply(reopened ? "ok" : "error 0 " + reopened.error().message);
  } else if (request == "stop-now") {
    stop(runner::RunnerThread::Stop::now);
    reply("ok");
  } else {
    reply("error " + std::to_string(static_cast<int>(ErrorKind::usage)) +
          " this daemon does not know that request: its version is " + parts_.version);
  }
}

// Reads the configuration on this thread and hands it to the runner's, which owns the store. A bad
// configuration changes nothing.
Result<void> Instance::reload(std::function<void(const Result<std::string>&)> done) {
  TRY(config::Loaded loaded, config::load(options_.sources));
  TRY(const log::Level level, log::parse_level(loaded.config.log_level));
  TRY(const alert::Addresses addresses, addresses_of(loaded.config));
  TRY(runner::Runner::Tuning tuning, tuning_of(loaded.config, addresses, parts_, node_.hostname));
  const std::string fixed = fixed_changes(config_, loaded.config);
  const std::string users = user_changes(config_, loaded.config);
  log::set_level(level);
  // The paths in use stay: the keeper, the locks and the database are where they are.
  config::Config next = loaded.config;
  next.store = config_.store;
  next.state_dir = config_.state_dir;
  next.runtime_dir = config_.runtime_dir;
  next.log_file = config_.log_file;
  next.keeper = config_.keeper;
  next.keeper_dir = config_.keeper_dir;
  next.allow_users = config_.allow_users;
  next.daemon_user = config_.daemon_user;
  next.job_user = config_.job_user;
  config_ = next;
  addresses_ = addresses;
  manager_.reloading();
  courier_->configure(addresses);
  runner_->post([this, next, tuning, fixed, users, done = std::move(done)](runner::Runner& runner,
                                                                           store::Store& store) {
    runner.configure(tuning);
    runner.look_at_zones();
    auto synced = sync_job_files(store, parts_, next, node_.id);
    manager_.ready();
    if (!synced) {
      log::error("reload-failed", {{"error", synced.error().message}});
      done(fail(synced.error()));
      return;
    }
    std::string words = summary_of(*synced);
    const std::string aside = without_calendars(store, next.calendars);
    if (!aside.empty()) words += "; " + aside;
    if (!fixed.empty()) words += "; needs `schedctl restart` to change: " + fixed;
    if (!users.empty()) {
      words += "; needs `schedctl stop` and `schedctl start` to change, once no job runs: " + users;
    }
    const auto told = store.add_event({parts_.clock->wall(), node_.id, "reload", words});
    if (!told) log::error("event-not-written", {{"error", told.error().message}});
    log::info("reloaded", {{"result", words}});
    for (const Error& error : synced->errors) words += "\n" + error.where + ": " + error.message;
    if (synced->errors.empty()) {
      done(words);
    } else {
      done(fail(ErrorKind::config, words));
    }
  });
  return {};
}

void Instance::reload_and_log() {
  if (const auto reopened = log::reopen(); !reopened) {
    log::error("log-not-reopened", {{"error", reopened.error().message}});
  }
  if (const auto begun = reload([](const Result<std::string>&) {}); !begun) {
    log::error("reload-failed", {{"at", begun.error().where}, {"error", begun.error().message}});
    log::flush();
  }
}

}  // namespace schedctl::daemon
