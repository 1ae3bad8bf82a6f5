#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "schedctl/alert/words.hpp"
#include "schedctl/base/text.hpp"
#include "src/cli/doctor.hpp"
#include "src/cli/output.hpp"
#include "src/cli/times.hpp"

// doctor: whether anybody would hear, and what there is to hear.

namespace schedctl::cli {
namespace {

constexpr std::size_t kAlertsShown = 5;
constexpr std::size_t kMost = 1'000'000;
constexpr Duration kMessagePatience = std::chrono::minutes(10);

bool has_heartbeat(const config::Config& config) {
  return !config.heartbeat_url.empty() || !config.heartbeat_url_file.empty();
}

/// The one that is read, or the one that would be.
std::string settings_file(const Patient& patient) {
  const config::Config& config = patient.config();
  if (!config.config_file.empty()) return config.config_file;
  const config::Sources& sources = patient.session.sources;
  if (!config.own) return sources.system_config_file;
  const auto given = sources.environment.find("XDG_CONFIG_HOME");
  const bool is_given = given != sources.environment.end() && !given->second.empty();
  return (is_given ? given->second : sources.home + "/.config") + "/schedctl/schedctl.toml";
}

std::string try_it(const Patient& patient, const char* notifier) {
  return patient.schedctl() + " alerts test " + notifier;
}

/// A secret in a file of its own: it can be read, and by nobody else.
void look_at_secret(Findings& findings, const Patient& patient, const Result<std::string>& secret,
                    const std::string& file, const char* notifier) {
  if (!secret) {
    const bool forbidden = secret.error().kind == ErrorKind::not_allowed;
    const std::string what = secret.error().where.empty() ? notifier : secret.error().where.c_str();
    // Whoever may not read it cannot tell whether the daemon may.
    if (forbidden && !patient.session.begun_by_root() && !patient.config().own)
      return findings.warning(what + ": " + secret.error().message,
                              "sudo " + patient.schedctl() + " doctor");
    return findings.error(what + ": " + secret.error().message,
                          "mend it (" + quote_command({"ls", "-l", file}) + "), then: " +
                              patient.schedctl() + " reload; " + try_it(patient, notifier));
  }
  struct stat status {};
  if (file.empty() || ::stat(file.c_str(), &status) != 0) return;
  // The daemon's user may read it by its group.
  const bool shared = !patient.config().daemon_user.empty();
  if ((status.st_mode & (shared ? S_IROTH : S_IRGRP | S_IROTH)) != 0)
    findings.warning("others can read the secret in " + file + ", and whoever knows it can use it",
                     quote_command({"chmod", shared ? "640" : "600", file}));
}

void look_at_slack(Findings& findings, const Patient& patient) {
  if (!patient.session.store) return;
  const auto states = patient.session.store->list_notifiers();
  const auto waiting = patient.session.store->waiting_messages("slack", kMost);
  if (!states || !waiting) return;
  std::optional<Time> last;
  for (const store::NotifierState& state : *states) {
    if (state.name != "slack") continue;
    last = state.last_sent;
    if (!state.stopped_at) continue;
    return findings.error(
        "slack is stopped since " + absolute(*state.stopped_at, patient.session.local_zone()) +
            ", and nobody is told: it answered " + state.why,
        "make a new webhook, put its URL into the settings, then: " + patient.schedctl() +
            " reload; if the old one works again: " + try_it(patient, "slack"));
  }
  if (!waiting->empty()) {
    const store::Message& oldest = waiting->front();
    const Duration age = since(oldest.created_at, patient.session.now);
    if (oldest.tries > 0 || age > kMessagePatience)
      return findings.warning(plural(static_cast<std::int64_t>(waiting->size()), "message") +
                                  " to slack could not be sent yet, for " +
                                  rough(std::max(Duration(0), age)) +
                                  (oldest.error.empty() ? "" : ": " + oldest.error),
                              try_it(patient, "slack"));
  }
  findings.ok(last ? "slack: last told " + relative(*last, patient.session.now)
                   : "slack: nothing was told yet; " + try_it(patient, "slack") + " tries it");
}

std::string remedy_of(const job::Alert& alert, const Patient& patient) {
  const std::string schedctl = patient.schedctl();
  const std::string subject = quote_command({alert.subject});
  switch (alert.kind) {
    case job::AlertKind::failed:
    case job::AlertKind::lost:
      return schedctl + " logs " +
             (alert.run.value != 0 ? std::to_string(alert.run.value) : subject);
    case job::AlertKind::delayed:
    case job::AlertKind::inactive:
      return schedctl + " show " + subject;
    case job::AlertKind::missed:
      return schedctl + " runs " + subject;
    case job::AlertKind::storage:
      return quote_command({"df", "-h", parent_directory(patient.config().sqlite_path())});
    case job::AlertKind::keeper:
      return "see the keeper above";
    case job::AlertKind::job_file:
      return schedctl + " validate " + subject;
    case job::AlertKind::clock_jump:
      return "see whether the time is right: timedatectl";
  }
  return schedctl + " alerts";
}

}  // namespace

void look_at_notifiers(Findings& findings, const Patient& patient) {
  findings.begin("alerts");
  const config::Config& config = patient.config();
  const bool slack = config.alerts.slack.configured();
  const bool heartbeat = has_heartbeat(config);
  if (!slack)
    findings.warning(
        heartbeat ? "no notifier is set: the heartbeat tells that schedctl is gone, but nobody is "
                    "told of a job that fails or does not run"
                  : "no notifier is set, nor heartbeat_url: nobody is told of a job that fails or "
                    "does not run, and silence promises nothing",
        "write into " + settings_file(patient) +
            ":\n[alerts.slack]\nwebhook_url_file = \"/path/to/a/file\"\nthen: " +
            patient.schedctl() + " reload; " + try_it(patient, "slack"));
  if (slack) {
    const std::size_t before = findings.all().size();
    look_at_secret(findings, patient, config::slack_webhook_url(config),
                   config.alerts.slack.webhook_url_file, "slack");
    if (findings.all().size() == before || findings.all().back().level != Level::error)
      look_at_slack(findings, patient);
  }
  if (heartbeat) {
    const std::size_t before = findings.all().size();
    look_at_secret(findings, patient, config::heartbeat_address(config), config.heartbeat_url_file,
                   "heartbeat");
    if (findings.all().size() == before)
      findings.ok("heartbeat: every " + format_duration(config.heartbeat_interval));
  } else if (slack) {
    findings.ok(
        "no heartbeat_url is set: that schedctl or this machine is gone is noticed only "
        "where something asks schedctl check");
  }
}

void look_at_alerts(Findings& findings, const Patient& patient) {
  if (!patient.session.store) return;
  const auto counts = patient.session.store->counts();
  const auto alerts =
      patient.session.store->list_alerts({.open_only = true, .limit = kAlertsShown});
  if (!counts || !alerts) return;
  for (const job::Alert& alert : *alerts)
    findings.warning("#" + std::to_string(alert.id.value) + ", open since " +
                         absolute(alert.began_at, patient.session.local_zone()) + ": " +
                         alert::headline_of(alert, alert::Note::Tone::begun),
                     remedy_of(alert, patient));
  const std::int64_t more = counts->alerts_open - static_cast<std::int64_t>(alerts->size());
  if (more > 0)
    findings.warning(plural(more, "more open alert"), patient.schedctl() + " alerts -n 1000");
  if (alerts->empty()) findings.ok("no open alerts");
}

}  // namespace schedctl::cli
