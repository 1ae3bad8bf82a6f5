#include "schedctl/job/plan.hpp"

#include <algorithm>
#include <cstdlib>
#include <random>
#include <set>

#include "schedctl/base/limits.hpp"
#include "tests/job/real_zones.hpp"

using namespace schedctl;
using namespace schedctl::job;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

constexpr Time kStart = std::chrono::sys_days{std::chrono::year{2026} / 3 / 1};

FireSeries every(Duration period, Time anchor = kStart) {
  Schedule schedule;
  schedule.kind = ScheduleKind::every;
  schedule.every = period;
  schedule.anchor = anchor;
  return series_of(schedule, "UTC");
}

Policy policy_with(Coalesce coalesce, Duration grace = hours(1)) {
  Policy policy;
  policy.coalesce = coalesce;
  policy.misfire_grace = grace;
  return policy;
}

void check_row(const Planned& row, RunState state, Reason reason, Time first, std::int64_t count,
               std::optional<Time> last = {}) {
  CHECK(row.state == state);
  CHECK(row.reason == reason);
  CHECK(row.fire_time == first);
  CHECK(row.count == count);
  CHECK(row.last_fire_time == last);
}

}  // namespace

TEST_CASE("a fire that is due becomes one pending row") {
  const FireSeries fires = every(minutes(5));
  const Plan p = plan(fires, Policy{}, 1, kStart, kStart + minutes(5));
  REQUIRE(p.rows.size() == 1);
  check_row(p.rows[0], RunState::pending, Reason::none, kStart + minutes(5), 1);
  CHECK(p.rows[0].due_at == p.rows[0].fire_time);
  CHECK_FALSE(p.rows[0].waits);
  CHECK(p.planned_through == kStart + minutes(5));
  CHECK(*p.next_fire == kStart + minutes(10));
}

TEST_CASE("nothing is planned before its time, nor twice") {
  const FireSeries fires = every(minutes(5));
  const Plan early = plan(fires, Policy{}, 1, kStart, kStart + minutes(5) - Duration(1));
  CHECK(early.rows.empty());
  CHECK(*early.next_fire == kStart + minutes(5));
  const Plan again = plan(fires, Policy{}, 1, kStart + minutes(5), kStart + minutes(5));
  CHECK(again.rows.empty());
}

TEST_CASE("a clock that was set back plans nothing and forgets nothing") {
  const Plan p = plan(every(minutes(5)), Policy{}, 1, kStart + hours(1), kStart);
  CHECK(p.rows.empty());
  CHECK(p.planned_through == kStart + hours(1));
  CHECK(*p.next_fire == kStart + hours(1) + minutes(5));
}

TEST_CASE("an occurrence exactly misfire_grace late is planned, a microsecond more is missed") {
  const FireSeries fires = every(hours(24));
  const Time fire = kStart + hours(24);
  const Policy policy = policy_with(Coalesce::latest, minutes(10));
  const Plan just = plan(fires, policy, 1, kStart, fire + minutes(10));
  REQUIRE(just.rows.size() == 1);
  CHECK(just.rows[0].state == RunState::pending);
  const Plan late = plan(fires, policy, 1, kStart, fire + minutes(10) + Duration(1));
  REQUIRE(late.rows.size() == 1);
  check_row(late.rows[0], RunState::missed, Reason::misfire, fire, 1);
  CHECK(late.rows[0].due_at == fire);
}

TEST_CASE("what is too late is one stretch, and of the rest coalesce chooses") {
  // At 03:00, what fired before 02:00 is more than an hour late.
  const FireSeries fires = every(minutes(30));
  const Time now = kStart + hours(3);
  const auto at = [](int half_hours) { return kStart + half_hours * minutes(30); };
  SUBCASE("latest") {
    const Plan p = plan(fires, policy_with(Coalesce::latest), 1, kStart, now);
    REQUIRE(p.rows.size() == 3);
    check_row(p.rows[0], RunState::missed, Reason::misfire, at(1), 3, at(3));
    check_row(p.rows[1], RunState::skipped, Reason::coalesced, at(4), 2, at(5));
    check_row(p.rows[2], RunState::pending, Reason::none, at(6), 1);
    CHECK_FALSE(p.rows[2].waits);
  }
  SUBCASE("earliest") {
    const Plan p = plan(fires, policy_with(Coalesce::earliest), 1, kStart, now);
    REQUIRE(p.rows.size() == 3);
    check_row(p.rows[0], RunState::missed, Reason::misfire, at(1), 3, at(3));
    check_row(p.rows[1], RunState::pending, Reason::none, at(4), 1);
    check_row(p.rows[2], RunState::skipped, Reason::coalesced, at(5), 2, at(6));
  }
  SUBCASE("all") {
    const Plan p = plan(fires, policy_with(Coalesce::all), 1, kStart, now);
    REQUIRE(p.rows.size() == 4);
    check_row(p.rows[0], RunState::missed, Reason::misfire, at(1), 3, at(3));
    for (int i = 1; i <= 3; ++i) {
      check_row(p.rows[static_cast<std::size_t>(i)], RunState::pending, Reason::none, at(3 + i), 1);
      CHECK(p.rows[static_cast<std::size_t>(i)].waits);
    }
  }
}

TEST_CASE("two overdue occurrences give one skipped row without a last fire time") {
  const Plan p = plan(every(minutes(30)), Policy{}, 1, kStart, kStart + hours(1));
  REQUIRE(p.rows.size() == 2);
  check_row(p.rows[0], RunState::skipped, Reason::coalesced, kStart + minutes(30), 1);
  check_row(p.rows[1], RunState::pending, Reason::none, kStart + hours(1), 1);
}

TEST_CASE("jitter delays the start, not the fire, and is stable") {
  Policy policy;
  policy.jitter = minutes(1);
  const FireSeries fires = every(minutes(5));
  const Plan p = plan(fires, policy, 7, kStart, kStart + minutes(5));
  REQUIRE(p.rows.size() == 1);
  CHECK(p.rows[0].due_at >= p.rows[0].fire_time);
  CHECK(p.rows[0].due_at < p.rows[0].fire_time + minutes(1));
  CHECK(plan(fires, policy, 7, kStart, kStart + minutes(5)).rows[0].due_at == p.rows[0].due_at);
  int same = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    same += jitter_of(minutes(1), seed, kStart) == jitter_of(minutes(1), seed + 1, kStart) ? 1 : 0;
    CHECK(jitter_of(Duration(1), seed, kStart) == Duration::zero());
  }
  CHECK(same == 0);
  CHECK(jitter_of(Duration::zero(), 1, kStart) == Duration::zero());
}

TEST_CASE("a long backlog of a short period is counted, not walked") {
  const Time now = kStart + hours(24 * 365);
  const auto seconds_off = 365LL * 24 * 3600;
  for (const bool cron : {false, true}) {
    const FireSeries fires =
        cron ? series_of(cron_schedule("* * * * * *"), "Europe/Berlin") : every(seconds(1));
    const Plan p = plan(fires, Policy{}, 1, kStart, now);
    REQUIRE(p.rows.size() == 3);
    check_row(p.rows[0], RunState::missed, Reason::misfire, kStart + seconds(1), seconds_off - 3601,
              now - seconds(3601));
    check_row(p.rows[1], RunState::skipped, Reason::coalesced, now - seconds(3600), 3600,
              now - seconds(1));
    check_row(p.rows[2], RunState::pending, Reason::none, now, 1);
    const Plan paused = plan_paused(fires, kStart, now);
    REQUIRE(paused.rows.size() == 1);
    check_row(paused.rows[0], RunState::skipped, Reason::paused, kStart + seconds(1), seconds_off,
              now);
    CHECK(paused.planned_through == now);
    CHECK(*paused.next_fire == now + seconds(1));
  }
}

TEST_CASE(
    "of a series to be caught up whole, the latest max_catchup run, and the rest is one row") {
  const FireSeries fires = every(seconds(1));
  Policy policy = policy_with(Coalesce::all, hours(24 * 365));
  for (const int most : {1, 2, 100, limits::kMaxCatchup}) {
    CAPTURE(most);
    policy.max_catchup = most;
    const Time now = kStart + seconds(limits::kMaxCatchup + 50);
    const Plan p = plan(fires, policy, 1, kStart, now);
    REQUIRE(p.rows.size() == static_cast<std::size_t>(most) + 1);
    const std::int64_t before = limits::kMaxCatchup + 50 - most;
    check_row(p.rows[0], RunState::skipped, Reason::coalesced, kStart + seconds(1), before,
              kStart + seconds(before));
    for (int i = 1; i <= most; ++i) {
      const Planned& row = p.rows[static_cast<std::size_t>(i)];
      if (row.fire_time != kStart + seconds(before + i) || !row.waits) FAIL("row ", i);
    }
    CHECK(p.planned_through == now);
    CHECK(*p.next_fire == now + seconds(1));
  }
  policy.max_catchup = 100;
  CHECK(plan(fires, policy, 1, kStart, kStart + seconds(100)).rows.size() == 100);
}

TEST_CASE("overdue runs are spread, each at its own stable moment; those on time are not") {
  const FireSeries fires = every(hours(1));
  Policy policy = policy_with(Coalesce::all, hours(24));
  policy.catchup_spread = minutes(10);
  const Time now = kStart + hours(20) + minutes(30);
  const Plan p = plan(fires, policy, 7, kStart, now);
  REQUIRE(p.rows.size() == 20);
  std::set<Time> moments;
  for (const Planned& row : p.rows) {
    CHECK(row.due_at >= now);
    CHECK(row.due_at < now + minutes(10));
    moments.insert(row.due_at);
  }
  CHECK(moments.size() > 15);
  CHECK(plan(fires, policy, 7, kStart, now).rows[3].due_at == p.rows[3].due_at);
  const Time on_time = kStart + hours(1) + seconds(5);
  CHECK(plan(fires, policy, 7, kStart, on_time).rows.at(0).due_at == kStart + hours(1));
}

TEST_CASE("a run that may not wait for ever knows until when") {
  Policy policy;
  policy.max_wait = minutes(5);
  const Time fire = kStart + hours(1);
  CHECK(plan(every(hours(1)), policy, 1, kStart, fire).rows.at(0).give_up_at == fire + minutes(5));
  const Time late = fire + minutes(20);
  CHECK(plan(every(hours(1)), policy, 1, kStart, late).rows.at(0).give_up_at == late + minutes(5));
  CHECK_FALSE(plan(every(hours(1)), Policy{}, 1, kStart, fire).rows.at(0).give_up_at);
}

TEST_CASE("planning up to an earlier instant judges the grace as of now") {
  Policy policy;
  policy.misfire_grace = minutes(30);
  policy.max_wait = minutes(5);
  const Time through = kStart + hours(2);
  const Time now = through + minutes(29);
  const Plan p = plan_until(every(hours(1)), policy, 1, kStart, through, now);
  REQUIRE(p.rows.size() == 2);
  CHECK(p.rows[0].state == RunState::missed);
  CHECK(p.rows[1].state == RunState::pending);
  CHECK(p.rows[1].give_up_at == now + minutes(5));
  CHECK(p.planned_through == through);
  const Plan later = plan_until(every(hours(1)), policy, 1, kStart, through, through + minutes(31));
  REQUIRE(later.rows.size() == 1);
  check_row(later.rows[0], RunState::missed, Reason::misfire, kStart + hours(1), 2, through);
}

TEST_CASE("a one-off is planned once, or missed, and then there is no next fire") {
  Schedule schedule;
  schedule.kind = ScheduleKind::at;
  schedule.at = kStart + hours(1);
  const FireSeries fires = series_of(schedule, "UTC");
  const Plan p = plan(fires, Policy{}, 1, kStart, kStart + hours(1));
  REQUIRE(p.rows.size() == 1);
  CHECK_FALSE(p.next_fire.has_value());
  CHECK(plan(fires, Policy{}, 1, p.planned_through, kStart + hours(9)).rows.empty());
  CHECK(plan(fires, Policy{}, 1, kStart, kStart + hours(3)).rows[0].state == RunState::missed);
  const FireSeries manual = series_of(Schedule{}, "UTC");
  CHECK(plan(manual, Policy{}, 1, kStart, kStart + hours(3)).rows.empty());
}

TEST_CASE("planning at the ends of time stays within them") {
  const FireSeries fires = every(seconds(1), Time::min());
  const Policy policy = policy_with(Coalesce::latest, limits::kLongestDuration);
  const Plan p = plan(fires, policy, 1, Time::min(), Time::max());
  CHECK(p.planned_through == Time::max());
  CHECK_FALSE(p.next_fire.has_value());
  CHECK(plan(fires, policy, 1, Time::min(), Time::min() + Duration(5)).rows.empty());
}

namespace {

struct Audit {
  std::vector<Time> pending;
  std::int64_t accounted = 0;
  Time last = Time::min();
};

/// Checks the rows of one call and adds them up.
void check_rows(const Plan& p, const FireSeries& fires, Time from, Time now, const Policy& policy,
                Audit& audit) {
  Time covered = from;
  for (const Planned& row : p.rows) {
    const Time last = row.last_fire_time.value_or(row.fire_time);
    REQUIRE(row.fire_time > covered);
    REQUIRE(last >= row.fire_time);
    REQUIRE(last <= p.planned_through);
    REQUIRE((row.count > 1) == row.last_fire_time.has_value());
    // Exactly the fires from the first to the last, and both are fires.
    const auto inside = fires.count(row.fire_time - Duration(1), last);
    REQUIRE(inside.count == row.count);
    REQUIRE(inside.first == row.fire_time);
    REQUIRE(inside.last == last);
    if (row.state == RunState::missed) REQUIRE(now - last > policy.misfire_grace);
    if (row.state != RunState::missed) REQUIRE(now - row.fire_time <= policy.misfire_grace);
    if (row.state == RunState::pending) audit.pending.push_back(row.fire_time);
    audit.accounted += row.count;
    covered = last;
  }
  REQUIRE(p.planned_through <= now);
  REQUIRE(p.next_fire == fires.next_after(p.planned_through));
}

}  // namespace

TEST_CASE("over any beats, each fire is in exactly one row") {
  const char* fixed = std::getenv("SCHEDCTL_TEST_SEED");
  const std::uint64_t seed =
      fixed != nullptr ? std::strtoull(fixed, nullptr, 10) : std::random_device{}();
  MESSAGE("SCHEDCTL_TEST_SEED=", seed);
  std::mt19937_64 engine(seed);
  const auto roll = [&](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(engine);
  };
  const std::vector<std::string> crons = {"*/5 * * * *",    "30 2 * * *",         "* * * * * *",
                                          "0,20 1-3 * * *", "0 0 1 * *",          "*/7 2 * * 0",
                                          "15 30 2 * * *",  "10-50/9 2 * 3,10 0L"};
  const std::vector<Coalesce> choices = {Coalesce::latest, Coalesce::earliest, Coalesce::all};
  for (int round = 0; round < 400; ++round) {
    const bool cron = roll(0, 1) == 0;
    const Duration period{roll(1'000'000, 10'000'000'000)};
    const FireSeries fires =
        cron
            ? series_of(cron_schedule(crons[static_cast<std::size_t>(roll(0, 7))]), "Europe/Berlin")
            : every(period, kStart + Duration(roll(0, 1'000'000'000)));
    const Policy policy = policy_with(choices[static_cast<std::size_t>(roll(0, 2))],
                                      Duration(roll(0, 1) * roll(0, 40'000'000'000)));
    const Time begin = kStart + hours(24 * 20) + Duration(roll(0, 900'000'000'000));
    Time through = begin, now = begin;
    Audit audit;
    for (int beat = 0; beat < 12; ++beat) {
      now += Duration(roll(0, roll(0, 3) == 0 ? 200'000'000'000 : 2'000'000'000));
      while (true) {
        const Plan p = plan(fires, policy, seed, through, now);
        const auto pending_before = audit.pending.size();
        check_rows(p, fires, through, now, policy, audit);
        if (policy.coalesce != Coalesce::all) REQUIRE(audit.pending.size() <= pending_before + 1);
        through = p.planned_through;
        if (!p.next_fire || *p.next_fire > now) break;
      }
      REQUIRE(through == now);
    }
    CHECK(audit.accounted == fires.count(begin, now).count);
  }
}
