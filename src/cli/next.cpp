#include <algorithm>
#include <queue>

#include "schedctl/base/text.hpp"
#include "schedctl/ops/next.hpp"
#include "src/cli/draft.hpp"
#include "src/cli/errors.hpp"
#include "src/cli/families.hpp"
#include "src/cli/json.hpp"
#include "src/cli/output.hpp"
#include "src/cli/parse.hpp"
#include "src/cli/session.hpp"
#include "src/cli/table.hpp"
#include "src/cli/times.hpp"

// next: the fires to come of one job, of a schedule that is only tried, or of all jobs.

namespace schedctl::cli {
namespace {

constexpr std::int64_t kMostFires = 10'000;
constexpr std::int64_t kDefaultFires = 10;

struct NamedFire {
  std::string job;  ///< empty: a schedule of no job
  ops::Fire fire;
  job::ZonePtr zone;
};

bool tries_schedule(const Invocation& call) {
  return call.has("every") || call.has("cron") || call.has("at");
}

Result<Time> starting_at(Session& session, const job::Zone& zone) {
  const auto text = session.call.value("from");
  if (!text) return session.now;
  Result<Time> from = job::parse_time(*text, zone, session.now);
  if (!from) return fail(ErrorKind::usage, std::move(from.error().message), "--from");
  // Fires come strictly after; one at the very instant that was named is meant as well.
  return *from - Duration(1);
}

std::vector<NamedFire> named(const std::string& job, std::vector<ops::Fire> fires,
                             const job::ZonePtr& zone) {
  std::vector<NamedFire> all;
  all.reserve(fires.size());
  for (ops::Fire& fire : fires) all.push_back({job, std::move(fire), zone});
  return all;
}

Result<std::vector<NamedFire>> fires_of_schedule(Session& session, std::size_t n) {
  TRY(job::JobDraft draft, draft_of(session.call));
  // Only the schedule is wanted, but a definition is compiled as a whole.
  draft.command = {"true"};
  TRY(const job::Definition definition, with_flag(session.ops().compile(draft, nullptr)));
  TRY(const job::ZonePtr zone, session.zone_of(definition.schedule));
  TRY(const Time from, starting_at(session, *zone));
  TRY(std::vector<ops::Fire> fires, with_flag(session.ops().next(definition.schedule, 0, from, n)));
  if (draft.at && !fires.empty() && fires.front().note.empty())
    fires.front().note = ops::note_of_moment(*draft.at, *zone, session.now);
  return named("", std::move(fires), zone);
}

/// What is said of a job instead of its fires, or above them.
void tell_of(const Session& session, const job::Job& job, bool any) {
  const job::Schedule& schedule = job.definition.schedule;
  if (schedule.kind == job::ScheduleKind::manual) {
    talk(session.call, job.name + " fires by no clock: schedctl trigger " + job.name + " runs it");
  } else if (schedule.kind == job::ScheduleKind::reboot) {
    talk(session.call, job.name + " fires once after each boot of the machine");
  } else if (!any) {
    talk(session.call, job.name + " has no fires to come; schedctl why " + job.name + " says why");
  }
  if (job.paused && any)
    talk(session.call,
         job.name + " is paused" +
             (job.paused_until ? "; it resumes by itself"
                               : ": nothing of this happens before schedctl resume " + job.name));
}

Result<std::vector<NamedFire>> fires_of_job(Session& session, std::size_t n) {
  TRY(const job::Job job, session.job(session.call.words[0]));
  TRY(const job::ZonePtr zone, session.zone_of(job.definition.schedule));
  TRY(const Time from, starting_at(session, *zone));
  const ops::Context context = session.context();
  TRY(std::vector<ops::Fire> fires, ops::next_of_job(context, job, from, n));
  tell_of(session, job, !fires.empty());
  return named(job.name, std::move(fires), zone);
}

/// Merges the series of all jobs: always the earliest goes out, and its job's following fire comes
/// in for it. So only as many schedules are compiled as fires are shown.
Result<std::vector<NamedFire>> fires_of_all(Session& session, std::size_t n) {
  TRY(const std::vector<store::JobListing> jobs, session.store->list_jobs(""));
  TRY(const Time from, starting_at(session, session.local_zone()));
  const ops::Context context = session.context();
  using Entry = std::pair<Time, std::size_t>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> earliest;
  // One that cannot be planned must not hide the others.
  const auto fires_after = [&](std::size_t i, Time after, std::size_t most) {
    const job::Job& job = jobs[i].job;
    Result<std::vector<ops::Fire>> fires = ops::next_of_job(context, job, after, most);
    if (fires) return std::move(*fires);
    talk(session.call, job.name + " is left out: " + fires.error().message);
    return std::vector<ops::Fire>();
  };
  const auto enter = [&](std::size_t i, Time after) {
    const std::vector<ops::Fire> fires = fires_after(i, after, 1);
    if (!fires.empty()) earliest.emplace(fires.front().at, i);
  };
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const job::Job& job = jobs[i].job;
    // A pause with an end leaves out what is due up to that.
    if (job.paused && job.paused_until) enter(i, std::max(from, *job.paused_until));
    if (job.paused || !job.next_fire) continue;
    // What the row knows holds if nothing lies between; otherwise the schedule itself is asked.
    if (from == session.now && *job.next_fire > from)
      earliest.emplace(*job.next_fire, i);
    else
      enter(i, from);
  }
  std::vector<NamedFire> fires;
  while (fires.size() < n && !earliest.empty()) {
    const auto [at, i] = earliest.top();
    earliest.pop();
    const job::Job& job = jobs[i].job;
    // Asked again for its note.
    std::vector<ops::Fire> two = fires_after(i, at - Duration(1), 2);
    if (two.empty()) continue;
    TRY(job::ZonePtr zone, session.zone_of(job.definition.schedule));
    fires.push_back({job.name, std::move(two[0]), std::move(zone)});
    if (two.size() > 1) earliest.emplace(two[1].at, i);
  }
  return fires;
}

void print_fires(Session& session, const std::vector<NamedFire>& fires, bool of_all) {
  if (session.call.globals.json) {
    std::vector<std::string> elements;
    elements.reserve(fires.size());
    for (const NamedFire& fire : fires)
      elements.push_back(json_fire(fire.fire, of_all ? &fire.job : nullptr));
    print(json_array(elements));
    return;
  }
  if (fires.empty()) {
    if (session.call.words.empty()) talk(session.call, "no fires to come");
    return;
  }
  std::vector<Table::Column> columns;
  if (of_all) columns.push_back({.title = "JOB"});
  columns.push_back({.title = "FIRE TIME"});
  columns.push_back({.title = "NOTE"});
  Table table(columns);
  for (const NamedFire& fire : fires) {
    std::vector<Table::Cell> row;
    if (of_all) row.emplace_back(fire.job);
    row.emplace_back(absolute_and_relative(fire.fire.at, *fire.zone, session.now));
    row.emplace_back(fire.fire.note);
    table.add(std::move(row));
  }
  print(table.render(terminal_width()));
}

}  // namespace

Result<Outcome> run_next(const Invocation& call) {
  TRY(const std::int64_t n, number_option(call, "count", kDefaultFires, 1, kMostFires));
  const bool of_schedule = tries_schedule(call);
  const bool of_job = !call.words.empty();
  if (of_schedule && of_job)
    return fail(ErrorKind::usage, "name a job or give a schedule, not both");
  if (!of_schedule)
    for (const char* name : {"timezone", "anchor", "dst-gap", "dst-fold", "weeks", "not-before",
                             "until", "only", "exclude", "on-excluded"})
      if (call.has(name))
        return fail(ErrorKind::usage, "only goes with --every, --cron or --at",
                    std::string("--") + name);
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::read));
  const auto count = static_cast<std::size_t>(n);
  Result<std::vector<NamedFire>> fires = of_schedule ? fires_of_schedule(*session, count)
                                         : of_job    ? fires_of_job(*session, count)
                                                     : fires_of_all(*session, count);
  if (!fires) return fail(std::move(fires.error()));
  print_fires(*session, *fires, !of_schedule && !of_job);
  return Done{};
}

}  // namespace schedctl::cli
