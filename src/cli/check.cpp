#include "src/cli/check.hpp"

#include <algorithm>

#include "schedctl/base/text.hpp"
#include "schedctl/job/policy.hpp"
#include "src/cli/daemon_health.hpp"
#include "src/cli/families.hpp"
#include "src/cli/json.hpp"
#include "src/cli/output.hpp"
#include "src/cli/session.hpp"
#include "src/cli/times.hpp"

// check: whether all is well, for a monitoring system. What the daemon says of itself is not
// enough: the rows must show that it does its work, so that a silent one is told from an idle one.

namespace schedctl::cli {
namespace {

using State = CheckState;

/// A monitoring system gives a plug-in ten seconds.
constexpr Duration kPatience = std::chrono::seconds(5);
constexpr Duration kMessagePatience = std::chrono::minutes(10);
constexpr std::size_t kNamed = 3;
constexpr std::size_t kDueLooked = 200;
constexpr std::size_t kSubjectBytes = 150;
constexpr std::size_t kMessageBytes = 1000;

/// "a, b, c and 4 more".
std::string first_of(const std::vector<std::string>& all, std::int64_t count) {
  std::string text;
  const std::size_t shown = std::min(all.size(), kNamed);
  for (std::size_t i = 0; i < shown; ++i) text += (i == 0 ? "" : ", ") + all[i];
  const std::int64_t more = count - static_cast<std::int64_t>(shown);
  if (more > 0) text += " and " + std::to_string(more) + " more";
  return text;
}

bool is_executed(job::RunState state) {
  return state == job::RunState::succeeded || state == job::RunState::failed ||
         state == job::RunState::lost || state == job::RunState::cancelled;
}

// --- the daemon --------------------------------------------------------------------------------

void judge_daemon(const config::Config& config, CheckReport& report) {
  const DaemonHealth found = ask_daemon(config, kPatience);
  const std::string pid = found.pid == 0 ? "" : " (pid " + std::to_string(found.pid) + ")";
  switch (found.state) {
    case DaemonHealth::State::answers:
      if (found.health.store != "ok")
        report.add(State::critical, "the store is " + found.health.store +
                                        (found.health.why.empty() ? "" : ": " + found.health.why));
      if (found.health.keeper != "ok")
        report.add(State::critical, "the keeper is " + found.health.keeper);
      return;
    case DaemonHealth::State::foreign:
      return report.add(State::warning, "the daemon" + pid +
                                            " is of another version and cannot tell how it is: "
                                            "schedctl restart");
    case DaemonHealth::State::silent:
      return report.add(State::critical, "the daemon" + pid + " does not answer");
    case DaemonHealth::State::cut_off:
      return report.add(State::critical, "the daemon" + pid +
                                             " lives, but its runtime_dir is gone: " +
                                             config.runtime_dir + " (schedctl restart)");
    case DaemonHealth::State::dead:
      return report.add(State::critical, "no daemon is running");
    case DaemonHealth::State::refuses:
    case DaemonHealth::State::unknowable:
      return report.add(State::unknown, found.words);
  }
}

// --- rows --------------------------------------------------------------------------------------

/// "backup failed (since 2h10m)", "keeper (since 3m)".
std::string alert_words(const job::Alert& alert, Time now) {
  std::string words = std::string(utf8_prefix(alert.subject, kSubjectBytes));
  if (!words.empty()) words += ' ';
  words += job::to_string(alert.kind);
  return words + " (since " + rough(std::max(Duration::zero(), since(alert.began_at, now))) + ")";
}

Result<void> judge_alerts(Session& session, CheckReport& report, std::int64_t open,
                          const std::optional<JobId>& job) {
  if (open == 0) return {};
  TRY(const std::vector<job::Alert> alerts,
      session.store->list_alerts({.open_only = true, .job_id = job, .limit = kNamed}));
  std::vector<std::string> words;
  words.reserve(alerts.size());
  for (const job::Alert& alert : alerts) words.push_back(alert_words(alert, session.now));
  // Between the two reads the last one may have ended.
  if (words.empty()) return {};
  report.add(State::critical, plural(open, "open alert") + ": " + first_of(words, open));
  return {};
}

/// Since when something should have happened, where that is longer than it is tolerated.
std::optional<Duration> overdue_fire(const job::Job& job, const config::Config& config, Time now) {
  if (job.paused || !job.next_fire) return std::nullopt;
  const job::Policy policy = job::resolve(job.definition.policy, config.defaults);
  const Duration late = since(*job.next_fire, now);
  if (late <= policy.jitter + policy.alert_grace) return std::nullopt;
  return late;
}

struct Overdue {
  std::vector<std::string> names;
  std::int64_t count = 0;
  void add(const std::string& job, Duration late) {
    if (std::find_if(names.begin(), names.end(), [&](const std::string& one) {
          return one.starts_with(job + " (");
        }) != names.end())
      return;
    ++count;
    if (names.size() < kNamed) names.push_back(job + " (by " + rough(late) + ")");
  }
};

/// Runs that may start and don't. Those that wait until their own job is free are not among them.
Result<void> find_overdue_runs(Session& session, const std::optional<JobId>& only,
                               Overdue& overdue) {
  TRY(const std::vector<store::DueRun> due, session.store->due_runs(session.now, kDueLooked, {}));
  for (const store::DueRun& one : due) {
    const job::Run& run = one.run;
    if (only && run.job_id != *only) continue;
    TRY(const std::optional<job::Job> job, session.store->get_job(run.job_id));
    if (!job) continue;
    const job::Policy policy = job::resolve(job->definition.policy, session.config().defaults);
    const Duration late = since(run.due_at, session.now);
    if (late > policy.alert_grace) overdue.add(run.job_name, late);
  }
  return {};
}

void judge_overdue(const Overdue& overdue, CheckReport& report) {
  report.measure("overdue", overdue.count);
  if (overdue.count == 0) return;
  report.add(State::critical,
             (overdue.count == 1 ? "a start is overdue: " : "starts are overdue: ") +
                 first_of(overdue.names, overdue.count));
}

Result<void> judge_notifiers(Session& session, CheckReport& report) {
  const std::vector<std::string> ours = session.config().alerts.notifiers();
  const auto is_ours = [&](const std::string& name) {
    return std::find(ours.begin(), ours.end(), name) != ours.end();
  };
  TRY(const std::vector<store::NotifierState> states, session.store->list_notifiers());
  bool stopped = false;
  for (const store::NotifierState& state : states) {
    if (!state.stopped_at || !is_ours(state.name)) continue;
    stopped = true;
    report.add(State::warning, "notifier " + state.name + " is stopped" +
                                   (state.why.empty() ? "" : ": " + state.why));
  }
  if (stopped) return {};
  for (const std::string& name : ours) {
    TRY(const std::vector<store::Message> waiting, session.store->waiting_messages(name, 1));
    if (waiting.empty()) continue;
    const Duration age = since(waiting.front().created_at, session.now);
    if (age <= kMessagePatience) continue;
    report.add(State::warning,
               "messages to " + name + " have waited for " + rough(age) +
                   (waiting.front().error.empty() ? "" : ": " + waiting.front().error));
  }
  return {};
}

Result<void> judge_all(Session& session, CheckReport& report) {
  TRY(const store::Counts counts, session.store->counts());
  TRY(const std::vector<store::JobListing> jobs, session.store->list_jobs(""));
  report.measure("jobs", counts.jobs);
  report.measure("running", counts.runs_running);
  report.measure("alerts", counts.alerts_open);
  Overdue overdue;
  std::optional<Time> next;
  for (const store::JobListing& listing : jobs) {
    const job::Job& job = listing.job;
    if (!job.paused && job.next_fire)
      next = std::min(next.value_or(*job.next_fire), *job.next_fire);
    if (const auto late = overdue_fire(job, session.config(), session.now))
      overdue.add(job.name, *late);
  }
  TRY_VOID(find_overdue_runs(session, std::nullopt, overdue));
  TRY_VOID(judge_alerts(session, report, counts.alerts_open, std::nullopt));
  judge_overdue(overdue, report);
  TRY_VOID(judge_notifiers(session, report));
  report.all_is_well(plural(counts.jobs, "job") +
                     (next ? ", next fire " + relative(*next, session.now) : ""));
  return {};
}

// --- one job -----------------------------------------------------------------------------------

std::string paused_words(const job::Job& job, Time now) {
  std::string words = job.name + " is paused, since " + rough(since(job.paused_at, now));
  if (!job.paused_reason.empty()) words += ": " + job.paused_reason;
  return words;
}

Result<void> judge_job(Session& session, const std::string& name, CheckReport& report) {
  TRY(const job::Job job, session.job(name));
  TRY(const store::JobListing listing, session.listing(job));
  TRY(const std::vector<job::Alert> open,
      session.store->list_alerts({.open_only = true, .job_id = job.id}));
  report.measure("running", listing.running);
  report.measure("alerts", static_cast<std::int64_t>(open.size()));
  if (job.paused) {
    report.all_is_well(paused_words(job, session.now));
    return {};
  }
  TRY_VOID(judge_alerts(session, report, static_cast<std::int64_t>(open.size()), job.id));
  TRY(const std::vector<job::Run> runs,
      session.store->list_runs({.job_id = job.id,
                                .states = {job::RunState::succeeded, job::RunState::failed,
                                           job::RunState::lost, job::RunState::cancelled},
                                .limit = 1}));
  std::string last = "it has not run yet";
  if (!runs.empty() && is_executed(runs.front().state)) {
    const job::Run& run = runs.front();
    const Time ended = run.result.ended_at.value_or(run.fire_time);
    last =
        "last run " + std::string(job::to_string(run.state)) + " " + relative(ended, session.now);
    if (run.state == job::RunState::failed || run.state == job::RunState::lost)
      report.add(State::critical, job.name + ": " + last);
  }
  TRY(const std::vector<job::Run> in_line,
      session.store->list_runs(
          {.job_id = job.id, .states = {job::RunState::pending}, .in_line = true}));
  const auto retry = std::ranges::find_if(in_line, &job::Run::has_been_tried);
  if (retry != in_line.end())
    last = "a try of #" + std::to_string(retry->id.value) + " failed, the next is " +
           relative(retry->due_at, session.now);
  Overdue overdue;
  if (const auto late = overdue_fire(job, session.config(), session.now))
    overdue.add(job.name, *late);
  TRY_VOID(find_overdue_runs(session, job.id, overdue));
  judge_overdue(overdue, report);
  report.all_is_well(job.name + ": " + last +
                     (job.next_fire ? ", next fire " + relative(*job.next_fire, session.now) : ""));
  return {};
}

void print_check(const CheckReport& report, bool json) {
  print((json ? json_check(report) : report.line()) + "\n");
}

}  // namespace

const char* to_string(CheckState state) {
  switch (state) {
    case State::ok:
      return "OK";
    case State::warning:
      return "WARNING";
    case State::critical:
      return "CRITICAL";
    case State::unknown:
      return "UNKNOWN";
  }
  return "UNKNOWN";
}

void CheckReport::add(CheckState state, std::string words) {
  found_.emplace_back(state, std::move(words));
  constexpr auto rank = [](State s) {
    return s == State::critical ? 3 : s == State::unknown ? 2 : static_cast<int>(s);
  };
  if (rank(state) > rank(state_)) state_ = state;
}

std::string CheckReport::message() const {
  std::string text;
  for (const State state : {State::critical, State::unknown, State::warning, State::ok})
    for (const auto& [one, words] : found_)
      if (one == state) text += (text.empty() ? "" : "; ") + words;
  if (text.empty()) text = well_;
  text = escape_control(text);
  // A bar begins the perfdata, wherever it stands.
  std::replace(text.begin(), text.end(), '|', '/');
  if (text.size() <= kMessageBytes) return text;
  return std::string(utf8_prefix(text, kMessageBytes)) + "...";
}

std::string CheckReport::line() const {
  std::string text = std::string(to_string(state_)) + " - " + message();
  for (std::size_t i = 0; i < perfdata_.size(); ++i)
    text += (i == 0 ? " | " : " ") + perfdata_[i].first + "=" + std::to_string(perfdata_[i].second);
  return text;
}

bool is_check(const std::vector<std::string>& argv) {
  for (std::size_t i = 1; i < argv.size() && argv[i] != "--"; ++i) {
    const std::string& word = argv[i];
    if (word.size() < 2 || word[0] != '-') return word == "check";
    for (const Option& option : global_options())
      if (!option.value.empty() && word == "--" + std::string(option.name)) ++i;
  }
  return false;
}

Done report_check(const Error& error, bool json) {
  CheckReport report;
  report.add(State::unknown, (error.where.empty() ? "" : error.where + ": ") + error.message);
  print_check(report, json);
  return Done{static_cast<int>(report.state())};
}

Result<Outcome> run_check(const Invocation& call) {
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::none));
  CheckReport report;
  judge_daemon(session->config(), report);
  // The question may have taken seconds.
  session->now = session->clock.wall();
  Result<void> judged = session->open_store(Access::read);
  if (judged) {
    judged = call.words.empty() ? judge_all(*session, report)
                                : judge_job(*session, call.words[0], report);
  }
  if (!judged) report.add(State::unknown, judged.error().message);
  print_check(report, call.globals.json);
  return Done{static_cast<int>(report.state())};
}

}  // namespace schedctl::cli
