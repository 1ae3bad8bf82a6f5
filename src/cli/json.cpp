#include "src/cli/json.hpp"

#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "schedctl/base/signals.hpp"
#include "schedctl/base/text.hpp"
#include "schedctl/cli/cli.hpp"
#include "schedctl/store/record_plan.hpp"
#include "src/cli/errors.hpp"
#include "src/cli/json_parts.hpp"
#include "src/cli/json_text.hpp"
#include "src/cli/run_text.hpp"
#include "src/cli/times.hpp"

namespace schedctl::cli {
namespace {

using Json = nlohmann::ordered_json;

template <class T>
Json value_or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

Json kind_json(const job::Schedule& schedule) {
  switch (schedule.kind) {
    case job::ScheduleKind::every:
      return Json{{"every", format_duration(schedule.every)}};
    case job::ScheduleKind::cron:
      return Json{{"cron", schedule.cron}};
    case job::ScheduleKind::at:
      return Json{{"at", format_rfc3339(schedule.at)}};
    case job::ScheduleKind::reboot:
      return Json{{"on_reboot", true}};
    case job::ScheduleKind::manual:
      return Json{{"manual", true}};
  }
  return {};
}

Json listing_json(const store::JobListing& listing) {
  const job::Job& job = listing.job;
  const job::Definition& definition = job.definition;
  Json json = Json::object();
  // An object that grows moves its members each time; a list has thousands of these.
  json.get_ref<Json::object_t&>().reserve(16);
  json["name"] = job.name;
  json["schedule"] = schedule_json(definition.schedule);
  json["timezone"] = text_or_null(definition.schedule.timezone);
  json["action"] = action_json(definition.action);
  json["paused"] = job.paused;
  json["next_fire"] = time_or_null(job.upcoming_fire());
  json["last_fire"] = time_or_null(job.last_fire);
  json["last_start"] = time_or_null(job.last_start);
  json["last_end"] = time_or_null(job.last_end);
  json["last_state"] = job.last_state ? Json(job::to_string(*job.last_state)) : Json();
  json["running"] = listing.running;
  json["tags"] = definition.tags;
  json["managed_by"] = job.managed_by;
  json["open_alerts"] = listing.open_alerts;
  return json;
}

Json run_json(const job::Run& run, const std::string& store_id) {
  const job::AttemptResult& result = run.result;
  const bool started = result.started_at.has_value();
  const bool ended = started && result.ended_at.has_value();
  Json json;
  json["id"] = run.id.value;
  json["job"] = run.job_name;
  json["cause"] = job::to_string(run.cause);
  json["state"] = job::to_string(run.state);
  json["reason"] = text_or_null(std::string(job::to_string(run.reason)));
  json["attempt"] = run.attempt;
  json["fire_time"] = format_rfc3339(run.fire_time);
  json["started"] = time_or_null(result.started_at);
  json["ended"] = time_or_null(result.ended_at);
  json["duration_s"] = ended ? Json(seconds(*result.ended_at - *result.started_at)) : Json();
  json["delay_s"] = started ? Json(seconds(*result.started_at - awaited_since(run))) : Json();
  json["exit_code"] = value_or_null(result.exit_code);
  json["signal"] = result.signal == 0 ? Json() : Json(signal_name(result.signal));
  json["pid"] = result.pid == 0 ? Json() : Json(result.pid);
  json["node"] = text_or_null(run.node);
  json["key"] = run.key.empty() ? store::run_key(store_id, run) : run.key;
  json["output"] = text_or_null(result.output_path);
  json["cpu_s"] = ended ? Json(seconds(result.cpu)) : Json();
  json["max_rss_kb"] = value_or_null(result.max_rss_kb);
  json["count"] = run.count;
  json["last_fire_time"] = time_or_null(run.last_fire_time);
  json["error"] = text_or_null(result.error);
  return json;
}

Json fire_json(const ops::Fire& fire) {
  return Json{{"fire_time", format_rfc3339(fire.at)},
              {"local", fire.local},
              {"note", text_or_null(fire.note)}};
}

Json policy_value_json(const EffectiveSetting& setting) {
  const std::string& text = setting.value;
  // Lists, also where they have one part only.
  if (setting.key == "success_codes") return Json::parse("[" + text + "]");
  if (setting.key == "after") {
    Json names = Json::array();
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = std::min(text.find(',', begin), text.size());
      names.push_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
    return names;
  }
  if (setting.key == "keep_children") return text == "true";
  const auto number = parse_int(text);
  const bool is_number = number && setting.key != "stdin" && std::to_string(*number) == text;
  return is_number ? Json(*number) : Json(text);
}

Json policy_json(const job::PolicyDraft& own, const job::PolicyDraft& defaults) {
  Json json = Json::object();
  for (const EffectiveSetting& setting : effective_policy(own, defaults)) {
    Json entry{{"value", policy_value_json(setting)}, {"origin", setting.origin}};
    if (const auto duration = parse_duration(setting.value)) entry["value_s"] = seconds(*duration);
    json[setting.key] = std::move(entry);
  }
  return json;
}

}  // namespace

double seconds(Duration d) {
  return static_cast<double>(d.count()) / 1e6;
}

Json time_or_null(const std::optional<Time>& t) {
  return t ? Json(format_rfc3339(*t)) : Json();
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

Json schedule_json(const job::Schedule& schedule) {
  Json json = kind_json(schedule);
  if (schedule.weeks > 1) {
    json["weeks"] = schedule.weeks;
    json["anchor"] = format_date(schedule.week_anchor);
  }
  if (schedule.not_before) json["not_before"] = format_rfc3339(*schedule.not_before);
  if (schedule.until) json["until"] = format_rfc3339(*schedule.until);
  if (!schedule.only.empty()) json["only"] = schedule.only;
  if (!schedule.exclude.empty()) json["exclude"] = schedule.exclude;
  if (schedule.on_excluded != job::OnExcluded::skip)
    json["on_excluded"] = job::to_string(schedule.on_excluded);
  return json;
}

Json action_json(const job::Action& action) {
  if (!action.command.empty()) return Json{{"command", action.command}};
  return Json{{"shell", action.shell}};
}

Json error_json(const Error& error, int code) {
  return Json{{"kind", to_string(error.kind)},
              {"message", error.message},
              {"where", text_or_null(error.where)},
              {"exit_code", code}};
}

std::string text_of(const Json& json) {
  std::string dumped = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  // Nearly every document has neither of these bytes.
  constexpr std::string_view kSuspects("\x7F\xC2");
  std::size_t at = dumped.find_first_of(kSuspects);
  if (at == std::string::npos) return dumped;
  std::string out;
  out.reserve(dumped.size());
  std::size_t done = 0;
  for (; at != std::string::npos; at = dumped.find_first_of(kSuspects, at + 1)) {
    const auto c = static_cast<unsigned char>(dumped[at]);
    const auto next = static_cast<unsigned char>(at + 1 < dumped.size() ? dumped[at + 1] : 0);
    const bool c1 = c == 0xC2;
    if (c1 && next >= 0xA0) continue;
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c1 ? next : c));
    out.append(dumped, done, at - done).append(escaped);
    done = at + (c1 ? 2 : 1);
  }
  return out.append(dumped, done);
}

std::string json_error(const Error& error, int code) {
  return text_of(Json{{"error", error_json(error, code)}});
}

std::string json_listing(const store::JobListing& listing) {
  return text_of(listing_json(listing));
}

std::string json_run(const job::Run& run, const std::string& store_id) {
  return text_of(run_json(run, store_id));
}

std::string json_fire(const ops::Fire& fire, const std::string* job) {
  Json json = fire_json(fire);
  if (job != nullptr) json["job"] = *job;
  return text_of(json);
}

std::string json_understood(const store::JobListing& listing, const std::string& description,
                            const std::vector<ops::Fire>& fires) {
  Json json = listing_json(listing);
  json["description"] = description;
  json["next"] = Json::array();
  for (const ops::Fire& fire : fires) json["next"].push_back(fire_json(fire));
  return text_of(json);
}

std::string json_job(const store::JobListing& listing, const std::string& description,
                     const job::PolicyDraft& defaults, const std::vector<job::Run>& runs,
                     const std::string& store_id) {
  const job::Job& job = listing.job;
  const job::Definition& definition = job.definition;
  const job::Schedule& schedule = definition.schedule;
  const bool grid = schedule.kind == job::ScheduleKind::every;
  Json json = listing_json(listing);
  json["description"] = description;
  json["version"] = job.version;
  json["created"] = format_rfc3339(job.created_at);
  json["anchor"] = grid ? Json(format_rfc3339(schedule.anchor)) : Json();
  json["dst_gap"] = job::to_string(schedule.dst_gap);
  json["dst_fold"] = job::to_string(schedule.dst_fold);
  json["paused_since"] = job.paused ? Json(format_rfc3339(job.paused_at)) : Json();
  json["paused_until"] = job.paused ? time_or_null(job.paused_until) : Json();
  json["paused_reason"] = job.paused ? text_or_null(job.paused_reason) : Json();
  json["cwd"] = text_or_null(definition.cwd);
  json["env"] = Json::object();
  for (const auto& [name, value] : definition.env) json["env"][name] = value;
  json["policy"] = policy_json(definition.policy, defaults);
  json["runs"] = Json::array();
  for (const job::Run& run : runs) json["runs"].push_back(run_json(run, store_id));
  return text_of(json);
}

std::string json_setting(const config::Setting& setting) {
  // What only the file can say has neither.
  const bool file_only = setting.variable.empty();
  const std::string flag = setting.key == "store" ? "--store" : "--set " + setting.key + "=";
  return text_of(Json{{"key", setting.key},
                      {"value", setting.value},
                      {"origin", setting.origin},
                      {"flag", file_only ? Json(nullptr) : Json(flag)},
                      {"variable", file_only ? Json(nullptr) : Json(setting.variable)}});
}

std::string json_cancelled(const ops::Cancelled& cancelled, const std::string& store_id) {
  Json json = run_json(cancelled.run, store_id);
  json["was_running"] = cancelled.was_running;
  return text_of(json);
}

std::string json_backfill(const BackfillReport& report) {
  const store::Backfill& backfill = report.backfill;
  const bool planned = report.dry_run || !backfill.id;
  Json json;
  json["id"] = backfill.id ? Json(backfill.id.value) : Json();
  json["job"] = backfill.job_name;
  json["state"] = planned              ? "planned"
                  : backfill.cancelled ? "cancelled"
                  : backfill.ended_at  ? "done"
                                       : "open";
  json["from"] = format_rfc3339(backfill.from);
  json["to"] = format_rfc3339(backfill.to);
  json["fires"] = backfill.fires;
  json["first_fire"] = time_or_null(report.first);
  json["last_fire"] = time_or_null(report.last);
  json["max_parallel"] = backfill.max_parallel;
  json["who"] = text_or_null(backfill.who);
  json["created"] = format_rfc3339(backfill.created_at);
  json["ended"] = time_or_null(backfill.ended_at);
  json["runs"] = Json::object();
  for (const job::RunState state :
       {job::RunState::pending, job::RunState::running, job::RunState::succeeded,
        job::RunState::failed, job::RunState::cancelled, job::RunState::lost,
        job::RunState::skipped, job::RunState::missed}) {
    const auto found = report.runs.find(state);
    json["runs"][std::string(job::to_string(state))] =
        found == report.runs.end() ? 0 : found->second;
  }
  return text_of(json);
}

std::string json_output(const job::Run& run, const std::string& output, bool truncated) {
  return text_of(Json{{"id", run.id.value},
                      {"job", run.job_name},
                      {"state", job::to_string(run.state)},
                      {"output", output},
                      {"truncated", truncated}});
}

std::string json_array(const std::vector<std::string>& elements) {
  if (elements.empty()) return "[]\n";
  std::string out = "[";
  for (const std::string& element : elements) {
    if (out.size() > 1) out += ",\n ";
    out += element;
  }
  return out + "]\n";
}

std::vector<EffectiveSetting> effective_policy(const job::PolicyDraft& own,
                                               const job::PolicyDraft& defaults) {
  const job::PolicyDraft builtin = job::builtin_draft();
  std::vector<EffectiveSetting> settings;
  for (const std::string& key : job::policy_keys()) {
    const struct {
      const job::PolicyDraft& draft;
      const char* origin;
    } sources[] = {{own, "job"}, {defaults, "[defaults]"}, {builtin, "built-in"}};
    for (const auto& source : sources) {
      const std::optional<std::string> value = job::policy_value(source.draft, key);
      if (!value) continue;
      settings.push_back({key, *value, source.origin});
      break;
    }
  }
  return settings;
}

}  // namespace schedctl::cli
