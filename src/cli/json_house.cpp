#include <nlohmann/json.hpp>

#include "schedctl/cli/cli.hpp"
#include "src/cli/check.hpp"
#include "src/cli/doctor.hpp"
#include "src/cli/json.hpp"
#include "src/cli/json_parts.hpp"
#include "src/cli/json_text.hpp"

// The documents of the commands about the daemon, its alerts and its database.

namespace schedctl::cli {
namespace {

using Json = nlohmann::ordered_json;

template <class T>
Json value_or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

}  // namespace

std::string json_answer(const char* verb, bool done, std::int64_t pid, const std::string& message) {
  return text_of(Json{
      {verb, done}, {"pid", pid == 0 ? Json() : Json(pid)}, {"message", text_or_null(message)}});
}

std::string json_version() {
  return text_of(Json{{"version", version()}});
}

std::string json_names(const char* key, const std::vector<std::string>& names) {
  return text_of(Json{{key, names}});
}

std::string json_status(const StatusReport& status) {
  Json json;
  json["running"] = status.running;
  json["pid"] = value_or_null(status.pid);
  json["keeper_pid"] = value_or_null(status.keeper_pid);
  json["uptime_s"] = status.uptime ? Json(seconds(*status.uptime)) : Json();
  json["version"] = status.version;
  json["node"] = value_or_null(status.node);
  json["environment"] = status.environment;
  json["store"] = status.store;
  json["jobs"] = value_or_null(status.jobs);
  json["runs_running"] = value_or_null(status.runs_running);
  json["next_fire"] = time_or_null(status.next_fire);
  json["alerts_open"] = value_or_null(status.alerts_open);
  return text_of(json);
}

std::string json_alert(const job::Alert& alert) {
  Json json;
  json["id"] = alert.id.value;
  json["job"] = alert.job_id ? Json(alert.subject) : Json();
  json["kind"] = job::to_string(alert.kind);
  json["subject"] = text_or_null(alert.subject);
  json["since"] = format_rfc3339(alert.began_at);
  json["ended"] = time_or_null(alert.ended_at);
  json["ended_by"] = text_or_null(std::string(job::to_string(alert.ended_by)));
  json["ended_who"] = text_or_null(alert.ended_who);
  json["count"] = alert.count;
  json["events"] = alert.events;
  json["run"] = alert.run ? Json(alert.run.value) : Json();
  json["expected_at"] = time_or_null(alert.expected_at);
  json["detail"] = text_or_null(alert.detail);
  json["cause"] = text_or_null(alert.cause);
  json["told_at"] = time_or_null(alert.told_at);
  json["silenced_until"] = time_or_null(alert.silenced_until);
  return text_of(json);
}

std::string json_database(const char* verb, bool done, const std::string& database,
                          const std::string& file, const std::vector<std::string>& findings) {
  return text_of(Json{
      {verb, done}, {"database", database}, {"file", text_or_null(file)}, {"findings", findings}});
}

std::string json_pruned(const retention::Gone& gone, bool dry_run, const std::string& database,
                        const std::optional<store::SqliteSpace>& space,
                        const std::string& trouble) {
  return text_of(Json{{"prune", !dry_run},
                      {"dry_run", dry_run},
                      {"database", database},
                      {"runs", gone.runs},
                      {"attempts", gone.attempts},
                      {"files", gone.files},
                      {"bytes", gone.bytes},
                      {"events", gone.events},
                      {"audits", gone.audits},
                      {"messages", gone.messages},
                      {"alerts", gone.alerts},
                      {"backfills", gone.backfills},
                      {"versions", gone.versions},
                      {"left", gone.left},
                      {"trouble", text_or_null(trouble)},
                      {"database_bytes", space ? Json(space->bytes) : Json()},
                      {"database_free_bytes", space ? Json(space->free) : Json()}});
}

std::string json_tried(const std::string& notifier, bool sent, int status,
                       const std::string& answer) {
  return text_of(
      Json{{"notifier", notifier}, {"sent", sent}, {"status", status}, {"answer", answer}});
}

std::string json_check(const CheckReport& report) {
  Json json{{"status", to_string(report.state())},
            {"code", static_cast<int>(report.state())},
            {"message", report.message()},
            {"perfdata", Json::object()}};
  for (const auto& [label, value] : report.perfdata()) json["perfdata"][label] = value;
  return text_of(json);
}

std::string json_findings(const Findings& findings) {
  Json json{{"errors", findings.count(Level::error)},
            {"warnings", findings.count(Level::warning)},
            {"findings", Json::array()}};
  for (const Finding& finding : findings.all())
    json["findings"].push_back({{"level", to_string(finding.level)},
                                {"area", finding.area},
                                {"what", finding.what},
                                {"remedy", text_or_null(finding.remedy)}});
  return text_of(json);
}

}  // namespace schedctl::cli
