#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "schedctl/base/result.hpp"
#include "schedctl/base/time.hpp"
#include "schedctl/job/job.hpp"

/// What several documents of --json are made of.
namespace schedctl::cli {

double seconds(Duration d);
nlohmann::ordered_json time_or_null(const std::optional<Time>& t);
/// Null where there is no text.
nlohmann::ordered_json text_or_null(const std::string& text);
/// {"cron": "30 2 * * *"}, and what narrows it.
nlohmann::ordered_json schedule_json(const job::Schedule& schedule);
/// {"command": ["backup"]} or {"shell": "backup"}
nlohmann::ordered_json action_json(const job::Action& action);
nlohmann::ordered_json error_json(const Error& error, int exit_code);

}  // namespace schedctl::cli
