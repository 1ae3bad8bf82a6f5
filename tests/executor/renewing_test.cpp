// A daemon that finds a keeper of another build.

#include <doctest/doctest.h>

#include <filesystem>

#include "tests/keeper/builds.hpp"
#include "world.hpp"

namespace schedctl::executor {
namespace {

using namespace test;
using job::Happening;
using keeper::test::install;

std::size_t count(const std::string& text, const std::string& words) {
  std::size_t found = 0;
  for (std::size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) {
    ++found;
  }
  return found;
}

TEST_CASE("a daemon has the keeper become what was installed, once, and loses no run over it") {
  World world;
  const std::string program = world.scratch / "schedctl";
  const std::string log = world.scratch / "log";
  const auto logged = [&](const std::string& words) {
    return count(schedctl::test::read_file(log), words);
  };
  install(program, 1);
  world.make_executor(program);
  world.connect();
  // What is installed is not this daemon's build either: that is found out once.
  world.until([&] { return logged("keeper-not-renewed") == 1; });
  CHECK(world.adoptions.size() == 2);
  CHECK(logged("keeper-renewing") == 1);
  world.start(world.shell(1, "exit 7"));
  world.wait_for(1);
  world.start(world.request(2, {"/bin/sleep", "600"}));
  const std::int64_t pid = world.wait_for(2, Report::Kind::started).result.pid;

  // The upgrade: a new file, and a daemon that was started from it.
  install(program, 0);
  world.make_executor(program);
  world.connect();
  world.until([&] { return logged("keeper-renewed") == 1; });
  REQUIRE(world.adoptions.size() == 4);
  const Adoption& last = world.adoptions.back();
  CHECK(last.keeper == world.adoptions[0].keeper);
  CHECK(last.keeper_pid == world.adoptions[0].keeper_pid);
  CHECK(last.generation > world.adoptions[2].generation);
  CHECK(std::filesystem::equivalent("/proc/" + std::to_string(last.keeper_pid) + "/exe", program));
  CHECK(last.reports.size() == 2);
  CHECK(is_alive(pid));
  CHECK(world.losses.empty());
  CHECK(world.run(world.request(3, {"/bin/true"})).happening == Happening::exited_zero);
  world.executor->end(RunId(2), 1, 10s);
  CHECK(world.wait_for(2).ended_on_order);

  // Now they are of one build: nobody is asked for anything.
  world.make_executor(program);
  world.connect();
  world.executor->ping();
  world.until([&] { return world.signs_of_life == 1; });
  CHECK(world.adoptions.size() == 5);
  CHECK(logged("keeper-renewing") == 2);
  CHECK(logged("keeper-lost") == 0);
}

TEST_CASE("a keeper that cannot become what was installed is kept as it is") {
  World world;
  const std::string program = world.scratch / "schedctl";
  install(program, 1);
  world.make_executor(program);
  world.connect();
  world.until([&] {
    return schedctl::test::read_file(world.scratch / "log").find("keeper-not-renewed") !=
           std::string::npos;
  });
  std::filesystem::remove(program);
  world.make_executor(program);
  world.connect();
  world.until([&] {
    return schedctl::test::read_file(world.scratch / "log").find("No such file") !=
           std::string::npos;
  });
  CHECK(world.adoptions.size() == 3);
  CHECK(world.losses.empty());
  CHECK(world.run(world.request(1, {"/bin/true"})).happening == Happening::exited_zero);
}

}  // namespace
}  // namespace schedctl::executor
