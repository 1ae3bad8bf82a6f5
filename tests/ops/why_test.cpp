// `why` from a store: what people did through ops, and rows as a daemon writes them.
#include "schedctl/ops/why.hpp"

#include "tests/ops/why_world.hpp"

using namespace schedctl;
using namespace schedctl::ops;

TEST_CASE("why of an unknown name names the nearest one") {
  WhyWorld world;
  world.add("backup", every("1h"));
  const auto answer = why(world.context, {.name = "bakcup"});
  REQUIRE_FALSE(answer);
  CHECK(answer.error().kind == ErrorKind::not_found);
  CHECK(contains(answer.error().message, "did you mean backup?"));
}

TEST_CASE("why of a new job says that it was not due yet, and when it will be") {
  WhyWorld world;
  world.add("backup", cron("30 2 * * *"));
  world.clock.advance(minutes(1));
  const WhyAnswer answer = world.ask("backup");
  REQUIRE(answer.findings.size() == 1);
  CHECK(contains(answer.findings[0].headline,
                 "backup has not been due yet: it was made at "
                 "2026-03-02 00:00:00+00:00 (1m ago) by alice."));
  REQUIRE(answer.now.next_fire);
  CHECK(answer.now.sentences == Briefs{"It is not due now. Next: 2026-03-02 02:30:00+00:00 (in "
                                       "2h29m)."});
}

TEST_CASE("the latest occurrence is explained, and the last that went wrong is named") {
  WhyWorld world;
  world.add("backup", every("10m"));
  world.clock.advance(minutes(10));
  world.plan("backup");
  world.settle("backup", RunState::failed, Reason::exit_status, {}, {});
  world.clock.advance(minutes(10));
  world.plan("backup");
  world.ran("backup", world.now(), seconds(3));
  const Finding finding = world.one("backup");
  CHECK(finding.verdict == Verdict::succeeded);
  CHECK(contains(world.text(finding),
                 "The last one that did not succeed: 2026-03-02 "
                 "00:10:00+00:00 (10m ago), failed (exit_status)"));
}

TEST_CASE("a run by hand is told beside the occurrence before it, one that still runs always") {
  WhyWorld world;
  world.add("backup", every("1h"));
  world.clock.advance(hours(1));
  world.plan("backup");
  world.ran("backup", world.now(), seconds(3));
  world.clock.advance(minutes(5));
  World::must(world.ops.trigger("backup", false));
  WhyAnswer answer = world.ask("backup");
  REQUIRE(answer.findings.size() == 2);
  CHECK(contains(world.text(answer.findings[0]), "It was triggered by alice at 01:05:00."));
  world.ran("backup", world.now(), seconds(3));
  world.clock.advance(hours(1));
  world.plan("backup");
  CHECK(world.ask("backup").findings.size() == 1);
}

TEST_CASE("an overlap names the run that was in the way, though others were skipped before") {
  WhyWorld world;
  world.add("slow", every("1m"));
  world.clock.advance(minutes(1));
  world.plan("slow");
  const job::Run blocker = world.settle("slow", RunState::succeeded, Reason::none, world.now(),
                                        world.now() + minutes(4));
  for (int i = 0; i < 3; ++i) {
    world.clock.advance(minutes(1));
    world.plan("slow");
    world.settle("slow", RunState::skipped, Reason::overlap, {}, {});
  }
  const Finding finding = world.one("slow", "00:04");
  CHECK(world.brief(finding) == "skipped overlap");
  CHECK(contains(finding.headline, "its run #" + std::to_string(blocker.id.value)));
  CHECK(contains(world.text(finding), "ran from 00:01:00 to 00:05:00 (4m), and succeeded."));
}

TEST_CASE("runs of a backfill that may be side by side are not what is in the way") {
  WhyWorld world;
  const job::Job job = world.add("slow", every("1m"));
  world.clock.advance(minutes(1));
  world.plan("slow");
  const job::Run blocker = world.settle("slow", RunState::running, Reason::none, world.now(), {});
  const std::string number = "#" + std::to_string(blocker.id.value);
  world.clock.advance(seconds(30));
  store::Backfill backfill;
  backfill.job_id = job.id;
  backfill.created_at = world.now();
  backfill.max_parallel = 2;
  World::must(world.store->insert_backfill(backfill));
  job::Run old = store::new_run(job, {}, job::Cause::backfill, World::kStart, world.now());
  old.state = RunState::running;
  old.forced = true;
  old.result.started_at = world.now();
  old.backfill = backfill.id;
  World::must(world.store->insert_run(old));
  world.clock.advance(seconds(30));
  world.plan("slow");
  job::Run waiting = world.runs("slow").back();
  waiting.waits = true;
  World::must(world.store->update_run(waiting, waiting.fence));
  CHECK(contains(world.text(world.one("slow", "00:02")), "Its run " + number + " still runs"));

  world.settle("slow", RunState::skipped, Reason::overlap, {}, {});
  CHECK(contains(world.one("slow", "00:02").headline, "its run " + number + " had not ended"));
}

TEST_CASE("a retry that waits is in the way since its first attempt") {
  WhyWorld world;
  world.add("slow", every("1m"));
  world.clock.advance(minutes(1));
  world.plan("slow");
  job::Run blocker = world.runs("slow").back();
  job::AttemptResult first;
  first.started_at = world.now();
  first.ended_at = world.now() + seconds(1);
  World::must(world.store->insert_attempt(blocker.id, first, Reason::exit_status));
  world.wait_for_retry(blocker);
  world.clock.advance(minutes(1));
  world.plan("slow");
  world.settle("slow", RunState::skipped, Reason::overlap, {}, {});
  CHECK(contains(world.text(world.one("slow", "00:02")), "waits for its attempt 2"));
}

TEST_CASE("a missed occurrence knows since when no daemon was there") {
  WhyWorld world;
  world.add("backup", cron("30 2 * * *"));
  const Time stopped = World::kStart + hours(1);
  world.clock.advance(hours(7));
  world.event("daemon-up", "stopped at " + format_rfc3339(stopped));
  world.plan("backup");
  const Finding finding = world.one("backup", "02:30");
  CHECK(world.brief(finding) == "missed daemon_down");
  CHECK(contains(world.text(finding),
                 "No daemon was running from 01:00:00 to 07:00:00 (6h); it had "
                 "been stopped."));
  CHECK(contains(world.text(finding),
                 "It was noticed at 07:00:00, 4h30m late; what is later than "
                 "misfire_grace (1h) is not run any more."));
}

TEST_CASE("gaps that lie before or after are not blamed") {
  WhyWorld world;
  world.add("backup", cron("30 2 * * *"));
  world.clock.advance(hours(1));
  world.event("daemon-up", "stopped at " + format_rfc3339(World::kStart));
  world.clock.advance(hours(1) + minutes(30));
  world.plan("backup");
  world.ran("backup", world.now() + minutes(1), seconds(5));
  world.clock.advance(hours(1));
  world.event("daemon-up", "died after " + format_rfc3339(world.now() - minutes(5)));
  CHECK(world.brief(world.one("backup", "02:30")) == "succeeded late");
}

TEST_CASE("the occurrence that ran in the place of others is named") {
  WhyWorld world;
  world.add("tick", every("10m"));
  world.clock.advance(minutes(35));
  world.event("daemon-up", "stopped at " + format_rfc3339(World::kStart));
  world.plan("tick");
  const job::Run ran = world.ran("tick", world.now(), seconds(1));
  const Finding finding = world.one("tick", "00:10");
  CHECK(world.brief(finding) == "skipped coalesced");
  CHECK(
      contains(world.text(finding), "and #" + std::to_string(ran.id.value) + " took their place"));
  CHECK(contains(world.text(finding), "They were overdue because no daemon was running"));
}

TEST_CASE("a pause is told with who and when, before and after the resume") {
  WhyWorld world;
  world.add("tick", every("10m"));
  world.clock.advance(minutes(5));
  World::must(world.ops.pause({"tick"}, "disk is full"));
  world.clock.advance(hours(1));
  Finding finding = world.one("tick");
  CHECK(world.brief(finding) == "skipped paused x6");
  CHECK(contains(world.text(finding), "It was paused by alice at 00:05:00: \"disk is full\"."));
  CHECK(world.ask("tick").now.paused);
  World::must(world.ops.resume({"tick"}));
  finding = world.one("tick", "00:20");
  CHECK(world.brief(finding) == "skipped paused");
  CHECK(contains(world.text(finding), "It was resumed by alice at 01:05:00."));
}

TEST_CASE("a job that was added paused says so") {
  WhyWorld world;
  world.add("tick", every("10m"), {.paused = true});
  world.clock.advance(minutes(15));
  CHECK(contains(world.text(world.one("tick")), "It was paused from its definition on, by alice"));
}

TEST_CASE("as of a past day the schedule is that day's") {
  WhyWorld world;
  world.add("backup", cron("0 2 * * *"));
  world.clock.advance(hours(3));
  world.plan("backup");
  world.ran("backup", World::kStart + hours(2), seconds(9));
  World::must(world.ops.set("backup",
                            [] {
                              job::JobDraft draft;
                              draft.cron = "0 5 * * *";
                              return draft;
                            }(),
                            {}));
  world.clock.advance(hours(24));
  const Finding ran = world.one("backup", "2026-03-02 02:00");
  CHECK(ran.verdict == Verdict::succeeded);
  CHECK(contains(
      world.text(ran),
      "Its schedule was another then: at 02:00 every day, UTC"
      " (version 1). It was changed at 03:00:00 by alice. Today's is: at 05:00 every day"));
  const Finding not_due = world.one("backup", "2026-03-02 01:00");
  CHECK(world.brief(not_due) == "not_due between_fires");
  CHECK(contains(world.text(not_due), "It was changed at 03:00:00 by alice."));
  CHECK(contains(world.text(not_due), "The next occurrence: 2026-03-02 02:00:00+00:00"));
}

TEST_CASE("a job that did not exist yet, and one that was removed, say by whom") {
  WhyWorld world;
  world.clock.advance(hours(1));
  world.add("backup", every("10m"));
  CHECK(contains(world.text(world.one("backup", "00:30")), "It was made at 01:00:00, by alice."));
  world.clock.advance(minutes(15));
  world.plan("backup");
  world.ran("backup", World::kStart + minutes(70), seconds(1));
  World::must(world.ops.remove({"backup"}, false));
  world.clock.advance(hours(1));
  const Finding gone = world.one("backup", "02:00");
  CHECK(world.brief(gone) == "no_job removed");
  CHECK(contains(world.text(gone), "It was removed by alice at 01:15:00."));
  // What it did is still told.
  CHECK(world.one("backup", "01:10").verdict == Verdict::succeeded);
  const WhyAnswer latest = world.ask("backup");
  REQUIRE(latest.findings.size() == 2);
  CHECK(latest.findings[0].reason == "removed");
  CHECK_FALSE(latest.now.exists);
}

TEST_CASE("a name that was used twice is told by the job of that time") {
  WhyWorld world;
  world.add("backup", every("10m"));
  world.clock.advance(minutes(15));
  World::must(world.ops.remove({"backup"}, false));
  world.clock.advance(hours(1));
  world.add("backup", every("1h"));
  world.clock.advance(hours(1));
  CHECK(world.one("backup", "00:10").run.has_value());
  CHECK(world.one("backup", "00:40").reason == "removed");
  CHECK(contains(world.text(world.one("backup", "00:40")),
                 "The next of that name was made at 01:15:00, by alice."));
  CHECK(world.brief(world.one("backup", "02:15")) == "due");
}

TEST_CASE("a cancel, also by remove --force, names who") {
  WhyWorld world;
  world.add("backup", every("10m"));
  job::Run run = World::must(world.ops.trigger("backup", false));
  World::must(world.ops.cancel("#" + std::to_string(run.id.value)));
  CHECK(contains(world.text(world.one("backup")), "was cancelled by alice at 00:00:00."));
}

TEST_CASE("a retry whose job was removed is told as a run, with how its last attempt ended") {
  WhyWorld world;
  world.add("backup", every("10m"));
  world.clock.advance(minutes(10));
  world.plan("backup");
  job::Run run = world.start(world.runs("backup").back());
  run.result.ended_at = world.now() + seconds(1);
  run.result.exit_code = 7;
  World::must(world.store->insert_attempt(run.id, run.result, Reason::exit_status));
  world.wait_for_retry(run);
  world.clock.advance(minutes(1));
  World::must(world.ops.remove({"backup"}, false));
  const Finding finding = world.one("backup", "00:10");
  CHECK(world.brief(finding) == "cancelled removed");
  CHECK(contains(finding.headline,
                 "attempt 1 of #1 failed (exit status 7), and it was not tried "
                 "again because the job was removed by alice at 00:11:00"));
  CHECK_FALSE(contains(world.text(finding), "did not run"));
  CHECK(contains(world.text(finding), "It was waiting for attempt 2"));
}

TEST_CASE("a clock change is told of the occurrence that it moved, and of the one it removed") {
  WhyWorld world;
  world.clock.set_wall(Time{std::chrono::sys_days{std::chrono::year{2026} / 3 / 28}});
  world.add("shift", cron("30 2 * * *", "Europe/Berlin"));
  job::JobDraft draft = cron("30 2 * * *", "Europe/Berlin");
  draft.dst_gap = "skip";
  world.add("skip", draft);
  world.clock.set_wall(Time{std::chrono::sys_days{std::chrono::year{2026} / 3 / 29}} + hours(1));
  world.plan("shift");
  world.ran("shift", world.now(), seconds(1));
  world.clock.advance(hours(2));
  // 02:30 does not exist on that day: what is meant is the moment after the gap.
  CHECK(contains(world.text(world.one("shift", "02:30")),
                 "clock goes forward at 02:00: 02:30 does not exist, runs at 03:00"));
  world.plan("skip");
  const Finding removed = world.one("skip", "02:30");
  CHECK(world.brief(removed) == "not_due dst_gap");
  CHECK(contains(world.text(removed),
                 "At 02:00 the clock goes forward to 03:00, so 02:30 is left out"));
}

TEST_CASE("in a fold the other of the two times is named") {
  WhyWorld world;
  world.clock.set_wall(Time{std::chrono::sys_days{std::chrono::year{2026} / 10 / 24}});
  job::JobDraft draft = cron("30 2 * * *", "Europe/Berlin");
  draft.dst_fold = "second";
  world.add("second", draft);
  world.clock.set_wall(Time{std::chrono::sys_days{std::chrono::year{2026} / 10 / 25}} + hours(6));
  world.plan("second");
  const Finding finding = world.one("second", "2026-10-25T02:30:00+02:00");
  CHECK(world.brief(finding) == "not_due dst_fold");
  CHECK(contains(world.text(finding), "fires only once, at 2026-10-25 02:30:00+01:00."));
}

TEST_CASE("a fire that max_runs leaves no run for is not to come, as next says") {
  WhyWorld world;
  job::JobDraft draft = cron("0 3 * * *");
  draft.policy.max_runs = 2;
  world.add("twice", draft);
  CHECK(world.brief(world.one("twice", "2026-03-02 03:00")) == "upcoming");
  CHECK(world.brief(world.one("twice", "2026-03-03 03:00")) == "upcoming");
  CHECK_FALSE(contains(world.text(world.one("twice", "2026-03-03 02:00")), "all its 2 runs"));
  const Finding third = world.one("twice", "2026-03-04 03:00");
  CHECK(world.brief(third) == "not_due max_runs");
  CHECK(contains(world.text(third), "By then it will have had all its 2 runs (max_runs)."));
  CHECK(contains(world.text(third), "The occurrence before: 2026-03-03 03:00:00+00:00"));
  CHECK(world.brief(world.one("twice", "2026-03-06")) == "not_due max_runs");
  // What is due in a pause has no run, and leaves it to others.
  World::must(world.ops.pause({"twice"}, "", World::kStart + days(3)));
  CHECK(world.brief(world.one("twice", "2026-03-06 03:00")) == "upcoming");
  CHECK(world.brief(world.one("twice", "2026-03-07 03:00")) == "not_due max_runs");
}

TEST_CASE("what bounds a schedule is told") {
  WhyWorld world;
  job::JobDraft draft = every("1h");
  draft.not_before = "2026-03-02 05:00";
  draft.until = "2026-03-02 07:00";
  world.add("window", draft);
  world.clock.advance(hours(10));
  world.plan("window");
  CHECK(world.one("window", "03:00").reason == "not_before");
  CHECK(world.one("window", "08:00").reason == "until");
  CHECK(contains(world.ask("window").now.sentences[0], "Its time is over (until)"));

  draft = every("1h");
  draft.policy.max_runs = 2;
  world.add("twice", draft);
  world.clock.advance(hours(1) + minutes(1));
  world.plan("twice");
  job::Job job = world.stored("twice");
  World::must(world.store->count_run(job.id));
  World::must(world.store->count_run(job.id));
  World::must(world.store->set_planned(job.id, world.now(), std::nullopt));
  CHECK(world.one("twice", "tomorrow 00:00").reason == "max_runs");
  CHECK(contains(world.ask("twice").now.sentences[0], "It has had all its 2 runs"));
}

TEST_CASE("purged history is told with where the rest begins") {
  WhyWorld world;
  world.add("tick", every("1h"));
  world.clock.advance(hours(5));
  // Planned, and the rows are gone.
  job::Job job = world.stored("tick");
  World::must(
      world.store->set_planned(job.id, World::kStart + hours(3) + minutes(1), job.next_fire));
  CHECK(world.one("tick", "02:00").reason == "purged");
  world.plan("tick");
  const Finding finding = world.one("tick", "02:00");
  CHECK(world.brief(finding) == "unknown purged");
  CHECK(contains(world.text(finding),
                 "The history of this job starts at 2026-03-02 04:00:00+00:00."));
}

TEST_CASE("a day is a line for each occurrence") {
  WhyWorld world;
  world.add("backup", every("6h"));
  for (int i = 0; i < 2; ++i) {
    world.clock.advance(hours(6));
    world.plan("backup");
    world.ran("backup", world.now(), minutes(1));
  }
  world.clock.advance(hours(1));
  World::must(world.ops.trigger("backup", false));
  const WhyAnswer answer = world.ask("backup", "today");
  REQUIRE(answer.window);
  CHECK(answer.window->is_day);
  CHECK(answer.occurrences == 4);
  CHECK(world.briefs("backup", "today") == Briefs{"succeeded", "succeeded", "waiting", "upcoming"});
  CHECK(answer.findings[0].brief == "succeeded: #1, took 1m");
}

TEST_CASE("a day of a job that fires each second is summed up, and costs little") {
  WhyWorld world;
  world.add("tick", every("1s"));
  world.clock.advance(hours(48));
  world.plan("tick");
  const WhyAnswer answer = world.ask("tick", "2026-03-02");
  CHECK(answer.findings.size() == 1);
  CHECK(answer.occurrences == 86'399);
  CHECK(world.brief(answer.findings[0]) == "missed misfire x86399");
  CHECK(world.brief(world.ask("tick", "2026-03-05").findings[0]) == "upcoming x86400");
}

TEST_CASE("neighbours of a kind share a line where there are too many") {
  WhyWorld world;
  world.add("tick", every("10m"));
  for (int i = 0; i < 100; ++i) {
    world.clock.advance(minutes(10));
    world.plan("tick");
    world.ran("tick", world.now(), seconds(1));
    if (i == 50) world.settle("tick", RunState::failed, Reason::exit_status, {}, {});
  }
  CHECK(world.briefs("tick", "today") ==
        Briefs{"succeeded x50", "failed exit_status", "succeeded x49", "upcoming x43"});
}

TEST_CASE("a stretch is counted only as far as the question reaches") {
  WhyWorld world;
  world.add("tick", every("1h"));
  world.clock.advance(hours(72));
  world.plan("tick");
  CHECK(world.brief(world.ask("tick", "2026-03-03").findings[0]) == "missed misfire x24");
  const Finding one = world.one("tick", "2026-03-03 05:00");
  CHECK(one.at == World::kStart + hours(29));
  CHECK(world.brief(one) == "missed misfire");
  CHECK(world.one("tick", "2026-03-03 05:30").verdict == Verdict::not_due);
}

TEST_CASE("times are read as people mean them: the latest that is over") {
  const World world;
  const job::ZonePtr zone = World::must(world.zones->find("Europe/Berlin"));
  const Time now = World::kStart + hours(12);  // 13:00 in Berlin
  const auto at = [&](const char* text) { return World::must(parse_why_window(text, *zone, now)); };
  CHECK(at("02:30").from == World::kStart + hours(1) + minutes(30));
  CHECK(at("02:30").to == at("02:30").from + minutes(1));
  CHECK(at("02:30:15").to == at("02:30:15").from + seconds(1));
  CHECK(at("14:00").from == World::kStart - hours(11));
  CHECK(at("2h").from == now - hours(2));
  CHECK(at("2026-03-01").is_day);
  CHECK(at("2026-03-29").to - at("2026-03-29").from == hours(23));
  CHECK(at("yesterday").to == at("today").from);
  CHECK_FALSE(parse_why_window("noon", *zone, now));
  const auto wrong = parse_why_window("25:00", *zone, now);
  REQUIRE_FALSE(wrong);
  CHECK(contains(wrong.error().message, "'25:00'"));
}

TEST_CASE("a job that cannot be planned says why") {
  WhyWorld world;
  const job::Job job = world.add("backup", every("1h"));
  World::must(world.store->set_planned(job.id, job.planned_through, std::nullopt));
  world.event("job-error", "backup: there is no time zone Mars/Base");
  world.clock.advance(hours(2));
  const WhyAnswer answer = world.ask("backup");
  CHECK(world.brief(answer.findings[0]) == "due set_aside x2");
  CHECK(contains(answer.now.sentences[0], "there is no time zone Mars/Base"));
}

TEST_CASE("a run that waited for its job is told with the runs that it waited for") {
  WhyWorld world;
  job::JobDraft draft = manual();
  draft.policy.overlap = job::Overlap::queue;
  world.add("line", draft);
  // By hand, each a second after the one before; each takes a minute.
  std::vector<job::Run> line;
  for (int i = 0; i < 3; ++i) {
    line.push_back(World::must(world.ops.trigger("line", false)));
    world.clock.advance(seconds(1));
  }
  Time start = world.now();
  for (job::Run& run : line) {
    run.waits = run.id != line[0].id;
    run.state = RunState::succeeded;
    run.result.started_at = start;
    run.result.ended_at = start += minutes(1);
    run.result.exit_code = 0;
    REQUIRE(World::must(world.store->update_run(run, run.fence)));
  }
  world.clock.advance(minutes(10));
  CHECK(
      contains(world.text(world.one("line", "00:00:01")),
               "It was 1m2s late: it waited for #1 of its job, which ended at 00:01:03 (overlap = "
               "queue)."));
  CHECK(contains(world.text(world.one("line", "00:00:02")),
                 "It was 2m1s late: it waited for earlier runs of its job, the last of which, #2, "
                 "ended at 00:02:03 (overlap = queue)."));
}

TEST_CASE("a run that waited for another job to succeed is told with when that did") {
  WhyWorld world;
  world.add("import", manual());
  job::JobDraft draft = cron("0 * * * *");
  draft.policy.after = std::vector<std::string>{"import"};
  world.add("report", draft);
  const auto succeed = [&] {
    World::must(world.ops.trigger("import", false));
    world.ran("import", world.now(), minutes(1));
    world.clock.advance(minutes(1));
  };
  // In time for 01:00, late for 02:00, and once more before that is told.
  world.clock.advance(minutes(30));
  succeed();
  world.clock.set_wall(World::kStart + hours(1));
  world.plan("report");
  world.ran("report", world.now() + minutes(5), seconds(1));
  world.clock.set_wall(World::kStart + hours(2));
  world.plan("report");
  world.clock.advance(minutes(20));
  succeed();
  world.ran("report", world.now(), seconds(1));
  world.clock.advance(minutes(10));
  succeed();
  const Finding in_time = world.one("report", "01:00");
  CHECK(in_time.reason == "late");
  CHECK(contains(world.text(in_time), "It was 5m late, and no row says why: the machine was busy"));
  const Finding late = world.one("report", "02:00");
  CHECK(late.reason == "after");
  CHECK(
      contains(world.text(late),
               "It was 21m late: it waited for import to succeed (after), which its run #4 did at "
               "02:21:00."));
}

TEST_CASE("what waits for another job is not promised to whoever starts a daemon") {
  WhyWorld world;
  world.add("import", manual());
  job::JobDraft draft = cron("0 * * * *");
  draft.policy.after = std::vector<std::string>{"import"};
  world.add("report", draft);
  world.clock.advance(hours(1) + minutes(1));
  CHECK(contains(world.text(world.one("report", {}, false)),
                 "it still runs, once all that it comes after has succeeded (after)"));
  world.plan("report");
  const Finding waits = world.one("report", {}, false);
  CHECK(waits.reason == "daemon_down");
  CHECK(
      contains(world.text(waits),
               "A daemon alone does not start it (schedctl start). It comes after import (after), "
               "which has not succeeded since its previous fire"));
  CHECK_FALSE(contains(world.text(waits), "It is started when a daemon comes"));
  World::must(world.ops.trigger("import", false));
  world.ran("import", world.now(), seconds(1));
  CHECK(contains(world.text(world.one("report", {}, false)), "It is started when a daemon comes"));
}
