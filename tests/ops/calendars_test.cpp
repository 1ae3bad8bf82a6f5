#include "schedctl/job/calendar.hpp"

#include "tests/ops/world.hpp"

using namespace schedctl;
using namespace schedctl::ops;

namespace {

job::CalendarPtr dates(const std::vector<std::string>& texts) {
  std::vector<job::DateSpan> spans;
  for (const std::string& text : texts) spans.push_back(*job::parse_date_span(text));
  return std::make_shared<job::Calendar>(spans, std::vector<job::WeeklyWindow>{});
}

job::CalendarPtr weekly(const std::string& text) {
  return std::make_shared<job::Calendar>(std::vector<job::DateSpan>{},
                                         *job::parse_weekly_windows(text));
}

/// 2026-03-02, a Monday, 00:00 UTC; the holiday is the day after.
struct CalendarWorld : World {
  CalendarWorld() {
    config.calendars = {{"holidays", dates({"2026-03-03"})},
                        {"business-hours", weekly("mon-fri 09:00-17:00")}};
  }
};

job::JobDraft hourly_but(const std::string& calendar) {
  job::JobDraft draft = cron("0 * * * *");
  draft.exclude = {{calendar}};
  return draft;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("a job's next fire is the next one that its calendars allow") {
  CalendarWorld world;
  job::JobDraft draft = cron("0 * * * *");
  draft.only = {{"business-hours"}};
  draft.exclude = {{"holidays"}};
  CHECK(*world.add("report", draft).next_fire == world.now() + hours(9));
  world.clock.set_wall(world.now() + hours(16));
  CHECK(*world.add("late", draft).next_fire == world.kStart + days(2) + hours(9));
}

TEST_CASE("a calendar that is not defined is refused at add and set, with the field and a hint") {
  CalendarWorld world;
  const Error typo = world.refused([&] { return world.ops.add("a", hourly_but("holiday"), {}); });
  CHECK(typo.kind == ErrorKind::usage);
  CHECK(typo.where == "exclude");
  CHECK(typo.message == "there is no calendar 'holiday'; did you mean holidays?");
  world.add("a", hourly_but("holidays"));
  job::JobDraft change;
  change.only = {{"nights"}};
  const Error unknown = world.refused([&] { return world.ops.set("a", change, {}); });
  CHECK(unknown.where == "only");
  CHECK(contains(unknown.message, "define it in schedctl.toml as [calendars.nights]"));
}

TEST_CASE("a job whose calendar is gone can be given another, or be removed") {
  CalendarWorld world;
  world.add("a", hourly_but("holidays"));
  world.add("b", hourly_but("holidays"));
  world.config.calendars.erase("holidays");
  job::JobDraft change;
  change.exclude = {{"business-hours"}};
  CHECK(World::must(world.ops.set("a", change, {})).next_fire == world.now() + hours(1));
  World::must(world.ops.remove({"b"}, false));
  CHECK_FALSE(world.exists("b"));
}

TEST_CASE("what was excluded until a change of the job gets its row") {
  CalendarWorld world;
  world.add("a", hourly_but("holidays"));
  world.clock.set_wall(world.kStart + days(1) + hours(5));
  job::Job job = world.stored("a");
  job.planned_through = world.kStart + hours(23);
  World::must(world.store->set_planned(job.id, job.planned_through, job.next_fire));
  World::must(world.ops.set("a", change_every("1h"), {"exclude"}));
  CHECK(brief(world.runs("a")) == Briefs{"skipped excluded x6"});
  CHECK(world.runs("a")[0].fire_time == world.kStart + days(1));
}

TEST_CASE("a job file that names an unknown calendar is told with the place") {
  CalendarWorld world;
  config::FileJob job;
  job.name = "a";
  job.file = "/jobs.d/a.toml";
  job.position = "/jobs.d/a.toml:1:6";
  job.positions = {{"exclude", "/jobs.d/a.toml:3:1"}};
  job.draft = hourly_but("hollidays");
  config::JobFiles files;
  files.jobs = {job};
  files.files = {job.file};
  const std::vector<Error> errors = world.ops.validate(files);
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].where == "/jobs.d/a.toml:3:1");
  CHECK(errors[0].message == "job a: there is no calendar 'hollidays'; did you mean holidays?");
}

TEST_CASE("next marks what calendars have moved or left out, and only that") {
  CalendarWorld world;
  job::Schedule schedule;
  schedule.kind = job::ScheduleKind::cron;
  schedule.cron = "30 2,14 * * *";
  schedule.timezone = "Europe/Berlin";
  schedule.exclude = {"holidays"};
  schedule.on_excluded = job::OnExcluded::next;
  const auto notes = [&] {
    Lines lines;
    for (const Fire& fire : World::must(world.ops.next(schedule, 1, world.kStart + hours(12), 3))) {
      lines.push_back(fire.local + (fire.note.empty() ? "" : " | " + fire.note));
    }
    return lines;
  };
  CHECK(notes() ==
        Lines{"2026-03-02T14:30:00+01:00",
              "2026-03-04T00:00:00+01:00 | holidays: moved from 2026-03-03 02:30, with 1 more",
              "2026-03-04T02:30:00+01:00"});
  schedule.cron = "30 2 * * *";
  CHECK(notes()[0] == "2026-03-04T00:00:00+01:00 | holidays: moved from 2026-03-03 02:30");
  schedule.on_excluded = job::OnExcluded::skip;
  // The holiday lies before the first of them; who looks wonders where that day's fire is.
  CHECK(notes()[0] == "2026-03-04T02:30:00+01:00 | 1 before it left out (holidays)");
}

TEST_CASE("next of a schedule with calendars still says what the clock does") {
  CalendarWorld world;
  job::Schedule schedule;
  schedule.kind = job::ScheduleKind::cron;
  schedule.cron = "30 2 * * *";
  schedule.timezone = "Europe/Berlin";
  schedule.exclude = {"holidays"};
  const auto fires =
      World::must(world.ops.next(schedule, 1, world.kStart + days(27) - hours(2), 1));
  CHECK(fires[0].note == "clock goes forward at 02:00: 02:30 does not exist, runs at 03:00");
}
