#include "schedctl/loop/directory_watch.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "tests/base/scratch.hpp"

namespace schedctl::loop {
namespace {

namespace fs = std::filesystem;
using Place = DirectoryWatch::Place;

constexpr Duration kSettle = std::chrono::milliseconds(30);

struct Watched {
  test::Scratch scratch;
  std::unique_ptr<Loop> loop = std::move(*Loop::create());
  int changes = 0;
  std::unique_ptr<DirectoryWatch> watch;

  void begin(DirectoryWatch::Places places) {
    auto made = DirectoryWatch::create(*loop, std::move(places), kSettle, [this] { ++changes; });
    REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().message));
    watch = std::move(*made);
  }
  bool comes(int wanted) {
    return test::comes_true([&] {
      REQUIRE(loop->run_once(std::chrono::milliseconds(5)).has_value());
      return changes >= wanted;
    });
  }
  /// Runs for longer than a change takes to be told.
  void idle() {
    const auto end = std::chrono::steady_clock::now() + 4 * kSettle;
    while (std::chrono::steady_clock::now() < end) {
      REQUIRE(loop->run_once(std::chrono::milliseconds(5)).has_value());
    }
  }
};

TEST_CASE("a file that is created, replaced, written or removed in a directory is told of") {
  Watched w;
  w.begin([&] { return std::vector<Place>{{w.scratch.path()}}; });
  test::write_file(w.scratch / "a", "1");
  CHECK(w.comes(1));
  test::write_file(w.scratch / "b", "2");
  CHECK(w.comes(2));
  fs::rename(w.scratch / "b", w.scratch / "a");
  CHECK(w.comes(3));
  std::ofstream(w.scratch / "a", std::ios::app) << "more";
  CHECK(w.comes(4));
  fs::remove(w.scratch / "a");
  CHECK(w.comes(5));
  w.idle();
  CHECK(w.changes == 5);
}

TEST_CASE("many changes at once are told of a few times") {
  Watched w;
  w.begin([&] { return std::vector<Place>{{w.scratch.path()}}; });
  for (int i = 0; i < 500; ++i) test::write_file(w.scratch / std::to_string(i), "x");
  CHECK(w.comes(1));
  w.idle();
  // Once, unless this process is held up while it reads of them.
  CHECK(w.changes < 10);
}

TEST_CASE("of a directory where one entry counts, the others do not") {
  Watched w;
  w.begin([&] { return std::vector<Place>{{w.scratch.path(), "zoneinfo"}}; });
  test::write_file(w.scratch / "other", "x");
  w.idle();
  CHECK(w.changes == 0);
  fs::create_directory(w.scratch / "zoneinfo");
  CHECK(w.comes(1));
}

TEST_CASE("directories that a change brought are watched from then on") {
  Watched w;
  const std::string inner = w.scratch / "inner";
  w.begin([&] { return std::vector<Place>{{w.scratch.path(), "inner"}, {inner}}; });
  fs::create_directory(inner);
  CHECK(w.comes(1));
  test::write_file(inner + "/a", "x");
  CHECK(w.comes(2));
  fs::rename(inner, w.scratch / "gone");
  CHECK(w.comes(3));
  test::write_file(w.scratch / "gone/b", "x");
  w.idle();
  CHECK(w.changes == 3);
}

TEST_CASE("a watch that is gone tells nothing") {
  Watched w;
  w.begin([&] { return std::vector<Place>{{w.scratch.path()}}; });
  test::write_file(w.scratch / "a", "1");
  REQUIRE(w.loop->run_once(std::chrono::milliseconds(100)).has_value());
  w.watch.reset();
  w.idle();
  CHECK(w.changes == 0);
}

}  // namespace
}  // namespace schedctl::loop
