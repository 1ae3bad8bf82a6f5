// The facts about one occurrence or moment: everything that judge() may want to speak of, and no
// row that it will not.

#include <algorithm>

#include "schedctl/base/limits.hpp"
#include "schedctl/job/busy.hpp"
#include "schedctl/job/plan.hpp"
#include "schedctl/store/gate.hpp"
#include "src/ops/change.hpp"
#include "src/ops/compile.hpp"
#include "src/ops/fire_notes.hpp"
#include "src/ops/why_history.hpp"
#include "src/ops/why_run.hpp"

namespace schedctl::ops {
namespace {

constexpr Duration kTick{1};
constexpr std::size_t kGapsTold = 3;
constexpr std::size_t kEvents = 1000;
/// What ends a gap starts runs, and is written down in the beat after.
constexpr Duration kWrittenLater = std::chrono::seconds(2);
constexpr std::size_t kAlerts = 1000;
/// Runs of one cause that may have been in the way.
constexpr std::size_t kSuspects = 5;
/// Runs of one backfill that may have been: its fire times do not say when it ran.
constexpr std::size_t kBackfillSuspects = 500;
/// A stretch without free slots is looked for this long after somebody waited in it.
constexpr Duration kGapsLast = std::chrono::hours(7 * 24);
/// A gap that makes up less than this part of a delay does not explain it.
constexpr int kPartOfDelay = 10;

bool is_about(const store::Audit& audit, const char* action, RunId run) {
  return audit.action == action && audit.detail == "#" + std::to_string(run.value);
}

/// Whether the run occupied its job's slot at `t`, as far as its row tells.
bool occupied(const job::Run& run, Time begin, Time fire, Time t) {
  if (run.state == job::RunState::skipped || run.state == job::RunState::missed) return false;
  if (begin > t + kLateStart) return false;
  if (!job::is_final(run.state)) return run.occupies_slot();
  return run.result.ended_at && *run.result.ended_at >= fire;
}

void drop_small(std::vector<Gap>& gaps, Time due, Time start) {
  std::erase_if(gaps, [&](const Gap& gap) {
    const Duration inside = std::min(gap.to, start) - std::max(gap.from, due);
    return inside < (start - due) / kPartOfDelay;
  });
}

}  // namespace

WhyFacts History::base(const Life& life, std::size_t version, Time at) const {
  WhyFacts facts;
  facts.name = name_;
  facts.at = at;
  facts.now = now_;
  facts.zone = zone_;
  facts.life = life;
  if (lives_now(life)) facts.job = job_;
  facts.version = life.versions[version].version;
  facts.schedule_then = words_of(life.versions[version]);
  facts.schedule_now = words_of(life.versions.back());
  // Not each version has another schedule; where the words are the same, the next one is meant.
  std::size_t next = version + 1;
  while (next + 1 < life.versions.size() && words_of(life.versions[next]) == facts.schedule_then) {
    ++next;
  }
  if (next < life.versions.size() && words_of(life.versions[next]) == facts.schedule_then) {
    next = version + 1;
  }
  if (next < life.versions.size()) {
    facts.next_version = life.versions[next];
    const Time since = facts.next_version->since;
    if (const auto* audit = find_audit([since](const auto& one) { return one.at == since; })) {
      facts.changed = *audit;
    }
  }
  facts.policy = policy_of(life, version);
  facts.served = served_;
  facts.down = down_;
  const config::Config::Slots slots = context_.config.command_slots();
  facts.max_running = slots.most;
  facts.max_running_setting = slots.setting;
  facts.unreadable = !unreadable_.empty();
  return facts;
}

const store::Audit* History::find_audit(const std::function<bool(const store::Audit&)>& is) const {
  const auto found = std::ranges::find_if(audits_, is);
  return found == audits_.end() ? nullptr : &*found;
}

// --- runs ------------------------------------------------------------------------------------

Result<WhyFacts> History::facts_of(const Life& life, const job::Run& run) const {
  std::size_t version = version_at(life, run.created_at);
  for (std::size_t i = 0; i < life.versions.size(); ++i) {
    if (life.versions[i].version == run.job_version) version = i;
  }
  WhyFacts facts = base(life, version, run.fire_time);
  facts.is_fire = true;
  facts.run = run;
  const auto group = context_.config.groups.find(run.group);
  if (group != context_.config.groups.end()) facts.group_limit = group->second;
  TRY_VOID(add_asker(facts));
  if (run.cause == job::Cause::schedule && run.count <= 1) {
    facts.dst_note = dst_note(life, version, run.fire_time);
  }
  switch (run.state) {
    case job::RunState::missed:
      if (run.reason == job::Reason::waited_too_long) {
        TRY_VOID(add_wait(facts));
      } else {
        TRY_VOID(add_gaps(facts, run.fire_time, run.created_at, Blame::planning));
      }
      break;
    case job::RunState::skipped:
      if (run.reason == job::Reason::overlap || run.reason == job::Reason::queue_full) {
        TRY_VOID(add_overlap(facts));
      }
      if (run.reason == job::Reason::coalesced) TRY_VOID(add_coalesced(facts, life));
      if (run.reason == job::Reason::paused) {
        add_pause(facts, life, run.fire_time, run.last_fire_time.value_or(run.fire_time));
      }
      if (run.reason == job::Reason::excluded) {
        const auto next = fire_after(life, run.last_fire_time.value_or(run.fire_time));
        const job::Schedule& schedule = life.versions[version].definition.schedule;
        if (schedule.on_excluded == job::OnExcluded::next) facts.meant = next;
        facts.calendars = calendars_at(life, run.fire_time);
      }
      if (run.reason == job::Reason::schedule_changed) {
        TRY_VOID(add_gaps(facts, run.fire_time, run.created_at));
      }
      break;
    case job::RunState::pending:
      TRY_VOID(add_start(facts, life));
      TRY_VOID(add_obstacles(facts));
      break;
    case job::RunState::running:
    case job::RunState::succeeded:
    case job::RunState::failed:
    case job::RunState::cancelled:
    case job::RunState::lost:
      TRY_VOID(add_start(facts, life));
      break;
  }
  return facts;
}

Result<void> History::add_asker(WhyFacts& facts) const {
  const job::Run& run = *facts.run;
  const auto trigger = [&](const store::Audit& one) { return is_about(one, "trigger", run.id); };
  if (run.cause == job::Cause::manual) {
    if (const auto* audit = find_audit(trigger)) facts.asked = *audit;
  }
  if (run.backfill) {
    TRY(const auto backfills, context_.store.list_backfills({.job_id = run.job_id}));
    for (const store::Backfill& one : backfills) {
      if (one.id == run.backfill) facts.asked = store::Audit{one.created_at, one.who, "", "", ""};
    }
  }
  const bool cancels = run.state == job::RunState::cancelled || run.cancel_requested;
  if (!cancels) return {};
  const store::Audit* audit =
      find_audit([&](const store::Audit& one) { return is_about(one, "cancel", run.id); });
  // `remove --force` cancels what lives.
  const auto& removed = facts.life ? facts.life->removed : std::nullopt;
  const bool by_removal = removed && run.result.ended_at.value_or(removed->at) >= removed->at;
  if (audit == nullptr && by_removal) audit = &*removed;
  if (audit != nullptr) facts.cancelled = *audit;
  return {};
}

// When it was to start, when it did, and what lay between.
Result<void> History::add_start(WhyFacts& facts, const Life& life) const {
  const job::Run& run = *facts.run;
  const bool retried = run.has_been_tried();
  if (retried) {
    TRY(facts.attempts, context_.store.list_attempts(run.id));
  }
  if (!facts.attempts.empty()) facts.first_start = facts.attempts.front().started_at;
  if (!facts.first_start) facts.first_start = run.result.started_at;
  facts.first_due =
      retried || run.start_failures > 0
          ? run.fire_time + job::jitter_of(facts.policy.jitter, seed_of(life), run.fire_time)
          : run.due_at;
  if (run.cause == job::Cause::backfill) facts.first_due.reset();
  if (!facts.first_start || !facts.first_due) return {};
  if (*facts.first_start - *facts.first_due > kLateStart) {
    TRY_VOID(add_gaps(facts, run.fire_time, *facts.first_start));
    drop_small(facts.gaps, *facts.first_due, *facts.first_start);
    TRY(const auto alerts, context_.store.list_alerts({.job_id = run.job_id, .limit = kAlerts}));
    for (const job::Alert& alert : alerts) {
      if (alert.run != run.id || alert.detail.empty()) continue;
      const bool late =
          alert.kind == job::AlertKind::delayed || alert.kind == job::AlertKind::inactive;
      if (late) facts.late_words = alert.detail;
    }
    TRY_VOID(add_line(facts, *facts.first_due, *facts.first_start));
    TRY_VOID(add_gate(facts, life, *facts.first_due, *facts.first_start));
  }
  const bool rebooted = run.state == job::RunState::lost && run.reason == job::Reason::rebooted;
  if (rebooted && run.result.started_at && run.result.ended_at) {
    TRY_VOID(add_gaps(facts, *run.result.started_at, *run.result.ended_at));
  }
  return {};
}

Result<void> History::add_gaps(WhyFacts& facts, Time from, Time to, Blame blame) const {
  TRY(const std::vector<store::Event> events,
      context_.store.list_events({.since = from, .until = to + kWrittenLater, .limit = kEvents}));
  facts.gaps.clear();
  for (const store::Event& event : events) {
    const std::optional<Gap> gap = gap_ended_by(event);
    if (!gap || gap->from > to || gap->to < from) continue;
    // What is due is planned though nothing can be started.
    const bool plans = gap->kind == Gap::Kind::slots || gap->kind == Gap::Kind::keeper;
    if (blame == Blame::all || !plans) facts.gaps.push_back(*gap);
  }
  // What covers the very moment says more than what came after, a long one more than a short one.
  std::ranges::stable_sort(facts.gaps, [from](const Gap& a, const Gap& b) {
    const bool covers_a = a.from <= from, covers_b = b.from <= from;
    if (covers_a != covers_b) return covers_a;
    return a.to - std::max(a.from, from) > b.to - std::max(b.from, from);
  });
  if (facts.gaps.size() > kGapsTold) facts.gaps.resize(kGapsTold);
  return {};
}

// What kept a run from being started until it was given up. That may have lasted on, and is written
// down when it is over.
Result<void> History::add_wait(WhyFacts& facts) const {
  const job::Run& run = *facts.run;
  const Time to = run.give_up_at.value_or(run.due_at + facts.policy.max_wait);
  TRY_VOID(add_gaps(facts, run.fire_time, std::min(now_, to + kGapsLast)));
  std::erase_if(facts.gaps, [to](const Gap& gap) { return gap.from > to; });
  return {};
}

// What keeps a pending run from being started at this moment.
Result<void> History::add_obstacles(WhyFacts& facts) const {
  const job::Run& run = *facts.run;
  TRY(facts.running, context_.store.runs_in_state(job::RunState::running));
  // Whether it has a gate is noted when it is claimed, and that a daemon does.
  const bool gated =
      run.gated || (!served_ && run.cause == job::Cause::schedule && run.fence == 0 && !run.forced);
  if (gated && facts.job) {
    // What it comes after now decides, not what it came after when it was planned.
    const job::Policy now = job::resolve(facts.job->definition.policy, context_.config.defaults);
    TRY(const job::FireSeries fires,
        ops::series_of(context_, facts.job->definition.schedule, facts.job->seed()));
    TRY(facts.awaited,
        store::awaited_jobs(context_.store, *facts.job, now.after, fires, run.fire_time));
    for (const std::string& name : facts.awaited) {
      TRY(const std::optional<job::Job> other, context_.store.find_job(name));
      if (!other) facts.awaited_gone.push_back(name);
    }
  }
  for (const job::Run& other : facts.running) {
    const bool in_the_way = other.job_id == run.job_id && other.id != run.id && !run.forced;
    if (in_the_way && job::keeps_job_busy(other)) facts.other = other;
  }
  if (!facts.other && !run.forced) {
    TRY(const auto waiting,
        context_.store.list_runs({.job_id = run.job_id, .states = {job::RunState::pending}}));
    for (const job::Run& other : waiting) {
      if (other.id < run.id && job::keeps_job_busy(other)) facts.other = other;
    }
  }
  TRY(const auto alerts, context_.store.list_alerts({.open_only = true, .job_id = JobId{}}));
  for (const job::Alert& alert : alerts) {
    if (alert.kind == job::AlertKind::keeper) facts.keeper_trouble = alert.detail;
  }
  return {};
}

// The run that occupied the slot when this one was due: the one that had begun last.
Result<void> History::add_overlap(WhyFacts& facts) const {
  using job::RunState;
  const job::Run& run = *facts.run;
  const Time decided = std::max(run.created_at, run.due_at);
  std::optional<std::pair<bool, Time>> best;
  TRY(const std::vector<job::Run> all, suspects(run, decided));
  for (const job::Run& suspect : all) {
    if (suspect.id == run.id || job::is_beside_all(suspect)) continue;
    std::optional<Time> start = suspect.result.started_at;
    if (suspect.has_been_tried()) {
      TRY(const auto attempts, context_.store.list_attempts(suspect.id));
      if (!attempts.empty()) start = attempts.front().started_at;
    }
    // It takes its slot when it is handed to the keeper; where that was slow to start it, its row
    // says only since when it could be. One that is known to have run then comes before it.
    Time begin = start.value_or(suspect.created_at);
    const bool ran = occupied(suspect, begin, run.fire_time, decided);
    if (!ran) begin = suspect.created_at;
    if (!ran && !occupied(suspect, begin, run.fire_time, decided)) continue;
    const std::pair likelihood(ran, begin);
    if (best && likelihood < *best) continue;
    best = likelihood;
    facts.other = suspect;
  }
  return {};
}

// Few of each cause, found by an index. The fire times of a backfill say nothing of when its runs
// ran, so those of the backfills that were open then are all looked at.
Result<std::vector<job::Run>> History::suspects(const job::Run& run, Time decided) const {
  using job::Cause, job::RunState;
  const std::vector<RunState> began{RunState::running, RunState::pending,   RunState::succeeded,
                                    RunState::failed,  RunState::cancelled, RunState::lost};
  std::vector<job::Run> found;
  const auto take = [&](store::RunFilter filter) -> Result<void> {
    filter.job_id = run.job_id;
    filter.states = began;
    TRY(std::vector<job::Run> some, context_.store.list_runs(filter));
    found.insert(found.end(), std::make_move_iterator(some.begin()),
                 std::make_move_iterator(some.end()));
    return {};
  };
  for (const Cause cause : {Cause::schedule, Cause::manual, Cause::reboot}) {
    TRY_VOID(
        take({.until = decided + kTick, .cause = cause, .by_fire_time = true, .limit = kSuspects}));
  }
  TRY(const auto backfills, context_.store.list_backfills({.job_id = run.job_id}));
  for (const store::Backfill& one : backfills) {
    const bool open = one.created_at <= decided && one.ended_at.value_or(decided) >= run.fire_time;
    if (open) TRY_VOID(take({.backfill = one.id, .limit = kBackfillSuspects}));
  }
  return found;
}

// Of the overdue ones that were planned together the one that was to run: a neighbour of the
// stretch, written in the same moment.
Result<void> History::add_coalesced(WhyFacts& facts, const Life& life) const {
  const job::Run& run = *facts.run;
  TRY_VOID(add_gaps(facts, run.fire_time, run.created_at));
  const auto take = [&](Time t) -> Result<void> {
    TRY(const std::optional<job::Run> row, row_at_or_before(life, t));
    const bool ran = row && row->id != run.id && row->created_at == run.created_at &&
                     row->reason != job::Reason::coalesced && row->reason != job::Reason::misfire;
    if (ran && !facts.other) facts.other = *row;
    return {};
  };
  if (const auto next = fire_after(life, run.last_fire_time.value_or(run.fire_time))) {
    TRY_VOID(take(*next));
  }
  return take(run.fire_time - kTick);
}

void History::add_pause(WhyFacts& facts, const Life& life, Time first, Time last) const {
  // The one that began it: a pause of a paused job moves its end. Before a resume lies another one.
  const store::Audit* pause = nullptr;
  for (const store::Audit& one : audits_) {
    if (one.at > first) continue;
    if (one.at < life.created || one.action == "resume") break;
    if (one.action == "pause") pause = &one;
  }
  if (pause == nullptr && facts.job && facts.job->paused) {
    const Time since = facts.job->paused_at;
    pause = find_audit([since](const store::Audit& one) { return one.at == since; });
  }
  if (pause != nullptr) {
    facts.paused = *pause;
  } else {
    facts.paused = life.added;
  }
  for (const store::Audit& one : audits_) {
    if (one.at < last) break;
    if (one.action == "resume") facts.resumed = one;
  }
}

// --- without a row ---------------------------------------------------------------------------

Result<WhyFacts> History::facts_of_fire(const Life& life, Time t, std::int64_t count,
                                        Time last) const {
  const std::size_t version = version_at(life, t);
  WhyFacts facts = base(life, version, t);
  facts.is_fire = true;
  facts.count = count;
  if (count > 1) facts.last = last;
  if (count <= 1) facts.dst_note = dst_note(life, version, t);
  if (t > now_) {
    const Duration jitter = job::jitter_of(facts.policy.jitter, seed_of(life), t);
    if (jitter > Duration::zero()) facts.first_due = t + jitter;
  }
  const bool planned = !facts.job || t <= facts.job->planned_through;
  if (planned) {
    TRY(facts.history_starts, history_start(life, t));
    TRY(facts.pruned_at, pruned_after(t));
    TRY_VOID(add_gaps(facts, t, now_));
    return facts;
  }
  if (facts.job->paused) add_pause(facts, life, t, now_);
  TRY(facts.set_aside, why_set_aside());
  return facts;
}

// What retention removed was older than limits::kKeptAlways.
Result<std::optional<Time>> History::pruned_after(Time t) const {
  TRY(const std::vector<store::Event> events,
      context_.store.list_events({.kinds = {"retention"}, .limit = 1}));
  if (events.empty() || events.front().at - limits::kKeptAlways < t) return std::nullopt;
  return events.front().at;
}

Result<std::string> History::why_set_aside() const {
  if (!unreadable_.empty()) return unreadable_;
  if (!job_ || job_->paused || job_->next_fire || is_used_up()) return std::string();
  auto series = ops::series_of(context_, job_->definition.schedule, job_->seed());
  if (!series) return series.error().message;
  if (!series->next_after(job_->planned_through)) return std::string();
  TRY(const std::vector<store::Event> events,
      context_.store.list_events({.kinds = {"job-error"}, .limit = kEvents}));
  for (const store::Event& event : events) {
    const std::string& text = event.detail;
    if (text.starts_with(name_ + ": ")) return text.substr(name_.size() + 2);
    if (text.find("'" + name_ + "'") != std::string::npos) return text;
  }
  return std::string("no row says why");
}

WhyFacts History::facts_of_no_job(Time t) const {
  WhyFacts facts;
  facts.name = name_;
  facts.at = t;
  facts.now = now_;
  facts.zone = zone_;
  facts.served = served_;
  for (const Life& life : lives_) {
    if (life.created > t && !facts.next_life) facts.next_life = life;
    if (life.ended && *life.ended < t) facts.life_before = life;
  }
  return facts;
}

Result<WhyFacts> History::facts_of_nothing(const Life& life, Time t, Time end) const {
  const std::size_t version = version_at(life, t);
  WhyFacts facts = base(life, version, t);
  facts.fire_before = fire_before(life, t);
  facts.fire_after = fire_after(life, t - kTick);
  facts.why_not = why_not(life, version, t, end, facts);
  return facts;
}

NotDue History::why_not(const Life& life, std::size_t version, Time t, Time end,
                        WhyFacts& facts) const {
  const job::Schedule& schedule = life.versions[version].definition.schedule;
  if (schedule.kind == job::ScheduleKind::manual) return NotDue::manual;
  if (schedule.kind == job::ScheduleKind::reboot) return NotDue::reboot;
  if (schedule.kind == job::ScheduleKind::at) return NotDue::once;
  if (schedule.not_before && t < *schedule.not_before) return NotDue::not_before;
  if (schedule.until && t > *schedule.until) return NotDue::until;
  if (lives_now(life) && t > end_of_runs(t)) return NotDue::used_up;
  // What the same schedule would do without one of its conditions.
  const auto fires_there = [&](const job::Schedule& other) {
    const auto series = ops::series_of(context_, other, seed_of(life));
    return series && series->count(t - kTick, end - kTick).count > 0;
  };
  job::Schedule other = schedule;
  other.only.clear();
  other.exclude.clear();
  if (other != schedule && fires_there(other)) {
    facts.calendars = calendars_at(life, t);
    if (schedule.on_excluded == job::OnExcluded::next) facts.meant = facts.fire_after;
    return NotDue::excluded;
  }
  other = schedule;
  other.weeks = 1;
  if (other != schedule && fires_there(other)) return NotDue::other_week;
  const auto zone = zone_of(context_, schedule);
  if (!zone) return NotDue::between;
  facts.gap_words = FireNotes(schedule, *zone, seed_of(life)).lost_in_gap(t, end);
  if (!facts.gap_words.empty()) return NotDue::gap_skipped;
  other = schedule;
  other.dst_fold = job::DstFold::both;
  if (other == schedule || !fires_there(other)) return NotDue::between;
  const job::CivilMeaning meaning = (*zone)->meaning((*zone)->civil(t));
  if (meaning.kind != job::CivilMeaning::Kind::repeated) return NotDue::between;
  const Time instead = t < meaning.transition ? meaning.second : meaning.first;
  facts.meant = fire_after(life, instead - kTick);
  return NotDue::fold_other;
}

}  // namespace schedctl::ops
