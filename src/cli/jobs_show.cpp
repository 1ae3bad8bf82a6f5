#include <algorithm>
#include <array>

#include "schedctl/base/text.hpp"
#include "src/cli/draft.hpp"
#include "src/cli/families.hpp"
#include "src/cli/json.hpp"
#include "src/cli/launch.hpp"
#include "src/cli/output.hpp"
#include "src/cli/run_text.hpp"
#include "src/cli/session.hpp"
#include "src/cli/table.hpp"
#include "src/cli/times.hpp"

// list and show.

namespace schedctl::cli {
namespace {

constexpr std::size_t kRunsShown = 5;

bool has_failed(const job::Job& job) {
  return job.last_state == job::RunState::failed || job.last_state == job::RunState::lost;
}

/// All that are asked for must hold.
bool is_wanted(const Invocation& call, const store::JobListing& listing) {
  const job::Job& job = listing.job;
  if (call.has("failed") && !has_failed(job)) return false;
  if (call.has("paused") && !job.paused) return false;
  if (call.has("running") && listing.running == 0) return false;
  const auto& tags = job.definition.tags;
  for (const std::string& tag : call.values("tag"))
    if (std::find(tags.begin(), tags.end(), tag) == tags.end()) return false;
  return true;
}

/// A policy that few jobs have, and this one has not.
bool is_not_worth_a_line(const EffectiveSetting& setting) {
  static constexpr auto kRare = std::to_array<std::string_view>(
      {"stop_signal", "keep_children", "success_match", "fail_match",    "min_output", "group",
       "priority",    "after",         "user",          "umask",         "env_file",   "stdin_file",
       "stdin",       "nice",          "ionice",        "limit_as",      "limit_core", "limit_cpu",
       "limit_fsize", "limit_nofile",  "limit_nproc",   "oom_score_adj", "memory_max", "cpu_max",
       "pids_max",    "output",        "max_output"});
  return setting.origin == std::string_view("built-in") &&
         std::ranges::find(kRare, setting.key) != kRare.end();
}

std::string paused_words(const job::Job& job, const job::Zone& zone) {
  std::string text = "paused";
  if (job.paused_until) text += " until " + absolute(*job.paused_until, zone);
  if (!job.paused_reason.empty()) text += ": " + job.paused_reason;
  return text;
}

Table::Cell next_cell(const store::JobListing& listing, const job::Zone& zone, Time now) {
  const job::Job& job = listing.job;
  if (job.paused) return {paused_words(job, zone), Color::yellow};
  if (job.next_fire) return absolute_and_relative(*job.next_fire, zone, now);
  return "-";
}

Table::Cell last_cell(const store::JobListing& listing, const job::Zone& zone, Time now) {
  const job::Job& job = listing.job;
  if (listing.running > 0) {
    std::string text =
        listing.running == 1 ? "running" : std::to_string(listing.running) + " running";
    if (job.last_start) text += " since " + absolute_and_relative(*job.last_start, zone, now);
    return {text, state_color(job::RunState::running)};
  }
  if (!job.last_state) {
    if (listing.open_alerts > 0) return {"never ran (schedctl alerts)", Color::red};
    return "-";
  }
  std::string text(*job.last_state == job::RunState::pending ? "to be tried again, after"
                                                             : job::to_string(*job.last_state));
  if (const auto when = job.last_end ? job.last_end : job.last_start)
    text += " " + absolute_and_relative(*when, zone, now);
  if (listing.open_alerts > 0) return {text + " (schedctl alerts)", Color::red};
  return {text, state_color(*job.last_state)};
}

void put(std::string& out, std::string_view label, std::string_view value) {
  std::string line = "  " + std::string(label);
  line.append(line.size() < 16 ? 16 - line.size() : 1, ' ');
  out += line + escape_control(value) + "\n";
}

std::string join(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += ", ";
    out += word;
  }
  return out;
}

std::string definition_text(const store::JobListing& listing, const std::string& description,
                            const job::Zone& zone) {
  const job::Definition& definition = listing.job.definition;
  const job::Schedule& schedule = definition.schedule;
  std::string out = paint(Color::bold, listing.job.name) + "\n";
  put(out, "schedule", description);
  if (schedule.kind == job::ScheduleKind::cron) put(out, "cron", schedule.cron);
  if (schedule.kind == job::ScheduleKind::every)
    put(out, "anchor", absolute(schedule.anchor, zone));
  put(out, "time zone", zone.name());
  if (schedule.dst_gap != job::DstGap::shift) put(out, "dst gap", job::to_string(schedule.dst_gap));
  if (schedule.dst_fold != job::DstFold::first)
    put(out, "dst fold", job::to_string(schedule.dst_fold));
  put(out, "command", short_action(definition.action));
  put(out, "directory", definition.cwd.empty() ? "the user's home" : definition.cwd);
  for (const auto& [name, value] : definition.env) {
    std::string pair = name;
    pair.append("=").append(value);
    put(out, "env", pair);
  }
  if (!definition.tags.empty()) put(out, "tags", join(definition.tags));
  put(out, "managed by", listing.job.managed_by);
  put(out, "version", std::to_string(listing.job.version));
  return out;
}

}  // namespace

Result<Outcome> run_list(const Invocation& call) {
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::read));
  session->name_other_store();
  const std::string pattern = call.words.empty() ? "" : call.words[0];
  TRY(std::vector<store::JobListing> jobs, session->store->list_jobs(pattern));
  std::erase_if(jobs, [&](const auto& listing) { return !is_wanted(call, listing); });
  if (call.globals.json) {
    std::vector<std::string> elements;
    elements.reserve(jobs.size());
    for (const store::JobListing& listing : jobs) elements.push_back(json_listing(listing));
    print(json_array(elements));
    return Done{};
  }
  if (jobs.empty()) {
    bool all = pattern.empty();
    for (const Option& option : call.command->options) all = all && !call.has(option.name);
    talk(call, all ? "there are no jobs; make one with schedctl add" : "no job matches");
    return Done{};
  }
  const job::Zone& zone = session->local_zone();
  Table table({{.title = "NAME"},
               {.title = "SCHEDULE", .flexible = true},
               {.title = "NEXT FIRE", .flexible = true},
               {.title = "LAST RUN", .flexible = true}});
  for (const store::JobListing& listing : jobs)
    table.add({{listing.job.name},
               {short_schedule(listing.job.definition.schedule)},
               next_cell(listing, zone, session->now),
               last_cell(listing, zone, session->now)});
  print(table.render(terminal_width()));
  return Done{};
}

Result<Outcome> run_show(const Invocation& call) {
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::read));
  TRY(const job::Job job, session->job(call.words[0]));
  if (call.has("env")) {
    const job::Policy effective = job::resolve(job.definition.policy, session->config().defaults);
    const Planned planned{.job = job,
                          .policy = effective,
                          .job_user = session->config().job_user,
                          .now = session->now};
    print(call.globals.json ? launch_json(planned) + "\n" : environment_lines(planned));
    return Done{};
  }
  TRY(const store::JobListing listing, session->listing(job));
  TRY(const std::vector<job::Run> runs,
      session->store->list_runs({.job_id = job.id, .limit = kRunsShown}));
  TRY(const job::ZonePtr zone, session->zone_of(job.definition.schedule));
  const std::string description = job::describe(job.definition.schedule, *zone);
  const job::PolicyDraft& defaults = session->config().defaults;
  if (call.globals.json) {
    print(json_job(listing, description, defaults, runs, session->store->id()) + "\n");
    return Done{};
  }
  print(definition_text(listing, description, *zone));
  print("\npolicy\n");
  for (const EffectiveSetting& setting : effective_policy(job.definition.policy, defaults)) {
    if (is_not_worth_a_line(setting)) continue;
    const bool grace = setting.key == "kill_grace" || setting.key == "alert_grace";
    const bool none = setting.value.empty() ||
                      (setting.value == "0" && setting.key == "max_runs") ||
                      (setting.value == "0s" && !grace);
    std::string line = "  " + setting.key;
    line.append(line.size() < 18 ? 18 - line.size() : 1, ' ');
    line += none ? "none" : escape_control(setting.value);
    line.append(line.size() < 30 ? 30 - line.size() : 1, ' ');
    print(line + paint(Color::dim, setting.origin) + "\n");
  }
  print("\nstate\n" + state_text(listing, session->local_zone(), session->now));
  if (!runs.empty()) print("\nlast runs\n" + runs_table(runs, session->local_zone(), session->now));
  return Done{};
}

std::string state_text(const store::JobListing& listing, const job::Zone& zone, Time now) {
  const job::Job& job = listing.job;
  std::string out;
  if (job.paused) {
    put(out, "paused", "since " + absolute_and_relative(job.paused_at, zone, now));
    if (job.paused_until) put(out, "until", absolute_and_relative(*job.paused_until, zone, now));
    if (!job.paused_reason.empty()) put(out, "reason", job.paused_reason);
  }
  put(out, "next fire",
      job.upcoming_fire() ? absolute_and_relative(*job.upcoming_fire(), zone, now)
                          : std::string("none"));
  put(out, "running", std::to_string(listing.running));
  if (listing.open_alerts > 0)
    put(out, "open alerts", std::to_string(listing.open_alerts) + " (schedctl alerts)");
  if (job.last_fire) put(out, "last fire", absolute_and_relative(*job.last_fire, zone, now));
  if (job.last_start) put(out, "last start", absolute_and_relative(*job.last_start, zone, now));
  if (job.last_end) put(out, "last end", absolute_and_relative(*job.last_end, zone, now));
  put(out, "last state",
      job.last_state ? std::string(job::to_string(*job.last_state)) : std::string("never ran"));
  return out;
}

}  // namespace schedctl::cli
