#include <ctime>

#include "schedctl/base/result.hpp"
#include "src/cli/errors.hpp"
#include "src/cli/families.hpp"
#include "src/cli/json.hpp"
#include "src/cli/launch.hpp"
#include "src/cli/output.hpp"
#include "src/cli/parse.hpp"
#include "src/cli/run_text.hpp"
#include "src/cli/session.hpp"
#include "src/cli/times.hpp"
#include "src/cli/understood.hpp"

// trigger: run a job by hand, and perhaps wait for it. Waiting looks at the run's row; nobody is
// asked, so that the wait survives a restart of the daemon.

namespace schedctl::cli {
namespace {

constexpr Duration kLook = std::chrono::milliseconds(50);
/// How often the daemon is asked for a sign of life, and how many may be missing: a restart takes
/// less.
constexpr Duration kAsk = std::chrono::seconds(5);
constexpr int kMissing = 3;
/// timeout(1)'s exit codes.
constexpr int kExitTimeout = 124;
constexpr int kExitNotExecutable = 126;
constexpr int kExitNoSuchFile = 127;

void pause_for(Duration d) {
  const timespec time{d.count() / 1'000'000, d.count() % 1'000'000 * 1000};
  ::nanosleep(&time, nullptr);
}

std::string name_of(const job::Run& run) {
  return "run #" + std::to_string(run.id.value) + " of " + run.job_name;
}

/// Whether the command itself is missing, not its working directory or a file that it needs: the
/// row has only words for what failed, which are the command executor's.
bool is_not_found(const job::AttemptResult& result) {
  return result.error.starts_with("cannot execute the command: ") &&
         result.error.ends_with(errno_text(ENOENT));
}

/// What a shell would have said of the command; of one that ended with 0 in a run that did not
/// succeed all the same, that it failed.
int command_code(const job::Run& run) {
  const job::AttemptResult& result = run.result;
  if (run.reason == job::Reason::timeout) return kExitTimeout;
  if (run.reason == job::Reason::exec_error)
    return is_not_found(result) ? kExitNoSuchFile : kExitNotExecutable;
  if (result.signal != 0) return 128 + result.signal;
  if (result.exit_code.value_or(0) != 0) return *result.exit_code;
  return run.state == job::RunState::succeeded ? 0 : kExitFailed;
}

Outcome conclude(Session& session, const job::Run& run) {
  const Invocation& call = session.call;
  if (call.globals.json) {
    print(json_run(run, session.store->id()) + "\n");
  } else {
    std::string line = name_of(run) + ": " + outcome_text(run);
    if (run.result.started_at && run.result.ended_at)
      line += " after " + rough(*run.result.ended_at - *run.result.started_at);
    print_result(call, line);
  }
  if (call.has("exit-code")) return Done{command_code(run)};
  return Done{run.state == job::RunState::succeeded ? 0 : kExitFailed};
}

Result<Outcome> wait_for(Session& session, job::Run run, std::optional<Duration> timeout) {
  const Duration start = session.clock.elapsed();
  Duration asked = start;
  int missing = 0;
  while (!job::is_final(run.state)) {
    pause_for(kLook);
    const Duration now = session.clock.elapsed();
    TRY(const std::optional<job::Run> row, session.store->get_run(run.id));
    if (!row) return fail(ErrorKind::failed, name_of(run) + " is gone from the store");
    run = *row;
    if (job::is_final(run.state)) break;
    if (timeout && now - start >= *timeout) {
      const Error late{ErrorKind::failed, name_of(run) + " is still " +
                                              std::string(job::to_string(run.state)) + " after " +
                                              format_duration(*timeout) + "; it goes on"};
      report(late, session.call.globals.json);
      return Done{session.call.has("exit-code") ? kExitTimeout : kExitFailed};
    }
    if (now - asked < kAsk) continue;
    asked = now;
    missing = session.is_served() ? 0 : missing + 1;
    if (missing >= kMissing)
      return fail(ErrorKind::unavailable, "the daemon is gone; " + name_of(run) + " is still " +
                                              std::string(job::to_string(run.state)) +
                                              " (see schedctl status)");
  }
  return conclude(session, run);
}

}  // namespace

Result<Outcome> run_trigger(const Invocation& call) {
  const bool wait = call.has("wait");
  TRY(const std::optional<Duration> timeout, duration_option(call, "timeout"));
  for (const char* name : {"timeout", "exit-code"})
    if (call.has(name) && !wait)
      return fail(ErrorKind::usage, "only goes with --wait", std::string("--") + name);
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::write));
  const std::string& name = call.words[0];
  TRY(const job::Job job, session->job(name));
  if (call.has("dry-run")) {
    const job::Policy policy = job::resolve(job.definition.policy, session->config().defaults);
    const Planned planned{
        .job = job, .policy = policy, .job_user = session->config().job_user, .now = session->now};
    print(call.globals.json ? launch_json(planned) + "\n" : launch_text(planned));
    warn_of_user(*session, job);
    return Done{};
  }
  if (wait && !session->is_served())
    return fail(ErrorKind::unavailable,
                "no daemon is running, so there is nothing to wait for; start it with schedctl "
                "start");
  TRY(const job::Run run, session->ops().trigger(name, call.has("force")));
  if (run.state == job::RunState::skipped) {
    if (call.globals.json) print(json_run(run, session->store->id()) + "\n");
    report({ErrorKind::failed,
            name_of(run) + " is skipped: the job still runs; --force runs it all the same"},
           call.globals.json);
    return Done{kExitFailed};
  }
  if (wait) {
    talk(call, "waiting for " + name_of(run));
    return wait_for(*session, run, timeout);
  }
  if (call.globals.json)
    print(json_run(run, session->store->id()) + "\n");
  else
    print_result(call, "queued " + name_of(run));
  if (!session->is_served())
    warn(call, "no daemon is running: the run waits for one (schedctl start)");
  return Done{};
}

}  // namespace schedctl::cli
