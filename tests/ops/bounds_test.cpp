#include "tests/ops/world.hpp"

// What narrows a schedule, as people write it.

namespace schedctl::ops {
namespace {

std::vector<std::string> dates(World& world, const std::string& name, std::size_t n) {
  const job::Job job = world.stored(name);
  std::vector<std::string> found;
  for (const Fire& fire :
       World::must(world.ops.next(job.definition.schedule, job.seed(), job.planned_through, n)))
    found.push_back(fire.local.substr(0, 10));
  return found;
}

}  // namespace

using Dates = std::vector<std::string>;

TEST_CASE("every other week counts from the week of the anchor, Monday to Sunday") {
  World world;  // Monday, 2 March 2026
  job::JobDraft draft = cron("0 9 * * 1,7");
  draft.weeks = "2";
  draft.anchor = "2026-03-08";  // a Sunday: the week of 2 to 8 March
  world.add("a", draft);
  CHECK(dates(world, "a", 5) ==
        Dates{"2026-03-02", "2026-03-08", "2026-03-16", "2026-03-22", "2026-03-30"});
  draft.anchor = "2026-03-09";
  world.add("b", draft);
  CHECK(dates(world, "b", 3) == Dates{"2026-03-09", "2026-03-15", "2026-03-23"});
  draft.anchor = "2031-03-17";  // far ahead: the week of 9 March is 262 weeks before
  world.add("c", draft);
  CHECK(dates(world, "c", 1) == Dates{"2026-03-09"});
}

TEST_CASE("without an anchor the present week is the first, and stays it") {
  World world;
  job::JobDraft draft = cron("0 9 * * 3");
  draft.weeks = "3";
  world.add("a", draft);
  CHECK(dates(world, "a", 2) == Dates{"2026-03-04", "2026-03-25"});
  world.clock.advance(days(8));
  job::JobDraft change;
  change.cron = "0 10 * * 3";
  World::must(world.ops.set("a", change, {}));
  CHECK(dates(world, "a", 1) == Dates{"2026-03-25"});
  World::must(world.ops.set("a", job::JobDraft{}, {"weeks"}));
  CHECK(dates(world, "a", 1) == Dates{"2026-03-11"});
}

TEST_CASE("another number of weeks is counted from the same week, unless another is named") {
  World world;
  job::JobDraft draft = cron("0 9 * * 1");
  draft.weeks = "2";
  draft.anchor = "2026-03-16";
  world.add("a", draft);
  job::JobDraft change;
  change.weeks = "3";
  World::must(world.ops.set("a", change, {}));
  CHECK(dates(world, "a", 2) == Dates{"2026-03-16", "2026-04-06"});
  change.anchor = "2026-03-09";
  World::must(world.ops.set("a", change, {}));
  CHECK(dates(world, "a", 2) == Dates{"2026-03-09", "2026-03-30"});
  change.anchor.reset();
  change.weeks = "2";
  World::must(world.ops.set("a", change, {"weeks"}));  // forgotten first: the present week
  CHECK(dates(world, "a", 2) == Dates{"2026-03-02", "2026-03-16"});
}

TEST_CASE("nothing fires before not_before or after until, and both ends may fire") {
  World world;
  job::JobDraft draft = cron("0 9 * * *");
  draft.not_before = "2026-03-10 09:00";
  draft.until = "2026-03-12 09:00";
  world.add("a", draft);
  CHECK(dates(world, "a", 9) == Dates{"2026-03-10", "2026-03-11", "2026-03-12"});
  CHECK(world.stored("a").next_fire ==
        Time{std::chrono::sys_days{std::chrono::year{2026} / 3 / 10} + hours(9)});
  World::must(world.ops.set("a", job::JobDraft{}, {"until"}));
  CHECK(dates(world, "a", 9).size() == 9);
  job::JobDraft grid = every("1h");
  grid.until = "2026-03-02 02:30";
  world.add("b", grid);
  CHECK(dates(world, "b", 9).size() == 2);
}

TEST_CASE("bounds that do not belong or cannot be are refused and name their key") {
  World world;
  const auto refusal = [&](job::JobDraft draft) {
    return world.refused([&] { return world.ops.add("a", draft, {}); });
  };
  job::JobDraft draft = every("1h");
  draft.weeks = "2";
  CHECK(refusal(draft).where == "weeks");
  draft = cron("0 9 * * *");
  for (const char* weeks : {"0", "-1", "53", "two", "1.5", ""}) {
    draft.weeks = weeks;
    CHECK(refusal(draft).where == "weeks");
  }
  draft = cron("0 9 * * *");
  draft.anchor = "2026-03-02";
  CHECK(refusal(draft).where == "anchor");
  draft = cron("0 9 * * *");
  draft.until = "2026-03-01";
  CHECK(refusal(draft).where == "until");
  draft.until = "2026-04-01";
  draft.not_before = "2026-04-02";
  CHECK(refusal(draft).where == "until");
  draft = manual();
  draft.until = "2026-04-01";
  CHECK(refusal(draft).where == "until");
  draft = cron("0 9 * * *");
  draft.on_excluded = "next";
  CHECK(refusal(draft).where == "on_excluded");
  draft = every("1h");
  draft.on_reboot = true;
  CHECK(contains(refusal(draft).message, "exclude each other"));
}

TEST_CASE("a job that fires on reboot has seen the boot in which it was made or became one") {
  World world;
  Ops ops{Context{*world.store, *world.zones, world.clock, world.config, "alice", [] {}, "boot-7"}};
  job::JobDraft draft = shell_job();
  draft.on_reboot = true;
  World::must(ops.add("a", draft, {}));
  CHECK(world.stored("a").boot_id == "boot-7");
  CHECK_FALSE(world.stored("a").next_fire);
  world.add("b", every("1h"));
  job::JobDraft change;
  change.on_reboot = true;
  World::must(ops.set("b", change, {}));
  CHECK(world.stored("b").boot_id == "boot-7");
  CHECK_FALSE(world.stored("b").next_fire);
}

TEST_CASE("@reboot in the place of a cron expression is read as on_reboot") {
  World world;
  Ops ops{Context{*world.store, *world.zones, world.clock, world.config, "alice", [] {}, "boot-7"}};
  World::must(ops.add("a", cron(" @Reboot "), {}));
  CHECK(world.stored("a").definition.schedule.kind == job::ScheduleKind::reboot);
  CHECK(world.stored("a").definition.schedule.cron.empty());
  job::JobDraft draft = cron("@reboot");
  draft.until = "2026-04-01";
  CHECK(world.refused([&] { return ops.add("b", draft, {}); }).where == "until");
}

TEST_CASE("a pause until a moment is looked at then, and can be moved") {
  World world;
  world.add("a", every("1h"));
  const Time until = world.now() + hours(3);
  CHECK(World::must(world.ops.pause({"a"}, "works", until)).size() == 1);
  CHECK(world.stored("a").next_fire == until);
  CHECK(world.stored("a").paused_until == until);
  CHECK_FALSE(world.stored("a").upcoming_fire());
  CHECK(contains(world.last_audit().detail, "until 2026-03-02T03:00:00Z: works"));
  CHECK(World::must(world.ops.pause({"a"}, "", until)).empty());
  CHECK(World::must(world.ops.pause({"a"}, "", until + hours(1))).size() == 1);
  CHECK(world.stored("a").paused_reason == "works");
  world.clock.advance(minutes(90));
  World::must(world.ops.resume({"a"}));
  CHECK_FALSE(world.stored("a").paused_until);
  CHECK(world.stored("a").next_fire == World::kStart + hours(2));
  CHECK(world.refused([&] { return world.ops.pause({"a"}, "", world.now()); }).where == "until");
}

TEST_CASE("a job that has had all its runs goes on when it may have more") {
  World world;
  job::JobDraft draft = every("1h");
  draft.policy.max_runs = 1;
  const job::Job job = world.add("a", draft);
  World::must(world.store->count_run(job.id));
  World::must(world.store->set_planned(job.id, world.now() + hours(1), std::nullopt));
  world.clock.advance(hours(5));
  job::JobDraft change;
  change.policy.max_runs = 2;
  World::must(world.ops.set("a", change, {}));
  CHECK(world.stored("a").next_fire == world.now() + hours(1));
  CHECK(world.runs("a").empty());
}

}  // namespace schedctl::ops
