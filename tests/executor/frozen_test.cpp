// A keeper that is stopped, or one that does not come to life, costs the io thread no time.

#include <signal.h>
#include <sys/stat.h>

#include <doctest/doctest.h>

#include <fstream>
#include <set>

#include "schedctl/executor/command.hpp"
#include "world.hpp"

namespace schedctl::executor {
namespace {

using namespace test;
using job::Happening;
using std::chrono::steady_clock;

/// One turn of a loop that nothing blocks; a keeper's answer was waited for ten seconds once.
void turn(World& world) {
  const auto before = steady_clock::now();
  REQUIRE(world.loop->run_once(10ms));
  CHECK(steady_clock::now() - before < 3s);
}

TEST_CASE("a keeper that is stopped gives no sign of life until it goes on") {
  World world;
  world.connect();
  world.executor->ping();
  world.until([&] { return world.signs_of_life == 1; });
  world.signal_keeper(SIGSTOP);
  world.executor->ping();
  for (int i = 0; i < 20; ++i) turn(world);
  CHECK(world.signs_of_life == 1);
  CHECK(world.losses.empty());
  world.signal_keeper(SIGCONT);
  world.until([&] { return world.signs_of_life == 2; });
}

TEST_CASE("a daemon that starts while its keeper is stopped goes on without, and adopts it later") {
  World world;
  world.connect();
  world.start(world.shell(1, "exit 7"));
  world.wait_for(1);
  world.signal_keeper(SIGSTOP);
  world.make_executor();
  const auto before = steady_clock::now();
  const auto connected = world.executor->connect(50ms);
  CHECK(steady_clock::now() - before < 5s);
  REQUIRE_FALSE(connected);
  CHECK(connected.error().kind == ErrorKind::unavailable);
  CHECK(connected.error().message.find("does not answer") != std::string::npos);
  CHECK(world.losses.size() == 1);
  CHECK(world.executor->keeper_pid() == 0);
  world.start(world.request(2, {"/bin/true"}));
  while (world.find(2, Report::Kind::finished) == nullptr) turn(world);
  CHECK(world.find(2, Report::Kind::finished)->happening == Happening::never_started);
  world.executor->end(RunId(1), 1, 10ms);
  world.executor->ping();
  for (int i = 0; i < 20; ++i) turn(world);
  CHECK(world.adoptions.size() == 1);
  world.signal_keeper(SIGCONT);
  world.until([&] { return world.adoptions.size() == 2; });
  CHECK(world.adoptions[1].keeper == world.adoptions[0].keeper);
  REQUIRE(world.adoptions[1].reports.size() == 1);
  CHECK(world.adoptions[1].reports[0].result.exit_code == 7);
  world.executor->ping();
  world.until([&] { return world.signs_of_life == 1; });
}

TEST_CASE("a stopped keeper that is killed is replaced") {
  World world;
  world.connect();
  world.signal_keeper(SIGSTOP);
  world.make_executor();
  REQUIRE_FALSE(world.executor->connect(10ms));
  world.signal_keeper(SIGKILL);
  world.until([&] { return world.adoptions.size() == 2; });
  CHECK(world.adoptions[1].keeper != world.adoptions[0].keeper);
  CHECK(world.run(world.request(1, {"/bin/true"})).happening == Happening::exited_zero);
}

TEST_CASE("more orders than a stopped keeper may miss: the line is given up, none runs twice") {
  World world;
  world.connect();
  const std::string ran = world.scratch / "ran";
  world.signal_keeper(SIGSTOP);
  constexpr int kOrders = 700;  // of 100 kB each
  std::vector<StartRequest> requests;
  for (int run = 1; run <= kOrders; ++run) {
    StartRequest one = world.request(run, {"/bin/sh", "-c", "echo $0 >> " + ran,
                                           std::to_string(run), std::string(100'000, 'x')});
    requests.push_back(std::move(one));
  }
  world.executor->start(std::move(requests));
  while (world.losses.empty()) turn(world);
  for (int i = 0; i < 20; ++i) turn(world);
  CHECK(world.adoptions.size() == 1);
  world.signal_keeper(SIGCONT);
  world.until([&] { return world.adoptions.size() == 2; });
  CHECK(world.adoptions[1].keeper == world.adoptions[0].keeper);
  // What it had been sent it knows; of the rest it will never hear, so it may be ordered again.
  std::set<std::int64_t> known;
  for (const Report& report : world.adoptions[1].reports) known.insert(report.run.value);
  CHECK(known.size() < kOrders);
  requests.clear();
  for (int run = 1; run <= kOrders; ++run) {
    if (known.contains(run)) continue;
    requests.push_back(
        world.request(run, {"/bin/sh", "-c", "echo $0 >> " + ran, std::to_string(run)}));
    requests.back().fence = 2;
  }
  world.executor->start(std::move(requests));
  const auto lines = [&] {
    std::multiset<int> all;
    std::ifstream in(ran);
    for (int run = 0; in >> run;) all.insert(run);
    return all;
  };
  world.until([&] { return lines().size() >= kOrders; });
  const std::multiset<int> all = lines();
  CHECK(all.size() == kOrders);
  CHECK(std::set<int>(all.begin(), all.end()).size() == kOrders);
}

TEST_CASE("a program that never gets ready is not waited for, and going away costs nothing") {
  World world;
  const std::string program = world.scratch / "program";
  const std::string pid = world.scratch / "pid";
  std::ofstream(program) << "#!/bin/sh\necho $$ > " << pid << "\nexec sleep 1000\n";
  ::chmod(program.c_str(), 0755);
  world.make_executor(program);
  const auto connected = world.executor->connect(50ms);
  REQUIRE_FALSE(connected);
  CHECK(connected.error().kind == ErrorKind::unavailable);
  CHECK(connected.error().message.find("not ready") != std::string::npos);
  for (int i = 0; i < 10; ++i) turn(world);
  const auto before = steady_clock::now();
  world.executor->dismiss_keeper();
  world.executor.reset();
  CHECK(steady_clock::now() - before < 3s);
  REQUIRE(comes_true([&] { return !schedctl::test::read_file(pid).empty(); }));
  ::kill(std::stoi(schedctl::test::read_file(pid)), SIGKILL);
}

TEST_CASE("a keeper that cannot be started again is tried until it can") {
  World world;
  const std::string program = world.scratch / "program";
  std::filesystem::create_symlink(std::filesystem::read_symlink("/proc/self/exe"), program);
  world.make_executor(program);
  world.connect();
  std::filesystem::remove(program);
  world.kill_keeper();
  // Once for the broken line, once for what is in the way of a new one.
  while (world.losses.size() < 2) turn(world);
  CHECK(world.losses[1].find("No such file") != std::string::npos);
  for (int i = 0; i < 20; ++i) turn(world);
  CHECK(world.losses.size() == 2);
  std::filesystem::create_symlink(std::filesystem::read_symlink("/proc/self/exe"), program);
  world.until([&] { return world.adoptions.size() == 2; });
  CHECK(world.run(world.request(1, {"/bin/true"})).happening == Happening::exited_zero);
}

#ifdef SCHEDCTL_CRASH_POINTS
TEST_CASE("a keeper that was told where to die does, and its successor lives") {
  World world;
  ::setenv("_SCHEDCTL_CRASH_AT", "keeper.journaled", 1);
  world.connect();
  world.start(world.request(1, {"/bin/sleep", "600"}));
  world.until([&] { return world.adoptions.size() == 2; });
  CHECK(world.adoptions[1].reports.empty());
  CHECK(world.run(world.request(2, {"/bin/true"})).happening == Happening::exited_zero);
  ::unsetenv("_SCHEDCTL_CRASH_AT");
}
#endif

}  // namespace
}  // namespace schedctl::executor
