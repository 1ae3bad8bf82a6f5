#include "tests/runner/world.hpp"

using namespace schedctl;
using namespace schedctl::runner;
using std::chrono::hours;
using std::chrono::minutes;

namespace {

job::CalendarPtr weekly(const std::string& text) {
  return std::make_shared<job::Calendar>(std::vector<job::DateSpan>{},
                                         *job::parse_weekly_windows(text));
}

/// A job every 10 minutes that may run from 09:00 to 12:00. It is 2026-03-01 00:00 UTC.
struct CalendarWorld : World {
  CalendarWorld() {
    settings.tuning.calendars = {{"mornings", weekly("09:00-12:00")}};
    start_runner();
    adopt("keeper-1", {});
  }

  job::Job add_morning_job(const std::string& name = "a") {
    job::Job job = add(name, minutes(10));
    job.definition.schedule.only = {"mornings"};
    job.next_fire = kStart + hours(9);
    REQUIRE(store->update_job(job).has_value());
    return job;
  }

  void redefine(job::Calendars calendars) {
    settings.tuning.calendars = std::move(calendars);
    runner->configure(settings.tuning);
  }

  job::Job job_named(const std::string& name) { return **store->find_job(name); }

  std::vector<std::string> events(const std::string& kind) {
    std::vector<std::string> details;
    const auto found = store->list_events({.kinds = {kind}});
    REQUIRE(found.has_value());
    for (const store::Event& event : *found) {
      details.push_back(event.detail);
    }
    return details;
  }

  /// "skipped excluded x53 from 00:10"
  std::vector<std::string> rows(const std::string& name) {
    std::vector<std::string> texts;
    for (const job::Run& run : runs(name)) {
      std::string text(job::to_string(run.state));
      if (run.reason != job::Reason::none) text += " " + std::string(job::to_string(run.reason));
      if (run.count > 1) text += " x" + std::to_string(run.count);
      texts.push_back(text + " from " + format_rfc3339(run.fire_time).substr(11, 5));
    }
    return texts;
  }
};

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("excluded fires wake nobody; their row is written with the next fire that is allowed") {
  CalendarWorld world;
  world.add_morning_job();
  world.beat();
  const Runner::Beat idle = world.beat();
  CHECK(idle.wake == world.kStart + hours(9));
  CHECK(world.runs("a").empty());
  world.clock.set_wall(world.kStart + hours(9));
  world.beat();
  CHECK(world.rows("a") == Texts{"skipped excluded x53 from 00:10", "running from 09:00"});
  CHECK(world.executor.started.size() == 1);
  CHECK(world.job_named("a").next_fire == world.kStart + hours(9) + minutes(10));
}

TEST_CASE("redefined calendars move next fires at once, and what was excluded so far stays so") {
  CalendarWorld world;
  world.add_morning_job();
  world.beat();
  world.clock.set_wall(world.kStart + hours(3) + minutes(5));
  world.redefine({{"mornings", weekly("02:00-12:00")}});
  world.beat();
  CHECK(world.job_named("a").next_fire == world.kStart + hours(3) + minutes(10));
  CHECK(world.job_named("a").planned_through == world.clock.wall());
  CHECK(world.rows("a") == Texts{"skipped excluded x18 from 00:10"});
  CHECK(world.executor.started.empty());
  CHECK(world.events("schedule-change") ==
        Texts{"calendars were redefined: mornings changed; 1 of 1 next fires changed"});
}

TEST_CASE("a reload that leaves calendars as they were changes nothing") {
  CalendarWorld world;
  world.add_morning_job();
  world.beat();
  world.beat();
  world.clock.set_wall(world.kStart + hours(3));
  world.redefine({{"mornings", weekly("09:00-12:00")}});
  world.beat();
  CHECK(world.rows("a").empty());
  CHECK(world.events("schedule-change").empty());
  CHECK(world.events("calendars").size() == 1);
}

TEST_CASE("a job whose calendar is gone is set aside with an alert until it is defined again") {
  CalendarWorld world;
  world.add_morning_job();
  world.add("b", minutes(30));
  world.beat();
  world.redefine({});
  world.beat();
  CHECK_FALSE(world.job_named("a").next_fire.has_value());
  CHECK(world.job_named("b").next_fire.has_value());
  const Texts errors = world.events("job-error");
  CHECK(world.events("schedule-change").front() ==
        "calendars were redefined: mornings removed; 0 of 1 next fires changed");
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].starts_with("a: there is no calendar 'mornings'; define it in schedctl.toml"));
  const auto alerts = *world.store->list_alerts({.open_only = true, .limit = 10});
  REQUIRE(alerts.size() == 1);
  CHECK(alerts[0].subject == "a");
  CHECK(alerts[0].detail.find("there is no calendar 'mornings'") != std::string::npos);
  // Nothing is tried again and again.
  world.clock.set_wall(world.kStart + minutes(20));
  world.beat();
  CHECK(world.events("job-error").size() == 1);

  world.redefine({{"mornings", weekly("09:00-12:00")}});
  world.beat();
  CHECK(world.job_named("a").next_fire == world.kStart + hours(9));
  CHECK(world.store->list_alerts({.open_only = true, .limit = 10})->empty());
  const auto ended = *world.store->list_alerts({.limit = 10});
  REQUIRE(ended.size() == 1);
  CHECK(ended[0].ended_by == job::AlertEnd::recovered);
}

TEST_CASE("a daemon that starts with other calendars tells next fires anew, once") {
  CalendarWorld world;
  world.add_morning_job();
  world.beat();
  world.beat();
  CHECK(world.events("schedule-change").empty());

  world.clock.set_wall(world.kStart + hours(1));
  world.settings.tuning.calendars = {{"mornings", weekly("06:00-12:00")}};
  world.start_runner();
  world.beat();
  world.beat();
  CHECK(world.job_named("a").next_fire == world.kStart + hours(6));
  CHECK(world.events("schedule-change") ==
        Texts{"calendars were redefined since a daemon was here; 1 of 1 next fires changed"});
  world.start_runner();
  world.beat();
  world.beat();
  CHECK(world.events("schedule-change").size() == 1);
}

TEST_CASE("a store that has never heard of calendars hears nothing while there are none") {
  World world;
  world.add("a", minutes(10));
  world.beat();
  world.beat();
  CHECK(world.store->list_events({.kinds = {"calendars"}})->empty());
}

TEST_CASE("a moved fire runs once at the moment that is allowed, without a row for what it was") {
  CalendarWorld world;
  job::Job job = world.add_morning_job();
  job.definition.schedule.every = hours(5);
  job.definition.schedule.on_excluded = job::OnExcluded::next;
  REQUIRE(world.store->update_job(job).has_value());
  world.clock.set_wall(world.kStart + hours(9));
  world.beat();
  world.end_last(job::Happening::exited_zero);
  world.clock.set_wall(world.kStart + hours(10));
  world.beat();
  CHECK(world.rows("a") == Texts{"succeeded from 09:00", "running from 10:00"});
}

TEST_CASE(
    "excluded fires of a wrong future are taken back, those that have passed keep their row") {
  CalendarWorld world;
  world.add_morning_job();
  world.beat();
  world.clock.set_wall(world.kStart + hours(48));
  world.beat();
  world.clock.set_wall(world.kStart + hours(8));
  world.beat();
  const Texts now = world.rows("a");
  REQUIRE(!now.empty());
  CHECK(now[0] == "skipped excluded x48 from 00:10");
  // Later the rest of them has its row, and each fire has one.
  for (int i = 0; i < 60; ++i) {
    world.clock.advance(minutes(10));
    world.beat();
    if (world.runner->live() > 0) world.end_last(job::Happening::exited_zero);
  }
  world.beat();
  std::int64_t excluded = 0, all = 0;
  for (const job::Run& run : world.runs("a")) {
    if (run.fire_time > world.clock.wall()) continue;
    all += run.count;
    if (run.reason == job::Reason::excluded) excluded += run.count;
  }
  CHECK(excluded >= 53);
  CHECK(all >= excluded + 18);
}
