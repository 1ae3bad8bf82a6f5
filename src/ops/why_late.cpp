// What a run that started late had waited for, beside a slot: its own job, or those that it comes
// after. No row of its own says so once it is over; the rows of those that ended meanwhile do.

#include <algorithm>

#include "schedctl/job/busy.hpp"
#include "src/ops/why_history.hpp"

namespace schedctl::ops {
namespace {

constexpr Duration kTick{1};

/// Rows of one cause that are looked at for a success.
constexpr std::size_t kSuccesses = 200;

bool ended_before(const job::Run& a, const job::Run& b) {
  return a.result.ended_at < b.result.ended_at;
}

/// Since when a success lets the fire through, as store::awaited_jobs() has it.
Time counts_since(const job::Schedule& schedule, const job::FireSeries& fires, Time fire,
                  Time created) {
  if (const auto before = fires.last_before(fire)) return *before;
  return schedule.kind == job::ScheduleKind::every ? fire - schedule.every : created;
}

}  // namespace

// What was due before it: a line is in order of that.
Result<void> History::add_line(WhyFacts& facts, Time due, Time start) const {
  const job::Run& run = *facts.run;
  if (!run.waits) return {};
  TRY(std::vector<job::Run> before, suspects(run, due));
  for (job::Run& one : before) {
    const auto& ended = one.result.ended_at;
    const bool meanwhile = ended && *ended > due && *ended <= start;
    const bool in_the_way = one.id != run.id && !job::is_beside_all(one);
    if (in_the_way && meanwhile) facts.in_line.push_back(std::move(one));
  }
  std::ranges::sort(facts.in_line, ended_before);
  return {};
}

// Of each job that it comes after the success that let it through, if that was not there when it
// was due.
Result<void> History::add_gate(WhyFacts& facts, const Life& life, Time due, Time start) const {
  const job::Run& run = *facts.run;
  if (run.cause != job::Cause::schedule) return {};
  // What it came after then decided, not what it came after when it was planned.
  const std::size_t version = version_at(life, start);
  const job::FireSeries* fires = series_of(life, version);
  if (fires == nullptr) return {};
  const job::Schedule& schedule = life.versions[version].definition.schedule;
  const Time since = counts_since(schedule, *fires, run.fire_time, life.created);
  for (const std::string& name : policy_of(life, version).after) {
    TRY(const std::optional<job::Job> other, context_.store.find_job(name));
    if (!other) continue;
    TRY(std::optional<job::Run> first, first_success(other->id, since, start));
    if (first && *first->result.ended_at > due) facts.let_by.push_back(std::move(*first));
  }
  std::ranges::sort(facts.let_by, ended_before);
  return {};
}

// None where it may lie before all rows that were looked at.
Result<std::optional<job::Run>> History::first_success(JobId job, Time since, Time until) const {
  std::optional<job::Run> first;
  for (const job::Cause cause : {job::Cause::schedule, job::Cause::manual, job::Cause::reboot}) {
    TRY(std::vector<job::Run> rows, context_.store.list_runs({.job_id = job,
                                                              .until = until + kTick,
                                                              .cause = cause,
                                                              .by_fire_time = true,
                                                              .limit = kSuccesses}));
    if (rows.size() == kSuccesses && rows.back().fire_time > since) return std::nullopt;
    for (job::Run& run : rows) {
      const bool counts = run.state == job::RunState::succeeded && run.fire_time > since &&
                          run.result.ended_at && *run.result.ended_at <= until;
      if (counts && (!first || ended_before(run, *first))) first = std::move(run);
    }
  }
  return first;
}

}  // namespace schedctl::ops
