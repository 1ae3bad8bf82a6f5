// What is said of each case, from facts alone: a table, and below it the sentences of the cases
// where a wrong word would mislead.
#include "schedctl/zone/system_zones.hpp"
#include "src/ops/why_facts.hpp"
#include "tests/ops/world.hpp"

using namespace schedctl;
using namespace schedctl::ops;
using job::Cause;
using job::Reason;
using job::RunState;

namespace {

constexpr Time kAt = World::kStart + hours(2);
constexpr Time kNow = World::kStart + hours(8);

/// An occurrence at 02:00, asked about at 08:00; a daemon runs.
WhyFacts occurrence() {
  WhyFacts facts;
  facts.name = "backup";
  facts.at = kAt;
  facts.now = kNow;
  facts.zone = World::must(zone::system_zones()->find("UTC"));
  facts.is_fire = true;
  facts.served = true;
  facts.max_running = 100;
  facts.schedule_then = facts.schedule_now = "at 02:00 every day, UTC";
  Life life;
  life.id = JobId(1);
  life.created = World::kStart;
  life.versions.push_back({JobId(1), "backup", 1, World::kStart, {}});
  facts.life = life;
  facts.version = 1;
  job::Job job;
  job.id = JobId(1);
  job.name = "backup";
  job.created_at = World::kStart;
  job.planned_through = kNow;
  facts.job = job;
  facts.history_starts = World::kStart;
  return facts;
}

job::Run row(RunState state, Reason reason = Reason::none) {
  job::Run run;
  run.id = RunId(42);
  run.job_id = JobId(1);
  run.job_name = "backup";
  run.fire_time = run.created_at = run.due_at = kAt;
  run.state = state;
  run.reason = reason;
  return run;
}

WhyFacts with_row(RunState state, Reason reason = Reason::none) {
  WhyFacts facts = occurrence();
  facts.run = row(state, reason);
  const bool began =
      state != RunState::pending && state != RunState::skipped && state != RunState::missed;
  facts.first_due = kAt;
  if (!began) return facts;
  facts.run->result.started_at = facts.first_start = kAt + std::chrono::milliseconds(1);
  if (state != RunState::running) facts.run->result.ended_at = kAt + minutes(5);
  return facts;
}

store::Audit deed(const char* who, const char* action, Time at, const char* detail = "") {
  return {at, who, action, "backup", detail};
}

Gap gap(Gap::Kind kind) {
  return {kind, kAt - minutes(30), kAt + hours(5), ""};
}

std::string said(const WhyFacts& facts) {
  const Finding finding = judge(facts);
  std::string text = finding.headline;
  for (const std::string& line : finding.details) text += " " + line;
  return text;
}

struct Cell {
  const char* name;
  WhyFacts facts;
  Verdict verdict;
  std::string reason;
  std::string words;  ///< in the headline or after it
};

void check(const Cell& cell) {
  CAPTURE(cell.name);
  const Finding finding = judge(cell.facts);
  CHECK(to_string(finding.verdict) == to_string(cell.verdict));
  CHECK(finding.reason == cell.reason);
  CHECK_MESSAGE(contains(said(cell.facts), cell.words), said(cell.facts));
  CHECK_FALSE(finding.headline.empty());
  CHECK(finding.headline.ends_with('.'));
  CHECK_FALSE(finding.brief.empty());
  for (const std::string& line : finding.details) CHECK(line.ends_with('.'));
}

WhyFacts changed(WhyFacts facts, const std::function<void(WhyFacts&)>& change) {
  change(facts);
  return facts;
}

}  // namespace

TEST_CASE("what was started is told with how it went, and why it was late") {
  const WhyFacts ran = with_row(RunState::succeeded);
  const WhyFacts late_line = changed(ran, [](WhyFacts& f) {
    f.first_start = kAt + minutes(1);
    f.run->waits = true;
    f.in_line = {row(RunState::succeeded)};
    f.in_line[0].id = RunId(41);
    f.in_line[0].result.ended_at = kAt + seconds(59);
  });
  const WhyFacts late_gate = changed(ran, [](WhyFacts& f) {
    f.first_start = kAt + minutes(1);
    f.let_by = {row(RunState::succeeded), row(RunState::succeeded)};
    f.let_by[0].id = RunId(7);
    f.let_by[0].job_name = "import";
    f.let_by[0].result.ended_at = kAt + seconds(30);
    f.let_by[1].id = RunId(8);
    f.let_by[1].job_name = "prices";
    f.let_by[1].result.ended_at = kAt + seconds(59);
  });
  const auto late = [&](Gap::Kind kind) {
    return changed(ran, [kind](WhyFacts& f) {
      f.first_start = f.run->result.started_at = kAt + hours(5);
      f.gaps = {gap(kind)};
    });
  };
  const std::vector<Cell> cells{
      {"on time", ran, Verdict::succeeded, "",
       "backup ran for 2026-03-02 02:00:00+00:00 (6h ago): "
       "#42 succeeded."},
      {"stopped", late(Gap::Kind::stopped), Verdict::succeeded, "daemon_down",
       "It was 5h late: no daemon was running from 01:30:00 to 07:00:00 (5h30m); it had been "
       "stopped."},
      {"died", late(Gap::Kind::died), Verdict::succeeded, "daemon_down", "last sign of life"},
      {"off", late(Gap::Kind::off), Verdict::succeeded, "machine_off", "the machine was restarted"},
      {"clock", late(Gap::Kind::clock), Verdict::succeeded, "clock_jump",
       "the clock was set forward"},
      {"store", late(Gap::Kind::store), Verdict::succeeded, "store_failed", "could not be written"},
      {"keeper", late(Gap::Kind::keeper), Verdict::succeeded, "keeper_lost", "keeper"},
      {"slots", late(Gap::Kind::slots), Verdict::succeeded, "slots", "all slots were taken"},
      {"asleep", late(Gap::Kind::asleep), Verdict::succeeded, "asleep", "the machine slept"},
      {"late, nobody knows why",
       changed(ran, [](WhyFacts& f) { f.first_start = kAt + minutes(1); }), Verdict::succeeded,
       "late", "no row says why"},
      {"late, an alert knew",
       changed(ran,
               [](WhyFacts& f) {
                 f.first_start = kAt + minutes(1);
                 f.late_words = "its run #41 still runs";
               }),
       Verdict::succeeded, "late", "It was 1m late: its run #41 still runs."},
      {"late, behind a run of its job",
       changed(late_line, [](WhyFacts& f) { f.policy.overlap = job::Overlap::queue; }),
       Verdict::succeeded, "job_busy",
       "It was 1m late: it waited for #41 of its job, which ended at 02:00:59 (overlap = queue)."},
      {"late, behind several",
       changed(late_line,
               [](WhyFacts& f) {
                 f.policy.overlap = job::Overlap::queue;
                 f.in_line.insert(f.in_line.begin(), f.in_line[0]);
               }),
       Verdict::succeeded, "job_busy",
       "it waited for earlier runs of its job, the last of which, #41, ended at 02:00:59 (overlap "
       "= queue)."},
      {"late, in the place of another",
       changed(late_line,
               [](WhyFacts& f) {
                 f.policy.overlap = job::Overlap::replace;
                 f.in_line[0].replaced_by = RunId(42);
               }),
       Verdict::succeeded, "job_busy",
       "it waited for the end of #41, whose place it took, at 02:00:59 (overlap = replace)."},
      {"late, beside a backfill",
       changed(late_line, [](WhyFacts& f) { f.in_line[0].backfill = BackfillId(1); }),
       Verdict::succeeded, "job_busy", "which ended at 02:00:59 (of a backfill)."},
      {"late, one of a series",
       changed(late_line,
               [](WhyFacts& f) {
                 f.policy.coalesce = job::Coalesce::all;
                 f.policy.overlap = job::Overlap::queue;
               }),
       Verdict::succeeded, "job_busy",
       "overdue occurrences run one after the other: coalesce = all"},
      {"late, in a queue though overdue ones are all run",
       changed(late_line,
               [](WhyFacts& f) {
                 f.policy.coalesce = job::Coalesce::all;
                 f.policy.overlap = job::Overlap::queue;
                 f.in_line[0].created_at = kAt - minutes(1);
               }),
       Verdict::succeeded, "job_busy", "which ended at 02:00:59 (overlap = queue)."},
      {"late, behind a run that is gone",
       changed(late_line,
               [](WhyFacts& f) {
                 f.policy.overlap = job::Overlap::queue;
                 f.in_line.clear();
               }),
       Verdict::succeeded, "job_busy",
       "it was to wait for its job to be free, and no row says for which run (overlap = queue)."},
      {"late, longer than the run before it took",
       changed(late_line, [](WhyFacts& f) { f.first_start = kAt + minutes(3); }),
       Verdict::succeeded, "job_busy",
       "And for the last 2m1s no row says why: the machine was busy"},
      {"down, and then behind a run of its job",
       changed(late_line, [](WhyFacts& f) { f.gaps = {gap(Gap::Kind::stopped)}; }),
       Verdict::succeeded, "daemon_down", "And it waited for #41 of its job"},
      {"late, after another job", changed(late_gate, [](WhyFacts& f) { f.let_by.pop_back(); }),
       Verdict::succeeded, "after",
       "It was 1m late: it waited for import to succeed (after), which its run #7 did at "
       "02:00:30."},
      {"late, after others", late_gate, Verdict::succeeded, "after",
       "it waited for import, prices to succeed (after), the last of which was prices, at 02:00:59 "
       "by its run #8."},
      {"late, in a group",
       changed(ran,
               [](WhyFacts& f) {
                 f.first_start = kAt + minutes(1);
                 f.run->group = "db";
               }),
       Verdict::succeeded, "late",
       "and no row says why: its group was full ([groups] db = 1), the machine was busy, or no "
       "slot was free for a moment (max_running = 100)."},
      {"jitter",
       changed(ran,
               [](WhyFacts& f) {
                 f.policy.jitter = minutes(5);
                 f.first_due = f.first_start = kAt + seconds(12);
               }),
       Verdict::succeeded, "", "put off to 02:00:12, by its jitter of up to 5m."},
      {"failed",
       changed(with_row(RunState::failed, Reason::exit_status),
               [](WhyFacts& f) { f.run->result.exit_code = 3; }),
       Verdict::failed, "exit_status", "and failed: #42, exit status 3."},
      {"lost", with_row(RunState::lost, Reason::keeper_died), Verdict::lost, "keeper_died",
       "The keeper, which watches commands, died while it ran"},
      {"lost at a reboot", with_row(RunState::lost, Reason::rebooted), Verdict::lost, "rebooted",
       "The machine went down while it ran"},
      {"cancelled",
       changed(with_row(RunState::cancelled, Reason::operator_),
               [](WhyFacts& f) { f.cancelled = deed("anna", "cancel", kAt + minutes(5), "#42"); }),
       Verdict::cancelled, "operator", "#42 was cancelled by anna at 02:05:00."},
      {"replaced",
       changed(with_row(RunState::cancelled, Reason::replaced),
               [](WhyFacts& f) { f.run->replaced_by = RunId(43); }),
       Verdict::cancelled, "replaced", "#42 was ended, for #43 took its place."},
      {"ended by a stop", with_row(RunState::cancelled, Reason::shutdown), Verdict::cancelled,
       "shutdown", "and was ended because the daemon was stopped: #42."},
      {"running", with_row(RunState::running), Verdict::running, "",
       "backup is running for 2026-03-02 02:00:00+00:00 (6h ago): #42, for 6h now."},
      {"a fold",
       changed(ran, [](WhyFacts& f) { f.dst_note = "clock goes back at 03:00: first 02:00"; }),
       Verdict::succeeded, "", "About its time: clock goes back at 03:00: first 02:00."},
      {"by hand",
       changed(ran,
               [](WhyFacts& f) {
                 f.run->cause = Cause::manual;
                 f.asked = deed("bob", "trigger", kAt, "#42");
               }),
       Verdict::succeeded, "", "It was triggered by bob at 02:00:00."},
      {"backfill",
       changed(ran,
               [](WhyFacts& f) {
                 f.run->cause = Cause::backfill;
                 f.asked = deed("bob", "", kAt + hours(1));
               }),
       Verdict::succeeded, "", "The backfill was asked for by bob at 03:00:00."},
      {"reboot", changed(ran, [](WhyFacts& f) { f.run->cause = Cause::reboot; }),
       Verdict::succeeded, "", "after the machine was started"},
  };
  for (const Cell& cell : cells) check(cell);
}

TEST_CASE("what waits is told with what it waits for") {
  const WhyFacts waits = with_row(RunState::pending);
  const std::vector<Cell> cells{
      {"nothing in the way", waits, Verdict::waiting, "", "should start it at once"},
      {"jitter",
       changed(waits,
               [](WhyFacts& f) {
                 f.policy.jitter = hours(10);
                 f.run->due_at = *(f.first_due = kNow + minutes(1));
               }),
       Verdict::waiting, "jitter", "put off to 08:01:00, by its jitter of up to 10h."},
      {"spread",
       changed(waits,
               [](WhyFacts& f) {
                 f.policy.catchup_spread = hours(1);
                 f.run->due_at = *(f.first_due = kNow + minutes(1));
               }),
       Verdict::waiting, "spread", "catchup_spread of 1h."},
      {"retry",
       changed(waits,
               [](WhyFacts& f) {
                 f.policy.max_attempts = 3;
                 f.run->attempt = 2;
                 f.run->due_at = kNow + seconds(10);
                 f.run->result.exit_code = 3;
                 f.run->result.ended_at = kNow;
               }),
       Verdict::waiting, "retry", "backup waits for attempt 2 of 3 of #42"},
      {"its job runs",
       changed(waits,
               [](WhyFacts& f) {
                 f.other = row(RunState::running);
                 f.other->id = RunId(41);
                 f.other->result.started_at = kAt;
                 f.run->waits = true;
               }),
       Verdict::waiting, "job_busy",
       "Its run #41 still runs, since 02:00:00; this one waits for it"},
      {"the keeper", changed(waits, [](WhyFacts& f) { f.keeper_trouble = "it does not answer"; }),
       Verdict::waiting, "keeper", "The keeper cannot be reached (it does not answer)"},
      {"slots",
       changed(waits,
               [](WhyFacts& f) {
                 f.max_running = 1;
                 f.running.push_back(row(RunState::running));
                 f.running.back().job_name = "report";
                 f.running.back().id = RunId(7);
               }),
       Verdict::waiting, "slots",
       "The only slot is taken (max_running), by report #7. It starts when that one ends."},
      {"a machine that cannot fork",
       changed(waits,
               [](WhyFacts& f) {
                 f.run->start_failures = 2;
                 f.run->result.error = "cannot fork";
                 f.run->due_at = kNow + seconds(10);
               }),
       Verdict::waiting, "start_error", "The machine could not start it (2 times: cannot fork)"},
      {"an earlier run that cannot be started",
       changed(waits,
               [](WhyFacts& f) {
                 f.other = *f.run;
                 f.other->id = RunId(1);
                 f.other->start_failures = 1;
                 f.other->result.error = "cannot fork";
                 f.other->due_at = kNow + seconds(10);
               }),
       Verdict::waiting, "job_busy",
       "Its run #1 could not be started (cannot fork) and is tried again at 08:00:10; this one "
       "waits for it"},
      {"no daemon",
       changed(waits,
               [](WhyFacts& f) {
                 f.served = false;
                 f.down = Gap{Gap::Kind::stopped, kAt - hours(1), kNow, ""};
                 f.run->cause = Cause::manual;
               }),
       Verdict::waiting, "daemon_down", "No daemon is running: it was stopped at 01:00:00."},
      {"max_wait", changed(waits, [](WhyFacts& f) { f.run->give_up_at = kNow + minutes(5); }),
       Verdict::waiting, "", "If it has not started by 08:05:00 it is missed (max_wait)."},
  };
  for (const Cell& cell : cells) check(cell);
}

TEST_CASE("what was skipped or missed is told with what was in the way") {
  const auto skipped = [](Reason reason) { return with_row(RunState::skipped, reason); };
  const auto missed = [](Reason reason, std::vector<Gap> gaps) {
    return changed(with_row(RunState::missed, reason), [&](WhyFacts& f) {
      f.gaps = std::move(gaps);
      f.run->created_at = kAt + hours(5);
    });
  };
  WhyFacts overlap = skipped(Reason::overlap);
  overlap.other = row(RunState::succeeded);
  overlap.other->id = RunId(41);
  overlap.other->result.started_at = kAt - minutes(10);
  overlap.other->result.ended_at = kAt + minutes(3);
  const std::vector<Cell> cells{
      {"overlap", overlap, Verdict::skipped, "overlap",
       "its run #41 had not ended yet. #41 ran from 01:50:00 to 02:03:00 (13m), and succeeded."},
      {"too many beside it",
       changed(overlap, [](WhyFacts& f) { f.policy.overlap = job::Overlap::allow; }),
       Verdict::skipped, "overlap",
       "as many runs of it lived as may (max_instances = 3), #41 among them. #41 ran from"},
      {"queue full",
       changed(overlap,
               [](WhyFacts& f) {
                 f.run->reason = Reason::queue_full;
                 f.policy.overlap = job::Overlap::queue;
               }),
       Verdict::skipped, "queue_full",
       "its run #41 had not ended yet, and as many waited for it as may (max_queued = 10)."},
      {"overlap, gone", skipped(Reason::overlap), Verdict::skipped, "overlap",
       "another run of it had not ended yet"},
      {"coalesced",
       changed(skipped(Reason::coalesced),
               [](WhyFacts& f) {
                 f.other = row(RunState::succeeded);
                 f.other->id = RunId(43);
                 f.gaps = {gap(Gap::Kind::stopped)};
               }),
       Verdict::skipped, "coalesced",
       "it was overdue together with others, and #43 took their place."},
      {"paused",
       changed(skipped(Reason::paused),
               [](WhyFacts& f) {
                 f.paused = deed("anna", "pause", kAt - hours(1), "disk is full");
                 f.resumed = deed("bob", "resume", kAt + hours(1));
               }),
       Verdict::skipped, "paused",
       "It was paused by anna at 01:00:00: \"disk is full\". It was resumed by bob at 03:00:00."},
      {"a pause with an end",
       changed(skipped(Reason::paused),
               [](WhyFacts& f) {
                 f.paused = deed("anna", "pause", kAt - hours(1));
                 f.resumed = deed("schedctl", "resume", kAt + hours(1));
               }),
       Verdict::skipped, "paused", "The pause ended by itself at 03:00:00."},
      {"another schedule",
       changed(skipped(Reason::schedule_changed),
               [](WhyFacts& f) { f.changed = deed("anna", "set", kAt + minutes(1)); }),
       Verdict::skipped, "schedule_changed", "its schedule was changed by anna at 02:01:00"},
      {"removed",
       changed(skipped(Reason::removed),
               [](WhyFacts& f) { f.life->removed = deed("anna", "remove", kAt + minutes(1)); }),
       Verdict::skipped, "removed", "the job was removed by anna at 02:01:00"},
      {"excluded",
       changed(skipped(Reason::excluded), [](WhyFacts& f) { f.calendars = "holidays"; }),
       Verdict::skipped, "excluded", "calendars rule it out (holidays)"},
      {"max_runs", changed(skipped(Reason::max_runs), [](WhyFacts& f) { f.policy.max_runs = 3; }),
       Verdict::skipped, "max_runs", "it had had all its runs (max_runs = 3)"},
      {"missed, stopped", missed(Reason::misfire, {gap(Gap::Kind::stopped)}), Verdict::missed,
       "daemon_down",
       "backup did not run for 2026-03-02 02:00:00+00:00 (6h ago): no daemon was "
       "running."},
      {"missed, off", missed(Reason::misfire, {gap(Gap::Kind::off)}), Verdict::missed,
       "machine_off", "the machine was down. The machine was restarted"},
      {"missed, clock", missed(Reason::misfire, {gap(Gap::Kind::clock)}), Verdict::missed,
       "clock_jump", "the clock was set forward past it"},
      {"missed, asleep", missed(Reason::misfire, {gap(Gap::Kind::asleep)}), Verdict::missed,
       "asleep", "the machine was asleep"},
      {"missed, store", missed(Reason::misfire, {gap(Gap::Kind::store)}), Verdict::missed,
       "store_failed", "the store could not be written"},
      {"missed, who knows", missed(Reason::misfire, {}), Verdict::missed, "misfire",
       "No row says what kept the daemon"},
      {"missed, a trigger", missed(Reason::expired, {}), Verdict::missed, "expired",
       "no daemon came in time"},
      {"missed, a slot", missed(Reason::waited_too_long, {gap(Gap::Kind::slots)}), Verdict::missed,
       "waited_too_long", "it could not start within its max_wait of 0s. Meanwhile all slots were"},
  };
  for (const Cell& cell : cells) check(cell);
}

TEST_CASE("a moment without a row is told with what it is instead") {
  const WhyFacts fire = occurrence();
  const auto not_due = [&](NotDue why) {
    return changed(fire, [why](WhyFacts& f) {
      f.is_fire = false;
      f.why_not = why;
      f.fire_before = kAt - hours(1);
      f.fire_after = kAt + hours(1);
    });
  };
  const auto due = [&](const std::function<void(WhyFacts&)>& change) {
    return changed(changed(fire, [](WhyFacts& f) { f.job->planned_through = kAt - hours(1); }),
                   change);
  };
  const std::vector<Cell> cells{
      {"made later",
       changed(fire,
               [](WhyFacts& f) {
                 f.life.reset();
                 f.next_life = Life{JobId(2), kAt + hours(1), {}, {}, {}, {}, {}, {}, {}};
                 f.next_life->added = deed("anna", "add", kAt + hours(1));
               }),
       Verdict::no_job, "not_created", "It was made at 03:00:00, by anna."},
      {"removed before",
       changed(fire,
               [](WhyFacts& f) {
                 f.life_before = f.life;
                 f.life_before->removed = deed("bob", "remove", kAt - hours(1));
                 f.life.reset();
               }),
       Verdict::no_job, "removed", "It was removed by bob at 01:00:00."},
      {"between", not_due(NotDue::between), Verdict::not_due, "between_fires",
       "The occurrence before: 2026-03-02 01:00:00+00:00 (7h ago). The one after: 2026-03-02 "
       "03:00"},
      {"manual", not_due(NotDue::manual), Verdict::not_due, "manual", "fires by no clock"},
      {"reboot", not_due(NotDue::reboot), Verdict::not_due, "on_reboot", "after each boot"},
      {"not_before", not_due(NotDue::not_before), Verdict::not_due, "not_before", "not_before"},
      {"until", not_due(NotDue::until), Verdict::not_due, "until",
       "after its time is over (until)"},
      {"once", not_due(NotDue::once), Verdict::not_due, "once", "one moment only"},
      {"used up", changed(not_due(NotDue::used_up), [](WhyFacts& f) { f.policy.max_runs = 3; }),
       Verdict::not_due, "max_runs", "all its 3 runs"},
      {"gap",
       changed(not_due(NotDue::gap_skipped),
               [](WhyFacts& f) { f.gap_words = "at 02:00 the clock goes forward to 03:00"; }),
       Verdict::not_due, "dst_gap", "At 02:00 the clock goes forward to 03:00."},
      {"fold", changed(not_due(NotDue::fold_other), [](WhyFacts& f) { f.meant = kAt + hours(1); }),
       Verdict::not_due, "dst_fold", "fires only once, at 2026-03-02 03:00:00+00:00."},
      {"week", not_due(NotDue::other_week), Verdict::not_due, "other_week", "leaves that week out"},
      {"calendar",
       changed(not_due(NotDue::excluded), [](WhyFacts& f) { f.calendars = "holidays"; }),
       Verdict::not_due, "excluded", "(holidays)"},
      {"another schedule",
       changed(not_due(NotDue::between),
               [](WhyFacts& f) {
                 f.schedule_now = "every hour";
                 f.next_version = store::JobVersion{JobId(1), "backup", 2, kAt + hours(2), {}};
                 f.changed = deed("anna", "set", kAt + hours(2));
               }),
       Verdict::not_due, "between_fires",
       "Its schedule was another then: at 02:00 every day, UTC (version 1). It was changed at "
       "04:00:00 by anna. Today's is: every hour."},
      {"to come", changed(fire, [](WhyFacts& f) { f.at = kNow + hours(1); }), Verdict::upcoming, "",
       "backup is due at 2026-03-02 09:00:00+00:00 (in 1h)."},
      {"to come, paused",
       changed(fire,
               [](WhyFacts& f) {
                 f.at = kNow + hours(1);
                 f.job->paused = true;
                 f.paused = deed("anna", "pause", kAt);
               }),
       Verdict::upcoming, "paused", "Unless it is resumed before, it will not run"},
      {"to come, no daemon",
       changed(fire,
               [](WhyFacts& f) {
                 f.at = kNow + hours(1);
                 f.served = false;
               }),
       Verdict::upcoming, "", "Nothing runs before schedctl start."},
      {"due, paused", due([](WhyFacts& f) { f.job->paused = true; }), Verdict::skipped, "paused",
       ": it is paused."},
      {"due, set aside", due([](WhyFacts& f) { f.set_aside = "no zone Mars/Base"; }), Verdict::due,
       "set_aside", "The job is set aside, because its fires cannot be told: no zone Mars/Base."},
      {"due, no daemon", due([](WhyFacts& f) {
         f.served = false;
         f.policy.misfire_grace = hours(12);
       }),
       Verdict::due, "daemon_down", "If a daemon is started by 14:00:00 it still runs"},
      {"due, no daemon, too late", due([](WhyFacts& f) { f.served = false; }), Verdict::due,
       "daemon_down", "It is later than its misfire_grace (1h) already"},
      {"due, not planned", due([](WhyFacts&) {}), Verdict::due, "not_planned",
       "A daemon runs, but has not planned it"},
      {"due now", due([](WhyFacts& f) { f.at = kNow; }), Verdict::due, "", "this very moment"},
      {"purged", changed(fire, [](WhyFacts& f) { f.history_starts = kAt + hours(1); }),
       Verdict::unknown, "purged", "The history of this job starts at 2026-03-02 03:00:00+00:00."},
      {"pruned",
       changed(fire,
               [](WhyFacts& f) {
                 f.history_starts = kAt + hours(1);
                 f.pruned_at = kAt + hours(30);
               }),
       Verdict::unknown, "purged",
       "Retention has removed old rows, last at 2026-03-03 08:00:00+00:00"},
      {"pruned, beside an older row that stays",
       changed(fire, [](WhyFacts& f) { f.pruned_at = kAt + hours(30); }), Verdict::unknown,
       "purged", "how long they are kept is set by [retention]"},
      {"no history", changed(fire, [](WhyFacts& f) { f.history_starts.reset(); }), Verdict::unknown,
       "purged", "there is no history of the job"},
      {"a hole", fire, Verdict::unknown, "no_row", "no row says what became of it"},
  };
  for (const Cell& cell : cells) check(cell);
}

TEST_CASE("a run under an older schedule says that it was another") {
  WhyFacts facts = with_row(RunState::succeeded);
  facts.schedule_now = "every hour";
  CHECK(contains(said(facts),
                 "Its schedule was another then: at 02:00 every day, UTC (version 1). Today's is: "
                 "every hour."));
}

TEST_CASE("a stretch is told as one") {
  WhyFacts facts = with_row(RunState::missed, Reason::misfire);
  facts.run->count = 12;
  facts.run->last_fire_time = kAt + hours(3);
  const Finding finding = judge(facts);
  CHECK(finding.count == 12);
  CHECK(finding.last == kAt + hours(3));
  CHECK(contains(finding.headline,
                 "nor for the 11 occurrences after it, the last of them at 2026-03-02 "
                 "05:00:00+00:00"));
  facts.at = kAt + hours(1);
  CHECK(contains(judge(facts).headline,
                 "did not run for 2026-03-02 03:00:00+00:00 (5h ago), which is one of 12 "
                 "occurrences from 2026-03-02 02:00:00+00:00 to 2026-03-02 05:00:00+00:00:"));
  facts.at = kAt;
  facts.run->count = 2;
  CHECK(contains(judge(facts).headline, "nor for the one after it, at 2026-03-02 05:00"));
}

TEST_CASE("a word of others is one line in the sentence, and does nothing to the terminal") {
  WhyFacts facts = with_row(RunState::failed, Reason::exec_error);
  facts.run->result.error = "no such file \x1b[2J\nline 2";
  CHECK(contains(judge(facts).headline, "and failed: #42, no such file \\x1b[2J."));
  facts = occurrence();
  facts.job->planned_through = kAt - hours(1);
  facts.set_aside = "minute 99 is out of range 0-59\n  99 * * * *\n  ^";
  CHECK(
      contains(said(facts), "because its fires cannot be told: minute 99 is out of range 0-59. "));
}

TEST_CASE("attempts are counted as far as they were made") {
  WhyFacts facts = with_row(RunState::cancelled, Reason::operator_);
  facts.policy.max_attempts = 5;
  facts.run->attempt = 2;
  CHECK(contains(said(facts), "It was waiting for attempt 2 of at most 5 then."));
  CHECK_FALSE(contains(said(facts), "It took 2 attempts"));
  facts.run->result.attempt = 2;
  CHECK(contains(said(facts), "It took 2 attempts of at most 5"));
  CHECK_FALSE(contains(said(facts), "waiting"));
}

TEST_CASE("who changed a schedule is said once") {
  WhyFacts facts = with_row(RunState::skipped, Reason::schedule_changed);
  facts.schedule_now = "every hour";
  facts.next_version = store::JobVersion{JobId(1), "backup", 2, kAt + minutes(1), {}};
  facts.changed = deed("anna", "set", kAt + minutes(1));
  CHECK(contains(said(facts), "its schedule was changed by anna at 02:01:00"));
  CHECK_FALSE(contains(said(facts), "It was changed"));
  CHECK(contains(said(facts), "Today's is: every hour."));
}

TEST_CASE("how long a lost run took is not known") {
  const std::string text = said(with_row(RunState::lost, Reason::keeper_died));
  CHECK_FALSE(contains(text, "took"));
  CHECK_FALSE(contains(judge(with_row(RunState::lost, Reason::keeper_died)).brief, "took"));
}

TEST_CASE("of a run that a daemon left behind nobody claims that it still runs") {
  WhyFacts facts = with_row(RunState::running);
  facts.served = false;
  const std::string text = said(facts);
  CHECK(contains(text, "backup was running for"));
  CHECK(contains(text, "Whether it still runs no row says"));
}

TEST_CASE("several overdue ones are judged by the last of them") {
  WhyFacts facts = occurrence();
  facts.job->planned_through = kAt - hours(1);
  facts.served = false;
  facts.count = 6;
  facts.last = kAt + hours(5);
  facts.policy.misfire_grace = minutes(30);
  CHECK(contains(said(facts),
                 "They are all later than its misfire_grace (30m) already: when a "
                 "daemon is started they are recorded as missed"));
  facts.policy.misfire_grace = hours(2);
  CHECK(contains(said(facts),
                 "Of those that are not later than its misfire_grace (2h) when a "
                 "daemon is started, the latest runs (coalesce = latest)"));
}

TEST_CASE("of overdue ones that all run only the latest were kept") {
  WhyFacts facts = with_row(RunState::skipped, Reason::coalesced);
  facts.policy.coalesce = job::Coalesce::all;
  facts.other = row(RunState::succeeded);
  facts.other->id = RunId(43);
  CHECK(contains(judge(facts).headline, "and only the latest were kept, from #43 on."));
}

TEST_CASE("a trigger that was skipped needs no force once the other has ended") {
  WhyFacts facts = with_row(RunState::skipped, Reason::overlap);
  facts.run->cause = Cause::manual;
  facts.other = row(RunState::running);
  CHECK(contains(said(facts), "schedctl trigger backup --force"));
  facts.other->state = RunState::succeeded;
  CHECK(contains(said(facts), "schedctl trigger backup runs it now."));
}

TEST_CASE("events tell since when a gap lasted") {
  const Time end = kAt + hours(5);
  const auto read = [&](const char* kind, const std::string& detail) {
    return gap_ended_by({end, "node", kind, detail});
  };
  const std::string then = format_rfc3339(kAt);
  REQUIRE(read("daemon-up", "stopped at " + then));
  CHECK(read("daemon-up", "stopped at " + then)->kind == Gap::Kind::stopped);
  CHECK(read("daemon-up", "stopped at " + then)->from == kAt);
  CHECK(read("daemon-up", "died after " + then)->kind == Gap::Kind::died);
  CHECK(read("daemon-up", "died after " + then + ", the machine was restarted since")->kind ==
        Gap::Kind::off);
  CHECK(read("daemon-up", "first start")->kind == Gap::Kind::never);
  CHECK_FALSE(read("daemon-up", "died after an unknown time"));
  CHECK(read("clock-jump", "forward by 5h to " + format_rfc3339(end) + " (from " + then + ")")
            ->kind == Gap::Kind::clock);
  CHECK(read("suspend", "slept for 5h, from " + then + " to " + format_rfc3339(end))->from == kAt);
  CHECK_FALSE(read("clock-jump", "back by 2h to " + then));
  CHECK(read("store-failed", "since " + then + ": disk full")->detail == "disk full");
  CHECK(read("keeper-back", "not reached since " + then)->kind == Gap::Kind::keeper);
  CHECK(read("slots-full", "since " + then + ": all 2 slots were taken (max_running)")->kind ==
        Gap::Kind::slots);
  CHECK_FALSE(read("store-failed", "since tomorrow"));
  CHECK_FALSE(read("reload", "since " + then));
  // A clock that was set back in between leaves none that ends before it began.
  CHECK_FALSE(read("daemon-up", "stopped at " + format_rfc3339(end + hours(1))));
}
