#include "order.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace schedctl::keeper {
namespace {

bool has_nul(const std::vector<std::string>& strings) {
  return std::any_of(strings.begin(), strings.end(),
                     [](const std::string& s) { return s.find('\0') != std::string::npos; });
}

/// What a root keeper refuses, the kernel refuses others.
bool is_sane(const Terms& terms) {
  const bool both = !terms.stdin_file.empty() && terms.stdin_text;
  const bool levels = terms.io_level >= 0 && terms.io_level <= 7;
  const bool ends = terms.stop_signal > 0 && terms.stop_signal < NSIG;
  return !both && levels && ends && (terms.umask & ~0777) == 0 && terms.memory_max >= 0 &&
         terms.cpu_max >= 0 && terms.pids_max >= 0 && terms.max_output >= 0;
}

/// Whom jobs run as that name nobody is not for the daemon to say.
const std::string& user_of(const Terms& terms, const Rules& rules) {
  return terms.user.empty() ? rules.job_user : terms.user;
}

/// In the order of Resource.
constexpr __rlimit_resource kResources[] = {RLIMIT_AS,    RLIMIT_CPU,  RLIMIT_NOFILE,
                                            RLIMIT_NPROC, RLIMIT_CORE, RLIMIT_FSIZE};

}  // namespace

LaunchFailure failure_of(const host::NotLaunched& failed) {
  // Both are numbered alike, for ever.
  static_assert(static_cast<int>(Stage::exec) == static_cast<int>(host::Step::exec));
  static_assert(static_cast<int>(Stage::oom_score) == static_cast<int>(host::Step::oom_score));
  return {static_cast<Stage>(failed.step), failed.error_number};
}

std::optional<LaunchFailure> objection(const StartOrder& order, const Masters& masters) {
  const Terms& terms = order.terms;
  const Rules& rules = masters.rules;
  // What an exec could not be told at all.
  if (order.argv.empty() || has_nul(order.argv) || has_nul(order.env) ||
      has_nul({order.cwd, terms.user, terms.group, terms.stdin_file, terms.env_file})) {
    return LaunchFailure{Stage::exec, EINVAL};
  }
  if (!is_sane(terms)) return LaunchFailure{Stage::setup, EINVAL};
  if (::geteuid() != 0) return std::nullopt;  // its child finds out what the kernel allows
  const std::string& user = user_of(terms, rules);
  const auto& allowed = rules.allow_users;
  // Without a rule for it, an order that names nobody means the keeper's own user: not for a daemon
  // that is another one.
  if (user.empty() && masters.daemon) return LaunchFailure{Stage::user, EPERM};
  if (user != rules.job_user && std::find(allowed.begin(), allowed.end(), user) == allowed.end()) {
    return LaunchFailure{Stage::user, EPERM};
  }
  // Set before the child becomes its user, so the kernel would not mind.
  const bool is_root = user.empty() || user == "root";
  if (terms.oom_score_adj.value_or(0) < 0 && !is_root) {
    return LaunchFailure{Stage::oom_score, EACCES};
  }
  return std::nullopt;
}

host::Command command_of(const StartOrder& order, const Masters& masters) {
  const Terms& terms = order.terms;
  host::Command command{.argv = order.argv,
                        .env = order.env,
                        .cwd = order.cwd,
                        .user = user_of(terms, masters.rules),
                        .group = terms.group,
                        .umask = terms.umask,
                        .stdin_file = terms.stdin_file,
                        .stdin_text = terms.stdin_text,
                        .env_file = terms.env_file,
                        .nice = terms.nice,
                        .io_class = static_cast<int>(terms.io_class),
                        .io_level = terms.io_level,
                        .oom_score_adj = terms.oom_score_adj,
                        .reader = masters.daemon ? &*masters.daemon : nullptr};
  for (const Limit& limit : terms.limits) {
    command.limits.emplace_back(kResources[static_cast<std::size_t>(limit.resource)], limit.value);
  }
  return command;
}

Care care_of(const StartOrder& order) {
  const Terms& terms = order.terms;
  Care care{.user = terms.user,
            .stop_signal = terms.stop_signal,
            .keep_children = terms.keep_children,
            .has_cgroup = terms.needs_cgroup(),
            .max_output = terms.max_output,
            .marks = {}};
  for (const std::string& entry : order.env) {
    // The key is the same for all attempts of a run.
    if (entry.starts_with("SCHEDCTL_KEY=") || entry.starts_with("SCHEDCTL_ATTEMPT=")) {
      care.marks.push_back(entry);
    }
  }
  if (care.marks.size() != 2) care.marks.clear();
  return care;
}

}  // namespace schedctl::keeper
