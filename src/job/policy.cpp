#include "schedctl/job/policy.hpp"

#include <algorithm>
#include <array>

#include "policy_kinds.hpp"
#include "schedctl/base/limits.hpp"
#include "schedctl/base/text.hpp"
#include "src/job/names.hpp"

namespace schedctl::job {
namespace {

/// One policy setting under its TOML name.
struct Setting {
  std::string_view key;
  Result<void> (*set)(PolicyDraft& draft, std::string_view value);
  std::optional<std::string> (*get)(const PolicyDraft& draft);
  void (*unset)(PolicyDraft& draft);
  void (*apply)(const PolicyDraft& draft, Policy& policy);
  void (*describe)(const Policy& policy, PolicyDraft& draft);
};

/// `Kind` (policy_kinds.hpp) reads and writes the values of the two members.
template <class Kind, auto in_draft, auto in_policy>
constexpr Setting setting(std::string_view key) {
  return Setting{.key = key,
                 .set = [](PolicyDraft& draft, std::string_view value) -> Result<void> {
                   TRY(draft.*in_draft, Kind::parse(value));
                   return {};
                 },
                 .get = [](const PolicyDraft& draft) -> std::optional<std::string> {
                   if (!(draft.*in_draft)) return std::nullopt;
                   return Kind::format(*(draft.*in_draft));
                 },
                 .unset = [](PolicyDraft& draft) { (draft.*in_draft).reset(); },
                 .apply =
                     [](const PolicyDraft& draft, Policy& policy) {
                       if (draft.*in_draft) policy.*in_policy = *(draft.*in_draft);
                     },
                 .describe = [](const Policy& policy,
                                PolicyDraft& draft) { draft.*in_draft = policy.*in_policy; }};
}

struct NoRetry {
  static constexpr std::string_view text = " (1: no retry)";
};
struct ZeroNoLimit {
  static constexpr std::string_view text = " (0: no limit)";
};
struct FirstIsFirst {
  static constexpr std::string_view text = "; the lower, the sooner";
};

#define SETTING(kind, name) setting<kind, &PolicyDraft::name, &Policy::name>(#name)

/// In the order in which people should read them.
const auto& settings() {
  using namespace kinds;
  using Instances = Number<1, limits::kMaxInstances>;
  using Attempts = Number<1, limits::kMaxAttempts, NoRetry>;
  using Catchup = Number<1, limits::kMaxCatchup>;
  using Runs = Number<0, limits::kMaxRuns, ZeroNoLimit>;
  using Priority = Number<-limits::kMaxPriority, limits::kMaxPriority, FirstIsFirst>;
  using Nice = Number<-20, 19>;
  using OomScore = Number<-1000, 1000>;
  static constexpr std::array kSettings = {
      SETTING(OverlapWord, overlap),
      SETTING(Instances, max_instances),
      SETTING(Instances, max_queued),
      SETTING(Grace, misfire_grace),
      SETTING(CoalesceWord, coalesce),
      SETTING(Length, jitter),
      SETTING(Length, timeout),
      SETTING(Signal, stop_signal),
      SETTING(Length, kill_grace),
      SETTING(Flag, keep_children),
      SETTING(Attempts, max_attempts),
      SETTING(Length, backoff),
      SETTING(Length, max_delay),
      SETTING(ExitCodes, success_codes),
      SETTING(Expression, success_match),
      SETTING(Expression, fail_match),
      SETTING(Bytes, min_output),
      SETTING(OnLostWord, on_lost),
      SETTING(Length, alert_grace),
      SETTING(Catchup, max_catchup),
      SETTING(Length, catchup_spread),
      SETTING(Length, max_wait),
      SETTING(Runs, max_runs),
      SETTING(GroupName, group),
      SETTING(Priority, priority),
      SETTING(JobNames, after),
      SETTING(UserName, user),
      SETTING(FileMode, umask),
      SETTING(FilePath, env_file),
      SETTING(FilePath, stdin_file),
      setting<InputText, &PolicyDraft::stdin_text, &Policy::stdin_text>("stdin"),
      SETTING(Nice, nice),
      SETTING(IoClass, ionice),
      SETTING(ByteLimit, limit_as),
      SETTING(ByteLimit, limit_core),
      SETTING(SecondsLimit, limit_cpu),
      SETTING(ByteLimit, limit_fsize),
      SETTING(CountLimit, limit_nofile),
      SETTING(CountLimit, limit_nproc),
      SETTING(OomScore, oom_score_adj),
      SETTING(ByteLimit, memory_max),
      SETTING(CpuLimit, cpu_max),
      SETTING(CountLimit, pids_max),
      SETTING(OutputWord, output),
      SETTING(Bytes, max_output),
  };
  return kSettings;
}

#undef SETTING

const Setting* find_setting(std::string_view key) {
  for (const Setting& setting : settings()) {
    if (setting.key == key) return &setting;
  }
  return nullptr;
}

}  // namespace

std::string_view to_string(Overlap v) {
  switch (v) {
    case Overlap::skip:
      return "skip";
    case Overlap::queue:
      return "queue";
    case Overlap::replace:
      return "replace";
    case Overlap::allow:
      return "allow";
  }
  return "";
}

std::string_view to_string(Coalesce v) {
  switch (v) {
    case Coalesce::latest:
      return "latest";
    case Coalesce::earliest:
      return "earliest";
    case Coalesce::all:
      return "all";
  }
  return "";
}

std::string_view to_string(OnLost v) {
  switch (v) {
    case OnLost::fail:
      return "fail";
    case OnLost::retry:
      return "retry";
  }
  return "";
}

std::optional<Overlap> parse_overlap(std::string_view text) {
  static constexpr Overlap kAll[] = {Overlap::skip, Overlap::queue, Overlap::replace,
                                     Overlap::allow};
  return find_by_name(text, kAll);
}

std::optional<Coalesce> parse_coalesce(std::string_view text) {
  static constexpr Coalesce kAll[] = {Coalesce::latest, Coalesce::earliest, Coalesce::all};
  return find_by_name(text, kAll);
}

std::optional<OnLost> parse_on_lost(std::string_view text) {
  static constexpr OnLost kAll[] = {OnLost::fail, OnLost::retry};
  return find_by_name(text, kAll);
}

std::string_view to_string(Output v) {
  switch (v) {
    case Output::file:
      return "file";
    case Output::discard:
      return "discard";
    case Output::log:
      return "log";
  }
  return "";
}

std::optional<Output> parse_output(std::string_view text) {
  static constexpr Output kAll[] = {Output::file, Output::discard, Output::log};
  return find_by_name(text, kAll);
}

Policy resolve(const PolicyDraft& own, const PolicyDraft& defaults) {
  Policy policy;
  for (const Setting& setting : settings()) {
    setting.apply(defaults, policy);
    setting.apply(own, policy);
  }
  return policy;
}

PolicyDraft draft_of(const Policy& policy) {
  PolicyDraft draft;
  for (const Setting& setting : settings()) setting.describe(policy, draft);
  return draft;
}

PolicyDraft builtin_draft() {
  return draft_of(Policy{});
}

bool Policy::is_success(int exit_code) const {
  return exit_code == 0 || std::ranges::find(success_codes, exit_code) != success_codes.end();
}

Result<void> set_policy(PolicyDraft& draft, std::string_view key, std::string_view value) {
  if (const Setting* setting = find_setting(key)) {
    Result<void> set = setting->set(draft, value);
    if (!set) return fail(ErrorKind::usage, std::move(set.error().message), std::string(key));
    return {};
  }
  std::string message = "'" + escape_control(key) + "' is not a policy";
  if (const auto near = nearest(key, policy_keys())) message += "; did you mean " + *near + "?";
  return fail(ErrorKind::usage, std::move(message), std::string(key));
}

bool unset_policy(PolicyDraft& draft, std::string_view key) {
  const Setting* setting = find_setting(key);
  if (setting == nullptr) return false;
  setting->unset(draft);
  return true;
}

const std::vector<std::string>& policy_keys() {
  static const std::vector<std::string> kKeys = [] {
    std::vector<std::string> keys;
    for (const Setting& setting : settings()) keys.emplace_back(setting.key);
    return keys;
  }();
  return kKeys;
}

std::optional<std::string> policy_value(const PolicyDraft& draft, std::string_view key) {
  const Setting* setting = find_setting(key);
  return setting == nullptr ? std::nullopt : setting->get(draft);
}

}  // namespace schedctl::job
