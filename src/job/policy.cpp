#include "schedctl/job/policy.hpp"

#include <algorithm>
#include <array>

#include "schedctl/base/limits.hpp"
#include "schedctl/base/text.hpp"
#include "src/job/names.hpp"

namespace schedctl::job {
namespace {

std::string quoted(std::string_view text) {
  return "'" + escape_control(text) + "'";
}

using Setter = Result<void> (*)(PolicyDraft& draft, std::string_view key, std::string_view value);
using Getter = std::optional<std::string> (*)(const PolicyDraft& draft);
using Unsetter = void (*)(PolicyDraft& draft);

/// One policy setting under its TOML name.
struct Setting {
  std::string_view key;
  Setter set;
  Getter get;
  Unsetter unset;
};

template <std::optional<Duration> PolicyDraft::*member>
constexpr Setting duration_setting(std::string_view key) {
  return Setting{
      key,
      [](PolicyDraft& draft, std::string_view name, std::string_view value) {
        const Result<Duration> parsed = parse_duration(value);
        if (!parsed) {
          return Result<void>(fail(ErrorKind::usage, parsed.error().message, std::string(name)));
        }
        draft.*member = *parsed;
        return Result<void>();
      },
      [](const PolicyDraft& draft) -> std::optional<std::string> {
        if (!(draft.*member)) return std::nullopt;
        return format_duration(*(draft.*member));
      },
      [](PolicyDraft& draft) { (draft.*member).reset(); }};
}

/// The daemon looks at a fire some milliseconds after its time, on a busy machine some hundred:
/// with less grace than this a job would be missed every time, or now and then.
constexpr Duration kShortestGrace = std::chrono::seconds(1);

Result<void> read_misfire_grace(PolicyDraft& draft, std::string_view key, std::string_view value) {
  const Result<Duration> parsed = parse_duration(value);
  if (!parsed) return fail(ErrorKind::usage, parsed.error().message, std::string(key));
  if (*parsed < kShortestGrace) {
    return fail(ErrorKind::usage,
                quoted(value) +
                    " is too short: a fire is seen a little after its time, and would " +
                    "be missed; at least " + format_duration(kShortestGrace),
                std::string(key));
  }
  draft.misfire_grace = *parsed;
  return {};
}

std::optional<std::string> misfire_grace_value(const PolicyDraft& draft) {
  if (!draft.misfire_grace) return std::nullopt;
  return format_duration(*draft.misfire_grace);
}

Result<void> read_overlap(PolicyDraft& draft, std::string_view key, std::string_view value) {
  if (const std::optional<Overlap> parsed = parse_overlap(value)) {
    draft.overlap = parsed;
    return {};
  }
  return fail(ErrorKind::usage,
              quoted(value) + " is not an overlap policy; write skip, queue, replace or allow",
              std::string(key));
}

Result<void> read_coalesce(PolicyDraft& draft, std::string_view key, std::string_view value) {
  const std::optional<Coalesce> parsed = parse_coalesce(value);
  if (!parsed) {
    return fail(ErrorKind::usage, quoted(value) + " is not one of latest, earliest, all",
                std::string(key));
  }
  draft.coalesce = parsed;
  return {};
}

Result<void> read_on_lost(PolicyDraft& draft, std::string_view key, std::string_view value) {
  const std::optional<OnLost> parsed = parse_on_lost(value);
  if (!parsed) {
    return fail(ErrorKind::usage, quoted(value) + " is not one of fail, retry", std::string(key));
  }
  draft.on_lost = parsed;
  return {};
}

Result<void> read_success_codes(PolicyDraft& draft, std::string_view key, std::string_view value) {
  std::vector<int> codes{0};
  for (std::size_t begin = 0; begin <= value.size();) {
    const std::size_t end = std::min(value.find(',', begin), value.size());
    const std::string_view word = trimmed(value.substr(begin, end - begin));
    const std::optional<std::int64_t> code = parse_int(word);
    if (!code || *code < 0 || *code > 255) {
      return fail(ErrorKind::usage,
                  quoted(word) + " is not an exit code; write numbers from 0 to 255, such as 0,2",
                  std::string(key));
    }
    codes.push_back(static_cast<int>(*code));
    begin = end + 1;
  }
  std::ranges::sort(codes);
  codes.erase(std::unique(codes.begin(), codes.end()), codes.end());
  draft.success_codes = std::move(codes);
  return {};
}

std::optional<std::string> success_codes_value(const PolicyDraft& draft) {
  if (!draft.success_codes) return std::nullopt;
  std::string text;
  for (const int code : *draft.success_codes) {
    text += (text.empty() ? "" : ",") + std::to_string(code);
  }
  return text;
}

template <auto member>
std::optional<std::string> named_value(const PolicyDraft& draft) {
  if (!(draft.*member)) return std::nullopt;
  return std::string(to_string(*(draft.*member)));
}

template <auto member>
void forget(PolicyDraft& draft) {
  (draft.*member).reset();
}

/// What the lowest number means.
std::string meaning_of_lowest(std::string_view key) {
  if (key == "max_attempts") return " (1: no retry)";
  if (key == "max_runs") return " (0: no limit)";
  return "";
}

/// A number from `low` to `high`.
template <std::optional<int> PolicyDraft::*member, int low, int high>
constexpr Setting number_setting(std::string_view key) {
  return Setting{
      key,
      [](PolicyDraft& draft, std::string_view name, std::string_view value) {
        const std::optional<std::int64_t> parsed = parse_int(value);
        if (parsed && *parsed >= low && *parsed <= high) {
          draft.*member = static_cast<int>(*parsed);
          return Result<void>();
        }
        return Result<void>(fail(ErrorKind::usage,
                                 quoted(value) + " is not a number from " + std::to_string(low) +
                                     " to " + std::to_string(high) + meaning_of_lowest(name),
                                 std::string(name)));
      },
      [](const PolicyDraft& draft) -> std::optional<std::string> {
        if (!(draft.*member)) return std::nullopt;
        return std::to_string(*(draft.*member));
      },
      forget<member>};
}

const std::array<Setting, 18>& settings() {
  static const std::array<Setting, 18> kSettings{{
      {"overlap", read_overlap, named_value<&PolicyDraft::overlap>, forget<&PolicyDraft::overlap>},
      number_setting<&PolicyDraft::max_instances, 1, limits::kMaxInstances>("max_instances"),
      number_setting<&PolicyDraft::max_queued, 1, limits::kMaxInstances>("max_queued"),
      {"misfire_grace", read_misfire_grace, misfire_grace_value,
       forget<&PolicyDraft::misfire_grace>},
      {"coalesce", read_coalesce, named_value<&PolicyDraft::coalesce>,
       forget<&PolicyDraft::coalesce>},
      duration_setting<&PolicyDraft::jitter>("jitter"),
      duration_setting<&PolicyDraft::timeout>("timeout"),
      duration_setting<&PolicyDraft::kill_grace>("kill_grace"),
      number_setting<&PolicyDraft::max_attempts, 1, limits::kMaxAttempts>("max_attempts"),
      duration_setting<&PolicyDraft::backoff>("backoff"),
      duration_setting<&PolicyDraft::max_delay>("max_delay"),
      {"success_codes", read_success_codes, success_codes_value,
       forget<&PolicyDraft::success_codes>},
      {"on_lost", read_on_lost, named_value<&PolicyDraft::on_lost>, forget<&PolicyDraft::on_lost>},
      duration_setting<&PolicyDraft::alert_grace>("alert_grace"),
      number_setting<&PolicyDraft::max_catchup, 1, limits::kMaxCatchup>("max_catchup"),
      duration_setting<&PolicyDraft::catchup_spread>("catchup_spread"),
      duration_setting<&PolicyDraft::max_wait>("max_wait"),
      number_setting<&PolicyDraft::max_runs, 0, limits::kMaxRuns>("max_runs"),
  }};
  return kSettings;
}

const Setting* find_setting(std::string_view key) {
  for (const Setting& setting : settings()) {
    if (setting.key == key) return &setting;
  }
  return nullptr;
}

template <class T>
T first_of(const std::optional<T>& own, const std::optional<T>& defaults, const T& builtin) {
  if (own) return *own;
  return defaults.value_or(builtin);
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

Policy resolve(const PolicyDraft& own, const PolicyDraft& defaults) {
  const Policy builtin;
  return Policy{
      .overlap = first_of(own.overlap, defaults.overlap, builtin.overlap),
      .misfire_grace = first_of(own.misfire_grace, defaults.misfire_grace, builtin.misfire_grace),
      .coalesce = first_of(own.coalesce, defaults.coalesce, builtin.coalesce),
      .jitter = first_of(own.jitter, defaults.jitter, builtin.jitter),
      .timeout = first_of(own.timeout, defaults.timeout, builtin.timeout),
      .kill_grace = first_of(own.kill_grace, defaults.kill_grace, builtin.kill_grace),
      .max_attempts = first_of(own.max_attempts, defaults.max_attempts, builtin.max_attempts),
      .backoff = first_of(own.backoff, defaults.backoff, builtin.backoff),
      .max_delay = first_of(own.max_delay, defaults.max_delay, builtin.max_delay),
      .on_lost = first_of(own.on_lost, defaults.on_lost, builtin.on_lost),
      .alert_grace = first_of(own.alert_grace, defaults.alert_grace, builtin.alert_grace),
      .max_catchup = first_of(own.max_catchup, defaults.max_catchup, builtin.max_catchup),
      .catchup_spread =
          first_of(own.catchup_spread, defaults.catchup_spread, builtin.catchup_spread),
      .max_wait = first_of(own.max_wait, defaults.max_wait, builtin.max_wait),
      .max_runs = first_of(own.max_runs, defaults.max_runs, builtin.max_runs),
      .max_instances = first_of(own.max_instances, defaults.max_instances, builtin.max_instances),
      .max_queued = first_of(own.max_queued, defaults.max_queued, builtin.max_queued),
      .success_codes = first_of(own.success_codes, defaults.success_codes, builtin.success_codes),
  };
}

PolicyDraft builtin_draft() {
  const Policy p;
  return PolicyDraft{.overlap = p.overlap,
                     .misfire_grace = p.misfire_grace,
                     .coalesce = p.coalesce,
                     .jitter = p.jitter,
                     .timeout = p.timeout,
                     .kill_grace = p.kill_grace,
                     .max_attempts = p.max_attempts,
                     .backoff = p.backoff,
                     .max_delay = p.max_delay,
                     .on_lost = p.on_lost,
                     .alert_grace = p.alert_grace,
                     .max_catchup = p.max_catchup,
                     .catchup_spread = p.catchup_spread,
                     .max_wait = p.max_wait,
                     .max_runs = p.max_runs,
                     .max_instances = p.max_instances,
                     .max_queued = p.max_queued,
                     .success_codes = p.success_codes};
}

bool Policy::is_success(int exit_code) const {
  return exit_code == 0 || std::ranges::find(success_codes, exit_code) != success_codes.end();
}

Result<void> set_policy(PolicyDraft& draft, std::string_view key, std::string_view value) {
  const Setting* setting = find_setting(key);
  if (setting != nullptr) return setting->set(draft, key, value);
  std::string message = quoted(key) + " is not a policy";
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
