#include "src/ops/compile.hpp"

#include <algorithm>

#include "schedctl/base/limits.hpp"
#include "schedctl/base/text.hpp"
#include "schedctl/job/calendar.hpp"

namespace schedctl::ops {
namespace {

using job::JobDraft;
using job::Schedule;
using job::ScheduleKind;

tl::unexpected<Error> wrong(std::string message, std::string key) {
  return fail(ErrorKind::usage, std::move(message), std::move(key));
}

/// The same error, naming the field if it does not yet.
Error at_field(Error error, const char* key) {
  if (error.where.empty()) error.where = key;
  return error;
}

std::vector<std::string> schedules_given(const JobDraft& draft) {
  std::vector<std::string> given;
  if (draft.every) given.push_back("every");
  if (draft.cron) given.push_back("cron");
  if (draft.at) given.push_back("at");
  if (draft.in) given.push_back("in");
  if (draft.on_reboot) given.push_back("on_reboot");
  if (draft.manual) given.push_back("manual");
  return given;
}

/// That the schedule is one, and that its details belong to it.
Result<void> check_combination(const JobDraft& draft) {
  const std::vector<std::string> given = schedules_given(draft);
  if (given.empty())
    return wrong("says no schedule: give one of every, cron, at, in, on_reboot, manual", "");
  if (given.size() > 1) {
    return wrong(given[0] + " and " + given[1] + " exclude each other: a job has one schedule",
                 given[1]);
  }
  if (!draft.every && !draft.cron && draft.anchor) {
    return wrong("anchor is for every and for weeks, not " + given[0], "anchor");
  }
  if (!draft.cron && draft.weeks) {
    return wrong(draft.every ? "weeks is for cron; every 14d is every other week"
                             : "weeks is for cron, not " + given[0],
                 "weeks");
  }
  for (const auto& [key, value] :
       {std::pair("not_before", draft.not_before.has_value()),
        std::pair("until", draft.until.has_value()), std::pair("only", draft.only.has_value()),
        std::pair("exclude", draft.exclude.has_value()),
        std::pair("on_excluded", draft.on_excluded.has_value())}) {
    if (value && !draft.cron && !draft.every) {
      return wrong(std::string(key) + " is for cron and every, not " + given[0], key);
    }
  }
  if (!draft.every && draft.immediately) {
    return wrong("immediately is for every, not " + given[0], "immediately");
  }
  if (draft.anchor && draft.immediately) {
    return wrong("anchor and immediately exclude each other: immediately makes now the anchor",
                 "immediately");
  }
  for (const auto& [key, value] :
       {std::pair("dst_gap", &draft.dst_gap), std::pair("dst_fold", &draft.dst_fold)}) {
    if (*value && !draft.cron && !draft.at) {
      return wrong(std::string(key) + " is for cron and at, not " + given[0], key);
    }
  }
  return {};
}

/// The zone's name: the draft's, else the base's, else the setting's.
Result<job::ZonePtr> find_zone(const Context& context, const JobDraft& draft,
                               const Schedule& base) {
  const bool lent = !base.timezone.empty();
  const std::string name = draft.timezone ? *draft.timezone
                           : lent         ? base.timezone
                                          : context.config.timezone;
  Result<job::ZonePtr> zone = context.zones.find(name);
  if (zone) return zone;
  Error error = at_field(std::move(zone).error(), "timezone");
  if (!draft.timezone && !lent) error.message += " (from the setting timezone)";
  return fail(std::move(error));
}

Result<void> read_dst(const JobDraft& draft, Schedule& schedule) {
  if (draft.dst_gap) {
    const auto gap = job::parse_dst_gap(*draft.dst_gap);
    if (!gap) {
      return wrong("must be shift or skip, not '" + escape_control(*draft.dst_gap) + "'",
                   "dst_gap");
    }
    schedule.dst_gap = *gap;
  }
  if (draft.dst_fold) {
    const auto fold = job::parse_dst_fold(*draft.dst_fold);
    if (!fold) {
      return wrong("must be first, second or both, not '" + escape_control(*draft.dst_fold) + "'",
                   "dst_fold");
    }
    schedule.dst_fold = *fold;
  }
  return {};
}

Result<void> read_every(const JobDraft& draft, const Schedule* existing, const job::Zone& zone,
                        Time now, Schedule& schedule) {
  schedule.kind = ScheduleKind::every;
  const Result<Duration> period = parse_duration(*draft.every);
  if (!period) return fail(at_field(period.error(), "every"));
  schedule.every = *period;
  if (*period < limits::kShortestEvery) {
    return wrong(*draft.every + " is too short; a job runs at most once in " +
                     format_duration(limits::kShortestEvery),
                 "every");
  }
  const bool same_period = existing != nullptr && existing->kind == ScheduleKind::every &&
                           existing->every == schedule.every;
  schedule.anchor = same_period && !draft.immediately ? existing->anchor : now;
  if (!draft.anchor) return {};
  const Result<Time> anchor = job::parse_time(*draft.anchor, zone, now);
  if (!anchor) return fail(at_field(anchor.error(), "anchor"));
  schedule.anchor = *anchor;
  return {};
}

Result<void> read_at(const JobDraft& draft, const Schedule* existing, const job::Zone& zone,
                     Time now, Schedule& schedule) {
  schedule.kind = ScheduleKind::at;
  if (schedule.dst_fold == job::DstFold::both) {
    if (draft.dst_fold) return wrong("at is one instant: say first or second", "dst_fold");
    schedule.dst_fold = job::DstFold::first;  // it comes from the cron schedule that this replaces
  }
  const Result<Time> at =
      job::parse_time(*draft.at, zone, now, schedule.dst_gap, schedule.dst_fold);
  if (!at) return fail(at_field(at.error(), "at"));
  schedule.at = *at;
  // A file may keep saying what has long been done.
  const bool unchanged =
      existing != nullptr && existing->kind == ScheduleKind::at && existing->at == *at;
  if (*at <= now && !unchanged) {
    return wrong("'" + escape_control(*draft.at) + "' is in the past (" +
                     job::format_local(*at, zone) + "); it is " + job::format_local(now, zone) +
                     " now",
                 "at");
  }
  return {};
}

Result<void> read_in(const JobDraft& draft, Time now, Schedule& schedule) {
  schedule.kind = ScheduleKind::at;
  const Result<Duration> delay = parse_duration(*draft.in);
  if (!delay) return fail(at_field(delay.error(), "in"));
  if (*delay <= Duration::zero()) return wrong("must be longer than 0s", "in");
  schedule.at = now + *delay;
  return {};
}

/// Every Nth week: of which weeks an unchanged job fires does not depend on when it is said again.
Result<void> read_weeks(const JobDraft& draft, const Schedule* existing, const Schedule& base,
                        const job::Zone& zone, Time now, Schedule& schedule) {
  schedule.weeks = base.weeks;
  schedule.week_anchor = base.week_anchor;
  if (draft.weeks) {
    const std::optional<std::int64_t> weeks = parse_int(*draft.weeks);
    if (!weeks || *weeks < 1 || *weeks > limits::kMaxWeeks) {
      return wrong("'" + escape_control(*draft.weeks) + "' is not a number from 1 to " +
                       std::to_string(limits::kMaxWeeks),
                   "weeks");
    }
    schedule.weeks = static_cast<int>(*weeks);
  }
  if (schedule.weeks == 1) {
    if (draft.anchor) return wrong("anchor needs weeks (or every): from when to count", "anchor");
    schedule.week_anchor = {};
    return {};
  }
  Time anchor = now;
  if (draft.anchor) {
    const Result<Time> given = job::parse_time(*draft.anchor, zone, now);
    if (!given) return fail(at_field(given.error(), "anchor"));
    anchor = *given;
  } else if (base.weeks > 1) {
    return {};
  } else if (existing != nullptr && existing->weeks == schedule.weeks) {
    schedule.week_anchor = existing->week_anchor;
    return {};
  }
  schedule.week_anchor = std::chrono::floor<std::chrono::days>(zone.civil(anchor));
  return {};
}

Result<void> read_moment(const std::optional<std::string>& text, const char* key,
                         const job::Zone& zone, Time now, std::optional<Time>& into) {
  if (!text) return {};
  const Result<Time> moment = job::parse_time(*text, zone, now);
  if (!moment) return fail(at_field(moment.error(), key));
  into = *moment;
  return {};
}

std::vector<std::string> each_once(const std::vector<std::string>& words) {
  std::vector<std::string> once;
  for (const std::string& word : words) {
    if (std::find(once.begin(), once.end(), word) == once.end()) once.push_back(word);
  }
  return once;
}

/// What narrows a series of fires: from when, until when, calendars.
Result<void> read_bounds(const JobDraft& draft, const Schedule* existing, const Schedule& base,
                         const job::Zone& zone, Time now, Schedule& schedule) {
  schedule.not_before = base.not_before;
  schedule.until = base.until;
  schedule.only = draft.only ? each_once(*draft.only) : base.only;
  schedule.exclude = draft.exclude ? each_once(*draft.exclude) : base.exclude;
  schedule.on_excluded = base.on_excluded;
  TRY_VOID(read_moment(draft.not_before, "not_before", zone, now, schedule.not_before));
  TRY_VOID(read_moment(draft.until, "until", zone, now, schedule.until));
  if (schedule.not_before && schedule.until && *schedule.until < *schedule.not_before) {
    return wrong("until " + job::format_local(*schedule.until, zone) + " lies before not_before " +
                     job::format_local(*schedule.not_before, zone) + ": nothing would ever fire",
                 "until");
  }
  // A file may keep saying what has long been over.
  const bool unchanged = existing != nullptr && existing->until == schedule.until;
  if (draft.until && *schedule.until <= now && !unchanged) {
    return wrong("'" + escape_control(*draft.until) + "' is in the past (" +
                     job::format_local(*schedule.until, zone) + "): nothing would ever fire",
                 "until");
  }
  if (draft.on_excluded) {
    const auto on_excluded = job::parse_on_excluded(*draft.on_excluded);
    if (!on_excluded) {
      return wrong("must be skip or next, not '" + escape_control(*draft.on_excluded) + "'",
                   "on_excluded");
    }
    schedule.on_excluded = *on_excluded;
  }
  if (schedule.only.empty() && schedule.exclude.empty()) {
    if (draft.on_excluded) {
      return wrong("needs a calendar: give only or exclude as well", "on_excluded");
    }
    schedule.on_excluded = job::OnExcluded::skip;
  }
  return {};
}

/// @reboot stands where cron expressions do, and is none.
std::optional<JobDraft> as_reboot(const JobDraft& draft) {
  if (!draft.cron || lowered(trimmed(*draft.cron)) != "@reboot") return std::nullopt;
  JobDraft meant = draft;
  meant.cron.reset();
  meant.on_reboot = true;
  return meant;
}

/// Reads the one schedule of the draft. `base` holds what it keeps where the draft says nothing
/// (the zone, the DST rules); `existing` lends the anchor, and may be null.
Result<Schedule> read_schedule(const Context& context, const JobDraft& draft,
                               const Schedule* existing, const Schedule& base, Time now) {
  if (const auto meant = as_reboot(draft)) {
    return read_schedule(context, *meant, existing, base, now);
  }
  TRY_VOID(check_combination(draft));
  TRY(const job::ZonePtr zone, find_zone(context, draft, base));
  Schedule schedule;
  schedule.timezone = zone->name();
  if (draft.cron || draft.at) {
    schedule.dst_gap = base.dst_gap;
    schedule.dst_fold = base.dst_fold;
  }
  TRY_VOID(read_dst(draft, schedule));
  if (draft.every) TRY_VOID(read_every(draft, existing, *zone, now, schedule));
  if (draft.at) TRY_VOID(read_at(draft, existing, *zone, now, schedule));
  if (draft.in) TRY_VOID(read_in(draft, now, schedule));
  if (draft.cron) {
    schedule.kind = ScheduleKind::cron;
    schedule.cron = *draft.cron;
    TRY_VOID(read_weeks(draft, existing, base, *zone, now, schedule));
  }
  if (draft.on_reboot) schedule.kind = ScheduleKind::reboot;
  if (draft.every || draft.cron) {
    TRY_VOID(read_bounds(draft, existing, base, *zone, now, schedule));
  }
  return schedule;
}

/// The schedule of a job of which only details change: a zone, an anchor, the DST rules.
Result<Schedule> adjust_schedule(const Context& context, JobDraft draft, const Schedule& existing,
                                 Time now) {
  switch (existing.kind) {
    case ScheduleKind::every:
      draft.every = format_duration(existing.every);
      break;
    case ScheduleKind::cron:
      draft.cron = existing.cron;
      break;
    case ScheduleKind::reboot:
      draft.on_reboot = true;
      break;
    case ScheduleKind::manual:
      draft.manual = true;
      break;
    case ScheduleKind::at: {
      // The instant was fixed when it was read; only the zone it is shown in can change.
      for (const auto& [key, given] :
           {std::pair("anchor", draft.anchor.has_value()),
            std::pair("immediately", draft.immediately),
            std::pair("dst_gap", draft.dst_gap.has_value()),
            std::pair("dst_fold", draft.dst_fold.has_value()),
            std::pair("weeks", draft.weeks.has_value()),
            std::pair("not_before", draft.not_before.has_value()),
            std::pair("until", draft.until.has_value()), std::pair("only", draft.only.has_value()),
            std::pair("exclude", draft.exclude.has_value())}) {
        if (given) return wrong(std::string(key) + " changes nothing here; give at again", key);
      }
      Schedule schedule = existing;
      TRY(const job::ZonePtr zone, find_zone(context, draft, existing));
      schedule.timezone = zone->name();
      return schedule;
    }
  }
  return read_schedule(context, draft, &existing, existing, now);
}

Result<job::Action> read_action(const JobDraft& draft) {
  if (draft.command && draft.shell) {
    return wrong("command and shell exclude each other: a job does one thing", "shell");
  }
  job::Action action;
  if (draft.command) {
    action.command = *draft.command;
    if (action.command.empty()) return wrong("the command is empty", "command");
  } else if (draft.shell) {
    action.shell = *draft.shell;
    if (action.shell.empty()) return wrong("the shell line is empty", "shell");
  } else {
    return wrong("says nothing to run: give a command or a shell line", "command");
  }
  return action;
}

void merge_policy(const job::PolicyDraft& from, job::PolicyDraft& into) {
  for (const std::string& key : job::policy_keys()) {
    const auto value = job::policy_value(from, key);
    // What one draft printed, another reads: it was checked when it was set.
    if (value) static_cast<void>(job::set_policy(into, key, *value));
  }
}

void merge_env(const std::vector<std::pair<std::string, std::string>>& from,
               std::vector<std::pair<std::string, std::string>>& into) {
  for (const auto& [name, value] : from) {
    const auto known = std::find_if(into.begin(), into.end(),
                                    [&name = name](const auto& one) { return one.first == name; });
    if (known != into.end()) {
      known->second = value;
    } else {
      into.emplace_back(name, value);
    }
  }
}

Result<void> forget(const std::string& key, job::Definition& definition) {
  static const std::string kEnv = "env.";
  if (job::unset_policy(definition.policy, key)) return {};
  job::Schedule& schedule = definition.schedule;
  if (key == "cwd") {
    definition.cwd.clear();
  } else if (key == "weeks") {
    schedule.weeks = 1;
    schedule.week_anchor = {};
  } else if (key == "not_before") {
    schedule.not_before.reset();
  } else if (key == "until") {
    schedule.until.reset();
  } else if (key == "only" || key == "exclude") {
    (key == "only" ? schedule.only : schedule.exclude).clear();
    if (schedule.only.empty() && schedule.exclude.empty()) schedule.on_excluded = {};
  } else if (key == "on_excluded") {
    schedule.on_excluded = {};
  } else if (key == "tags") {
    definition.tags.clear();
  } else if (key == "env") {
    definition.env.clear();
  } else if (key.starts_with(kEnv)) {
    std::erase_if(definition.env,
                  [&key](const auto& one) { return one.first == key.substr(kEnv.size()); });
  } else if (key == "retry") {
    for (const char* part : {"max_attempts", "backoff", "max_delay"}) {
      job::unset_policy(definition.policy, part);
    }
  } else {
    std::vector<std::string> known = job::policy_keys();
    known.insert(known.end(), {"cwd", "tags", "env", "retry", "weeks", "not_before", "until",
                               "only", "exclude", "on_excluded"});
    for (const char* kept : {"every", "cron", "at", "in", "on_reboot", "manual", "timezone",
                             "anchor", "dst_gap", "dst_fold", "command", "shell"}) {
      if (key == kept)
        return wrong("'" + key + "' cannot be unset; give it another value instead", "unset");
    }
    std::string message = "cannot unset '" + escape_control(key) + "'";
    if (const auto near = nearest(key, known)) message += "; did you mean " + *near + "?";
    return wrong(std::move(message), "unset");
  }
  return {};
}

/// Policies that contradict each other.
Result<void> check_terms(const job::Policy& policy) {
  if (!policy.stdin_file.empty() && !policy.stdin_text.empty())
    return wrong("there is a stdin_file, too, and a command has one standard input", "stdin");
  const bool judged =
      !policy.success_match.empty() || !policy.fail_match.empty() || policy.min_output > 0;
  if (policy.output == job::Output::discard && judged)
    return wrong("success_match, fail_match and min_output look at what is discarded", "output");
  return {};
}

Result<void> check(const Context& context, const job::Definition& definition, std::uint64_t seed) {
  const Result<job::FireSeries> series = series_of(context, definition.schedule, seed);
  if (!series) {
    const bool cron = definition.schedule.kind == ScheduleKind::cron;
    return fail(at_field(series.error(), cron ? "cron" : "every"));
  }
  TRY_VOID(check_terms(job::resolve(definition.policy, context.config.defaults)));
  return job::check_definition(definition);
}

}  // namespace

Result<job::Definition> compile_draft(const Context& context, const JobDraft& draft,
                                      const job::Job* existing, Time now) {
  const Schedule* lender = existing != nullptr ? &existing->definition.schedule : nullptr;
  job::Definition definition;
  TRY(definition.schedule, read_schedule(context, draft, lender, Schedule{}, now));
  TRY(definition.action, read_action(draft));
  definition.policy = draft.policy;
  definition.cwd = draft.cwd.value_or("");
  merge_env(draft.env, definition.env);
  if (draft.tags) definition.tags = each_once(*draft.tags);
  TRY_VOID(check(context, definition, existing != nullptr ? existing->seed() : 0));
  return definition;
}

Result<job::Definition> amend(const Context& context, const job::Job& existing,
                              const JobDraft& draft, const std::vector<std::string>& unset,
                              Time now) {
  job::Definition definition = existing.definition;
  for (const std::string& key : unset) TRY_VOID(forget(key, definition));

  // What was just forgotten is not lent.
  const Schedule old = definition.schedule;
  if (draft.has_schedule()) {
    TRY(definition.schedule, read_schedule(context, draft, &old, old, now));
  } else if (adjusts_schedule(draft)) {
    TRY(definition.schedule, adjust_schedule(context, draft, old, now));
  }
  if (draft.command || draft.shell) {
    TRY(definition.action, read_action(draft));
  }
  merge_policy(draft.policy, definition.policy);
  if (draft.cwd) definition.cwd = *draft.cwd;
  merge_env(draft.env, definition.env);
  if (draft.tags) definition.tags = each_once(*draft.tags);
  TRY_VOID(check(context, definition, existing.seed()));
  return definition;
}

bool adjusts_schedule(const JobDraft& draft) {
  return draft.anchor || draft.immediately || draft.timezone || draft.dst_gap || draft.dst_fold ||
         draft.weeks || draft.not_before || draft.until || draft.only || draft.exclude ||
         draft.on_excluded;
}

Result<job::ZonePtr> zone_of(const Context& context, const Schedule& schedule) {
  return context.zones.find(schedule.timezone.empty() ? context.config.timezone
                                                      : schedule.timezone);
}

Result<job::FireSeries> series_of(const Context& context, const Schedule& schedule,
                                  std::uint64_t seed) {
  TRY(job::ZonePtr zone, zone_of(context, schedule));
  return job::FireSeries::make(schedule, std::move(zone), seed,
                               job::CalendarSource(context.config.calendars, context.zones));
}

}  // namespace schedctl::ops
