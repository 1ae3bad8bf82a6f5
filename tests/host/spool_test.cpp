#include "schedctl/host/spool.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "tests/base/scratch.hpp"

namespace schedctl::host {
namespace {

using test::read_file;
using test::Scratch;

struct Place {
  Place() : spool(*Spool::open(scratch.path(), "me")) {}
  Scratch scratch;
  Spool spool;
};

TEST_CASE("a spool file that stayed empty goes to the next of its user, and to nobody else") {
  Place place;
  auto first = place.spool.take("");
  REQUIRE(first);
  const std::string path = place.spool.path(first->file);
  first->output.reset();
  CHECK(place.spool.give_back(std::move(first->file)).path.empty());
  auto other = place.spool.take("anna");
  auto second = place.spool.take("");
  REQUIRE(other);
  REQUIRE(second);
  CHECK(place.spool.path(other->file) != path);
  CHECK(place.spool.path(second->file) == path);
}

TEST_CASE("a spool file that was written to, or that somebody has, keeps its name") {
  Place place;
  auto written = place.spool.take("");
  REQUIRE(written);
  REQUIRE(::write(written->output.get(), "text", 4) == 4);
  const std::string path = place.spool.path(written->file);
  written->output.reset();
  const Spool::Outcome outcome = place.spool.give_back(std::move(written->file));
  CHECK(outcome.path == path);
  CHECK(outcome.bytes == 4);
  auto held = place.spool.take("");
  REQUIRE(held);
  const std::string held_path = place.spool.path(held->file);
  CHECK(place.spool.give_back(std::move(held->file)).path == held_path);
  place.spool.clear();
  CHECK(read_file(path) == "text");
}

TEST_CASE("a waiting spool file that was filled or removed is not taken again") {
  Place place;
  auto filled = place.spool.take("");
  auto removed = place.spool.take("");
  REQUIRE(filled);
  REQUIRE(removed);
  const std::string paths[] = {place.spool.path(filled->file), place.spool.path(removed->file)};
  for (Spool::Taken* taken : {&*filled, &*removed}) {
    taken->output.reset();
    CHECK(place.spool.give_back(std::move(taken->file)).path.empty());
  }
  test::write_file(paths[0], "a stranger's");
  REQUIRE(::unlink(paths[1].c_str()) == 0);
  for (int i = 0; i < 2; ++i) {
    auto taken = place.spool.take("");
    REQUIRE(taken);
    CHECK(place.spool.path(taken->file) != paths[0]);
    CHECK(place.spool.path(taken->file) != paths[1]);
  }
  CHECK(read_file(paths[0]) == "a stranger's");
}

TEST_CASE("the middle of a long spool file becomes a hole, and both ends stay") {
  Place place;
  auto taken = place.spool.take("");
  REQUIRE(taken);
  const std::string text(std::size_t{64} * 1024, 'x');
  REQUIRE(::write(taken->output.get(), text.data(), text.size()) ==
          static_cast<ssize_t>(text.size()));
  CHECK(Spool::cut_middle(taken->file, 1'000'000, 0) == 0);
  CHECK(Spool::cut_middle(taken->file, 16 * 1024, 0) == 48 * 1024);
  const std::string left = read_file(place.spool.path(taken->file));
  CHECK(left == std::string(8192, 'x') + std::string(48 * 1024, '\0') + std::string(8192, 'x'));
}

TEST_CASE("what another instance left empty is swept, and what it wrote is not") {
  Place place;
  for (const char* name : {"old-1.log", "old-2.log", "other-1.log"}) {
    test::write_file(place.scratch / name, "");
  }
  test::write_file(place.scratch / "old-3.log", "text");
  place.spool.sweep(place.scratch / "old-1.log");
  CHECK_FALSE(std::filesystem::exists(place.scratch / "old-1.log"));
  place.spool.sweep_all_of("old");
  CHECK_FALSE(std::filesystem::exists(place.scratch / "old-2.log"));
  CHECK(std::filesystem::exists(place.scratch / "old-3.log"));
  CHECK(std::filesystem::exists(place.scratch / "other-1.log"));
}

}  // namespace
}  // namespace schedctl::host
