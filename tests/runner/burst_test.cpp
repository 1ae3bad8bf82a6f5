// More jobs due at one instant than there are slots, and slots that become free by the dozen.

#include <algorithm>
#include <map>

#include "schedctl/base/limits.hpp"
#include "world.hpp"

using namespace schedctl;
using namespace schedctl::runner;
using job::Happening;
using job::RunState;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

constexpr std::size_t kSlots = 20;
constexpr std::size_t kJobs = 90;

struct Burst : World {
  Burst() {
    settings.tuning.max_running = static_cast<int>(kSlots);
    runner->configure(settings.tuning);
    beat();
  }

  /// job-0, job-1, ...: each due a minute after its creation.
  void add_jobs(std::size_t count, const job::PolicyDraft& policy = {}) {
    for (std::size_t i = 0; i < count; ++i) add("job-" + std::to_string(i), minutes(1), policy);
  }

  std::map<RunState, std::size_t> rows() {
    std::map<RunState, std::size_t> count;
    const auto found = store->list_runs({});
    REQUIRE(found.has_value());
    for (const job::Run& run : *found) ++count[run.state];
    return count;
  }

  /// The latest `count` starts end well, and a beat hears of it.
  Runner::Beat end_some(std::size_t count) {
    for (; count > 0; --count) {
      REQUIRE(ended < executor.started.size());
      runner->take(report(executor.started[ended++], Happening::exited_zero));
    }
    return beat();
  }

  /// Beats until there is nothing to do at once.
  Runner::Beat settle() {
    Runner::Beat last = beat();
    for (int i = 0; last.again && i < 50; ++i) last = beat();
    REQUIRE(!last.again);
    return last;
  }

  std::size_t ended = 0;
};

}  // namespace

TEST_CASE_FIXTURE(Burst, "jobs that slots are about to be free for are not written down before") {
  add_jobs(kJobs);
  clock.advance(minutes(1));
  const Runner::Beat first = settle();
  CHECK(rows() == std::map<RunState, std::size_t>{{RunState::running, kSlots}});
  // It looks again soon, though nothing ends, and does not spin meanwhile.
  REQUIRE(first.wake);
  CHECK(*first.wake > clock.wall());
  CHECK(*first.wake <= clock.wall() + milliseconds(100));
  while (ended < kJobs) {
    clock.advance(milliseconds(5));
    end_some(std::min<std::size_t>(10, executor.started.size() - ended));
    CHECK_FALSE(rows().contains(RunState::pending));
  }
  CHECK(rows() == std::map<RunState, std::size_t>{{RunState::succeeded, kJobs}});
  for (std::size_t i = 0; i < kJobs; ++i) {
    CHECK(executor.started[i].job == "job-" + std::to_string(i));
  }
  CHECK_FALSE(settle().again);
}

TEST_CASE_FIXTURE(Burst, "what waits behind runs that go on has its rows within a moment") {
  add_jobs(kJobs);
  clock.advance(minutes(1));
  settle();
  clock.advance(milliseconds(101));
  settle();
  CHECK(rows() == std::map<RunState, std::size_t>{{RunState::running, kSlots},
                                                  {RunState::pending, kJobs - kSlots}});
}

TEST_CASE_FIXTURE(Burst,
                  "one that lasts has rows for all that wait before the next fires are due") {
  add_jobs(kJobs, {.misfire_grace = seconds(1)});
  clock.advance(minutes(1));
  settle();
  for (int i = 0; i < 6; ++i) {
    clock.advance(seconds(1) - milliseconds(50));
    end_some(8);
    settle();
  }
  const std::size_t pending = rows()[RunState::pending];
  CHECK(pending > 0);
  CHECK(rows()[RunState::running] + rows()[RunState::succeeded] + pending == kJobs);
  CHECK_FALSE(rows().contains(RunState::missed));
}

TEST_CASE_FIXTURE(Burst, "the time that a job was left due for makes no misfire of it") {
  add_jobs(kJobs, {.misfire_grace = Duration::zero()});
  clock.advance(minutes(1));
  settle();
  while (ended < kJobs) {
    clock.advance(milliseconds(90));
    end_some(std::min<std::size_t>(10, executor.started.size() - ended));
  }
  CHECK(rows() == std::map<RunState, std::size_t>{{RunState::succeeded, kJobs}});
}

TEST_CASE_FIXTURE(Burst, "where one of them has a priority, rank decides as ever") {
  add_jobs(kJobs);
  add("urgent", minutes(1), {.priority = -5});
  clock.advance(minutes(1));
  settle();
  CHECK(executor.started[0].job == "urgent");
  CHECK(rows()[RunState::pending] == kJobs + 1 - kSlots);
}

TEST_CASE_FIXTURE(Burst, "a job whose wait is bounded, or told of soon, has its row at once") {
  add_jobs(kJobs);
  SUBCASE("max_wait") {
    add("bounded", minutes(1), {.max_wait = seconds(1)});
  }
  SUBCASE("alert_grace") {
    add("bounded", minutes(1), {.alert_grace = milliseconds(150)});
  }
  clock.advance(minutes(1));
  settle();
  CHECK(runs("bounded").back().state == RunState::pending);
}

TEST_CASE_FIXTURE(Burst, "one with a priority is found behind all that one beat reads") {
  const std::size_t many = limits::kJobsPerBeat + 50;
  add_jobs(many);
  add("urgent", minutes(1), {.priority = -5});
  clock.advance(minutes(1));
  settle();
  CHECK(rows()[RunState::pending] == many + 1 - kSlots);
}

TEST_CASE_FIXTURE(Burst, "a job that is still running is skipped while others are left due") {
  const job::Job busy = add("busy", minutes(1));
  trigger(busy);
  beat();
  REQUIRE(runner->live() == 1);
  runner->take(started_report(executor.started.back()));
  beat();
  add_jobs(kJobs);
  clock.advance(minutes(1));
  settle();
  const std::vector<job::Run> runs = this->runs("busy");
  REQUIRE(runs.size() == 2);
  CHECK(runs[1].state == RunState::skipped);
  CHECK(runs[1].reason == job::Reason::overlap);
  CHECK_FALSE(rows().contains(RunState::pending));
  CHECK(executor.started.size() == kSlots);
}

TEST_CASE_FIXTURE(Burst, "what somebody triggers meanwhile ends it: all that is due has its row") {
  const job::Job asked = add("asked", minutes(10));
  add_jobs(kJobs);
  clock.advance(minutes(1));
  settle();
  trigger(asked);
  clock.advance(milliseconds(5));
  end_some(10);
  settle();
  CHECK(rows()[RunState::pending] + rows()[RunState::running] + rows()[RunState::succeeded] ==
        kJobs + 1);
}

TEST_CASE_FIXTURE(Burst, "what is left due when the daemon ends is planned by the next one") {
  add_jobs(kJobs);
  clock.advance(minutes(1));
  settle();
  start_runner();
  std::vector<executor::Report> known;
  for (const executor::StartRequest& start : executor.started)
    known.push_back(started_report(start));
  adopt("keeper-1", known);
  clock.advance(seconds(30));
  settle();
  CHECK(rows() == std::map<RunState, std::size_t>{{RunState::running, kSlots},
                                                  {RunState::pending, kJobs - kSlots}});
}

TEST_CASE_FIXTURE(Burst, "in a crowd a young start waits for its end, and is recorded without it") {
  settings.tuning.max_running = 60;
  runner->configure(settings.tuning);
  add_jobs(50);
  clock.advance(minutes(1));
  settle();
  REQUIRE(executor.started.size() == 50);
  for (const executor::StartRequest& start : executor.started) runner->take(started_report(start));
  clock.advance(milliseconds(5));
  const Runner::Beat held = end_some(5);
  CHECK(held.holds_starts);
  std::size_t recorded = 0;
  const auto count_started = [&] {
    recorded = 0;
    for (const executor::StartRequest& start : executor.started)
      recorded += store->get_run(start.run).value()->result.started_at ? 1 : 0;
    return recorded;
  };
  CHECK(count_started() == 5);
  clock.advance(milliseconds(15));
  CHECK_FALSE(beat().holds_starts);
  CHECK(count_started() == 50);
}
