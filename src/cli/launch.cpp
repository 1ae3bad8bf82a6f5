#include "src/cli/launch.hpp"

#include <array>
#include <nlohmann/json.hpp>

#include "schedctl/base/text.hpp"
#include "schedctl/executor/command.hpp"
#include "src/cli/draft.hpp"
#include "src/cli/output.hpp"

namespace schedctl::cli {
namespace {

using Json = nlohmann::ordered_json;

/// What belongs to a run that does not exist yet.
constexpr const char* kUnknown = "(of the run)";

struct Launch {
  executor::StartRequest request;
  executor::Accounts accounts;
  std::vector<std::string> environment;
  std::string cwd;
  std::string user;
};

Launch launch_of(const Planned& planned) {
  const auto& [job, policy, job_user, now] = planned;
  Launch launch;
  launch.accounts = executor::Accounts(job_user);
  job::Run run;
  run.job_name = job.name;
  run.fire_time = now;
  run.key = kUnknown;
  launch.request = executor::request_of(run, job.definition, policy);
  const executor::Accounts::Account& account =
      launch.accounts.find(executor::terms_of(policy).user);
  launch.environment = executor::build_environment(launch.request, account);
  for (std::string& entry : launch.environment) {
    if (entry.starts_with("SCHEDCTL_RUN_ID=")) entry = std::string("SCHEDCTL_RUN_ID=") + kUnknown;
  }
  launch.cwd = launch.request.cwd.empty() ? account.default_cwd : launch.request.cwd;
  launch.user = policy.user.empty() ? account.user.name : policy.user;
  return launch;
}

/// Terms that a policy has in words, and that differ from what every process has.
std::vector<std::string> terms_shown(const job::Policy& policy) {
  static constexpr auto kTerms = std::to_array<const char*>(
      {"env_file", "stdin_file", "stdin", "nice", "ionice", "limit_as", "limit_core", "limit_cpu",
       "limit_fsize", "limit_nofile", "limit_nproc", "oom_score_adj", "memory_max", "cpu_max",
       "pids_max", "stop_signal", "keep_children", "output", "max_output"});
  const job::PolicyDraft effective = job::draft_of(policy);
  const job::PolicyDraft builtin = job::builtin_draft();
  std::vector<std::string> shown;
  for (const char* key : kTerms) {
    if (job::policy_value(effective, key) != job::policy_value(builtin, key)) shown.push_back(key);
  }
  return shown;
}

std::string value_of(const job::Policy& policy, const std::string& key) {
  return job::policy_value(job::draft_of(policy), key).value_or("");
}

}  // namespace

std::string environment_lines(const Planned& planned) {
  std::string out;
  const job::Policy& policy = planned.policy;
  for (const std::string& entry : launch_of(planned).environment) {
    out += escape_control(entry) + "\n";
  }
  if (!policy.env_file.empty()) out += "# and what " + policy.env_file + " says at each start\n";
  return out;
}

std::string launch_text(const Planned& planned) {
  const job::Policy& policy = planned.policy;
  const Launch launch = launch_of(planned);
  std::string out = "command  " + quote_command(launch.request.argv) + "\n";
  out += "user     " + escape_control(launch.user) + "\n";
  out += "cwd      " + escape_control(launch.cwd) + "\n";
  out += "umask    " + value_of(policy, "umask") + "\n";
  out += "timeout  " +
         (policy.timeout > Duration::zero() ? format_duration(policy.timeout) : "none") + "\n";
  out += "kill_grace " + format_duration(policy.kill_grace) + "\n";
  for (const std::string& key : terms_shown(policy)) {
    out += key + std::string(key.size() < 9 ? 9 - key.size() : 1, ' ') +
           escape_control(value_of(policy, key)) + "\n";
  }
  return out + "\n" + environment_lines(planned);
}

std::string launch_json(const Planned& planned) {
  const job::Policy& policy = planned.policy;
  const Launch launch = launch_of(planned);
  Json json{{"job", planned.job.name},
            {"command", launch.request.argv},
            {"user", launch.user},
            {"cwd", launch.cwd},
            {"umask", value_of(policy, "umask")},
            {"timeout_s", static_cast<double>(policy.timeout.count()) / 1e6},
            {"kill_grace_s", static_cast<double>(policy.kill_grace.count()) / 1e6}};
  for (const std::string& key : terms_shown(policy)) json[key] = value_of(policy, key);
  Json environment = Json::object();
  for (const std::string& entry : launch.environment) {
    const std::size_t equals = entry.find('=');
    environment[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  json["env"] = std::move(environment);
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace schedctl::cli
