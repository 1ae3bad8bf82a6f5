#include "src/cli/understood.hpp"

#include <unistd.h>

#include <algorithm>

#include "schedctl/base/text.hpp"
#include "schedctl/host/host.hpp"
#include "schedctl/keeper/allowed.hpp"
#include "schedctl/ops/next.hpp"
#include "src/cli/draft.hpp"
#include "src/cli/json.hpp"
#include "src/cli/output.hpp"
#include "src/cli/times.hpp"

namespace schedctl::cli {
namespace {

constexpr std::size_t kFiresShown = 3;

/// As many as are shown, and as will have a run.
std::size_t fires_left(const job::Job& job, const job::Policy& policy) {
  if (policy.max_runs <= 0) return kFiresShown;
  const std::int64_t left = std::max<std::int64_t>(policy.max_runs - job.run_count, 0);
  return std::min(kFiresShown, static_cast<std::size_t>(left));
}

/// Why a schedule has no fires to come: nobody makes a job that never fires on purpose.
std::string none_words(const job::Job& job, const job::Policy& policy, Time now) {
  const job::Schedule& schedule = job.definition.schedule;
  if (schedule.kind == job::ScheduleKind::at) return "no more";
  if (job.has_had_all_runs(policy)) return "no more: it has had its max_runs";
  if (schedule.until && *schedule.until <= now) return "no more: its until is over";
  if (!schedule.only.empty() || !schedule.exclude.empty())
    return "never, as things are: its calendars leave nothing of it";
  if (schedule.until) return "never: none of its fires lies before its until";
  return "no more";
}

}  // namespace

Result<void> print_understood(Session& session, const job::Job& job, const char* verb) {
  const Invocation& call = session.call;
  const job::Definition& definition = job.definition;
  const job::Schedule& schedule = definition.schedule;
  TRY(const job::ZonePtr zone, session.zone_of(schedule));
  const std::string description = job::describe(schedule, *zone);
  // A new grid's anchor is now, which does not fire: the row knows what does.
  const Time from =
      job.next_fire ? *job.next_fire - Duration(1) : std::max(job.planned_through, session.now);
  const job::Policy policy = job::resolve(definition.policy, session.config().defaults);
  TRY(std::vector<ops::Fire> fires,
      session.ops().next(schedule, job.seed(), from, fires_left(job, policy)));
  if (const auto at = call.value("at"); at && !fires.empty() && fires.front().note.empty())
    fires.front().note = ops::note_of_moment(*at, *zone, session.now);
  if (call.globals.json) {
    TRY(const store::JobListing listing, session.listing(job));
    print(json_understood(listing, description, fires) + "\n");
    return {};
  }
  print_result(call, std::string(verb) + " " + job.name + ": " + escape_control(description));
  print_result(call, "  command    " + escape_control(short_action(definition.action)));
  print_result(call, "  time zone  " + zone->name());
  std::string label = "  next       ";
  for (const ops::Fire& fire : fires) {
    print_result(call, label + absolute_and_relative(fire.at, *zone, session.now) +
                           (fire.note.empty() ? "" : "  " + escape_control(fire.note)));
    label = "             ";
  }
  if (schedule.kind == job::ScheduleKind::manual)
    print_result(call, label + "only by hand: schedctl trigger " + job.name);
  else if (schedule.kind == job::ScheduleKind::reboot)
    print_result(call, label + "after the next boot of the machine");
  else if (fires.empty())
    print_result(call, label + none_words(job, policy, session.now));
  if (job.paused)
    print_result(call,
                 "  paused     until " + (job.paused_until ? absolute(*job.paused_until, *zone)
                                                           : "schedctl resume " + job.name));
  return {};
}

void warn_of_user(Session& session, const job::Job& job) {
  const config::Config& config = session.config();
  const job::Policy policy = job::resolve(job.definition.policy, config.defaults);
  const std::string user = policy.user.substr(0, policy.user.find(':'));
  if (user.empty() || user == session.job_user()) return;
  const std::string doubt = "it cannot run as " + user + " as things are: ";
  if (config.own || !session.begun_by_root()) {
    warn(session.call, doubt + "only a daemon of root can run commands as other users");
    return;
  }
  const std::vector<std::string> allowed =
      keeper::read_rules({.keeper_dir = {}, .output_dir = {}, .config_file = config.config_file})
          .value_or(keeper::Rules{})
          .allow_users;
  if (std::ranges::find(allowed, user) != allowed.end()) return;
  const std::string file = config.config_file.empty() ? "the settings file" : config.config_file;
  const bool listed = std::ranges::find(config.allow_users, user) != config.allow_users.end();
  warn(session.call,
       doubt + (listed ? "the list counts only in a file that nobody but root can change or move; "
                         "look at the owner and mode of " +
                             file + " and of each directory above it (no symbolic links)"
                       : "allow_users in " + file +
                             " does not list it; add it there, then schedctl stop and start"));
}

void warn_of_trouble(Session& session, const job::Job& job) {
  warn_of_user(session, job);
  if (const std::string trouble = command_trouble(job.definition); !trouble.empty())
    warn(session.call, "the command cannot be executed as things are: " + trouble);
  warn_of_daemon(session);
}

void warn_of_daemon(Session& session) {
  if (session.is_served()) return;
  warn(session.call, std::string("no daemon is running: start it with schedctl start") +
                         (session.config().own && session.call.globals.own ? " --own" : ""));
}

}  // namespace schedctl::cli
