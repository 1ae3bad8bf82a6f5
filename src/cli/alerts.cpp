#include "schedctl/alert/courier.hpp"
#include "schedctl/alert/note.hpp"
#include "schedctl/alert/words.hpp"
#include "schedctl/base/text.hpp"
#include "schedctl/host/host.hpp"
#include "src/cli/errors.hpp"
#include "src/cli/families.hpp"
#include "src/cli/json.hpp"
#include "src/cli/output.hpp"
#include "src/cli/parse.hpp"
#include "src/cli/session.hpp"
#include "src/cli/table.hpp"
#include "src/cli/times.hpp"

// alerts: what is wrong, `alerts test`, `alerts ack`.

namespace schedctl::cli {
namespace {

constexpr std::int64_t kShown = 50;
constexpr std::int64_t kShownAsJson = 1000;
constexpr std::int64_t kMost = 1'000'000;
constexpr Duration kTestPatience = std::chrono::seconds(15);

std::string json_of(const std::vector<job::Alert>& alerts) {
  std::vector<std::string> elements;
  elements.reserve(alerts.size());
  for (const job::Alert& alert : alerts) elements.push_back(json_alert(alert));
  return json_array(elements);
}

std::string subject_of(const job::Alert& alert) {
  return alert.subject.empty() ? "-" : alert.subject;
}

std::string what_of(const job::Alert& alert) {
  if (alert.detail.empty()) return alert.cause.empty() ? "-" : alert.cause;
  return alert.cause.empty() ? alert.detail : alert.detail + " (" + alert.cause + ")";
}

std::string end_of(const job::Alert& alert, const job::Zone& zone, Time now) {
  if (alert.open()) return "open";
  std::string text = std::string(job::to_string(alert.ended_by)) + " " +
                     absolute_and_relative(*alert.ended_at, zone, now);
  if (!alert.ended_who.empty()) text += " by " + alert.ended_who;
  return text;
}

std::string table_of(const std::vector<job::Alert>& alerts, bool all, const job::Zone& zone,
                     Time now) {
  std::vector<Table::Column> columns{{.title = "ALERT"},
                                     {.title = "JOB"},
                                     {.title = "KIND"},
                                     {.title = "SINCE"},
                                     {.title = "TIMES", .right = true}};
  if (all) columns.push_back({.title = "END", .flexible = true});
  columns.push_back({.title = "WHAT", .flexible = true});
  Table table(columns);
  for (const job::Alert& alert : alerts) {
    std::vector<Table::Cell> row{
        {"#" + std::to_string(alert.id.value)},
        {subject_of(alert)},
        {std::string(job::to_string(alert.kind)), alert.open() ? Color::red : Color::none},
        {absolute_and_relative(alert.began_at, zone, now)},
        {std::to_string(alert.events)}};
    if (all) row.emplace_back(end_of(alert, zone, now), alert.open() ? Color::red : Color::green);
    row.emplace_back(what_of(alert));
    table.add(std::move(row));
  }
  return table.render(terminal_width());
}

/// Why people may not have heard of what is listed.
void say_what_is_in_the_way(Session& session) {
  const config::Config& config = session.config();
  const Invocation& call = session.call;
  if (config.alerts.notifiers().empty()) {
    warn(call, "no notifier is set up, so nobody is told of these; schedctl doctor says more");
  }
  if (const auto notifiers = session.store->list_notifiers()) {
    for (const store::NotifierState& state : *notifiers) {
      if (!state.stopped_at) continue;
      warn(call, state.name + " is stopped since " +
                     absolute(*state.stopped_at, session.local_zone()) + ": it answered " +
                     state.why +
                     "; give it another address and schedctl reload, or, if it works "
                     "again, schedctl alerts test " +
                     state.name);
    }
  }
  const auto waiting = session.store->waiting_messages("", static_cast<std::size_t>(kMost));
  if (!waiting || waiting->empty() || waiting->front().tries == 0) return;
  warn(call, plural(static_cast<std::int64_t>(waiting->size()), "message") +
                 " could not be sent yet: " + waiting->front().error);
}

Result<Outcome> list(const Invocation& call) {
  TRY(const std::int64_t limit,
      number_option(call, "count", call.globals.json ? kShownAsJson : kShown, 1, kMost));
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::read));
  session->name_other_store();
  const bool all = call.has("all");
  TRY(const std::vector<job::Alert> alerts,
      session->store->list_alerts(
          {.open_only = !all, .limit = static_cast<std::size_t>(limit) + 1}));
  std::vector<job::Alert> shown = alerts;
  if (shown.size() > static_cast<std::size_t>(limit)) shown.pop_back();
  if (call.globals.json) {
    print(json_of(shown));
    return Done{};
  }
  if (shown.empty()) {
    talk(call, all ? "there were no alerts" : "no open alerts");
  } else {
    print(table_of(shown, all, session->local_zone(), session->now));
  }
  if (shown.size() < alerts.size()) talk(call, "there are more; -n shows them");
  say_what_is_in_the_way(*session);
  return Done{};
}

// --- test ---------------------------------------------------------------------------------------

Error not_configured(const std::string& notifier, const config::Config& config) {
  const std::string file =
      config.config_file.empty() ? "the configuration file" : config.config_file;
  const std::string lines = notifier == "slack"
                                ? "[alerts.slack]\nwebhook_url_file = \"/path/to/a/file\""
                                : "heartbeat_url = \"https://...\"";
  return {ErrorKind::config, notifier + " is not set up; write into " + file + ":\n" + lines};
}

std::string remedy_for(int status) {
  switch (status) {
    case 0:
      return "nothing answered: check the network, a proxy, the URL";
    case 403:
    case 404:
    case 410:
      return "this webhook does not exist any more, or may not post there: make a new one and "
             "put its URL into the settings";
    case 429:
      return "too many messages at the moment; try again later";
    default:
      if (status >= 500) return "the server has trouble of its own; messages are tried again";
      if (status >= 300 && status < 400) {
        return "it says that it is elsewhere, which is not followed: put that URL into the "
               "settings";
      }
      return "the server did not take it; check the URL";
  }
}

Result<alert::Delivery> test_delivery(const std::string& notifier, const config::Config& config) {
  alert::Note note;
  note.tone = alert::Note::Tone::test;
  note.headline = "this is a test: schedctl can reach you here";
  alert::Delivery delivery{MessageId{}, notifier, ""};
  if (notifier == "slack") {
    delivery.payload =
        alert::slack_payload(note, {config.environment, host::hostname()},
                             {config.alerts.slack.channel, config.alerts.slack.username});
  }
  return delivery;
}

/// What works is not stopped any more.
void let_it_go_on(Session& session, const std::string& notifier) {
  if (!session.open_store(Access::write)) return;
  const auto notifiers = session.store->list_notifiers();
  if (!notifiers) return;
  for (store::NotifierState state : *notifiers) {
    if (state.name != notifier || !state.stopped_at) continue;
    state.stopped_at.reset();
    state.why.clear();
    if (!session.store->put_notifier(state)) return;
    session.poke();
    talk(session.call, "it was stopped, and goes on with what waits");
  }
}

Result<Outcome> test(const Invocation& call) {
  if (call.words.size() != 2) {
    return fail(ErrorKind::usage, "which notifier? schedctl alerts test slack, or heartbeat");
  }
  const std::string& notifier = call.words[1];
  if (notifier != "slack" && notifier != "heartbeat") {
    return fail(ErrorKind::not_found, "there is no notifier '" + escape_control(notifier) +
                                          "'; there are slack and heartbeat");
  }
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::none));
  const config::Config& config = session->config();
  alert::Addresses addresses;
  if (notifier == "slack") {
    TRY(addresses.slack, config::slack_webhook_url(config));
  } else {
    TRY(addresses.heartbeat, config::heartbeat_address(config));
  }
  if (addresses.slack.empty() && addresses.heartbeat.empty()) {
    return fail(not_configured(notifier, config));
  }
  TRY(const alert::Delivery delivery, test_delivery(notifier, config));
  TRY(const alert::Outcome outcome,
      alert::deliver_now(addresses, delivery, "schedctl/" + std::string(version()), kTestPatience));
  const bool sent = alert::judge(outcome, 1).kind == alert::Verdict::Kind::sent;
  const std::string said = outcome.status == 0
                               ? notifier + " did not answer: " + outcome.answer
                               : notifier + " answered " + std::to_string(outcome.status) +
                                     (outcome.answer.empty() ? "" : ": " + outcome.answer);
  if (call.globals.json) {
    print(json_tried(notifier, sent, outcome.status, outcome.answer) + "\n");
  } else {
    print_result(call, escape_control(said));
  }
  if (!sent) {
    talk(call, remedy_for(outcome.status));
    return Done{kExitFailed};
  }
  let_it_go_on(*session, notifier);
  return Done{};
}

// --- ack ----------------------------------------------------------------------------------------

Result<Outcome> ack(const Invocation& call) {
  if (call.words.size() < 2) {
    return fail(ErrorKind::usage, "which? a job's name, or the number of an alert (quote \"#7\")");
  }
  TRY(const std::optional<Duration> silence, duration_option(call, "for"));
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::write));
  const std::vector<std::string> targets(call.words.begin() + 1, call.words.end());
  TRY(const std::vector<job::Alert> acked, session->ops().ack(targets, silence));
  if (call.globals.json) {
    print(json_of(acked));
    return Done{};
  }
  for (const job::Alert& alert : acked) {
    std::string line = "acknowledged #" + std::to_string(alert.id.value) + ": " +
                       escape_control(alert::headline_of(alert, alert::Note::Tone::begun));
    if (silence) line += "; silent for " + format_duration(*silence);
    print_result(call, line);
  }
  return Done{};
}

}  // namespace

Result<Outcome> run_alerts(const Invocation& call) {
  const std::string verb = call.words.empty() ? "" : call.words[0];
  if (call.has("for") && verb != "ack") return fail(ErrorKind::usage, "goes with ack", "--for");
  if (!verb.empty() && (call.has("all") || call.has("count"))) {
    return fail(ErrorKind::usage, "goes with the list alone", call.has("all") ? "--all" : "-n");
  }
  if (verb.empty()) return list(call);
  if (verb == "test") return test(call);
  if (verb == "ack") return ack(call);
  return fail(ErrorKind::usage, "'" + escape_control(verb) +
                                    "' is not one of test and ack; schedctl alerts alone lists "
                                    "them, schedctl check NAME is about a job");
}

}  // namespace schedctl::cli
