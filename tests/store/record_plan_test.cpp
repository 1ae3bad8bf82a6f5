#include "schedctl/store/record_plan.hpp"

#include <doctest/doctest.h>

using namespace schedctl;

namespace {

constexpr Time kNow = time_from_us(1'800'000'000'000'000);
constexpr Duration kHour = std::chrono::hours(1);

job::Job stored_job(store::Store& store) {
  job::Job job;
  job.name = "backup";
  job.created_at = kNow - 24 * kHour;
  job.definition.action.command = {"/bin/true"};
  REQUIRE(store.insert_job(job));
  return job;
}

job::Planned pending_at(Time t) {
  job::Planned planned;
  planned.fire_time = t;
  planned.due_at = t + std::chrono::seconds(3);
  return planned;
}

job::Planned missed_between(Time first, Time last, std::int64_t count) {
  job::Planned planned;
  planned.fire_time = planned.due_at = first;
  planned.state = job::RunState::missed;
  planned.reason = job::Reason::misfire;
  planned.count = count;
  planned.last_fire_time = last;
  return planned;
}

job::Run scheduled(std::int64_t job, Time fire) {
  job::Run run;
  run.job_id = JobId(job);
  run.fire_time = fire;
  return run;
}

constexpr const char* kStoreId = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";

}  // namespace

TEST_CASE("each planned row becomes a run, and the job remembers how far it was planned") {
  const auto store = store::open_memory();
  const job::Job job = stored_job(*store);
  job::Plan plan;
  plan.rows = {missed_between(kNow - 5 * kHour, kNow - 2 * kHour, 4), pending_at(kNow - kHour / 2)};
  plan.planned_through = kNow;
  plan.next_fire = kNow + kHour;

  const auto written = store::record_plan(*store, job, {}, plan, kNow);
  REQUIRE(written);
  REQUIRE(written->size() == 2);
  CHECK((*written)[0].count == 4);
  CHECK((*written)[0].last_fire_time == kNow - 2 * kHour);
  CHECK((*written)[0].state == job::RunState::missed);
  CHECK((*written)[0].reason == job::Reason::misfire);
  CHECK((*written)[1].state == job::RunState::pending);
  CHECK((*written)[1].due_at == kNow - kHour / 2 + std::chrono::seconds(3));
  CHECK((*written)[1].job_name == "backup");
  CHECK((*written)[1].created_at == kNow);
  CHECK((*written)[1].id);

  const auto after = store->get_job(job.id);
  REQUIRE(after);
  REQUIRE(*after);
  CHECK((*after)->planned_through == kNow);
  CHECK((*after)->next_fire == kNow + kHour);
  const auto rows = store->list_runs({.job_id = job.id});
  REQUIRE(rows);
  CHECK(rows->size() == 2);
}

TEST_CASE("an occurrence that has its row already does not get a second one") {
  const auto store = store::open_memory();
  const job::Job job = stored_job(*store);
  job::Plan plan;
  plan.rows = {pending_at(kNow - kHour)};
  plan.planned_through = kNow;
  REQUIRE(store::record_plan(*store, job, {}, plan, kNow));
  plan.rows.push_back(pending_at(kNow));
  const auto again = store::record_plan(*store, job, {}, plan, kNow);
  REQUIRE(again);
  REQUIRE(again->size() == 1);
  CHECK((*again)[0].fire_time == kNow);
}

TEST_CASE("a key is a version 5 UUID that stays the same for an occurrence") {
  const std::string key = store::run_key(kStoreId, scheduled(7, kNow));
  REQUIRE(key.size() == 36);
  CHECK(key[14] == '5');
  CHECK(std::string("89ab").find(key[19]) != std::string::npos);
  job::Run later = scheduled(7, kNow);
  later.id = RunId(99);
  later.attempt = 3;
  CHECK(store::run_key(kStoreId, later) == key);
}

TEST_CASE("keys differ by store, job, cause, fire time and, for runs by hand, by run") {
  const std::string key = store::run_key(kStoreId, scheduled(7, kNow));
  CHECK(store::run_key("6ba7b811-9dad-11d1-80b4-00c04fd430c8", scheduled(7, kNow)) != key);
  CHECK(store::run_key("not a uuid", scheduled(7, kNow)) != key);
  CHECK(store::run_key(kStoreId, scheduled(8, kNow)) != key);
  CHECK(store::run_key(kStoreId, scheduled(7, kNow + kHour)) != key);
  job::Run first = scheduled(7, kNow);
  first.cause = job::Cause::manual;
  first.id = RunId(1);
  job::Run second = first;
  second.id = RunId(2);
  CHECK(store::run_key(kStoreId, first) != key);
  CHECK(store::run_key(kStoreId, first) != store::run_key(kStoreId, second));
}
