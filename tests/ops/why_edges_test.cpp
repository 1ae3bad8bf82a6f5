// `why` where its rows are few, old, or say little: what it must not claim, and what it must find
// all the same.
#include "tests/ops/why_world.hpp"

using namespace schedctl;
using namespace schedctl::ops;

namespace {

Time day(int month, int d) {
  return Time{std::chrono::sys_days{std::chrono::year{2026} / month / d}};
}

}  // namespace

TEST_CASE("a renamed job is told under both names") {
  WhyWorld world;
  world.add("old", every("10m"));
  world.clock.advance(minutes(10));
  world.plan("old");
  world.ran("old", world.now(), seconds(1));
  world.clock.advance(minutes(5));
  World::must(world.ops.rename("old", "new"));
  world.clock.advance(minutes(5));
  world.plan("new");
  world.ran("new", world.now(), seconds(1));
  const WhyAnswer answer = world.ask("old");
  REQUIRE(answer.findings.size() == 2);
  CHECK(world.brief(answer.findings[0]) == "no_job renamed");
  CHECK(contains(world.text(answer.findings[0]),
                 "There is no job old at 2026-03-02 00:20:00+00:00 (now). It was renamed to new by "
                 "alice at 00:15:00; schedctl why new tells of it since."));
  // What ran under the new name is not the old one's.
  CHECK(answer.findings[1].at == World::kStart + minutes(10));
  CHECK(world.one("old", "00:20").reason == "renamed");
  CHECK(world.one("new", "00:10").verdict == Verdict::succeeded);
  CHECK(contains(world.text(world.one("new", "2026-03-01 12:00")),
                 "It was made at 2026-03-02 00:00:00, by alice, with the name old."));
}

TEST_CASE("what was done to a job under its old name is known") {
  WhyWorld world;
  world.add("old", every("1h"));
  world.clock.advance(minutes(10));
  job::JobDraft draft = every("2h");
  World::must(world.ops.set("old", draft, {}));
  World::must(world.ops.pause({"old"}, "disk is full"));
  world.clock.advance(minutes(10));
  World::must(world.ops.rename("old", "new"));
  world.clock.advance(hours(3));
  CHECK(contains(world.text(world.one("new")),
                 "It was paused by alice at 00:10:00: \"disk is full\"."));
  const Finding before = world.one("new", "00:05");
  CHECK(contains(world.text(before), "Its schedule was another then: every hour (version 1)."));
}

TEST_CASE("a schedule that was changed is not laid to who changed something else before") {
  WhyWorld world;
  world.add("backup", cron("0 2 * * *"));
  world.clock.advance(hours(3));
  job::JobDraft draft = cron("0 2 * * *");
  draft.policy.max_attempts = 3;
  World::must(world.ops.set("backup", draft, {}));
  world.clock.advance(hours(1));
  World::must(world.ops.set("backup", cron("0 5 * * *"), {}));
  world.clock.advance(hours(4));
  CHECK(contains(world.text(world.one("backup", "01:00")), "It was changed at 04:00:00 by alice."));
}

TEST_CASE("after the last of its runs nothing was an occurrence") {
  WhyWorld world;
  job::JobDraft draft = every("1h");
  draft.policy.max_runs = 1;
  world.add("once", draft);
  world.clock.advance(hours(1));
  world.plan("once");
  const job::Job job = world.stored("once");
  World::must(world.store->count_run(job.id));
  World::must(world.store->set_planned(job.id, world.now(), std::nullopt));
  world.clock.advance(hours(9));
  const Finding finding = world.one("once", "09:30");
  CHECK(world.brief(finding) == "not_due max_runs");
  CHECK(contains(world.text(finding), "It had had its one run (max_runs)."));
  CHECK(contains(world.text(finding), "The occurrence before: 2026-03-02 01:00:00+00:00"));
}

TEST_CASE("a time that the clock never showed, or showed twice, is said to be one") {
  WhyWorld world;
  world.clock.set_wall(day(3, 28));
  world.add("half", cron("*/30 * * * *", "Europe/Berlin"));
  world.add("two", cron("*/30 2 * * *", "Europe/Berlin"));
  world.add("fixed", cron("30 2 * * *", "Europe/Berlin"));
  world.clock.set_wall(day(3, 30));
  // Its 03:00 is none of 02:30.
  CHECK(contains(world.text(world.one("half", "2026-03-29 02:30")),
                 "The clock of Europe/Berlin does not show that time on that day"));
  CHECK_FALSE(contains(world.text(world.one("half", "2026-03-29 03:00")), "does not show"));
  const Finding lost = world.one("two", "2026-03-29 02:30");
  CHECK(world.brief(lost) == "not_due dst_gap");
  CHECK(
      contains(world.text(lost),
               "At 02:00 the clock goes forward to 03:00, so 02:00 and 1 more are left out, as its "
               "minute or hour begins with *"));
  CHECK(world.one("two", "2026-03-29").reason == "dst_gap");
  CHECK(contains(world.text(world.one("fixed", "2026-03-29 02:30")),
                 "02:30 does not exist, runs at 03:00"));
  const Finding twice = world.one("half", "2026-10-25 02:30");
  CHECK(twice.at == day(10, 25) + minutes(30));
  CHECK(contains(world.text(twice),
                 "shows that time twice; this is about the first, and --at "
                 "\"2026-10-25 02:30:00+01:00\" about the second."));
  CHECK(world.one("half", "2026-10-25 02:30:00+01:00").at == day(10, 25) + hours(1) + minutes(30));
}

TEST_CASE("a day ends where the next one begins, whatever a calendar leaves out") {
  const World world;
  const auto window = [&](const char* text, const char* zone) {
    return World::must(parse_why_window(text, *World::must(world.zones->find(zone)), world.now()));
  };
  const WhyWindow apia = window("2011-12-29", "Pacific/Apia");
  CHECK(apia.to - apia.from == hours(24));
  CHECK(apia.to == window("2011-12-31", "Pacific/Apia").from);
  CHECK(window("9999-12-31", "UTC").to - window("9999-12-31", "UTC").from == hours(24));
  CHECK(window("2018-11-04", "America/Sao_Paulo").to -
            window("2018-11-04", "America/Sao_Paulo").from ==
        hours(23));
}

TEST_CASE("only what has no row any more is unknown") {
  WhyWorld world;
  world.add("tick", every("1s"));
  // As if the rows of the first hours had been purged.
  world.clock.advance(hours(10));
  const job::Job job = world.stored("tick");
  World::must(world.store->set_planned(job.id, world.now(), job.next_fire));
  world.clock.advance(hours(20));
  world.plan("tick");
  CHECK(world.briefs("tick", "2026-03-02") ==
        Briefs{"unknown purged x36000", "missed misfire x50399"});
  CHECK(world.ask("tick", "2026-03-02").findings[0].last == World::kStart + hours(10));
}

TEST_CASE("a gap that hardly matters is not what a late start is laid to") {
  WhyWorld world;
  world.add("backup", every("1h"));
  world.clock.advance(hours(1));
  world.plan("backup");
  const Time due = world.now();
  world.clock.advance(seconds(2));
  world.event("store-failed", "since " + format_rfc3339(due + seconds(1)) + ": busy");
  world.clock.advance(minutes(30));
  world.ran("backup", world.now(), seconds(1));
  CHECK(world.brief(world.one("backup")) == "succeeded late");
}

TEST_CASE("full slots keep nothing from being planned, but from being started") {
  WhyWorld world;
  job::JobDraft draft = every("1h");
  draft.policy.max_wait = minutes(1);
  world.add("backup", draft);
  world.clock.advance(hours(1));
  world.plan("backup");
  job::Run run = world.runs("backup").back();
  run.state = RunState::missed;
  run.reason = Reason::waited_too_long;
  REQUIRE(World::must(world.store->update_run(run, run.fence)));
  // Written down when it was over, long after.
  world.clock.advance(minutes(30));
  world.event("slots-full", "since " + format_rfc3339(World::kStart + minutes(50)) +
                                ": all 2 slots were taken (max_running)");
  CHECK(contains(world.text(world.one("backup", "01:00")),
                 "it could not start within its max_wait of 1m. Meanwhile all 2 slots were taken "
                 "(max_running) from 00:50:00 to 01:30:00 (40m)."));

  world.clock.advance(hours(2));
  world.event("slots-full", "since " + format_rfc3339(World::kStart + minutes(110)) +
                                ": all 2 slots were taken (max_running)");
  world.plan("backup");
  const Finding late = world.one("backup", "02:00");
  CHECK(world.brief(late) == "missed misfire");
  CHECK_FALSE(contains(world.text(late), "slots"));
}

TEST_CASE("what was due before the first daemon is told so") {
  WhyWorld world;
  world.add("backup", cron("30 2 * * *"));
  world.clock.advance(hours(7));
  world.event("daemon-up", "first start");
  world.plan("backup");
  CHECK(contains(world.text(world.one("backup", "02:30")),
                 "The first daemon of this store was started at 07:00:00."));
}

TEST_CASE("a pause is of whom began it, not of whom moved its end") {
  WhyWorld world;
  world.add("tick", every("1h"));
  world.clock.advance(minutes(10));
  World::must(world.ops.pause({"tick"}, "disk is full", World::kStart + hours(3)));
  world.clock.advance(minutes(10));
  World::must(world.ops.pause({"tick"}, "", World::kStart + hours(5)));
  world.clock.advance(hours(1));
  const std::string text = world.text(world.one("tick"));
  CHECK(contains(text, "It was paused by alice at 00:10:00 until 03:00:00: \"disk is full\"."));
  CHECK(contains(text, "The pause ends by itself at 2026-03-02 05:00:00+00:00"));
}

TEST_CASE("a run that the keeper was slow to start was in the way since it was due") {
  WhyWorld world;
  world.add("tick", every("1m"));
  world.clock.advance(minutes(1));
  world.plan("tick");
  const Time due = world.now();
  const job::Run slow = world.ran("tick", due + minutes(5), seconds(1));
  world.clock.advance(minutes(1));
  world.plan("tick");
  world.settle("tick", RunState::skipped, Reason::overlap, {}, {});
  world.clock.advance(minutes(4) + std::chrono::milliseconds(200));
  // Written down just after what it had held up was started.
  world.event("keeper-back", "not reached since " + format_rfc3339(due + seconds(5)));
  CHECK(world.brief(world.one("tick", "00:01")) == "succeeded keeper_lost");
  const Finding skipped = world.one("tick", "00:02");
  CHECK(contains(skipped.headline, "its run #" + std::to_string(slow.id.value)));
  CHECK(contains(world.text(skipped),
                 ", due at 00:01:00, had its turn then, but started only at 00:06:00, and "
                 "succeeded."));
}

TEST_CASE("a backfill of the time before a job was made is told of that time") {
  WhyWorld world;
  world.clock.advance(hours(24 * 5));
  world.add("backup", cron("0 2 * * *"));
  job::Run run;
  run.job_id = world.stored("backup").id;
  run.job_name = "backup";
  run.job_version = 1;
  run.cause = job::Cause::backfill;
  run.fire_time = World::kStart + hours(2);
  run.created_at = run.due_at = world.now();
  World::must(world.store->insert_run(run));
  CHECK(world.one("backup", "2026-03-02 02:00").verdict == Verdict::waiting);
  CHECK(world.one("backup", "2026-03-02 03:00").verdict == Verdict::no_job);
}

TEST_CASE("a new job says that its name had another one before") {
  WhyWorld world;
  world.add("tick", every("1h"));
  world.clock.advance(minutes(5));
  World::must(world.ops.remove({"tick"}, false));
  world.clock.advance(minutes(5));
  world.add("tick", every("1h"));
  CHECK(contains(world.text(world.one("tick")),
                 "A job of that name before it was removed by alice at 00:05:00; --at with a time "
                 "before that tells of it."));
}

TEST_CASE("what is due in a pause is counted as that") {
  WhyWorld world;
  world.add("tick", every("6h"));
  World::must(world.ops.pause({"tick"}, ""));
  world.clock.advance(hours(13));
  const WhyAnswer answer = world.ask("tick", "today");
  REQUIRE(answer.totals.size() == 2);
  CHECK(answer.totals[0] == std::pair<std::string, std::int64_t>("skipped (paused)", 2));
}

TEST_CASE("days to come are told as such") {
  WhyWorld world;
  world.add("monday", cron("0 2 * * 1"));
  CHECK(world.one("monday", "tomorrow").headline == "monday is not due on 2026-03-03.");
  CHECK(world.one("monday", "2026-03-01").headline == "There was no job monday on 2026-03-01.");
}

TEST_CASE("of a stretch that goes on after the day, the day ends with its last") {
  WhyWorld world;
  world.add("hourly", cron("0 * * * *"));
  world.clock.advance(hours(40));
  world.plan("hourly");
  const WhyAnswer answer = world.ask("hourly", "2026-03-02");
  REQUIRE(answer.findings.size() == 1);
  CHECK(world.brief(answer.findings[0]) == "missed misfire x23");
  CHECK(answer.findings[0].at == World::kStart + hours(1));
  CHECK(answer.findings[0].last == World::kStart + hours(23));
  CHECK(world.ask("hourly", "2026-03-03").findings[0].at == World::kStart + hours(24));
}
