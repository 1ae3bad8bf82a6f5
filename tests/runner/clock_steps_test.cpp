// What a set clock, a sleep or a long stop does to jobs: each step, both ways.

#include <map>
#include <set>

#include "world.hpp"

namespace schedctl::runner {
namespace {

using job::AlertKind;
using job::Happening;
using job::RunState;
using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

struct ClockWorld : World {
  ClockWorld() { beat(); }

  /// Beats until there is nothing more to do at this instant; every started run ends with success.
  void settle() {
    for (int i = 0; i < 300; ++i) {
      const Runner::Beat done = beat();
      const bool busy = end_started();
      if (!done.again && !busy) return;
    }
    FAIL("the runner does not come to rest");
  }
  bool end_started() {
    const std::size_t before = ended;
    for (; ended < executor.started.size(); ++ended) {
      runner->take(report(executor.started[ended], Happening::exited_zero));
    }
    return ended > before;
  }
  /// Time passes in steps of `step`, with what happens in it.
  void pass(Duration whole, Duration step) {
    for (Duration at{}; at < whole; at += step) {
      clock.advance(step);
      settle();
    }
  }
  void step(Duration by) {
    clock.set_wall(clock.wall() + by);
    settle();
  }
  std::vector<store::Event> events(const std::string& kind) {
    return store->list_events({.kinds = {kind}}).value();
  }
  std::vector<job::Alert> open_alerts(AlertKind kind) {
    std::vector<job::Alert> found;
    const auto all = store->list_alerts({.open_only = true}).value();
    for (const job::Alert& alert : all) {
      if (alert.kind == kind) found.push_back(alert);
    }
    return found;
  }
  std::size_t ended = 0;
};

std::int64_t count_of(const std::vector<job::Run>& runs, RunState state) {
  std::int64_t count = 0;
  for (const job::Run& run : runs) count += run.state == state ? run.count : 0;
  return count;
}

void check_nothing_twice(const std::vector<executor::StartRequest>& started) {
  std::set<std::string> keys;
  for (const executor::StartRequest& request : started) {
    CHECK_MESSAGE(keys.insert(request.key).second,
                  request.job << " at " << format_rfc3339(request.fire_time));
  }
}

TEST_CASE("a step is one event and says from when to when, whichever way") {
  struct Step {
    Duration by;
    const char* words;
  };
  for (const Step& step :
       {Step{seconds(1), "forward by 1s to 2026-03-01T00:00:01Z (from 2026-03-01T00:00:00Z)"},
        Step{hours(1), "forward by 1h to 2026-03-01T01:00:00Z (from 2026-03-01T00:00:00Z)"},
        Step{days(1), "forward by 1d to 2026-03-02T00:00:00Z (from 2026-03-01T00:00:00Z)"},
        Step{days(365), "forward by 52w1d to 2027-03-01T00:00:00Z (from 2026-03-01T00:00:00Z)"},
        Step{seconds(-1), "back by 1s to 2026-02-28T23:59:59Z (from 2026-03-01T00:00:00Z)"},
        Step{hours(-1), "back by 1h to 2026-02-28T23:00:00Z (from 2026-03-01T00:00:00Z)"},
        Step{days(-1), "back by 1d to 2026-02-28T00:00:00Z (from 2026-03-01T00:00:00Z)"},
        Step{days(-365), "back by 52w1d to 2025-03-01T00:00:00Z (from 2026-03-01T00:00:00Z)"}}) {
    ClockWorld w;
    w.step(step.by);
    w.pass(minutes(2), minutes(1));
    const auto events = w.events("clock-jump");
    REQUIRE(events.size() == 1);
    CHECK(events[0].detail == step.words);
  }
}

TEST_CASE("a clock that is slewed, and steps below a second, are nothing") {
  ClockWorld w;
  for (int i = 0; i < 200; ++i) {
    w.clock.advance(hours(1));
    w.step(std::chrono::milliseconds(i % 2 == 0 ? 500 : -400));
  }
  CHECK(w.events("clock-jump").empty());
  CHECK(w.events("suspend").empty());
}

TEST_CASE("a step while a beat is at work is noticed by the next one") {
  ClockWorld w;
  w.add("a", minutes(1));
  w.clock.advance(minutes(1));
  REQUIRE(w.runner->beat().has_value());
  w.step(hours(5));
  CHECK(w.events("clock-jump").size() == 1);
}

/// Whoever asks it for the wall time or the time awake is held up after the answer, once.
class HoldingClock final : public Clock {
 public:
  explicit HoldingClock(FakeClock& clock) : clock_(clock) {}
  Time wall() const override { return held(clock_.wall()); }
  Duration elapsed() const override { return clock_.elapsed(); }
  Duration awake() const override { return held(clock_.awake()); }
  void hold(Duration by, int answer) { by_ = by, answer_ = answer; }

 private:
  template <typename T>
  T held(T value) const {
    if (--answer_ == 0) clock_.advance(by_);
    return value;
  }
  FakeClock& clock_;
  Duration by_{};
  mutable int answer_ = 0;
};

TEST_CASE("being held up while the clocks are read is no step and no sleep") {
  for (const int answer : {1, 2}) {
    CAPTURE(answer);
    ClockWorld w;
    HoldingClock holding(w.clock);
    w.runner = std::make_unique<Runner>(*w.store, w.executor, w.courier, w.judge, *w.zones, holding,
                                        w.settings);
    w.adopt("keeper-1", {});
    w.settle();
    w.clock.advance(minutes(1));
    holding.hold(seconds(3), answer);
    w.settle();
    w.pass(minutes(2), minutes(1));
    CHECK(w.events("clock-jump").empty());
    CHECK(w.events("suspend").empty());
  }
}

TEST_CASE("forward steps are misfires: nothing twice, each fire accounted for, the last one runs") {
  for (const Duration by :
       {Duration(seconds(1)), Duration(hours(1)), Duration(days(1)), Duration(days(365))}) {
    ClockWorld w;
    w.add("each-second", seconds(1));
    w.add("each-minute", minutes(1));
    w.pass(seconds(10), seconds(1));
    const std::size_t before = w.executor.started.size();
    w.step(by);
    CHECK(w.executor.started.size() >= before + (by > hours(0) + minutes(1) ? 2U : 1U));
    w.pass(seconds(10), seconds(1));
    check_nothing_twice(w.executor.started);
    const auto runs = w.runs("each-second");
    std::int64_t accounted = 0;
    for (const job::Run& run : runs) accounted += run.count;
    CHECK(accounted == (seconds(20) + by) / seconds(1));
    CHECK(runs.size() < 30);
    CHECK(count_of(runs, RunState::pending) == 0);
    CHECK(w.open_alerts(AlertKind::clock_jump).empty());
  }
}

TEST_CASE("missed fires of a forward step name it as their cause") {
  ClockWorld w;
  w.add("a", minutes(10));
  w.clock.set_wall(World::kStart + days(1));
  w.beat();
  const auto alerts = w.open_alerts(AlertKind::missed);
  REQUIRE(alerts.size() == 1);
  CHECK(alerts[0].cause ==
        "the clock was set forward by 1d to 2026-03-02T00:00:00Z (from 2026-03-01T00:00:00Z)");
}

TEST_CASE("a job every second that was off for a year is a handful of rows under any coalesce") {
  for (const job::Coalesce coalesce :
       {job::Coalesce::latest, job::Coalesce::earliest, job::Coalesce::all}) {
    for (const bool restarted : {false, true}) {
      ClockWorld w;
      job::PolicyDraft policy;
      policy.coalesce = coalesce;
      policy.misfire_grace = days(1000);
      policy.max_catchup = 50;
      w.add("a", seconds(1), policy);
      w.pass(seconds(3), seconds(1));
      w.clock.advance(days(365));
      if (restarted) {
        w.start_runner();
        w.adopt("keeper-1", {});
      }
      w.settle();
      const auto runs = w.runs("a");
      const std::size_t expected = coalesce == job::Coalesce::all ? 50 : 1;
      CHECK(count_of(runs, RunState::succeeded) == static_cast<std::int64_t>(3 + expected));
      CHECK(runs.size() <= 3 + expected + 1);
      std::int64_t accounted = 0;
      for (const job::Run& run : runs) accounted += run.count;
      CHECK(accounted == 3 + days(365) / seconds(1));
      w.pass(seconds(3), seconds(1));
      CHECK(count_of(w.runs("a"), RunState::succeeded) == static_cast<std::int64_t>(6 + expected));
      check_nothing_twice(w.executor.started);
    }
  }
}

TEST_CASE("a sleep is no step: it is named, its fires are misfires, and so is the cause told") {
  ClockWorld w;
  w.add("a", minutes(10));
  w.clock.advance(minutes(1));
  w.settle();
  w.clock.sleep(hours(8));
  w.beat();
  const auto events = w.events("suspend");
  REQUIRE(events.size() == 1);
  CHECK(events[0].detail == "slept for 8h, from 2026-03-01T00:01:00Z to 2026-03-01T08:01:00Z");
  CHECK(w.events("clock-jump").empty());
  CHECK(count_of(w.runs("a"), RunState::missed) == 42);
  const auto alerts = w.open_alerts(AlertKind::missed);
  REQUIRE(alerts.size() == 1);
  CHECK(alerts[0].cause == "the machine slept, from 2026-03-01T00:01:00Z to 2026-03-01T08:01:00Z");
  w.settle();
  w.pass(minutes(30), minutes(1));
  CHECK(w.events("suspend").size() == 1);
}

TEST_CASE(
    "set back by an hour, a job is silent until then, and an alert says so until it is over") {
  ClockWorld w;
  w.add("a", minutes(10));
  w.add("b", minutes(30));
  w.add("daily", days(1));
  w.pass(hours(2), minutes(1));
  const std::size_t before = w.executor.started.size();
  w.step(-hours(1));
  const auto alerts = w.open_alerts(AlertKind::clock_jump);
  REQUIRE(alerts.size() == 1);
  CHECK(alerts[0].detail ==
        "a until 2026-03-01T02:00:00Z, b until 2026-03-01T02:00:00Z are silent, since their fires "
        "up to then have happened; schedctl trigger NAME runs what cannot wait");
  CHECK(alerts[0].cause ==
        "the clock was set back by 1h to 2026-03-01T01:00:00Z (from 2026-03-01T02:00:00Z)");
  CHECK(alerts[0].expected_at == World::kStart + hours(2));
  CHECK(w.events("clock-jump").at(0).detail ==
        "back by 1h to 2026-03-01T01:00:00Z (from 2026-03-01T02:00:00Z); 2 jobs are silent until "
        "2026-03-01T02:00:00Z");
  w.pass(minutes(59), minutes(1));
  CHECK(w.executor.started.size() == before);
  CHECK(w.open_alerts(AlertKind::clock_jump).size() == 1);
  CHECK(*w.beat().wake == World::kStart + hours(2));
  w.pass(minutes(1), minutes(1));
  CHECK(w.open_alerts(AlertKind::clock_jump).empty());
  w.pass(minutes(10), minutes(1));
  CHECK(w.executor.started.size() == before + 1);
  check_nothing_twice(w.executor.started);
}

TEST_CASE("people are told of a silence and of its end in words that name the clock") {
  ClockWorld w;
  w.settings.tuning.voice.notifiers = {"slack"};
  w.settings.tuning.voice.zone = *w.zones->find("UTC");
  w.runner->configure(w.settings.tuning);
  w.add("a", minutes(10));
  w.pass(hours(2), minutes(10));
  w.step(-hours(1));
  w.clock.advance(seconds(2));
  w.settle();
  w.pass(hours(1), minutes(10));
  w.clock.advance(seconds(2));
  w.settle();
  const auto messages = w.store->waiting_messages("slack", 10).value();
  REQUIRE(messages.size() == 2);
  CHECK(messages[0].summary.find(
            "the clock was set back: a until 2026-03-01T02:00:00Z is silent") != std::string::npos);
  CHECK(messages[1].summary.find("no job is silent any more for the clock") != std::string::npos);
}

TEST_CASE("set back by seconds, nothing happens twice and nobody is bothered") {
  ClockWorld w;
  w.add("a", seconds(1));
  w.pass(seconds(30), seconds(1));
  w.step(-seconds(20));
  w.pass(seconds(20), seconds(1));
  CHECK(w.executor.started.size() == 30);
  w.pass(seconds(5), seconds(1));
  CHECK(w.executor.started.size() == 35);
  CHECK(w.store->list_alerts({}).value().empty());
}

TEST_CASE("an alert of silence outlives the daemon, and ends with the next one") {
  ClockWorld w;
  w.add("a", minutes(10));
  w.pass(hours(2), minutes(10));
  w.step(-hours(1));
  REQUIRE(w.open_alerts(AlertKind::clock_jump).size() == 1);
  w.start_runner();
  w.adopt("keeper-1", {});
  w.settle();
  CHECK(w.open_alerts(AlertKind::clock_jump).size() == 1);
  w.clock.advance(hours(1));
  w.settle();
  CHECK(w.open_alerts(AlertKind::clock_jump).empty());
  const auto all = w.store->list_alerts({}).value();
  REQUIRE(!all.empty());
  CHECK(all[0].ended_by == job::AlertEnd::recovered);
}

TEST_CASE("a clock that was a year ahead for a moment silences nothing when it is put right") {
  for (const bool restarted : {false, true}) {
    for (const char* coalesce : {"latest", "all"}) {
      ClockWorld w;
      job::PolicyDraft policy;
      policy.coalesce = job::parse_coalesce(coalesce);
      policy.max_catchup = 5;
      w.add("hourly", hours(1), policy);
      w.add("each-second", seconds(1), policy);
      w.pass(seconds(5), seconds(1));
      w.step(days(365));
      w.pass(seconds(5), seconds(1));
      const std::size_t before = w.executor.started.size();
      w.clock.set_wall(w.clock.wall() - days(365));
      if (restarted) {
        w.start_runner();
        w.adopt("keeper-1", {});
      }
      w.settle();
      CHECK(w.open_alerts(AlertKind::clock_jump).empty());
      w.pass(seconds(60), seconds(1));
      CHECK(w.executor.started.size() == before + 60);
      w.pass(hours(3), minutes(1));
      CHECK(count_of(w.runs("hourly"), RunState::succeeded) >= 3);
      check_nothing_twice(w.executor.started);
      const auto runs = w.runs("hourly");
      for (const job::Run& run : runs) {
        const bool ahead = run.fire_time > w.clock.wall();
        if (ahead) CHECK((run.state == RunState::succeeded || run.state == RunState::pending));
      }
    }
  }
}

TEST_CASE("of a stretch that reaches from the past into a wrong future, only the past stays") {
  ClockWorld w;
  w.add("a", hours(1));
  // The machine was off for a day, and came up with a clock that was a year ahead.
  w.clock.advance(days(1) + minutes(30));
  w.clock.set_wall(w.clock.wall() + days(365));
  w.settle();
  w.clock.set_wall(w.clock.wall() - days(365));
  w.settle();
  const auto runs = w.runs("a");
  REQUIRE(!runs.empty());
  CHECK(runs[0].state == RunState::missed);
  CHECK(runs[0].count == 24);
  CHECK(runs[0].last_fire_time == World::kStart + days(1));
  w.clock.advance(hours(1));
  w.settle();
  CHECK(w.executor.started.back().fire_time == World::kStart + days(1) + hours(1));
}

TEST_CASE("what ran already in a day that is repeated does not run again, and an alert says so") {
  ClockWorld w;
  w.add("hourly", hours(1));
  w.pass(days(3), hours(1));
  const std::size_t before = w.executor.started.size();
  CHECK(before == 72);
  w.step(-days(1));
  auto alerts = w.open_alerts(AlertKind::clock_jump);
  REQUIRE(alerts.size() == 1);
  CHECK(alerts[0].expected_at == World::kStart + days(3));
  w.pass(days(1), hours(1));
  CHECK(w.executor.started.size() == before);
  CHECK(w.open_alerts(AlertKind::clock_jump).empty());
  w.pass(hours(3), hours(1));
  CHECK(w.executor.started.size() == before + 3);
  check_nothing_twice(w.executor.started);
}

TEST_CASE(
    "set back to before a job's time, it runs until its first rows, and then an alert tells") {
  ClockWorld w;
  w.add("hourly", hours(1));
  w.pass(hours(10), hours(1));
  w.step(-hours(20));
  CHECK(w.open_alerts(AlertKind::clock_jump).empty());
  const std::size_t before = w.executor.started.size();
  w.pass(hours(10), hours(1));
  CHECK(w.executor.started.size() == before + 10);
  w.pass(hours(1), hours(1));
  CHECK(w.executor.started.size() == before + 10);
  const auto alerts = w.open_alerts(AlertKind::clock_jump);
  REQUIRE(alerts.size() == 1);
  CHECK(alerts[0].detail ==
        "hourly until 2026-03-01T10:00:00Z is silent, since its fires up to then have happened; "
        "schedctl trigger hourly runs what cannot wait");
  w.pass(hours(9), hours(1));
  CHECK(w.open_alerts(AlertKind::clock_jump).empty());
  w.pass(hours(1), hours(1));
  CHECK(w.executor.started.size() == before + 11);
}

TEST_CASE("missed fires between rows of a day that is repeated are rows of their own") {
  ClockWorld w;
  w.add("a", hours(1));
  w.pass(hours(4), hours(1));
  // Back to before its time; it runs three times there, and then the daemon is off for long.
  w.step(-hours(10));
  w.pass(hours(3), hours(1));
  w.clock.advance(hours(20));
  w.settle();
  std::map<Time, int> rows;
  for (const job::Run& run : w.runs("a")) {
    for (std::int64_t i = 0; i < run.count; ++i) ++rows[run.fire_time + i * hours(1)];
  }
  // From 19:00 to 17:00, each hour once; 00:00 was the job's beginning.
  CHECK(rows.size() == 23);
  for (const auto& [fire, times] : rows) CHECK_MESSAGE(times == 1, format_rfc3339(fire));
  check_nothing_twice(w.executor.started);
}

TEST_CASE("a retry, a spread catch-up and a wait for a slot last as long after a step as before") {
  for (const Duration by : {Duration(-days(1)), Duration(-days(365)), Duration(-hours(1)),
                            Duration(days(1)), Duration(hours(1))}) {
    ClockWorld w;
    job::PolicyDraft policy;
    policy.max_attempts = 3;
    policy.backoff = seconds(30);
    policy.max_wait = minutes(10);
    w.add("a", hours(12), policy);
    w.clock.advance(hours(12));
    w.beat();
    REQUIRE(w.executor.started.size() == 1);
    w.end_last(Happening::exited_nonzero);
    w.ended = 1;
    w.beat();
    const Duration left = w.runs("a")[0].due_at - w.clock.wall();
    CHECK(left >= seconds(20));
    w.clock.set_wall(w.clock.wall() + by);
    w.beat();
    CHECK(w.executor.started.size() == 1);
    CHECK(w.runs("a")[0].due_at - w.clock.wall() == left);
    w.clock.advance(left);
    w.beat();
    CHECK(w.executor.started.size() == 2);
  }
}

TEST_CASE("an occurrence that waits for a slot is not given up for a step of the clock") {
  ClockWorld w;
  w.runner->configure({.max_running = 1});
  job::PolicyDraft policy;
  policy.max_wait = minutes(10);
  w.add("long", minutes(1));
  w.add("waits", minutes(1), policy);
  w.clock.advance(minutes(1));
  w.beat();
  REQUIRE(w.executor.started.size() == 1);
  w.clock.set_wall(w.clock.wall() + hours(1));
  w.beat();
  const std::string other = w.executor.started[0].job == "long" ? "waits" : "long";
  CHECK(w.runs(other)[0].state == RunState::pending);
}

TEST_CASE("a job that only fires later is not called silent after a step back") {
  ClockWorld w;
  w.add("daily", days(1));
  w.pass(minutes(90), minutes(90));
  w.step(-hours(1));
  CHECK(w.open_alerts(AlertKind::clock_jump).empty());
}

TEST_CASE("a step forward past the silence ends it, a second step back tells of a longer one") {
  ClockWorld w;
  w.add("a", minutes(10));
  w.pass(hours(4), minutes(10));
  w.step(-hours(1));
  w.step(-hours(1));
  auto alerts = w.open_alerts(AlertKind::clock_jump);
  REQUIRE(alerts.size() == 1);
  CHECK(alerts[0].expected_at == World::kStart + hours(4));
  w.step(hours(3));
  CHECK(w.open_alerts(AlertKind::clock_jump).empty());
  w.pass(minutes(10), minutes(10));
  check_nothing_twice(w.executor.started);
}

TEST_CASE("a step is told once, however many beats follow") {
  ClockWorld w;
  w.add("a", minutes(10));
  w.pass(hours(2), minutes(10));
  w.clock.set_wall(w.clock.wall() - hours(1));
  w.settle();
  w.settle();
  CHECK(w.events("clock-jump").size() == 1);
  CHECK(w.store->list_alerts({}).value().size() == 1);
}

}  // namespace
TEST_CASE("a moment that a wrong clock missed comes when the clock is put right") {
  ClockWorld w;
  for (const char* name : {"once", "long-ago"}) {
    job::Job job = w.add(name, hours(1));
    job.definition.schedule = {};
    job.definition.schedule.kind = job::ScheduleKind::at;
    job.definition.schedule.timezone = "UTC";
    job.definition.schedule.at =
        World::kStart + (name == std::string("once") ? hours(8) : hours(1));
    job.next_fire = job.definition.schedule.at;
    REQUIRE(w.store->update_job(job).has_value());
  }
  w.step(days(2));
  CHECK(w.runs("once").at(0).state == RunState::missed);
  w.step(-days(2) + hours(4));
  CHECK(w.open_alerts(AlertKind::clock_jump).empty());
  w.pass(hours(5), minutes(30));
  REQUIRE(w.runs("once").size() == 1);
  CHECK(w.runs("once")[0].state == RunState::succeeded);
  // What lies behind stays missed.
  REQUIRE(w.runs("long-ago").size() == 1);
  CHECK(w.runs("long-ago")[0].state == RunState::missed);
  CHECK(w.executor.started.size() == 1);
}

}  // namespace schedctl::runner
