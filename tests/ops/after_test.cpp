#include "src/ops/after.hpp"

#include <doctest/doctest.h>

#include "schedctl/base/clock.hpp"
#include "schedctl/zone/system_zones.hpp"

namespace schedctl::ops {
namespace {

using Names = std::vector<std::string>;

struct Fixture {
  std::unique_ptr<store::Store> store = store::open_memory();
  std::unique_ptr<job::ZoneSource> zones = zone::system_zones();
  FakeClock clock{Time{std::chrono::sys_days{std::chrono::year{2026} / 3 / 1}}};
  config::Config config;
  Context context{*store, *zones, clock, config, "tester", [] {}};

  void add(const std::string& name, Names after = {}) {
    job::Job job;
    job.name = name;
    job.definition.policy.after = std::move(after);
    REQUIRE(store->insert_job(job));
  }
  std::string refusal(const std::string& name, const Names& after, const AfterOf& together = {}) {
    const Result<void> may = check_after(context, name, after, together);
    if (may) return "";
    CHECK(may.error().where == "after");
    return may.error().message;
  }
};

TEST_CASE("a job may come after jobs that exist, or are made with it") {
  Fixture f;
  f.add("a");
  CHECK(f.refusal("b", {"a"}).empty());
  CHECK(f.refusal("b", {"c"}) == "there is no job 'c' to come after");
  CHECK(f.refusal("b", {"c"}, {{"b", {"c"}}, {"c", {}}}).empty());
}

TEST_CASE("no job may come after itself, over whatever jobs") {
  Fixture f;
  f.add("a");
  f.add("b", {"a"});
  f.add("c", {"b"});
  CHECK(f.refusal("a", {"a"}) == "a job cannot come after itself");
  CHECK(f.refusal("a", {"c"}) == "each would wait for the other: a after c after b after a");
  CHECK(f.refusal("d", {"c", "b", "a"}).empty());
  // What files say counts, not what is stored still.
  CHECK(f.refusal("a", {"c"}, {{"a", {"c"}}, {"b", {}}}).empty());
  CHECK_FALSE(f.refusal("x", {"y"}, {{"x", {"y"}}, {"y", {"x"}}}).empty());
}

TEST_CASE("what a job comes after may be gone without harm to those after it") {
  Fixture f;
  f.add("b", {"removed"});
  CHECK(f.refusal("c", {"b"}).empty());
}

}  // namespace
}  // namespace schedctl::ops
