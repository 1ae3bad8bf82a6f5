// The zone data, or something else that schedules depend on, changes under the runner.

#include <map>

#include "world.hpp"

namespace schedctl::runner {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

/// Zone data that says what the test says.
class ChangingZones final : public job::ZoneSource {
 public:
  Result<job::ZonePtr> find(const std::string& name) const override {
    const bool known = name == "UTC" || !missing;
    if (!known) return fail(ErrorKind::usage, "unknown time zone '" + name + "'", "timezone");
    return std::make_shared<Fixed>(name, name == "UTC" ? hours(0) : offset);
  }
  std::string refresh() const override {
    ++looks;
    return state;
  }

  hours offset{1};
  bool missing = false;
  std::string state = "2026f aa";
  mutable int looks = 0;

 private:
  struct Fixed final : job::Zone {
    Fixed(std::string n, std::chrono::seconds o) : name_(std::move(n)), offset_(o) {}
    const std::string& name() const override { return name_; }
    std::chrono::seconds offset(Time) const override { return offset_; }
    CivilTime civil(Time t) const override {
      return CivilTime{std::chrono::floor<std::chrono::seconds>(t.time_since_epoch()) + offset_};
    }
    job::CivilMeaning meaning(CivilTime civil) const override {
      return {job::CivilMeaning::Kind::unique, Time{civil.time_since_epoch() - offset_}, {}, {}};
    }
    std::optional<job::ZoneChange> next_change(Time) const override { return std::nullopt; }
    const std::string name_;
    const std::chrono::seconds offset_;
  };
};

struct ZoneWorld : World {
  ChangingZones data;

  ZoneWorld() {
    start();
    settle();
  }
  void start() {
    runner = std::make_unique<Runner>(*store, executor, courier, judge, data, clock, settings);
    adopt("keeper-1", {});
  }
  void settle() {
    for (int i = 0; i < 10; ++i) {
      if (!beat().again) return;
    }
    FAIL("the runner does not come to rest");
  }
  job::Job add_daily(const std::string& name, const std::string& zone = "Some/Where") {
    job::Job job = add(name, hours(24));
    job.definition.schedule = {};
    job.definition.schedule.kind = job::ScheduleKind::cron;
    job.definition.schedule.cron = "0 12 * * *";
    job.definition.schedule.timezone = zone;
    const auto fires = job::FireSeries::make(job.definition.schedule, *data.find(zone), job.seed());
    job.next_fire = fires->next_after(clock.wall());
    REQUIRE(store->update_job(job).has_value());
    return job;
  }
  Time next_of(const std::string& name) { return *store->find_job(name).value()->next_fire; }
  std::vector<store::Event> events(const std::string& kind) {
    return store->list_events({.kinds = {kind}}).value();
  }
};

TEST_CASE("zone data that was replaced moves the next fires, once, and says so") {
  ZoneWorld w;
  w.add_daily("a");
  w.add_daily("plain", "UTC");
  w.add("interval", hours(1));
  CHECK(w.next_of("a") == World::kStart + hours(11));
  w.data.offset = hours(3);
  w.data.state = "2027a bb";
  w.runner->look_at_zones();
  w.settle();
  CHECK(w.next_of("a") == World::kStart + hours(9));
  CHECK(w.next_of("plain") == World::kStart + hours(12));
  CHECK(w.next_of("interval") == World::kStart + hours(1));
  CHECK(w.store->find_job("a").value()->planned_through == World::kStart);
  w.runner->look_at_zones();
  w.settle();
  const auto events = w.events("zone-change");
  REQUIRE(events.size() == 1);
  CHECK(events[0].detail ==
        "the time zone data was replaced, 2026f by 2027a; 1 of 2 next fires changed");
  CHECK(w.events("zone-data").at(0).detail == "2027a bb");
  w.clock.advance(hours(9));
  w.settle();
  REQUIRE(w.executor.started.size() == 2);
  CHECK(w.executor.started.back().fire_time == World::kStart + hours(9));
}

TEST_CASE("zone data that was replaced while no daemon ran is noticed after the start") {
  ZoneWorld w;
  w.add_daily("a");
  w.data.offset = hours(3);
  w.data.state = "2026f bb";
  w.start();
  w.settle();
  CHECK(w.next_of("a") == World::kStart + hours(9));
  const auto events = w.events("zone-change");
  REQUIRE(events.size() == 1);
  CHECK(events[0].detail == "the time zone data (2026f) was changed; 1 of 1 next fires changed");
}

TEST_CASE("the same zone data costs a restart nothing, and a first start tells nothing") {
  ZoneWorld w;
  w.add_daily("a");
  w.start();
  w.settle();
  CHECK(w.events("zone-change").empty());
  CHECK(w.events("zone-data").size() == 1);
}

TEST_CASE("the zone data is looked at once an hour by a beat that happens anyway") {
  ZoneWorld w;
  const int before = w.data.looks;
  w.add("interval", minutes(1));
  for (int i = 0; i < 150; ++i) {
    w.clock.advance(minutes(1));
    w.settle();
  }
  CHECK(w.data.looks == before + 2);
}

TEST_CASE("an occurrence that new rules move into the past is overdue, not forgotten") {
  ZoneWorld w;
  w.add_daily("a");
  w.clock.advance(hours(10) + minutes(30));
  w.settle();
  w.data.offset = hours(2);
  w.data.state = "2027a bb";
  w.runner->look_at_zones();
  w.settle();
  REQUIRE(w.executor.started.size() == 1);
  CHECK(w.executor.started[0].fire_time == World::kStart + hours(10));
}

TEST_CASE("a job whose zone is gone is set aside when it is due, and comes back with the data") {
  ZoneWorld w;
  w.add_daily("a");
  w.data.missing = true;
  w.data.state = "none";
  w.runner->look_at_zones();
  w.settle();
  CHECK(w.next_of("a") == World::kStart + hours(11));
  w.clock.advance(hours(11));
  w.settle();
  CHECK(!w.store->find_job("a").value()->next_fire);
  CHECK(w.events("job-error").size() == 1);
  w.data.missing = false;
  w.data.state = "2027a bb";
  w.runner->look_at_zones();
  w.settle();
  REQUIRE(w.executor.started.size() == 1);
  CHECK(w.executor.started[0].fire_time == World::kStart + hours(11));
  CHECK(w.next_of("a") == World::kStart + hours(35));
}

TEST_CASE("paused jobs, and those that have had all their runs, stay as they are") {
  ZoneWorld w;
  job::Job paused = w.add_daily("paused");
  paused.paused = true;
  paused.next_fire.reset();
  REQUIRE(w.store->update_job(paused).has_value());
  job::Job spent = w.add_daily("spent");
  spent.definition.policy.max_runs = 1;
  spent.run_count = 1;
  spent.next_fire.reset();
  REQUIRE(w.store->update_job(spent).has_value());
  w.data.state = "2027a bb";
  w.runner->look_at_zones();
  w.settle();
  CHECK(!w.store->find_job("paused").value()->next_fire);
  CHECK(!w.store->find_job("spent").value()->next_fire);
}

TEST_CASE("of more jobs than anybody reads, all are moved") {
  ZoneWorld w;
  for (int i = 0; i < 300; ++i) w.add_daily("job-" + std::to_string(i));
  w.data.offset = hours(3);
  w.data.state = "2027a bb";
  w.runner->look_at_zones();
  w.settle();
  for (int i = 0; i < 300; ++i) {
    CHECK(w.next_of("job-" + std::to_string(i)) == World::kStart + hours(9));
  }
  CHECK(w.events("zone-change").at(0).detail.ends_with("300 of 300 next fires changed"));
}

TEST_CASE("next fires are told anew when somebody asks for it, and the reason is kept") {
  ZoneWorld w;
  job::Job job = w.add_daily("a");
  job.next_fire = World::kStart + hours(100);
  REQUIRE(w.store->update_job(job).has_value());
  w.runner->recheck_schedules("the calendars were changed");
  w.settle();
  CHECK(w.next_of("a") == World::kStart + hours(11));
  CHECK(w.events("schedule-change").at(0).detail ==
        "the calendars were changed; 1 of 1 next fires changed");
  w.settle();
  CHECK(w.events("schedule-change").size() == 1);
}

TEST_CASE("jobs fire through a night in which the clock changes as their zone says") {
  World w;
  // 2026-03-29: 02:00 is 03:00 in Berlin. 2026-10-25: 03:00 is 02:00 again.
  const Time spring{std::chrono::sys_days{std::chrono::year{2026} / 3 / 29}};
  const Time autumn{std::chrono::sys_days{std::chrono::year{2026} / 10 / 25}};
  for (const Time night : {spring, autumn}) {
    w.clock.set_wall(night - minutes(1));
    w.start_runner();
    w.adopt("keeper-1", {});
    w.executor.started.clear();
    std::vector<std::string> names{"fixed", "each-half-hour", "two-o-clock"};
    const std::vector<std::string> crons{"30 2 * * *", "*/30 * * * *", "0 2 * * *"};
    for (std::size_t i = 0; i < names.size(); ++i) {
      names[i] += night == spring ? "-spring" : "-autumn";
      job::Job job = w.add(names[i], hours(1));
      job.definition.schedule = {};
      job.definition.schedule.kind = job::ScheduleKind::cron;
      job.definition.schedule.cron = crons[i];
      job.definition.schedule.timezone = "Europe/Berlin";
      const auto fires = job::FireSeries::make(job.definition.schedule,
                                               *w.zones->find("Europe/Berlin"), job.seed());
      job.next_fire = fires->next_after(w.clock.wall());
      REQUIRE(w.store->update_job(job).has_value());
    }
    std::map<std::string, std::vector<int>> fired;
    std::size_t seen = 0;
    while (w.clock.wall() < night + hours(4)) {
      w.clock.advance(minutes(1));
      w.beat();
      for (; seen < w.executor.started.size(); ++seen) {
        const executor::StartRequest& request = w.executor.started[seen];
        CHECK(request.fire_time == w.clock.wall());
        fired[request.job].push_back(static_cast<int>((request.fire_time - night) / minutes(1)));
        w.runner->take(w.report(request, job::Happening::exited_zero));
      }
    }
    // In minutes after midnight, UTC.
    CHECK(fired[names[1]] == std::vector<int>{0, 30, 60, 90, 120, 150, 180, 210, 240});
    CHECK(fired[names[0]] == std::vector<int>{night == spring ? 60 : 30});
    CHECK(fired[names[2]] == std::vector<int>{night == spring ? 60 : 0});
    for (const std::string& name : names) {
      REQUIRE(w.store->delete_job(w.store->find_job(name).value()->id).has_value());
    }
  }
}

}  // namespace
}  // namespace schedctl::runner
