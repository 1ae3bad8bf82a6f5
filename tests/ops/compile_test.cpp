#include "tests/ops/world.hpp"

using namespace schedctl;
using namespace schedctl::ops;

namespace {

Error wrong(const job::JobDraft& draft) {
  World world;
  return world.refused([&] { return world.ops.add("x", draft, {}); });
}

job::Definition compiled(World& world, const job::JobDraft& draft,
                         const job::Job* existing = nullptr) {
  return World::must(world.ops.compile(draft, existing));
}

}  // namespace

TEST_CASE("a job has exactly one schedule") {
  const Error none = wrong(shell_job());
  CHECK(none.kind == ErrorKind::usage);
  for (const char* choice : {"every", "cron", "at", "in", "manual"}) {
    CHECK(contains(none.message, choice));
  }
  job::JobDraft two = every("5m");
  two.cron = "* * * * *";
  const Error both = wrong(two);
  CHECK(both.where == "cron");
  CHECK(contains(both.message, "every and cron"));
  two = manual();
  two.in = "5m";
  CHECK(wrong(two).where == "manual");
}

TEST_CASE("a job does exactly one thing") {
  job::JobDraft draft;
  draft.every = "5m";
  CHECK(wrong(draft).where == "command");
  draft.shell = "true";
  draft.command = {"/bin/true"};
  CHECK(wrong(draft).where == "shell");
  draft.shell.reset();
  draft.command = std::vector<std::string>{};
  CHECK(wrong(draft).where == "command");
  draft.command.reset();
  draft.shell = "";
  CHECK(wrong(draft).where == "shell");
}

TEST_CASE("command and environment over the limit are refused") {
  job::JobDraft draft = every("5m");
  draft.shell = std::string(200 * 1024, 'x');
  const Error error = wrong(draft);
  CHECK(error.kind == ErrorKind::usage);
  CHECK(contains(error.message, "bytes"));
  draft = every("5m");
  draft.env = {{"BIG", std::string(200 * 1024, 'x')}};
  CHECK(wrong(draft).where == "env");
}

TEST_CASE("details that do not belong to the schedule are refused") {
  const auto with = [](job::JobDraft draft, auto change) {
    change(draft);
    return draft;
  };
  const auto anchor = [](job::JobDraft& d) { d.anchor = "2026-01-01"; };
  const auto immediately = [](job::JobDraft& d) { d.immediately = true; };
  const auto gap = [](job::JobDraft& d) { d.dst_gap = "skip"; };
  const auto fold = [](job::JobDraft& d) { d.dst_fold = "both"; };
  CHECK(wrong(with(cron("0 1 * * *"), anchor)).where == "anchor");
  CHECK(wrong(with(cron("0 1 * * *"), immediately)).where == "immediately");
  CHECK(wrong(with(manual(), gap)).where == "dst_gap");
  CHECK(wrong(with(every("5m"), fold)).where == "dst_fold");
  CHECK(wrong(with(with(every("5m"), anchor), immediately)).where == "immediately");
  CHECK(wrong(with(cron("0 1 * * *"), [](job::JobDraft& d) { d.dst_gap = "jump"; })).where ==
        "dst_gap");
  CHECK(wrong(with(cron("0 1 * * *"), [](job::JobDraft& d) { d.dst_fold = "third"; })).where ==
        "dst_fold");
}

TEST_CASE("periods that cannot be are refused") {
  for (const char* text : {"", "5", "-5m", "0s", "999ms", "1month", "99999999999999999999s"}) {
    CAPTURE(text);
    const Error error = wrong(every(text));
    CHECK(error.kind == ErrorKind::usage);
    CHECK(error.where == "every");
  }
}

TEST_CASE("cron expressions that cannot be, or never fire, are refused") {
  const Error bad_minute = wrong(cron("61 * * * *"));
  CHECK(bad_minute.kind == ErrorKind::usage);
  CHECK(bad_minute.where == "cron");
  CHECK(contains(bad_minute.message, "61"));
  CHECK(wrong(cron("0 0 30 2 *")).where == "cron");
  CHECK(wrong(cron("")).where == "cron");
}

TEST_CASE("a zone that does not exist is refused, and the setting's says where it came from") {
  CHECK(wrong(cron("0 1 * * *", "Europe/Berlyn")).where == "timezone");
  World world;
  world.config.timezone = "Mars/Olympus";
  const Error error = world.refused([&] { return world.ops.add("x", every("5m"), {}); });
  CHECK(error.where == "timezone");
  CHECK(contains(error.message, "setting"));
}

TEST_CASE("the zone is the draft's, else the setting's, and is always stored") {
  World world;
  world.config.timezone = "Asia/Tokyo";
  CHECK(compiled(world, every("5m")).schedule.timezone == "Asia/Tokyo");
  CHECK(compiled(world, manual()).schedule.timezone == "Asia/Tokyo");
  CHECK(compiled(world, cron("0 1 * * *", "Europe/Berlin")).schedule.timezone == "Europe/Berlin");
  job::Job existing;
  existing.definition.schedule.timezone = "America/New_York";
  CHECK(compiled(world, cron("0 1 * * *"), &existing).schedule.timezone == "Asia/Tokyo");
}

TEST_CASE("at and in become an instant") {
  World world;
  job::JobDraft draft = at("2026-07-01 12:00");
  draft.timezone = "Europe/Berlin";
  const job::Schedule schedule = compiled(world, draft).schedule;
  CHECK(schedule.kind == job::ScheduleKind::at);
  CHECK(format_rfc3339(schedule.at) == "2026-07-01T10:00:00Z");
  job::JobDraft delayed = shell_job();
  delayed.in = "90s";
  CHECK(compiled(world, delayed).schedule.at == world.now() + seconds(90));
  delayed.in = "0s";
  CHECK(wrong(delayed).where == "in");
  delayed.in = "soon";
  CHECK(wrong(delayed).where == "in");
}

TEST_CASE("a moment in the past is refused, unless it is the job's own, unchanged") {
  const Error error = wrong(at("2026-03-01 12:00"));
  CHECK(error.kind == ErrorKind::usage);
  CHECK(error.where == "at");
  CHECK(contains(error.message, "past"));
  CHECK(wrong(at("someday")).where == "at");

  World world;
  const job::Job job = world.add("x", at("2026-03-02 12:00"));
  world.clock.advance(days(2));
  CHECK(compiled(world, at("2026-03-02 12:00"), &job) == job.definition);
  CHECK_FALSE(world.ops.compile(at("2026-03-02 12:01"), &job));
}

TEST_CASE("an interval is counted from its creation: the first fire comes one period later") {
  World world;
  const job::Job job = world.add("x", every("5m"));
  CHECK(job.definition.schedule.anchor == world.now());
  CHECK(world.stored("x").planned_through == world.now());
  CHECK(world.stored("x").next_fire == world.now() + minutes(5));
}

TEST_CASE("immediately makes the creation itself a fire") {
  World world;
  job::JobDraft draft = every("5m");
  draft.immediately = true;
  world.add("x", draft);
  CHECK(world.stored("x").next_fire == world.now());
}

TEST_CASE("an anchor ahead is the first fire, one in the past goes on as a grid") {
  World world;
  job::JobDraft draft = every("1h");
  draft.anchor = "2026-03-04 00:20";
  world.add("ahead", draft);
  CHECK(format_rfc3339(*world.stored("ahead").next_fire) == "2026-03-04T00:20:00Z");
  draft.anchor = "2026-01-01 00:20";
  world.add("past", draft);
  CHECK(format_rfc3339(*world.stored("past").next_fire) == "2026-03-02T00:20:00Z");
  draft.anchor = "whenever";
  CHECK(wrong(draft).where == "anchor");
}

TEST_CASE("the anchor stays while the period does") {
  World world;
  const job::Job job = world.add("x", every("5m"));
  world.clock.advance(minutes(7));
  CHECK(compiled(world, every("300s"), &job).schedule.anchor == job.definition.schedule.anchor);
  CHECK(compiled(world, every("6m"), &job).schedule.anchor == world.now());
}

TEST_CASE("a moment cannot fire twice, so dst_fold both is refused for at") {
  job::JobDraft draft = at("2027-10-31 02:30");
  draft.dst_fold = "both";
  CHECK(wrong(draft).where == "dst_fold");
}

TEST_CASE("a tag that is given twice is there once") {
  World world;
  job::JobDraft draft = every("5m");
  draft.tags = {{"b", "a", "b"}};
  CHECK(compiled(world, draft).tags == std::vector<std::string>{"b", "a"});
}
