#include <nlohmann/json.hpp>

#include "src/cli/json.hpp"
#include "src/cli/json_parts.hpp"
#include "src/cli/json_text.hpp"

// The document of `why --json`: the occurrence that was asked about at its top, or, of a day, of
// several or of the latest ones, the last of them; all of them under "occurrences".

namespace schedctl::cli {
namespace {

using Json = nlohmann::ordered_json;

Json finding_json(const ops::Finding& finding, const std::string& store_id) {
  std::string text = finding.headline;
  for (const std::string& line : finding.details) text += " " + line;
  Json json;
  json["at"] = format_rfc3339(finding.at);
  json["verdict"] = ops::to_string(finding.verdict);
  json["reason"] = finding.reason.empty() ? Json() : Json(finding.reason);
  json["text"] = text;
  json["count"] = finding.count;
  json["last_at"] = time_or_null(finding.last);
  json["run"] = finding.run ? Json::parse(json_run(*finding.run, store_id)) : Json();
  return json;
}

Json now_json(const ops::WhyNow& now) {
  Json running = Json::array();
  for (const RunId id : now.running) running.push_back(id.value);
  std::string text;
  for (const std::string& line : now.sentences) text += (text.empty() ? "" : " ") + line;
  return Json{{"exists", now.exists},
              {"paused", now.paused},
              {"daemon", now.served},
              {"running", running},
              {"next_fire", time_or_null(now.next_fire)},
              {"text", text}};
}

}  // namespace

std::string json_why(const ops::WhyAnswer& answer, const std::string& store_id) {
  Json json;
  json["job"] = answer.job;
  Json occurrences = Json::array();
  for (const ops::Finding& one : answer.findings)
    occurrences.push_back(finding_json(one, store_id));
  json["at"] = Json();
  json["verdict"] = Json();
  json["reason"] = Json();
  json["text"] = Json();
  json["run"] = Json();
  if (!answer.findings.empty()) {
    for (const char* key : {"at", "verdict", "reason", "text", "run"})
      json[key] = occurrences.back()[key];
  }
  json["schedule"] = answer.schedule;
  json["timezone"] = answer.zone->name();
  json["from"] = answer.window ? Json(format_rfc3339(answer.window->from)) : Json();
  json["to"] = answer.window ? Json(format_rfc3339(answer.window->to)) : Json();
  json["occurrences"] = std::move(occurrences);
  json["left_out"] = answer.left_out;
  json["now"] = now_json(answer.now);
  return text_of(json);
}

}  // namespace schedctl::cli
