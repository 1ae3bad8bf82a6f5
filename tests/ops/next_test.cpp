#include "schedctl/ops/next.hpp"
#include "schedctl/job/plan.hpp"
#include "src/ops/why_words.hpp"
#include "tests/ops/world.hpp"

using namespace schedctl;
using namespace schedctl::ops;

namespace {

job::Schedule berlin(const std::string& expression) {
  job::Schedule schedule;
  schedule.kind = job::ScheduleKind::cron;
  schedule.cron = expression;
  schedule.timezone = "Europe/Berlin";
  return schedule;
}

/// "2026-03-29T03:00:00+02:00 | note" for each fire from a day on.
std::vector<std::string> fires(const job::Schedule& schedule, std::chrono::year_month_day from,
                               std::size_t n) {
  World world;
  std::vector<std::string> lines;
  for (const Fire& fire :
       World::must(world.ops.next(schedule, 1, Time{std::chrono::sys_days{from}}, n))) {
    lines.push_back(fire.local + (fire.note.empty() ? "" : " | " + fire.note));
  }
  return lines;
}

using Lines = std::vector<std::string>;
using std::chrono::year;

}  // namespace

TEST_CASE("next shows fires in the schedule's zone") {
  CHECK(fires(berlin("30 2 * * *"), year{2026} / 3 / 2, 2) ==
        Lines{"2026-03-02T02:30:00+01:00", "2026-03-03T02:30:00+01:00"});
  CHECK(fires(berlin("30 2 * * *"), year{2026} / 3 / 2, 0).empty());
}

TEST_CASE("a fire that the spring gap moves says so, one that belongs there does not") {
  CHECK(fires(berlin("30 2 * * *"), year{2026} / 3 / 29, 1) ==
        Lines{"2026-03-29T03:00:00+02:00 | clock goes forward at 02:00: 02:30 does not exist, "
              "runs at 03:00"});
  CHECK(fires(berlin("0 3 * * *"), year{2026} / 3 / 29, 1) == Lines{"2026-03-29T03:00:00+02:00"});
  CHECK(fires(berlin("15,45 2 * * *"), year{2026} / 3 / 29, 2) ==
        Lines{"2026-03-29T03:00:00+02:00 | clock goes forward at 02:00: 02:15 does not exist, "
              "runs at 03:00",
              "2026-03-30T02:15:00+02:00"});
  job::Schedule skipping = berlin("30 2 * * *");
  skipping.dst_gap = job::DstGap::skip;
  CHECK(fires(skipping, year{2026} / 3 / 29, 1) == Lines{"2026-03-30T02:30:00+02:00"});
}

TEST_CASE("a moment that the spring gap leaves out says so, any other does not") {
  const World world;
  const job::ZonePtr zone = World::must(world.zones->find("Europe/Berlin"));
  const auto note = [&](const char* at) { return note_of_moment(at, *zone, world.now()); };
  CHECK(note("2026-03-29 02:30") ==
        "clock goes forward at 02:00: 02:30 does not exist, runs at 03:00");
  CHECK(note("2026-03-29 02:00") ==
        "clock goes forward at 02:00: 02:00 does not exist, runs at 03:00");
  CHECK(note("2026-03-29 03:00").empty());
  CHECK(note("2026-03-29 02:30+01:00").empty());
  CHECK(note("2026-10-25 02:30").empty());
  CHECK(note("no time at all").empty());
}

TEST_CASE("a fire in the autumn fold says which of the two it is") {
  const auto day = year{2026} / 10 / 25;
  CHECK(fires(berlin("30 2 * * *"), day, 1) ==
        Lines{"2026-10-25T02:30:00+02:00 | clock goes back at 03:00: first 02:30"});
  job::Schedule both = berlin("30 2 * * *");
  both.dst_fold = job::DstFold::both;
  CHECK(fires(both, day, 2) ==
        Lines{"2026-10-25T02:30:00+02:00 | clock goes back at 03:00: first 02:30",
              "2026-10-25T02:30:00+01:00 | clock goes back at 03:00: second 02:30"});
  // From 02:00 in Berlin on: both passes of the wildcard's hour, then the day goes on.
  CHECK(fires(berlin("0 * * * *"), day, 3) ==
        Lines{"2026-10-25T02:00:00+01:00 | clock goes back at 03:00: second 02:00",
              "2026-10-25T03:00:00+01:00", "2026-10-25T04:00:00+01:00"});
}

TEST_CASE("intervals need no notes") {
  job::Schedule schedule;
  schedule.kind = job::ScheduleKind::every;
  schedule.every = hours(12);
  schedule.timezone = "Europe/Berlin";
  CHECK(fires(schedule, year{2026} / 3 / 29, 2) ==
        Lines{"2026-03-29T14:00:00+02:00", "2026-03-30T02:00:00+02:00"});
}

TEST_CASE("a moment has one fire, and none once it is past") {
  job::Schedule schedule;
  schedule.kind = job::ScheduleKind::at;
  schedule.at = World::kStart;
  schedule.timezone = "UTC";
  CHECK(fires(schedule, year{2026} / 3 / 1, 5) == Lines{"2026-03-02T00:00:00+00:00"});
  CHECK(fires(schedule, year{2026} / 3 / 2, 5).empty());
}

TEST_CASE("next refuses impossible schedules and numbers") {
  World world;
  CHECK_FALSE(world.ops.next(berlin("61 * * * *"), 1, World::kStart, 1));
  CHECK_FALSE(world.ops.next(berlin("* * * * *"), 1, World::kStart, 10'001));
  job::Schedule nowhere = berlin("* * * * *");
  nowhere.timezone = "Nowhere";
  CHECK_FALSE(world.ops.next(nowhere, 1, World::kStart, 1));
}

TEST_CASE("the fires of a job say when its jitter lets them start") {
  World world;
  job::JobDraft draft = every("1h");
  draft.policy.jitter = minutes(5);
  const job::Job job = world.add("x", draft);
  const Context context{*world.store, *world.zones, world.clock, world.config, "", [] {}};
  const auto fires = World::must(next_of_job(context, job, world.now(), 2));
  const Duration jitter = job::jitter_of(minutes(5), job.seed(), fires[0].at);
  CHECK(fires[0].note == "starts " + rough(jitter) + " later (jitter)");
  CHECK(fires[0].note != fires[1].note);
}

TEST_CASE("the first and the last fire of a bounded job say so") {
  World world;
  const Context context{*world.store, *world.zones, world.clock, world.config, "", [] {}};
  const auto notes = [&](const job::Job& job, Time from) {
    std::vector<std::string> all;
    for (const Fire& fire : World::must(next_of_job(context, job, from, 10))) {
      all.push_back(fire.note);
    }
    return all;
  };
  job::JobDraft draft = every("1h");
  draft.not_before = "2026-03-02 02:30";
  draft.until = "2026-03-02 05:00";
  CHECK(notes(world.add("window", draft), World::kStart) ==
        Lines{"the first one (not_before)", "", "the last one (until)"});
  draft = every("1h");
  draft.policy.max_runs = 3;
  const job::Job three = world.add("three", draft);
  CHECK(notes(three, World::kStart) == Lines{"", "", "the last one (max_runs)"});
  CHECK(notes(three, World::kStart + hours(2)) == Lines{"the last one (max_runs)"});
  CHECK(notes(three, World::kStart + hours(3)).empty());
}

TEST_CASE("fires during a pause say that they will not run") {
  World world;
  world.add("x", every("1h"));
  World::must(world.ops.pause({"x"}, "", World::kStart + hours(2)));
  const Context context{*world.store, *world.zones, world.clock, world.config, "", [] {}};
  const auto fires = World::must(next_of_job(context, world.stored("x"), World::kStart, 3));
  CHECK(fires[1].note == "paused: will not run");
  CHECK(fires[2].note.empty());
}
