#include <algorithm>
#include <csignal>
#include <map>

#include "schedctl/base/signals.hpp"
#include "schedctl/job/policy.hpp"
#include "schedctl/job/run.hpp"
#include "schedctl/job/schedule.hpp"
#include "src/cli/completion.hpp"

// What completes each flag's value and each command's words. A flag or command that the tables of
// commands have and these lack, or the other way round, fails a test.

namespace schedctl::cli {
namespace {

using Words = std::vector<std::string>;

/// Every word of an enumeration: after the last one, to_string() has none.
template <class Enum>
Completes each() {
  Completes all{.kind = Kind::words};
  for (int i = 0; !to_string(static_cast<Enum>(i)).empty(); ++i)
    all.words.emplace_back(to_string(static_cast<Enum>(i)));
  return all;
}

Completes one_of(Words words) {
  return {.kind = Kind::words, .words = std::move(words)};
}

Completes list_of(Completes completes) {
  completes.list = true;
  return completes;
}

/// The ones that people send; the others are understood, too.
Completes signals() {
  Words names;
  for (const int number : {SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGUSR1, SIGUSR2, SIGSTOP,
                           SIGCONT, SIGTSTP, SIGALRM, SIGABRT, SIGWINCH, SIGPIPE})
    names.push_back(signal_name(number).substr(3));
  return one_of(std::move(names));
}

Completes io_classes() {
  Words words{"idle"};
  for (const char* name : {"best-effort:", "realtime:"})
    for (int level = 0; level <= 7; ++level) words.push_back(name + std::to_string(level));
  return one_of(std::move(words));
}

/// What `set --unset` can forget.
Completes keys() {
  Words words = job::policy_keys();
  words.insert(words.end(), {"cwd", "tags", "env", "retry", "weeks", "not_before", "until", "only",
                             "exclude", "on_excluded"});
  return one_of(std::move(words));
}

/// A flag means the same in every command that has it. Moments, durations, numbers, sizes,
/// expressions and texts are nobody's to guess.
const std::map<std::string_view, Completes>& flags() {
  static const std::map<std::string_view, Completes> table = [] {
    std::map<std::string_view, Completes> all{
        {"config", {Kind::files}},
        {"store", {Kind::store}},
        {"set", {Kind::settings}},
        {"color", one_of({"auto", "always", "never"})},
        {"timezone", {Kind::zones}},
        {"only", {Kind::calendars}},
        {"exclude", {Kind::calendars}},
        {"on-excluded", each<job::OnExcluded>()},
        {"dst-gap", each<job::DstGap>()},
        {"dst-fold", each<job::DstFold>()},
        {"overlap", each<job::Overlap>()},
        {"coalesce", each<job::Coalesce>()},
        {"group", {Kind::groups}},
        {"after", list_of({Kind::jobs})},
        {"stop-signal", signals()},
        {"on-lost", each<job::OnLost>()},
        {"output", each<job::Output>()},
        {"user", {Kind::users}},
        {"cwd", {Kind::directories}},
        {"env-file", {Kind::files}},
        {"stdin-file", {Kind::files}},
        {"ionice", io_classes()},
        {"tag", {Kind::tags}},
        {"unset", keys()},
        {"state", list_of(each<job::RunState>())},
        {"cause", each<job::Cause>()},
        {"cron", one_of({"@hourly", "@daily", "@weekly", "@monthly", "@yearly"})},
        {"keeper-dir", {Kind::directories}},
        {"output-dir", {Kind::directories}},
    };
    for (const std::string_view flag : {"every",
                                        "at",
                                        "anchor",
                                        "weeks",
                                        "not-before",
                                        "until",
                                        "max-instances",
                                        "max-queued",
                                        "misfire-grace",
                                        "max-catchup",
                                        "catchup-spread",
                                        "jitter",
                                        "priority",
                                        "max-wait",
                                        "max-runs",
                                        "timeout",
                                        "kill-grace",
                                        "max-attempts",
                                        "backoff",
                                        "max-delay",
                                        "success-codes",
                                        "success-match",
                                        "fail-match",
                                        "min-output",
                                        "alert-grace",
                                        "max-output",
                                        "umask",
                                        "env",
                                        "stdin",
                                        "nice",
                                        "limit-as",
                                        "limit-core",
                                        "limit-cpu",
                                        "limit-fsize",
                                        "limit-nofile",
                                        "limit-nproc",
                                        "oom-score-adj",
                                        "memory-max",
                                        "cpu-max",
                                        "pids-max",
                                        "in",
                                        "shell",
                                        "reason",
                                        "from",
                                        "to",
                                        "max-parallel",
                                        "since",
                                        "count",
                                        "lines",
                                        "attempt",
                                        "for",
                                        "name",
                                        "ready-fd"})
      all[flag] = {};
    return all;
  }();
  return table;
}

/// A command's words, one after the other; the last one again for those that follow it.
using Row = std::vector<Completes>;

const std::map<std::string_view, Row>& rows() {
  static const Row job{{Kind::jobs}};
  static const Row files{{Kind::files}};
  static const std::map<std::string_view, Row> table{
      {"status", job},
      {"add", {{}}},  // a new name
      {"set", job},
      {"edit", job},
      {"rename", {{Kind::jobs}, {}}},
      {"remove", job},
      {"pause", job},
      {"resume", {{Kind::paused_jobs}}},
      {"show", job},
      {"list", job},
      {"next", job},
      {"validate", files},
      {"why", job},
      {"trigger", job},
      {"backfill", job},
      {"cancel", {{Kind::living}}},
      {"signal", {{Kind::living}, signals()}},
      {"runs", job},
      {"logs", {{Kind::living}}},
      {"apply", files},
      {"export", job},
      {"import-crontab", files},
      {"alerts", {one_of({"test", "ack"}), {}}},
      {"check", job},
      {"db", {one_of({"check", "backup", "restore", "migrate", "prune"}), {}}},
      {"completion", {one_of({"bash", "zsh", "fish"})}},
      {"help", {{Kind::commands}}},
  };
  return table;
}

/// What follows a verb depends on the verb.
Completes after_verb(std::string_view command, std::string_view verb, std::size_t at) {
  if (command == "alerts" && verb == "ack") return {Kind::open_alerts};
  if (command == "alerts" && verb == "test" && at == 1) return one_of({"slack", "heartbeat"});
  if (command == "db" && (verb == "backup" || verb == "restore") && at == 1) return {Kind::files};
  return {};
}

}  // namespace

const Completes* completes_flag(std::string_view flag) {
  const auto found = flags().find(flag);
  return found == flags().end() ? nullptr : &found->second;
}

Completes completes_setting(std::string_view key) {
  static constexpr std::string_view kDefaults = "defaults.";
  if (key == "log_level") return one_of({"debug", "info", "warning", "error"});
  if (key == "on_sigterm") return one_of({"drain", "leave"});
  if (key == "keeper") return one_of({"spawn", "external"});
  if (key == "defaults.keep_children") return one_of({"true", "false"});
  if (key == "daemon_user" || key == "job_user") return {Kind::users};
  if (key.ends_with("_file")) return {Kind::files};
  if (key.ends_with("_dir") || key.ends_with("_dirs")) return {Kind::directories};
  const bool has_flag = key == "timezone" || key == "store" || key.starts_with(kDefaults);
  if (!has_flag) return {};
  // A policy under [defaults] has the values of its flag.
  std::string flag(key.starts_with(kDefaults) ? key.substr(kDefaults.size()) : key);
  std::replace(flag.begin(), flag.end(), '_', '-');
  const Completes* completes = completes_flag(flag);
  return completes == nullptr ? Completes{} : *completes;
}

const std::vector<std::string_view>& completed_flags() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> all;
    for (const auto& [flag, completes] : flags()) all.push_back(flag);
    return all;
  }();
  return names;
}

const std::vector<std::string_view>& completed_commands() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> all;
    for (const auto& [command, row] : rows()) all.push_back(command);
    return all;
  }();
  return names;
}

Completes completes_word(const Invocation& call) {
  if (call.command == nullptr) return call.words.empty() ? Completes{Kind::commands} : Completes{};
  const std::size_t at = call.words.size();
  if (at >= call.command->max_words) return {};
  const auto found = rows().find(call.command->name);
  if (found == rows().end()) return {};
  if (call.command->name == "add" && call.has("replace")) return {Kind::jobs};
  const bool has_verbs = call.command->name == "alerts" || call.command->name == "db";
  if (has_verbs && at > 0) return after_verb(call.command->name, call.words[0], at);
  return found->second[std::min(at, found->second.size() - 1)];
}

}  // namespace schedctl::cli
