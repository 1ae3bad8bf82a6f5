#include <filesystem>
#include <fstream>

#include "schedctl/store/record_plan.hpp"
#include "tests/ops/world.hpp"

using namespace schedctl;
using namespace schedctl::ops;

namespace {

/// The next fire of a job, as the daemon plans it.
job::Run planned(World& world, const std::string& name) {
  world.clock.advance(hours(1));
  const job::Job job = world.stored(name);
  job::Run run = store::new_run(job, job::Policy{}, job::Cause::schedule, world.now(), world.now());
  World::must(world.store->insert_run(run));
  World::must(world.store->set_planned(job.id, world.now(), job.next_fire));
  return run;
}

}  // namespace

TEST_CASE("add stores the job, says so in the audit, and wakes the daemon") {
  World world;
  job::JobDraft draft = cron("30 2 * * *", "Europe/Berlin");
  draft.cwd = "/srv";
  draft.env = {{"A", "1"}};
  draft.tags = {"db"};
  draft.policy.timeout = hours(2);
  const job::Job job = world.add("backup", draft);
  CHECK(job.id);
  CHECK(job.version == 1);
  CHECK(job.managed_by == "cli");
  CHECK(job.definition == world.stored("backup").definition);
  CHECK(job.definition.cwd == "/srv");
  CHECK(job.definition.policy.timeout == hours(2));
  CHECK(format_rfc3339(*world.stored("backup").next_fire) == "2026-03-02T01:30:00Z");
  CHECK(world.last_audit().action == "add");
  CHECK(world.last_audit().job == "backup");
  CHECK(world.last_audit().who == "alice");
  CHECK(world.pokes == 1);
}

TEST_CASE("names that are none are refused") {
  World world;
  for (const char* name : {"", "-x", "a b", "#1", "a/b", "\n"}) {
    CAPTURE(name);
    CHECK(world.refused([&] { return world.ops.add(name, every("5m"), {}); }).kind ==
          ErrorKind::usage);
  }
  CHECK(world.refused([&] { return world.ops.add(std::string(129, 'x'), every("5m"), {}); }).kind ==
        ErrorKind::usage);
}

TEST_CASE("a name that exists is a conflict") {
  World world;
  world.add("x", every("5m"));
  const Error error = world.refused([&] { return world.ops.add("x", every("6m"), {}); });
  CHECK(error.kind == ErrorKind::conflict);
  CHECK(contains(error.message, "--replace"));
}

TEST_CASE("replace changes the definition in place: id, history and pause stay") {
  World world;
  job::JobDraft draft = every("5m");
  draft.policy.timeout = hours(1);
  const job::Job before = world.add("x", draft);
  World::must(world.ops.trigger("x", false));
  World::must(world.ops.pause({"x"}, "later"));
  const job::Job after = world.add("x", cron("0 1 * * *"), {.replace = true});
  CHECK(after.id == before.id);
  CHECK(after.version == 2);
  CHECK(after.paused);
  CHECK_FALSE(after.next_fire);
  CHECK_FALSE(after.definition.policy.timeout);
  CHECK(world.runs("x").size() == 1);
  CHECK(world.last_audit().action == "set");
  CHECK(contains(world.last_audit().detail, "schedule"));
}

TEST_CASE("replacing a job by what it is changes nothing") {
  World world;
  world.add("x", every("5m"));
  const std::string before = world.contents();
  world.clock.advance(minutes(2));
  CHECK(world.add("x", every("5m"), {.replace = true}).version == 1);
  CHECK(world.contents() == before);
}

TEST_CASE("replace refuses a job that a file manages, and says which") {
  World world;
  world.add("x", every("5m"), {.managed_by = "file:/etc/schedctl/jobs.d/x.toml"});
  for (const bool replace : {false, true}) {
    const Error error =
        world.refused([&] { return world.ops.add("x", every("6m"), {.replace = replace}); });
    CHECK(error.kind == ErrorKind::conflict);
    CHECK(contains(error.message, "/etc/schedctl/jobs.d/x.toml"));
  }
}

TEST_CASE("a job can be added paused, and replaced paused") {
  World world;
  world.add("x", every("5m"), {.paused = true});
  CHECK(world.stored("x").paused);
  CHECK(world.stored("x").paused_at == world.now());
  CHECK_FALSE(world.stored("x").next_fire);
  world.add("y", every("5m"));
  world.clock.advance(minutes(12));
  world.add("y", every("5m"), {.replace = true, .paused = true});
  CHECK(world.stored("y").paused);
  CHECK(world.stored("y").paused_at == world.now());
  CHECK_FALSE(world.stored("y").next_fire);
}

TEST_CASE("set changes what it is told and nothing else") {
  World world;
  job::JobDraft draft = cron("30 2 * * *", "Europe/Berlin");
  draft.dst_fold = "both";
  draft.env = {{"A", "1"}, {"B", "2"}};
  draft.tags = {"db"};
  draft.cwd = "/srv";
  const job::Job before = world.add("x", draft);
  job::JobDraft change;
  change.policy.timeout = minutes(5);
  change.env = {{"B", "3"}, {"C", "4"}};
  const job::Job after = World::must(world.ops.set("x", change, {}));
  CHECK(after.version == 2);
  CHECK(after.definition.schedule == before.definition.schedule);
  CHECK(after.definition.action == before.definition.action);
  CHECK(after.definition.policy.timeout == minutes(5));
  CHECK(after.definition.env ==
        std::vector<std::pair<std::string, std::string>>{{"A", "1"}, {"B", "3"}, {"C", "4"}});
  CHECK(after.definition.cwd == "/srv");
  CHECK(after.planned_through == before.planned_through);
  CHECK(world.stored("x").definition == after.definition);
  CHECK(world.last_audit().detail == "timeout, env");

  job::JobDraft zone;
  zone.timezone = "Asia/Tokyo";
  const job::Job moved = World::must(world.ops.set("x", zone, {}));
  CHECK(moved.definition.schedule.cron == "30 2 * * *");
  CHECK(moved.definition.schedule.dst_fold == job::DstFold::both);
  CHECK(format_rfc3339(*world.stored("x").next_fire) == "2026-03-02T17:30:00Z");

  job::JobDraft expression;
  expression.cron = "0 4 * * *";
  const job::Schedule changed = World::must(world.ops.set("x", expression, {})).definition.schedule;
  CHECK(changed.timezone == "Asia/Tokyo");
  CHECK(changed.dst_fold == job::DstFold::both);
}

TEST_CASE("set can turn one kind of schedule into another, and one action into another") {
  World world;
  world.add("x", cron("30 2 * * *", "Europe/Berlin"));
  world.clock.advance(minutes(1));
  job::JobDraft change = change_every("10m");
  change.command = {"/bin/echo", "hi"};
  const job::Definition after = World::must(world.ops.set("x", change, {})).definition;
  CHECK(after.schedule.kind == job::ScheduleKind::every);
  CHECK(after.schedule.anchor == world.now());
  CHECK(after.schedule.cron.empty());
  CHECK(after.schedule.timezone == "Europe/Berlin");
  CHECK(after.action.shell.empty());
  CHECK(after.action.command == std::vector<std::string>{"/bin/echo", "hi"});
  CHECK(world.stored("x").next_fire == world.now() + minutes(10));
}

TEST_CASE("set can move the grid of an interval, or begin it now") {
  World world;
  world.add("x", every("1h"));
  world.clock.advance(minutes(10));
  job::JobDraft change;
  change.anchor = "2026-03-02 00:45";
  World::must(world.ops.set("x", change, {}));
  CHECK(format_rfc3339(*world.stored("x").next_fire) == "2026-03-02T00:45:00Z");
  job::JobDraft at_once;
  at_once.immediately = true;
  World::must(world.ops.set("x", at_once, {}));
  CHECK(world.stored("x").next_fire == world.now());
  CHECK(world.stored("x").definition.schedule.every == hours(1));
}

TEST_CASE("the zone of a moment that is fixed already only changes how it is shown") {
  World world;
  world.add("x", at("2026-03-02 12:00"));
  job::JobDraft zone;
  zone.timezone = "Asia/Tokyo";
  const job::Schedule after = World::must(world.ops.set("x", zone, {})).definition.schedule;
  CHECK(format_rfc3339(after.at) == "2026-03-02T12:00:00Z");
  CHECK(after.timezone == "Asia/Tokyo");
  job::JobDraft gap;
  gap.dst_gap = "skip";
  CHECK(world.refused([&] { return world.ops.set("x", gap, {}); }).where == "dst_gap");
}

TEST_CASE("unset forgets policies, the directory, variables and tags") {
  World world;
  job::JobDraft draft = every("5m");
  draft.policy.timeout = minutes(5);
  draft.policy.max_attempts = 3;
  draft.policy.backoff = seconds(5);
  draft.cwd = "/srv";
  draft.env = {{"A", "1"}, {"B", "2"}};
  draft.tags = {"db"};
  world.add("x", draft);
  const auto unset = [&world](const std::vector<std::string>& keys) {
    return World::must(world.ops.set("x", {}, keys)).definition;
  };
  CHECK_FALSE(unset({"timeout"}).policy.timeout);
  CHECK(unset({"env.A"}).env.size() == 1);
  CHECK_FALSE(unset({"retry"}).policy.max_attempts);
  const job::Definition rest = unset({"cwd", "env", "tags"});
  CHECK(rest.cwd.empty());
  CHECK(rest.env.empty());
  CHECK(rest.tags.empty());
  CHECK(rest.policy == job::PolicyDraft{});

  const Error error = world.refused([&] { return world.ops.set("x", {}, {"timeuot"}); });
  CHECK(error.kind == ErrorKind::usage);
  CHECK(contains(error.message, "timeout"));
  CHECK(world.refused([&] { return world.ops.set("x", {}, {"command"}); }).kind ==
        ErrorKind::usage);
}

TEST_CASE("what every job has cannot be unset, and the message says what to do") {
  World world;
  world.add("x", cron("0 9 * * *"));
  for (const char* key : {"timezone", "cron", "anchor", "command"}) {
    const Error error = world.refused([&] { return world.ops.set("x", job::JobDraft{}, {key}); });
    CHECK(error.where == "unset");
    CHECK(contains(error.message, "give it another value instead"));
  }
}

TEST_CASE("set that changes nothing writes nothing, and set without a word is refused") {
  World world;
  world.add("x", every("5m"));
  const std::string before = world.contents();
  CHECK(World::must(world.ops.set("x", change_every("5m"), {})).version == 1);
  World::must(world.ops.set("x", {}, {"timeout"}));
  CHECK(world.contents() == before);
  CHECK(world.refused([&] { return world.ops.set("x", {}, {}); }).kind == ErrorKind::usage);
}

TEST_CASE("set refuses what would make the job impossible, and leaves it as it was") {
  World world;
  world.add("x", every("5m"));
  job::JobDraft change;
  change.cron = "61 * * * *";
  CHECK(world.refused([&] { return world.ops.set("x", change, {}); }).where == "cron");
  change = {};
  change.cwd = "relative";
  CHECK(world.refused([&] { return world.ops.set("x", change, {}); }).where == "cwd");
  change = {};
  change.dst_gap = "skip";
  CHECK(world.refused([&] { return world.ops.set("x", change, {}); }).where == "dst_gap");
}

TEST_CASE("what does not exist is not found, with the nearest name") {
  World world;
  world.add("backup", every("5m"));
  const auto check = [](const Error& error) {
    CHECK(error.kind == ErrorKind::not_found);
    CHECK(contains(error.message, "backup"));
  };
  check(world.refused([&] { return world.ops.set("bakcup", change_every("1m"), {}); }));
  check(world.refused([&] { return world.ops.remove({"bakcup"}, false); }));
  check(world.refused([&] { return world.ops.pause({"bakcup"}, ""); }));
  check(world.refused([&] { return world.ops.resume({"bakcup"}); }));
  check(world.refused([&] { return world.ops.trigger("bakcup", false); }));
  check(world.refused([&] { return world.ops.cancel("bakcup"); }));
}

TEST_CASE("a job that a file manages is changed there, but operated here") {
  World world;
  const std::string file =
      (std::filesystem::temp_directory_path() / ("schedctl-" + std::to_string(::getpid())))
          .string();
  std::ofstream(file) << "";
  world.add("x", every("5m"), {.managed_by = "file:" + file});
  for (const Error& error :
       {world.refused([&] { return world.ops.set("x", change_every("1m"), {}); }),
        world.refused([&] { return world.ops.remove({"x"}, true); })}) {
    CHECK(error.kind == ErrorKind::conflict);
    CHECK(contains(error.message, file));
  }
  CHECK(World::must(world.ops.pause({"x"}, "")).size() == 1);
  CHECK(World::must(world.ops.resume({"x"})).size() == 1);
  CHECK(world.ops.trigger("x", false));
  CHECK(world.ops.cancel("x"));
  // Nobody else can remove it once the file is gone.
  std::filesystem::remove(file);
  World::must(world.ops.remove({"x"}, false));
  CHECK_FALSE(world.exists("x"));
}

TEST_CASE("a run that waits for its retry keeps it when the schedule is changed") {
  World world;
  world.add("rt", every("3s"));
  const job::Run tried =
      world.wait_for_retry(world.start(World::must(world.ops.trigger("rt", false))));
  World::must(world.ops.trigger("rt", true));
  World::must(world.ops.set("rt", change_every("10m"), {}));
  const job::Run scheduled = world.wait_for_retry(world.start(planned(world, "rt")));
  const job::Run fresh = planned(world, "rt");
  World::must(world.ops.set("rt", change_every("20m"), {}));
  for (const job::Run& run : {tried, scheduled}) {
    const auto now = World::must(world.store->get_run(run.id));
    REQUIRE(now.has_value());
    CHECK(brief(*now) == "pending");
    CHECK(now->attempt == 2);
    CHECK(now->due_at == run.due_at);
  }
  // One that has not begun belongs to the old schedule.
  CHECK(brief(*World::must(world.store->get_run(fresh.id))) == "skipped schedule_changed");
}

TEST_CASE("a run that was tried and loses its job is cancelled, not one that did not run") {
  World world;
  for (const bool force : {false, true}) {
    world.add("rt", every("3s"));
    job::Run run = world.start(planned(world, "rt"));
    run.result.exit_code = 1;
    run = world.wait_for_retry(run);
    World::must(world.ops.remove({"rt"}, force));
    const auto ended = World::must(world.store->get_run(run.id));
    REQUIRE(ended.has_value());
    CHECK(brief(*ended) == (force ? "cancelled operator" : "cancelled removed"));
    CHECK(ended->result.exit_code == 1);
  }
}

TEST_CASE("a removed job leaves its history, and a new one of its name is another job") {
  World world;
  const job::Job first = world.add("x", every("5m"));
  World::must(world.ops.trigger("x", false));
  World::must(world.ops.remove({"x"}, false));
  CHECK_FALSE(world.exists("x"));
  CHECK(brief(world.runs("x")) == Briefs{"skipped removed"});
  CHECK(world.last_audit().action == "remove");
  CHECK(world.add("x", every("5m")).id != first.id);
}

TEST_CASE("remove is all or nothing") {
  World world;
  world.add("a", every("5m"));
  world.add("b", every("5m"));
  CHECK(world.refused([&] {
               return world.ops.remove({"a", "nothing", "b"}, false);
             })
            .kind == ErrorKind::not_found);
  World::must(world.ops.remove({"a", "b", "a"}, false));
  CHECK_FALSE(world.exists("a"));
  CHECK_FALSE(world.exists("b"));
}

TEST_CASE("remove refuses a running job, unless it may stop it") {
  World world;
  world.add("x", every("5m"));
  const job::Run running = world.start(World::must(world.ops.trigger("x", false)));
  World::must(world.ops.trigger("x", true));
  const Error error = world.refused([&] { return world.ops.remove({"x"}, false); });
  CHECK(error.kind == ErrorKind::conflict);
  CHECK(contains(error.message, "#" + std::to_string(running.id.value)));
  CHECK(contains(error.message, "--force"));

  World::must(world.ops.remove({"x"}, true));
  CHECK_FALSE(world.exists("x"));
  CHECK(brief(world.runs("x")) == Briefs{"running", "cancelled operator"});
  CHECK(world.runs("x")[0].cancel_requested);
  CHECK(World::must(world.store->cancel_requests()).size() == 1);
}

TEST_CASE("remove does not advise what it would refuse for another reason") {
  World world;
  AddOptions options;
  options.managed_by = "apply:nightly";
  world.add("first", every("1h"), options);
  job::JobDraft draft = every("1h");
  draft.policy.after = {"first"};
  world.add("second", draft);
  const Error error = world.refused([&] { return world.ops.remove({"first"}, false); });
  CHECK_FALSE(contains(error.message, "--force"));
  CHECK(contains(error.message, "defined by the set nightly; remove it in that set's files"));
  // Of one that can be removed by hand the advice holds.
  world.add("free", every("1h"));
  draft.policy.after = {"free"};
  world.add("third", draft);
  const Error advice = world.refused([&] { return world.ops.remove({"free"}, false); });
  CHECK(contains(advice.message, "--force"));
  World::must(world.ops.remove({"free"}, true));
}

TEST_CASE("a job whose zone this machine has lost can be moved to another, or removed") {
  World world;
  for (const char* name : {"moved", "removed"}) {
    job::Job job = world.add(name, cron("0 1 * * *"));
    job.definition.schedule.timezone = "Gone/Zone";
    World::must(world.store->update_job(job));
  }
  job::JobDraft zone;
  zone.timezone = "UTC";
  World::must(world.ops.set("moved", zone, {}));
  CHECK(world.stored("moved").next_fire == World::kStart + hours(1));
  World::must(world.ops.remove({"removed"}, false));
}

TEST_CASE("a renamed job is the same job under another name") {
  World world;
  const job::Job before = world.add("old", cron("H H * * *"));
  World::must(world.ops.pause({"old"}, "why not"));
  world.add("taken", every("5m"));
  world.clock.advance(minutes(2));
  World::must(world.ops.rename("old", "new"));
  CHECK_FALSE(world.exists("old"));
  const job::Job after = world.stored("new");
  CHECK(after.id == before.id);
  CHECK(after.seed() == before.seed());
  CHECK(after.definition == before.definition);
  CHECK(after.paused);
  CHECK(World::must(world.store->versions_of("old")).size() == 1);
  CHECK(World::must(world.store->versions_of("new")).size() == 1);
  CHECK(world.last_audit().action == "rename");
  CHECK(world.last_audit().detail == "was old");
  const std::string contents = world.contents();
  World::must(world.ops.rename("new", "new"));
  CHECK(world.contents() == contents);

  CHECK(world.refused([&] { return world.ops.rename("old", "x"); }).kind == ErrorKind::not_found);
  CHECK(world.refused([&] { return world.ops.rename("new", "taken"); }).kind ==
        ErrorKind::conflict);
  CHECK(world.refused([&] { return world.ops.rename("new", "a b"); }).kind == ErrorKind::usage);
}

TEST_CASE("a job that runs, waits or is defined by a file is not renamed") {
  World world;
  world.add("a", every("5m"));
  world.add("file", every("5m"), {.managed_by = "file:/etc/passwd"});
  CHECK(contains(world.refused([&] { return world.ops.rename("file", "x"); }).message,
                 "/etc/passwd"));
  const job::Run run = World::must(world.ops.trigger("a", false));
  CHECK(contains(world.refused([&] { return world.ops.rename("a", "x"); }).message,
                 "has a run that waits (#1)"));
  world.start(run);
  CHECK(contains(world.refused([&] { return world.ops.rename("a", "x"); }).message, "is running"));
}
