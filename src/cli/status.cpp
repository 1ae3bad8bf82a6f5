#include "schedctl/base/text.hpp"
#include "schedctl/host/control.hpp"
#include "schedctl/host/host.hpp"
#include "schedctl/keeper/client.hpp"
#include "src/cli/daemon_process.hpp"
#include "src/cli/errors.hpp"
#include "src/cli/families.hpp"
#include "src/cli/json.hpp"
#include "src/cli/output.hpp"
#include "src/cli/run_text.hpp"
#include "src/cli/session.hpp"
#include "src/cli/times.hpp"

// status: what the machine itself says of the daemon (/proc/locks, never a lock of our own), and
// what the store says, if it may be read. The exit code is LSB's.

namespace schedctl::cli {
namespace {

constexpr int kRunning = 0;
constexpr int kDeadWithPidfile = 1;
constexpr int kStopped = 3;
constexpr int kCannotTell = 4;

/// The store's part. Whoever may not read the store learns the rest all the same.
void ask_store(Session& session, StatusReport& status) {
  const Result<void> opened = session.open_store(Access::read);
  if (!opened) {
    tell(session.call, opened.error().message);
    return;
  }
  if (const auto counts = session.store->counts()) {
    status.jobs = counts->jobs;
    status.runs_running = counts->runs_running;
    status.alerts_open = counts->alerts_open;
    status.next_fire = counts->next_fire;
  }
  if (const auto notifiers = session.store->list_notifiers()) {
    for (const store::NotifierState& one : *notifiers)
      if (one.stopped_at)
        status.stopped_notifiers.push_back(one.name + " is stopped: it answered " + one.why);
  }
  const auto nodes = session.store->list_nodes();
  if (!nodes) return;
  for (const store::Node& node : *nodes) {
    if (!status.pid || node.pid != *status.pid) continue;
    status.node = node.id;
    status.version = node.version;
    status.uptime = since(node.started_at, session.now);
  }
}

void print_status(Session& session, const StatusReport& status, pid_t stale_pid) {
  std::string out;
  if (status.running) {
    out = paint(Color::green, "running") + " (pid " + std::to_string(*status.pid);
    if (status.uptime) out += ", up " + rough(*status.uptime);
    out += ", version " + escape_control(status.version) + ")\n";
  } else if (stale_pid != 0) {
    out = paint(Color::red, "dead") + ": the pidfile names " + std::to_string(stale_pid) +
          ", which is gone or no daemon; schedctl start starts a new one\n";
  } else {
    out = "stopped\n";
  }
  if (status.keeper_pid) out += "  keeper       pid " + std::to_string(*status.keeper_pid) + "\n";
  out += "  store        " + escape_control(status.store) + "\n";
  if (!status.environment.empty())
    out += "  environment  " + escape_control(status.environment) + "\n";
  if (status.jobs)
    out += "  jobs         " + std::to_string(*status.jobs) + ", " +
           std::to_string(status.runs_running.value_or(0)) + " running\n";
  if (status.alerts_open.value_or(0) > 0)
    out += "  alerts       " +
           paint(Color::red, std::to_string(*status.alerts_open) + " open; schedctl alerts") + "\n";
  for (const std::string& notifier : status.stopped_notifiers)
    out += "  notifier     " + paint(Color::red, escape_control(notifier)) + "\n";
  if (status.next_fire)
    out += "  next fire    " +
           absolute_and_relative(*status.next_fire, session.local_zone(), session.now) + "\n";
  print(out);
}

Result<Outcome> status_of_job(const Invocation& call) {
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::read));
  TRY(const job::Job job, session->job(call.words[0]));
  TRY(const store::JobListing listing, session->listing(job));
  if (call.globals.json)
    print(json_listing(listing) + "\n");
  else
    print(paint(Color::bold, job.name) + "\n" +
          state_text(listing, session->local_zone(), session->now));
  return Done{};
}

Result<Outcome> status_of_daemon(const Invocation& call) {
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::none));
  const config::Config& config = session->config();
  TRY(pid_t pid, host::lock_holder(config.lock_file()));
  std::string removed;
  if (pid == 0 || !host::is_socket(config.control_socket())) {
    TRY(const std::optional<DaemonProcess> daemon, DaemonProcess::find(*session));
    if (daemon && daemon->is_deaf())
      removed = pid == 0 ? config.lock_file() : config.control_socket();
    pid = daemon ? daemon->pid() : 0;
  }
  StatusReport status;
  status.running = pid != 0;
  if (pid != 0) status.pid = pid;
  if (const std::int64_t keeper = keeper::living_keeper(config.keeper_dir); keeper != 0)
    status.keeper_pid = keeper;
  status.version = version();
  status.environment = config.environment;
  status.store = config.store;
  ask_store(*session, status);
  const pid_t stale = status.running ? 0 : host::read_pidfile(config.pid_file());
  if (call.globals.json)
    print(json_status(status) + "\n");
  else if (!call.globals.quiet)
    print_status(*session, status, stale);
  if (!removed.empty())
    warn(call, removed +
                   " was removed under the daemon, which may hear nothing but signals: "
                   "schedctl restart puts it back, and the jobs go on");
  return Done{status.running ? kRunning : stale != 0 ? kDeadWithPidfile : kStopped};
}

}  // namespace

Result<Outcome> run_status(const Invocation& call) {
  if (!call.words.empty()) return status_of_job(call);
  Result<Outcome> outcome = status_of_daemon(call);
  if (outcome) return outcome;
  report(outcome.error(), call.globals.json);
  return Done{kCannotTell};
}

}  // namespace schedctl::cli
