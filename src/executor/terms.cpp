#include <sys/stat.h>
#include <unistd.h>

#include "schedctl/executor/command.hpp"

// What a job's policy means to the keeper, and who the users are.

namespace schedctl::executor {
namespace {

constexpr std::chrono::minutes kHolds{1};

void set_io(const std::string& ionice, keeper::Terms& terms) {
  const std::size_t colon = ionice.find(':');
  const std::string name = ionice.substr(0, colon);
  if (name == "idle") terms.io_class = keeper::IoClass::idle;
  if (name == "best-effort") terms.io_class = keeper::IoClass::best_effort;
  if (name == "realtime") terms.io_class = keeper::IoClass::realtime;
  // One digit, or the policy would not have taken it.
  if (colon != std::string::npos && colon + 1 < ionice.size())
    terms.io_level = ionice[colon + 1] - '0';
}

void add_limit(keeper::Terms& terms, keeper::Resource resource, std::int64_t value) {
  if (value == job::kNoLimit) return;
  terms.limits.push_back({resource, static_cast<std::uint64_t>(value)});
}

std::int64_t or_none(std::int64_t value) {
  return value == job::kNoLimit ? 0 : value;
}

}  // namespace

StartRequest request_of(const job::Run& run, const job::Definition& definition,
                        const job::Policy& policy) {
  StartRequest request;
  request.run = run.id;
  request.fence = run.fence;
  request.attempt = run.attempt;
  request.job = run.job_name;
  request.key = run.key;
  request.fire_time = run.fire_time;
  request.argv = definition.action.argv();
  request.env = definition.env;
  request.cwd = definition.cwd;
  request.timezone = definition.schedule.timezone;
  request.policy = policy;
  return request;
}

keeper::Terms terms_of(const job::Policy& policy) {
  keeper::Terms terms;
  const std::size_t colon = policy.user.find(':');
  terms.user = policy.user.substr(0, colon);
  if (colon != std::string::npos) terms.group = policy.user.substr(colon + 1);
  terms.umask = policy.umask;
  terms.stdin_file = policy.stdin_file;
  if (!policy.stdin_text.empty()) terms.stdin_text = policy.stdin_text;
  terms.env_file = policy.env_file;
  if (policy.nice != 0) terms.nice = policy.nice;
  set_io(policy.ionice, terms);
  add_limit(terms, keeper::Resource::as, policy.limit_as);
  add_limit(terms, keeper::Resource::cpu, policy.limit_cpu);
  add_limit(terms, keeper::Resource::nofile, policy.limit_nofile);
  add_limit(terms, keeper::Resource::nproc, policy.limit_nproc);
  add_limit(terms, keeper::Resource::core, policy.limit_core);
  add_limit(terms, keeper::Resource::fsize, policy.limit_fsize);
  if (policy.oom_score_adj != 0) terms.oom_score_adj = policy.oom_score_adj;
  terms.memory_max = or_none(policy.memory_max);
  terms.cpu_max = static_cast<int>(or_none(policy.cpu_max));
  terms.pids_max = or_none(policy.pids_max);
  terms.stop_signal = policy.stop_signal;
  terms.keep_children = policy.keep_children;
  // What goes into the log goes into a file first.
  terms.output =
      policy.output == job::Output::discard ? keeper::Output::discard : keeper::Output::file;
  terms.max_output = policy.max_output;
  return terms;
}

const Accounts::Account& Accounts::find(const std::string& asked) {
  const std::string& name = asked.empty() ? job_user_ : asked;
  const auto now = std::chrono::steady_clock::now();
  Known& known = known_[name];
  if (now < known.until) return known.account;
  const std::optional<host::NamedUser> user = name.empty() ? std::nullopt : host::find_user(name);
  Account& account = known.account;
  account.user = user ? user->user : host::current_user();
  account.is_root = user ? user->uid == 0 : ::geteuid() == 0;
  if (!name.empty() && !user) account = {{name, "/", "/bin/sh"}, false, "/"};
  // Service users often have a home that does not exist; their jobs run all the same.
  struct stat home {};
  const bool has_home = ::stat(account.user.home.c_str(), &home) == 0 && S_ISDIR(home.st_mode) &&
                        (!name.empty() || ::access(account.user.home.c_str(), X_OK) == 0);
  account.default_cwd = has_home ? account.user.home : "/";
  known.until = now + kHolds;
  return account;
}

}  // namespace schedctl::executor
