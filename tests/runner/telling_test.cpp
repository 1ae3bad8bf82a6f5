#include <doctest/doctest.h>

#include "world.hpp"

namespace schedctl::runner {
namespace {

using job::AlertKind;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

/// A runner that has somebody to tell.
struct Listened : World {
  Listened() {
    settings.tuning.voice.notifiers = {"slack"};
    settings.tuning.voice.zone = *zones->find("UTC");
    settings.tuning.outbox = {{"slack", "address", {}}};
    start_runner();
    adopt("keeper-1", {});
    beat();
  }
  void pass(Duration d) {
    clock.advance(d);
    beat();
  }
  std::vector<job::Alert> alerts(bool open_only = true) {
    return store->list_alerts({.open_only = open_only}).value();
  }
  bool has_alert(AlertKind kind, const std::string& job) {
    for (const job::Alert& alert : alerts()) {
      if (alert.kind == kind && alert.subject == job) return true;
    }
    return false;
  }
  job::Alert alert_of(AlertKind kind) {
    for (const job::Alert& alert : alerts(false)) {
      if (alert.kind == kind) return alert;
    }
    FAIL("no such alert");
    return {};
  }
  /// Starts the latest one that was claimed and lets it end.
  void run_last(job::Happening happening) {
    runner->take(started_report(executor.started.back()));
    runner->take(report(executor.started.back(), happening));
    beat();
  }
};

}  // namespace

TEST_CASE("a failed run is told with its output's end, once it is the last attempt") {
  Listened w;
  w.add("backup", minutes(5), {.max_attempts = 2, .backoff = seconds(10)});
  w.pass(minutes(5));
  w.run_last(job::Happening::exited_nonzero);
  CHECK(w.alerts().empty());
  w.pass(minutes(1));
  executor::Report end = w.report(w.executor.started.back(), job::Happening::exited_nonzero);
  end.result.output_tail = "first\nno space left\n";
  w.runner->take(end);
  w.beat();
  CHECK(w.has_alert(AlertKind::failed, "backup"));
  CHECK(w.courier.deliveries.empty());
  w.pass(alert::kGather);
  REQUIRE(w.courier.deliveries.size() == 1);
  CHECK(w.courier.deliveries[0].payload.find("no space left") != std::string::npos);
  CHECK(w.courier.deliveries[0].payload.find("exit status 3") != std::string::npos);
  w.pass(minutes(5));
  w.run_last(job::Happening::exited_zero);
  CHECK(w.alerts().empty());
}

TEST_CASE("a job whose start is late is delayed, and inactive if it never ran") {
  Listened w;
  w.runner->configure({.max_running = 0, .voice = w.settings.tuning.voice});
  w.add("late", minutes(10));
  w.pass(minutes(10));
  CHECK(w.alerts().empty());
  w.pass(seconds(59));
  CHECK(w.alerts().empty());
  w.pass(seconds(1));
  REQUIRE(w.alerts().size() == 1);
  CHECK(w.alerts()[0].kind == AlertKind::inactive);
  CHECK(w.alerts()[0].detail.find("slots") != std::string::npos);
  w.runner->configure(w.settings.tuning);
  w.pass(seconds(1));
  w.run_last(job::Happening::exited_zero);
  CHECK(w.alerts().empty());
  // It has run before now.
  w.runner->configure({.max_running = 0, .voice = w.settings.tuning.voice});
  w.pass(minutes(12));
  REQUIRE(w.alerts().size() == 1);
  CHECK(w.alerts()[0].kind == AlertKind::delayed);
  CHECK(w.alerts()[0].expected_at == World::kStart + minutes(20));
}

TEST_CASE("the beat wakes for a start that is late") {
  Listened w;
  w.runner->configure({.max_running = 0, .voice = w.settings.tuning.voice});
  w.add("late", hours(10));
  w.clock.advance(hours(10));
  w.beat();
  w.clock.advance(milliseconds(50));
  const Runner::Beat beat = w.beat();
  REQUIRE(beat.wake.has_value());
  CHECK(format_rfc3339(*beat.wake) == format_rfc3339(World::kStart + hours(10) + seconds(60)));
}

TEST_CASE("a job that still runs when it is due again is delayed after the grace, and says why") {
  Listened w;
  w.add("slow", minutes(5));
  w.pass(minutes(5));
  w.runner->take(w.started_report(w.executor.started.back()));
  w.beat();
  w.pass(minutes(5));
  CHECK(w.runs("slow").back().reason == job::Reason::overlap);
  CHECK(w.alerts().empty());
  w.pass(minutes(1));
  REQUIRE(w.alerts().size() == 1);
  CHECK(w.alerts()[0].kind == AlertKind::delayed);
  CHECK(w.alerts()[0].detail.find("#1 still runs") != std::string::npos);
  w.runner->take(w.report(w.executor.started.back(), job::Happening::exited_zero));
  w.beat();
  CHECK(w.alerts().empty());
}

TEST_CASE("a start within the grace, a paused job, a changed schedule: nothing is told") {
  Listened w;
  w.runner->configure({.max_running = 0, .voice = w.settings.tuning.voice});
  w.add("in-time", minutes(5), {.alert_grace = minutes(10)});
  job::Job paused = w.add("paused", minutes(5));
  job::Job changed = w.add("changed", minutes(5));
  w.pass(minutes(5));
  paused = *w.store->get_job(paused.id).value();
  paused.paused = true;
  REQUIRE(w.store->update_job(paused).has_value());
  job::Run run = w.runs("changed").back();
  run.state = job::RunState::skipped;
  run.reason = job::Reason::schedule_changed;
  REQUIRE(w.store->update_run(run, run.fence).has_value());
  w.pass(minutes(2));
  CHECK(w.alerts().empty());
}

TEST_CASE("manual runs that wait are not late") {
  Listened w;
  w.runner->configure({.max_running = 0, .voice = w.settings.tuning.voice});
  job::Job job = w.add("by-hand", hours(100));
  w.trigger(job);
  w.pass(minutes(30));
  CHECK(w.alerts().empty());
}

TEST_CASE("after a stop the missed and the late are told with the cause") {
  Listened w;
  w.add("strict", minutes(5), {.misfire_grace = minutes(1)});
  w.add("patient", minutes(5));
  w.pass(minutes(5));
  for (const auto& request : std::vector(w.executor.started)) {
    w.runner->take(w.report(request, job::Happening::exited_zero));
  }
  w.beat();
  w.clock.advance(minutes(33));
  w.settings.down_since = World::kStart + minutes(6);
  w.settings.node.started_at = w.clock.wall();
  w.settings.down_words = "the daemon was not running";
  w.start_runner();
  w.adopt("keeper-2", {});
  w.beat();
  const job::Alert missed = w.alert_of(AlertKind::missed);
  CHECK(missed.subject == "strict");
  CHECK(missed.events == 6);
  CHECK(missed.cause == "the daemon was not running");
  const job::Alert delayed = w.alert_of(AlertKind::delayed);
  CHECK(delayed.subject == "patient");
  CHECK(delayed.cause == "the daemon was not running");
  CHECK(delayed.expected_at == World::kStart + minutes(10));
}

TEST_CASE("a missed first fire of a job that never ran makes it inactive, too") {
  Listened w;
  w.add("new", hours(10), {.misfire_grace = minutes(1)});
  w.clock.advance(hours(11));
  w.beat();
  CHECK(w.has_alert(AlertKind::missed, "new"));
  CHECK(w.has_alert(AlertKind::inactive, "new"));
}

TEST_CASE("starts that were awaited when the daemon died are awaited by the next one") {
  Listened w;
  w.runner->configure({.max_running = 0, .voice = w.settings.tuning.voice});
  w.add("pending", minutes(5));
  w.pass(minutes(5));
  w.settings.tuning.max_running = 0;
  w.start_runner();
  w.adopt("keeper-1", {});
  w.pass(seconds(30));
  CHECK(w.alerts().empty());
  w.pass(seconds(30));
  CHECK(w.has_alert(AlertKind::inactive, "pending"));
}

TEST_CASE("a keeper that was silent is asked before it is given work, and does nothing unasked") {
  Listened w;
  w.keeper_answers = false;
  w.add("backup", minutes(5));
  w.pass(minutes(5));
  CHECK(w.executor.started.empty());
  CHECK(w.executor.pings == 1);
  CHECK(w.runs("backup").empty());
  w.pass(milliseconds(100));
  CHECK(w.executor.pings == 1);
  CHECK(w.runs("backup").back().state == job::RunState::pending);
  w.runner->keeper_alive();
  w.beat();
  CHECK(w.executor.started.size() == 1);
  CHECK(w.executor.pings == 1);
}

TEST_CASE("a keeper that does not answer is told, nothing is claimed or marked, and it is over") {
  Listened w;
  w.keeper_answers = false;
  w.add("backup", minutes(5));
  w.pass(minutes(5));
  w.pass(seconds(4));
  CHECK(w.alerts().empty());
  w.pass(seconds(1));
  CHECK(w.has_alert(AlertKind::keeper, ""));
  CHECK(w.runner->health().find("keeper=silent") != std::string::npos);
  w.pass(minutes(10));
  CHECK(w.executor.started.empty());
  for (const job::Run& run : w.runs("backup")) {
    CHECK(run.state != job::RunState::running);
    CHECK(run.reason != job::Reason::overlap);
  }
  CHECK(w.has_alert(AlertKind::inactive, "backup"));
  w.runner->keeper_alive();
  w.beat();
  CHECK_FALSE(w.has_alert(AlertKind::keeper, ""));
  CHECK(w.executor.started.size() == 1);
  CHECK(w.runner->health().find("keeper=ok") != std::string::npos);
}

TEST_CASE("starts that nobody answers make the keeper be asked, and then told of") {
  Listened w;
  w.keeper_answers = false;
  w.add("backup", seconds(3));
  w.pass(seconds(3));
  CHECK(w.executor.started.size() == 1);
  w.pass(seconds(5));
  CHECK(w.executor.pings == 1);
  w.pass(seconds(5));
  CHECK(w.has_alert(AlertKind::keeper, ""));
  CHECK(w.executor.started.size() == 1);
}

TEST_CASE("a keeper that is lost and back at once is no alarm; one that stays away is") {
  Listened w;
  w.runner->keeper_lost("it died");
  w.beat();
  w.adopt("keeper-2", {});
  w.pass(seconds(1));
  CHECK(w.alerts().empty());
  w.runner->keeper_lost("it died");
  w.beat();
  w.pass(seconds(5));
  CHECK(w.has_alert(AlertKind::keeper, ""));
  w.adopt("keeper-3", {});
  w.pass(seconds(1));
  CHECK(w.alerts().empty());
  w.pass(alert::kGather);
  CHECK(w.courier.deliveries.size() == 1);
}

TEST_CASE("an open keeper alert of a dead daemon is over when the next one has a keeper") {
  Listened w;
  w.runner->keeper_lost("it died");
  w.beat();
  w.pass(seconds(5));
  w.start_runner();
  w.adopt("keeper-2", {});
  w.beat();
  CHECK(w.alerts().empty());
}

TEST_CASE("a store that fails for long is told from memory, and its end by a row") {
  Listened w;
  const Error full{ErrorKind::unavailable, "no space left on the disk of x"};
  const Duration since = w.clock.elapsed();
  w.runner->store_failing(full, since);
  w.clock.advance(seconds(9));
  w.runner->store_failing(full, since);
  CHECK(w.courier.deliveries.empty());
  w.clock.advance(seconds(1));
  w.runner->store_failing(full, since);
  w.runner->store_failing(full, since);
  REQUIRE(w.courier.deliveries.size() == 1);
  CHECK_FALSE(w.courier.deliveries[0].message);
  CHECK(w.courier.deliveries[0].payload.find("no space left") != std::string::npos);
  CHECK(w.runner->health().find("store=failing") != std::string::npos);
  // Slack is down, too: tried again later.
  w.runner->take(alert::Outcome{{}, "slack", 0, "no route", {}});
  w.runner->store_failing(full, since);
  CHECK(w.courier.deliveries.size() == 1);
  w.clock.advance(seconds(10));
  w.runner->store_failing(full, since);
  REQUIRE(w.courier.deliveries.size() == 2);
  w.runner->take(alert::Outcome{{}, "slack", 200, "ok", {}});
  w.clock.advance(minutes(1));
  w.runner->store_failing(full, since);
  CHECK(w.courier.deliveries.size() == 2);
  w.beat();
  CHECK(w.alert_of(AlertKind::storage).ended_at.has_value());
  w.pass(alert::kGather);
  REQUIRE(w.courier.deliveries.size() == 3);
  CHECK(w.courier.deliveries[2].payload.find("works again") != std::string::npos);
  CHECK(w.runner->health().find("store=ok") != std::string::npos);
}

TEST_CASE("a store that was locked for a moment is no alarm") {
  Listened w;
  w.runner->store_failing({ErrorKind::unavailable, "locked"}, w.clock.elapsed());
  w.clock.advance(seconds(2));
  w.beat();
  w.pass(minutes(1));
  CHECK(w.alerts(false).empty());
  CHECK(w.courier.deliveries.empty());
}

TEST_CASE("the monitor is called while beats succeed, once an interval, from the first on") {
  Listened w;
  w.settings.tuning.heartbeat_interval = seconds(60);
  w.runner->configure(w.settings.tuning);
  const Runner::Beat beat = w.beat();
  CHECK(w.courier.heartbeats == 1);
  REQUIRE(beat.wake.has_value());
  CHECK(*beat.wake == w.clock.wall() + seconds(60));
  w.pass(seconds(59));
  CHECK(w.courier.heartbeats == 1);
  w.pass(seconds(1));
  CHECK(w.courier.heartbeats == 2);
  CHECK(w.store->list_nodes()->front().last_beat == w.clock.wall());
}

TEST_CASE("the monitor is not called while no keeper answers, and at once when one does") {
  Listened w;
  w.settings.tuning.heartbeat_interval = seconds(60);
  w.runner->configure(w.settings.tuning);
  w.beat();
  CHECK(w.courier.heartbeats == 1);
  w.keeper_answers = false;
  w.pass(seconds(60));
  // This one asks the keeper, and does not wait for what it says.
  CHECK(w.courier.heartbeats == 2);
  w.pass(minutes(10));
  CHECK(w.courier.heartbeats == 2);
  const Runner::Beat beat = w.beat();
  CHECK((!beat.wake || *beat.wake > w.clock.wall()));
  w.runner->keeper_alive();
  w.beat();
  CHECK(w.courier.heartbeats == 3);
  w.runner->keeper_lost("it died");
  w.pass(minutes(2));
  CHECK(w.courier.heartbeats == 3);
  w.adopt("keeper-2", {});
  w.beat();
  CHECK(w.courier.heartbeats == 4);
}

TEST_CASE("an idle runner without heartbeat sleeps until something happens") {
  Listened w;
  CHECK_FALSE(w.beat().wake.has_value());
}

TEST_CASE("a lost run is told with what lies behind it") {
  Listened w;
  w.add("backup", minutes(5));
  w.pass(minutes(5));
  w.runner->take(w.started_report(w.executor.started.back()));
  w.beat();
  w.runner->keeper_lost("gone");
  w.adopt("keeper-2", {});
  w.pass(seconds(1));
  const job::Alert lost = w.alert_of(AlertKind::lost);
  CHECK(lost.subject == "backup");
  CHECK(lost.cause == "the keeper died");
}

}  // namespace schedctl::runner
