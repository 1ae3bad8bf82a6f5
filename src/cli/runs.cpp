#include <algorithm>

#include "schedctl/base/signals.hpp"
#include "schedctl/base/text.hpp"
#include "src/cli/families.hpp"
#include "src/cli/json.hpp"
#include "src/cli/output.hpp"
#include "src/cli/parse.hpp"
#include "src/cli/prune.hpp"
#include "src/cli/run_text.hpp"
#include "src/cli/session.hpp"
#include "src/cli/table.hpp"
#include "src/cli/target.hpp"
#include "src/cli/times.hpp"

// runs, ps and cancel.

namespace schedctl::cli {
namespace {

constexpr std::int64_t kMostRuns = 1'000'000;
/// A screenful for people, more for programs.
constexpr std::int64_t kDefaultRuns = 50;
constexpr std::int64_t kDefaultJsonRuns = 1000;

Result<std::optional<job::Cause>> cause_of(const Invocation& call) {
  const auto word = call.value("cause");
  if (!word) return std::nullopt;
  const auto cause = job::parse_cause(*word);
  if (!cause)
    return fail(
        ErrorKind::usage,
        "\"" + escape_control(*word) + "\" is not one of schedule, manual, backfill, reboot",
        "--cause");
  return cause;
}

Result<std::vector<job::RunState>> states_of(const Invocation& call) {
  std::vector<job::RunState> states;
  for (const std::string& list : call.values("state")) {
    for (std::size_t start = 0; start <= list.size();) {
      const std::size_t end = std::min(list.find(',', start), list.size());
      const std::string word = list.substr(start, end - start);
      const auto state = job::parse_run_state(word);
      if (!state)
        return fail(ErrorKind::usage,
                    "\"" + escape_control(word) +
                        "\" is not one of pending, running, succeeded, failed, cancelled, lost, "
                        "skipped, missed",
                    "--state");
      states.push_back(*state);
      start = end + 1;
    }
  }
  return states;
}

/// "2h" is that long ago; anything else a moment.
Result<std::optional<Time>> moment(Session& session, const char* name) {
  const auto text = session.call.value(name);
  if (!text) return std::nullopt;
  if (const auto ago = parse_duration(*text)) return session.now - *ago;
  Result<Time> time = job::parse_time(*text, session.local_zone(), session.now);
  if (!time)
    return fail(ErrorKind::usage, std::move(time.error().message), std::string("--") + name);
  return *time;
}

void print_runs(Session& session, const std::vector<job::Run>& runs) {
  if (!session.call.globals.json) {
    print(runs_table(runs, session.local_zone(), session.now));
    return;
  }
  std::vector<std::string> elements;
  elements.reserve(runs.size());
  for (const job::Run& run : runs) elements.push_back(json_run(run, session.store->id()));
  print(json_array(elements));
}

/// Running, or waiting to be started again, oldest first.
Result<std::vector<job::Run>> live_runs(Session& session) {
  TRY(std::vector<job::Run> runs, session.store->runs_in_state(job::RunState::running));
  TRY(const std::vector<job::Run> pending, session.store->runs_in_state(job::RunState::pending));
  for (const job::Run& run : pending)
    if (run.occupies_slot()) runs.push_back(run);
  return runs;
}

/// What ops calls the thing to cancel.
Result<std::string> cancel_target(Session& session, const std::string& word) {
  const auto target = run_target(word);
  if (target && target->bare) {
    TRY(const std::optional<job::Job> job, session.store->find_job(word));
    if (job) return word;
  }
  if (target) return "#" + std::to_string(target->id.value);
  return word;
}

/// Those that a cancel of the whole job ends, too.
Result<std::vector<store::Backfill>> open_backfills(Session& session, const std::string& target) {
  TRY(const std::optional<job::Job> job, session.store->find_job(target));
  if (!job) return std::vector<store::Backfill>();
  return session.store->list_backfills({.open_only = true, .job_id = job->id});
}

}  // namespace

std::optional<RunTarget> run_target(const std::string& word) {
  const bool hash = word.starts_with('#');
  const std::string digits = hash ? word.substr(1) : word;
  if (digits.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  const auto number = parse_int(digits);
  if (!number || *number <= 0) return std::nullopt;
  return RunTarget{RunId(*number), !hash};
}

Result<Outcome> run_runs(const Invocation& call) {
  const std::int64_t fallback = call.globals.json ? kDefaultJsonRuns : kDefaultRuns;
  TRY(const std::int64_t n, number_option(call, "count", fallback, 1, kMostRuns));
  TRY(const std::vector<job::RunState> states, states_of(call));
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::read));
  store::RunFilter filter;
  filter.states = states;
  TRY(filter.cause, cause_of(call));
  TRY(filter.since, moment(*session, "since"));
  TRY(filter.until, moment(*session, "until"));
  if (!call.words.empty()) filter.job_name = call.words[0];
  // One more than is shown tells whether there are more.
  filter.limit = static_cast<std::size_t>(n) + 1;
  TRY(std::vector<job::Run> runs, session->store->list_runs(filter));
  // History outlives a job, so only a name without any is unknown.
  if (runs.empty() && filter.job_name) {
    TRY(const std::vector<job::Run> any,
        session->store->list_runs({.job_name = filter.job_name, .limit = 1}));
    if (any.empty()) TRY_VOID(session->job(*filter.job_name));
  }
  const bool more = runs.size() > static_cast<std::size_t>(n);
  if (more) runs.pop_back();
  if (runs.empty() && !call.globals.json) {
    talk(call, "no runs" + pruned_words(*session));
    return Done{};
  }
  print_runs(*session, runs);
  const std::string pruned = filter.since && !more ? pruned_words(*session) : "";
  if (!pruned.empty()) talk(call, "that is all there is" + pruned);
  if (more && !call.has("count"))
    talk(call, "only the newest " + std::to_string(n) + " are shown; -n N shows more");
  return Done{};
}

Result<Outcome> run_ps(const Invocation& call) {
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::read));
  TRY(const std::vector<job::Run> runs, live_runs(*session));
  if (call.globals.json) {
    print_runs(*session, runs);
    return Done{};
  }
  if (runs.empty()) {
    talk(call, "nothing is running");
    return Done{};
  }
  Table table({{.title = "RUN"},
               {.title = "JOB"},
               {.title = "STATE"},
               {.title = "TRY", .right = true},
               {.title = "PID", .right = true},
               {.title = "STARTED"}});
  const job::Zone& zone = session->local_zone();
  for (const job::Run& run : runs) {
    const bool running = run.state == job::RunState::running;
    const bool shown = running && run.result.started_at;
    table.add({{"#" + std::to_string(run.id.value)},
               {run.job_name},
               {outcome_text(run), state_color(run.state)},
               {std::to_string(run.attempt)},
               {running && run.result.pid != 0 ? std::to_string(run.result.pid) : "-"},
               {shown     ? absolute_and_relative(*run.result.started_at, zone, session->now)
                : running ? std::string("-")
                          : "due " + absolute_and_relative(run.due_at, zone, session->now)}});
  }
  print(table.render(terminal_width()));
  return Done{};
}

Result<Outcome> run_signal(const Invocation& call) {
  const std::optional<int> number = parse_signal(call.words[1]);
  if (!number) {
    return fail(ErrorKind::usage, "\"" + escape_control(call.words[1]) +
                                      "\" is not a signal; write it like HUP, USR1 or QUIT");
  }
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::write));
  TRY(const std::string target, cancel_target(*session, call.words[0]));
  TRY(const std::vector<job::Run> runs, session->ops().signal(target, *number));
  std::vector<std::string> elements;
  for (const job::Run& run : runs) {
    elements.push_back(json_run(run, session->store->id()));
    if (!call.globals.json)
      print_result(call, "sending " + signal_name(*number) + " to run #" +
                             std::to_string(run.id.value) + " of " + run.job_name);
  }
  if (call.globals.json) print(json_array(elements));
  if (!session->is_served())
    warn(call, "no daemon is running: it is sent when one comes (schedctl start)");
  return Done{};
}

Result<Outcome> run_cancel(const Invocation& call) {
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::write));
  TRY(const std::string target, cancel_target(*session, call.words[0]));
  TRY(const std::vector<store::Backfill> backfills, open_backfills(*session, target));
  TRY(const std::vector<ops::Cancelled> cancelled, session->ops().cancel(target));
  bool any_running = false;
  std::vector<std::string> elements;
  for (const ops::Cancelled& one : cancelled) {
    any_running = any_running || one.was_running;
    elements.push_back(json_cancelled(one, session->store->id()));
    const std::string name = "run #" + std::to_string(one.run.id.value) + " of " + one.run.job_name;
    if (!call.globals.json)
      print_result(call, one.was_running ? name + " is being ended" : "cancelled " + name);
  }
  if (call.globals.json) print(json_array(elements));
  for (const store::Backfill& backfill : backfills) {
    if (call.globals.json) break;
    print_result(call, "ended backfill " + std::to_string(backfill.id.value) + " of " +
                           backfill.job_name + ": nothing more of it is started");
  }
  if (any_running && !session->is_served())
    warn(call, "no daemon is running: what runs is ended when one comes (schedctl start)");
  return Done{};
}

}  // namespace schedctl::cli
