// Starts that are ordered a moment before their time.

#include "schedctl/base/clock.hpp"
#include "world.hpp"

using namespace schedctl;
using namespace schedctl::executor;
using namespace schedctl::executor::test;

namespace {

Time in(Duration d) {
  return SystemClock().wall() + d;
}

StartRequest at(StartRequest request, Time time) {
  request.not_before = time;
  return request;
}

}  // namespace

TEST_CASE("what is ordered ahead is started when its time has come, in the order of time") {
  World world;
  world.connect();
  const Time later = in(400ms);
  world.start(at(world.shell(1, "true"), later));
  world.start(at(world.shell(2, "true"), later - 100ms));
  world.start(world.shell(3, "true"));
  CHECK(*world.wait_for(1).result.started_at >= later);
  CHECK(*world.wait_for(2).result.started_at >= later - 100ms);
  CHECK(*world.wait_for(2).result.started_at < *world.wait_for(1).result.started_at);
  CHECK(*world.wait_for(3).result.started_at < later - 100ms);
}

TEST_CASE("a run that is ended before its time is never started, and its end says so") {
  World world;
  world.connect();
  world.start(at(world.shell(1, "echo ran"), in(1h)));
  world.executor->end(RunId(1), 1, 1s);
  const Report& report = world.wait_for(1);
  CHECK(report.happening == job::Happening::never_started);
  CHECK(report.ended_on_order);
  CHECK_FALSE(report.result.started_at);
}

TEST_CASE("what happens shortly before a start is told with it, what happens after it at once") {
  World world;
  world.connect();
  const Time soon = in(90ms);
  world.start(world.shell(1, "true"));
  world.start(at(world.shell(2, "true"), soon));
  CHECK(world.wait_for(1).happening == job::Happening::exited_zero);
  CHECK(SystemClock().wall() >= soon);
  CHECK(world.wait_for(2).happening == job::Happening::exited_zero);
  CHECK(world.run(world.shell(3, "true")).happening == job::Happening::exited_zero);
}

TEST_CASE("an order to end another attempt leaves the one that waits for its time") {
  World world;
  world.connect();
  world.executor->end(RunId(1), 2, 1s);
  const Time soon = in(200ms);
  world.start(at(world.shell(1, "true"), soon));
  world.executor->end(RunId(1), 2, 1s);
  CHECK(world.wait_for(1).happening == job::Happening::exited_zero);
}

TEST_CASE("what waits for its time when the keeper is lost is given back before that is told") {
  World world;
  world.connect();
  world.start(at(world.shell(1, "true"), in(1h)));
  world.run(world.shell(2, "true"));
  world.kill_keeper();
  world.until([&] { return !world.losses.empty(); });
  REQUIRE(world.find(1, Report::Kind::finished) != nullptr);
  CHECK(world.find(1, Report::Kind::finished)->happening == job::Happening::never_started);
}
