#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <sstream>

#include "schedctl/config/job_file.hpp"
#include "schedctl/host/control.hpp"
#include "schedctl/host/host.hpp"
#include "src/cli/daemon_process.hpp"
#include "src/cli/errors.hpp"
#include "src/cli/families.hpp"
#include "src/cli/json.hpp"
#include "src/cli/output.hpp"
#include "src/cli/parse.hpp"
#include "src/cli/session.hpp"

// start, keeper (both for main), stop, restart, reload, reopen-logs: commands about the daemon.

namespace schedctl::cli {
namespace {

constexpr Duration kAnswer = std::chrono::seconds(30);
constexpr Duration kRestart = std::chrono::seconds(30);
constexpr Duration kSayEvery = std::chrono::seconds(3);
constexpr Duration kLook = std::chrono::milliseconds(20);
constexpr std::size_t kRunsNamed = 5;
constexpr std::size_t kErrorsShown = 5;

void print_answer(const Invocation& call, const char* verb, bool done, pid_t pid,
                  const std::string& text) {
  if (call.globals.json)
    print(json_answer(verb, done, pid, text) + "\n");
  else
    print_result(call, text);
}

/// "backup (#41), sync (#44)"; empty if nothing runs or the store cannot be read.
std::string live_runs_text(Session& session) {
  if (!session.store && !session.open_store(Access::read)) return {};
  const auto runs = session.store->runs_in_state(job::RunState::running);
  if (!runs) return {};
  std::string text;
  for (std::size_t i = 0; i < runs->size() && i < kRunsNamed; ++i)
    text += (i == 0 ? "" : ", ") + (*runs)[i].job_name + " (#" +
            std::to_string((*runs)[i].id.value) + ")";
  if (runs->size() > kRunsNamed)
    text += " and " + std::to_string(runs->size() - kRunsNamed) + " more";
  return text;
}

/// What is said every few seconds of a stop that takes its time.
std::string waiting_text(Session& session, Duration waited, bool drains) {
  const std::string runs = live_runs_text(session);
  if (runs.empty()) return "waiting for the daemon to end";
  std::string text = "waiting for " + runs;
  const Duration left = session.config().stop_timeout - waited;
  if (!drains) return text;
  if (left > Duration::zero())
    return text + "; its runs are ended in at most " +
           format_duration(std::chrono::ceil<std::chrono::seconds>(left));
  return text + "; being ended";
}

Result<void> order_to_stop(const Invocation& call, const DaemonProcess& daemon,
                           const config::Config& config) {
  if (call.has("now") && daemon.is_deaf()) {
    talk(call, "there is no control socket at " + config.control_socket() +
                   ", so that the daemon cannot be told --now: it waits for its runs first, for " +
                   format_duration(config.stop_timeout) + " at most");
  } else if (call.has("now")) {
    const auto reply = host::control_request(config.control_socket(), "stop-now", kAnswer);
    // One that ends before it has answered did as it was told.
    if (!reply && !daemon.wait_gone(Duration::zero())) return fail(reply.error());
    return {};
  }
  return daemon.send(call.has("keep-jobs") ? SIGUSR1 : SIGTERM);
}

/// The third word of "ok PID STARTED_AT ...": tells one instance from the next under the same pid.
Result<std::string> instance_of(const config::Config& config) {
  TRY(const std::string reply,
      host::control_request(config.control_socket(), "ping", std::chrono::seconds(2)));
  std::istringstream words(reply);
  std::string ok, pid, started_at;
  if (words >> ok >> pid >> started_at) return started_at;
  return fail(ErrorKind::failed,
              "the daemon answers in a way this program does not know: " + reply);
}

Error not_running(const config::Config& config) {
  return {ErrorKind::unavailable,
          std::string("no daemon is running; start it with schedctl start") +
              (config.own ? " --own" : "")};
}

/// Whose database it is says what runs, and this daemon would run it as the caller.
Result<void> check_owner(const config::Config& config) {
  const std::string database = config.sqlite_path();
  struct stat status {};
  if (::stat(database.c_str(), &status) != 0) return {};
  if (status.st_uid == 0 || status.st_uid == ::geteuid()) return {};
  const auto user = config.daemon_user.empty() ? std::nullopt : host::find_user(config.daemon_user);
  if (user && user->uid == status.st_uid) return {};
  return fail(ErrorKind::not_allowed,
              database + " belongs to user id " + std::to_string(status.st_uid) +
                  ", whose commands would run as you; start the daemon as that user, or chown it",
              database);
}

/// A bad job file does not keep the daemon from starting, so that is the moment to hear of it. The
/// store is looked at for what its jobs are allowed to keep, such as moments that have passed.
void warn_of_job_files(Session& session) {
  // As the daemon is going to read them, and no more than that; this process is what becomes it.
  std::optional<host::Account> user;
  if (const std::string& name = session.config().daemon_user; !name.empty()) {
    const auto found = host::find_account(name, "daemon_user");
    if (!found) return;
    user = *found;
  }
  const auto acting = host::ActingAs::begin(user);
  if (!acting) return;
  const config::JobFiles files = config::read_job_files(session.config().jobs_dirs, false);
  if (files.jobs.empty() && files.errors.empty()) return;
  if (!session.open_store(Access::read)) return;
  const std::vector<Error> errors = session.ops().validate(files);
  session.store.reset();
  for (std::size_t i = 0; i < errors.size() && i < kErrorsShown; ++i)
    print_error(error_line(errors[i]));
  if (errors.empty()) return;
  warn(session.call, plural(static_cast<std::int64_t>(errors.size()), "error") +
                         " in job files, whose jobs stay as they were; schedctl validate DIR "
                         "shows them");
}

/// Then silence promises nothing, and somebody should know before the first night.
void warn_of_silence(Session& session) {
  const config::Config& config = session.config();
  const bool heartbeat = !config.heartbeat_url.empty() || !config.heartbeat_url_file.empty();
  if (heartbeat || !config.alerts.notifiers().empty()) return;
  warn(session.call,
       "nobody will be told when a job fails or does not run: set [alerts.slack] "
       "webhook_url_file, or heartbeat_url, in " +
           (config.config_file.empty() ? "a settings file (schedctl doctor says where)"
                                       : config.config_file));
}

Result<Outcome> request(const Invocation& call, const char* what, const char* verb,
                        const std::string& fallback) {
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::none));
  TRY_VOID(session->check_timezone());
  TRY(const std::optional<DaemonProcess> daemon, DaemonProcess::find(*session));
  if (!daemon) return fail(not_running(session->config()));
  const std::string socket = session->config().control_socket();
  if (daemon->is_deaf())
    return fail(ErrorKind::unavailable,
                "the daemon (pid " + std::to_string(daemon->pid()) +
                    ") lives, but there is no control socket at " + socket +
                    "; schedctl restart gives it a new one, and the jobs go on");
  TRY(const std::string reply, host::control_request(socket, what, kAnswer));
  const std::string text = reply.size() > 3 ? reply.substr(3) : fallback;
  if (call.globals.json)
    print_answer(call, verb, true, daemon->pid(), text);
  else
    print_result(call, escape_lines(text));
  return Done{};
}

/// As DaemonProcess::find, for root that must stay root, since it may have to start a daemon.
Result<std::optional<DaemonProcess>> find_for_root(Session& session) {
  TRY(const host::ActingAs acting, session.act_as_store_user());
  Result<std::optional<DaemonProcess>> found = DaemonProcess::find(session);
  session.store.reset();
  return found;
}

/// Somebody may have cleaned up there, and a daemon that is not root cannot make it again.
Result<void> provide_runtime_dir(const Session& session) {
  TRY(const std::optional<host::Account> user, session.store_user());
  if (!user) return {};
  const std::string& path = session.config().runtime_dir;
  return host::provide_directory(path, 0755, *user, [&](const std::string& name) {
    return session.config().is_own_file(path, name);
  });
}

/// A daemon that knows nothing of it would start another one, and the two would be in each other's
/// way.
Result<void> find_keepers_place(const Invocation& call, keeper::KeeperPaths& paths) {
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::none));
  const config::Config& config = session->config();
  if (config.keeper != config::KeeperFrom::external) {
    return fail(
        ErrorKind::config,
        "--external goes with keeper = \"external\" in the settings; as they are, the daemon "
        "starts its keeper itself",
        config.config_file.empty() ? "keeper" : config.config_file);
  }
  paths.keeper_dir = config.keeper_dir;
  paths.output_dir = config.output_dir();
  paths.config_file = config.config_file;
  paths.own = config.own;
  return {};
}

}  // namespace

Result<Outcome> run_start(const Invocation& call) {
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::none));
  TRY_VOID(session->check_timezone());
  TRY_VOID(session->check_trust());
  TRY_VOID(check_owner(session->config()));
  warn_of_job_files(*session);
  warn_of_silence(*session);
  return StartRequest{.foreground = call.has("foreground"),
                      .json = call.globals.json,
                      .sources = std::move(session->sources),
                      .loaded = std::move(session->loaded)};
}

Result<Outcome> run_keeper(const Invocation& call) {
  KeeperRequest request;
  request.paths.external = call.has("external");
  if (request.paths.external && !call.has("keeper-dir")) {
    TRY_VOID(find_keepers_place(call, request.paths));
    return request;
  }
  if (!call.has("keeper-dir") && !call.has("output-dir")) {
    return fail(ErrorKind::usage,
                "the daemon starts its keeper itself; one that is a service of its own is "
                "schedctl keeper --external (schedctl-keeper(8))");
  }
  for (const char* name : {"keeper-dir", "output-dir"})
    if (!call.has(name)) return fail(ErrorKind::usage, "is missing", std::string("--") + name);
  request.paths.keeper_dir = *call.value("keeper-dir");
  request.paths.output_dir = *call.value("output-dir");
  request.paths.config_file = call.globals.config.value_or("");
  request.paths.own = call.globals.own;
  TRY(const std::int64_t fd, number_option(call, "ready-fd", -1, 0, 1'000'000));
  request.ready_fd = static_cast<int>(fd);
  return request;
}

Result<Outcome> run_stop(const Invocation& call) {
  TRY(const std::optional<Duration> timeout, duration_option(call, "timeout"));
  if (call.has("now") && call.has("keep-jobs"))
    return fail(ErrorKind::usage, "cannot be combined with --keep-jobs", "--now");
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::none));
  TRY(const std::optional<DaemonProcess> daemon, DaemonProcess::find(*session));
  if (!daemon) {
    print_answer(call, "stopped", true, 0, "the daemon is not running");
    return Done{};
  }
  TRY_VOID(order_to_stop(call, *daemon, session->config()));
  const bool drains = !call.has("now") && !call.has("keep-jobs");
  const Duration start = session->clock.elapsed();
  Duration next_word = kSayEvery;
  while (true) {
    const Duration waited = session->clock.elapsed() - start;
    if (timeout && waited >= *timeout && !daemon->wait_gone(Duration::zero())) {
      const std::string runs = live_runs_text(*session);
      return fail(ErrorKind::failed, "the daemon (pid " + std::to_string(daemon->pid()) +
                                         ") still lives after " + format_duration(*timeout) +
                                         (runs.empty() ? "" : ": it waits for " + runs) +
                                         "; it goes on stopping");
    }
    Duration patience = next_word - waited;
    if (timeout) patience = std::min(patience, *timeout - waited);
    // A millisecond at least, which is what poll counts in.
    if (daemon->wait_gone(std::max<Duration>(patience, std::chrono::milliseconds(1)))) break;
    if (session->clock.elapsed() - start < next_word) continue;
    talk(call, waiting_text(*session, session->clock.elapsed() - start, drains));
    next_word += kSayEvery;
  }
  print_answer(call, "stopped", true, daemon->pid(),
               "stopped (pid " + std::to_string(daemon->pid()) + ")");
  if (call.has("keep-jobs")) return Done{};
  // A keeper that stands still, a process that does not die.
  if (const std::string runs = live_runs_text(*session); !runs.empty())
    warn(call, "not ended, and left with the keeper: " + runs + "; the next start takes them over");
  return Done{};
}

Result<Outcome> run_restart(const Invocation& call) {
  // Reading the configuration here means that a broken one stops nothing.
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::none));
  TRY_VOID(session->check_timezone());
  TRY_VOID(session->check_trust());
  const config::Config& config = session->config();
  TRY(const std::optional<DaemonProcess> daemon, find_for_root(*session));
  if (!daemon) {
    talk(call, "the daemon was not running");
    return run_start(call);
  }
  TRY_VOID(provide_runtime_dir(*session));
  const Duration start = session->clock.elapsed();
  // Whoever answers behind a new socket is the successor.
  const bool deaf = daemon->is_deaf();
  Result<std::string> before = deaf ? std::string() : instance_of(config);
  // One that is being restarted by somebody else right now answers in a moment.
  while (!before && before.error().kind == ErrorKind::unavailable &&
         session->clock.elapsed() - start < kRestart && !daemon->wait_gone(kLook)) {
    before = instance_of(config);
  }
  if (!before) return fail(before.error());
  // An older daemon does not know the question.
  const auto may = deaf ? Result<std::string>()
                        : host::control_request(config.control_socket(), "may-restart", kAnswer);
  const auto is_no = [](ErrorKind kind) {
    return kind == ErrorKind::config || kind == ErrorKind::not_allowed;
  };
  if (!may && is_no(may.error().kind)) return fail(may.error());
  TRY_VOID(daemon->send(SIGUSR2));
  while (session->clock.elapsed() - start < kRestart) {
    if (daemon->wait_gone(kLook))
      return fail(ErrorKind::failed,
                  "the daemon ended instead of starting again; see " + config.log_file);
    const Result<std::string> now = instance_of(config);
    if (!now || *now == *before) continue;
    print_answer(call, "restarted", true, daemon->pid(),
                 "restarted (pid " + std::to_string(daemon->pid()) + ")");
    return Done{};
  }
  return fail(ErrorKind::failed, "the daemon did not start again within " +
                                     format_duration(kRestart) + "; see " + config.log_file);
}

Result<Outcome> run_reload(const Invocation& call) {
  return request(call, "reload", "reloaded", "configuration reloaded");
}

Result<Outcome> run_reopen_logs(const Invocation& call) {
  return request(call, "reopen-logs", "reopened", "log reopened");
}

}  // namespace schedctl::cli
