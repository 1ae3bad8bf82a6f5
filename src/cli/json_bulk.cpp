#include <nlohmann/json.hpp>

#include "schedctl/base/text.hpp"
#include "src/cli/errors.hpp"
#include "src/cli/json.hpp"
#include "src/cli/json_parts.hpp"
#include "src/cli/json_text.hpp"

// The documents of the commands that read and write many jobs at once.

namespace schedctl::cli {
namespace {

using Json = nlohmann::ordered_json;

/// As `list` and `show` say it: a list, a number, true, a string; null where there is none.
Json key_json(const std::optional<config::JobKey>& key) {
  if (!key) return {};
  switch (key->kind) {
    case config::JobKey::Kind::text:
      return key->text;
    case config::JobKey::Kind::number:
      return parse_int(key->text).value_or(0);
    case config::JobKey::Kind::flag:
      return true;
    case config::JobKey::Kind::list:
      return key->list;
  }
  return {};
}

}  // namespace

std::string json_validated(std::size_t jobs, std::size_t files, const std::vector<Error>& errors,
                           const std::vector<Error>& warnings) {
  const auto list = [](const std::vector<Error>& found) {
    Json all = Json::array();
    for (const Error& error : found)
      all.push_back(Json{{"kind", to_string(error.kind)},
                         {"message", error.message},
                         {"where", text_or_null(error.where)}});
    return all;
  };
  return text_of(Json{
      {"jobs", jobs}, {"files", files}, {"errors", list(errors)}, {"warnings", list(warnings)}});
}

std::string json_imported(const ops::Imported& imported,
                          const std::vector<config::CrontabNote>& notes) {
  static constexpr const char* kDid[] = {"added", "changed", "unchanged", "present"};
  const auto notes_json = [](const std::vector<config::CrontabNote>& all) {
    Json list = Json::array();
    for (const config::CrontabNote& one : all)
      list.push_back(Json{{"line", one.line}, {"column", one.column}, {"message", one.message}});
    return list;
  };
  Json jobs = Json::array();
  for (const ops::ImportedJob& job : imported.jobs) {
    Json changes = Json::object();
    for (const ops::KeyChange& key : job.changes)
      changes[key.key] = Json::array({key_json(key.before), key_json(key.after)});
    Json env = Json::object();
    for (const auto& [name, text] : job.definition.env) env[name] = text;
    jobs.push_back(Json{{"line", job.line},
                        {"name", job.name},
                        {"did", kDid[static_cast<int>(job.did)]},
                        {"schedule", schedule_json(job.definition.schedule)},
                        {"timezone", text_or_null(job.definition.schedule.timezone)},
                        {"action", action_json(job.definition.action)},
                        {"env", std::move(env)},
                        {"changes", std::move(changes)},
                        {"kept", job.kept},
                        {"mailto", text_or_null(job.mailto)},
                        {"notes", job.notes}});
  }
  return text_of(Json{{"jobs", std::move(jobs)},
                      {"left_out", notes_json(imported.left_out)},
                      {"gone", imported.gone},
                      {"notes", notes_json(notes)}});
}

std::string json_difference(const ops::Difference& difference, bool dry_run) {
  const auto names_of = [](const std::vector<ops::JobChange>& jobs) {
    Json names = Json::array();
    for (const ops::JobChange& job : jobs) names.push_back(job.name);
    return names;
  };
  Json changed_jobs = Json::array();
  for (const ops::JobChange& job : difference.changed) {
    Json changes = Json::object();
    for (const ops::KeyChange& key : job.keys)
      changes[key.key] = Json::array({key_json(key.before), key_json(key.after)});
    changed_jobs.push_back({{"name", job.name}, {"changes", std::move(changes)}});
  }
  Json json;
  json["changed"] = difference.errors.empty() && !difference.empty();
  json["dry_run"] = dry_run;
  json["added"] = names_of(difference.added);
  json["changed_jobs"] = std::move(changed_jobs);
  json["removed"] = difference.removed;
  json["left"] = difference.left;
  json["managed_by_others"] = difference.others;
  json["unchanged"] = difference.unchanged;
  json["errors"] = Json::array();
  for (const Error& error : difference.errors)
    json["errors"].push_back(error_json(error, exit_code(error.kind)));
  return text_of(json);
}

std::string json_exported(const std::vector<std::string>& names, const std::string& toml,
                          const std::vector<Error>& errors) {
  Json json;
  json["jobs"] = names;
  json["toml"] = toml;
  json["errors"] = Json::array();
  for (const Error& error : errors)
    json["errors"].push_back(error_json(error, exit_code(error.kind)));
  return text_of(json);
}

}  // namespace schedctl::cli
