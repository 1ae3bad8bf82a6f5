#include "schedctl/ops/import.hpp"

#include <doctest/doctest.h>

#include <map>

#include "world.hpp"

namespace schedctl::ops {
namespace {

using Did = ImportedJob::Did;

Result<Imported> try_import(World& world, const std::string& text, ImportOptions options = {}) {
  const bool system = !options.user.empty();
  options.timezone = "Europe/Berlin";
  return world.ops.import_crontab(config::read_crontab(text, system), options);
}
Imported import(World& world, const std::string& text, ImportOptions options = {}) {
  return World::must(try_import(world, text, std::move(options)));
}

/// "backup added", in the order of the lines.
std::vector<std::string> verdicts(const Imported& imported) {
  static constexpr const char* kDid[] = {"added", "changed", "unchanged", "present"};
  std::vector<std::string> out;
  for (const ImportedJob& job : imported.jobs)
    out.push_back(job.name + " " + kDid[static_cast<int>(job.did)]);
  return out;
}
using Verdicts = std::vector<std::string>;

std::vector<std::string> keys(const ImportedJob& job) {
  std::vector<std::string> out;
  for (const KeyChange& change : job.changes) out.push_back(change.key);
  return out;
}

}  // namespace

TEST_CASE("each line of a crontab is a job of the command line, in the host's zone") {
  World world;
  const Imported imported =
      import(world, "MAILTO=anna\nPATH=/bin\n30 2 * * * backup --full\n@reboot warm-up\n",
             {.source = "/etc/crontab"});
  CHECK(verdicts(imported) == Verdicts{"backup added", "warm-up added"});
  CHECK(imported.left_out.empty());
  CHECK(imported.gone.empty());
  CHECK(imported.jobs[0].mailto == "anna");
  const job::Job job = world.stored("backup");
  CHECK(job.definition.schedule.cron == "30 2 * * *");
  CHECK(job.definition.schedule.timezone == "Europe/Berlin");
  CHECK(job.definition.action.shell == "backup --full");
  CHECK(job.definition.tags == std::vector<std::string>{"crontab.etc.crontab"});
  CHECK(job.managed_by == "cli");
  CHECK_FALSE(job.paused);
  CHECK(job.next_fire.has_value());
  CHECK(world.stored("warm-up").definition.schedule.kind == job::ScheduleKind::reboot);
  CHECK(world.pokes == 1);
  CHECK(world.last_audit().action == "import");
  CHECK(contains(world.last_audit().detail, "/etc/crontab, line 4"));
}

TEST_CASE("the same crontab again changes nothing") {
  World world;
  const std::string text = "A=b\n@daily x\n@daily x\n@weekly x 2\nRANDOM_DELAY=5\n@hourly y\n";
  CHECK(verdicts(import(world, text)) == Verdicts{"x added", "x-2 added", "x-3 added", "y added"});
  const std::string before = world.contents();
  const int pokes = world.pokes;
  world.clock.advance(hours(30));
  CHECK(verdicts(import(world, text)) ==
        Verdicts{"x unchanged", "x-2 unchanged", "x-3 unchanged", "y unchanged"});
  CHECK(world.contents() == before);
  CHECK(world.pokes == pokes);
}

TEST_CASE("a line that was edited changes its job, and what changed is told") {
  World world;
  import(world, "A=1\n0 1 * * * x a\n0 2 * * * x b\n0 3 * * * x c\n");
  const Imported imported = import(world, "A=2\n0 9 * * * x a\n0 2 * * * x other\n0 3 * * * x c\n");
  CHECK(verdicts(imported) == Verdicts{"x changed", "x-2 changed", "x-3 changed"});
  CHECK(keys(imported.jobs[0]) == std::vector<std::string>{"cron", "env.A"});
  CHECK(keys(imported.jobs[1]) == std::vector<std::string>{"shell", "env.A"});
  CHECK(keys(imported.jobs[2]) == std::vector<std::string>{"env.A"});
  CHECK(imported.jobs[0].changes[0].before->text == "0 1 * * *");
  CHECK(imported.jobs[0].changes[0].after->text == "0 9 * * *");
  CHECK(world.stored("x").definition.schedule.cron == "0 9 * * *");
  CHECK(world.stored("x").version == 2);
  CHECK(contains(world.last_audit().detail, "changed"));
}

TEST_CASE("lines that are moved, inserted or removed leave the others their names") {
  World world;
  import(world, "0 1 * * * x a\n0 2 * * * x b\n0 3 * * * x c\n");
  CHECK(verdicts(import(world, "0 3 * * * x c\n0 4 * * * x new\n0 1 * * * x a\n0 2 * * * x b\n")) ==
        Verdicts{"x-3 unchanged", "x-4 added", "x unchanged", "x-2 unchanged"});
  const Imported imported = import(world, "0 3 * * * x c\n0 4 * * * x new\n");
  CHECK(verdicts(imported) == Verdicts{"x-3 unchanged", "x-4 unchanged"});
  CHECK(imported.gone == std::vector<std::string>{"x", "x-2"});
  CHECK(world.exists("x"));
}

TEST_CASE("what people changed about a job stays, but what its line says comes back") {
  World world;
  import(world, "A=1\n@daily x\n");
  job::JobDraft draft;
  draft.cron = "@hourly";
  draft.env = {{"B", "2"}};
  draft.policy.timeout = hours(2);
  draft.tags = std::vector<std::string>{"mine", crontab_tag("")};
  World::must(world.ops.set("x", draft, {}));
  World::must(world.ops.pause({"x"}, "why not"));
  const Imported imported = import(world, "A=1\n@daily x\n");
  CHECK(verdicts(imported) == Verdicts{"x changed"});
  CHECK(keys(imported.jobs[0]) == std::vector<std::string>{"cron"});
  CHECK(imported.jobs[0].kept == std::vector<std::string>{"B"});
  const job::Job job = world.stored("x");
  CHECK(job.definition.policy.timeout == hours(2));
  CHECK(job.definition.tags.size() == 2);
  CHECK(job.definition.env.size() == 2);
  CHECK(job.paused);
}

TEST_CASE("jobs of others keep their names, and what runs already is not added again") {
  World world;
  job::JobDraft mine = cron("@daily", "Europe/Berlin");
  mine.shell = "something else";
  world.add("x", mine);
  mine.shell = "y --now";
  world.add("my-own-y", mine);
  const Imported imported = import(world, "@daily x\n@daily y --now\n@hourly y --now\n");
  CHECK(verdicts(imported) == Verdicts{"x-2 added", "my-own-y present", "y added"});
  CHECK(world.stored("x").definition.action.shell == "something else");
  // Another crontab, another origin.
  CHECK(verdicts(import(world, "@daily x\n", {.source = "/home/a/tab"})) ==
        Verdicts{"x-2 present"});
}

TEST_CASE("files of cron.d give their names to the jobs, once") {
  World world;
  CHECK(verdicts(import(world, "@daily root sa1\n@daily root munin-cron\n@daily root muninx\n",
                        {.source = "/etc/cron.d/munin", .prefix = "munin", .user = "root"})) ==
        Verdicts{"munin-sa1 added", "munin-cron added", "munin-muninx added"});
  CHECK(verdicts(import(world, "@daily root a\n",
                        {.source = "/x", .prefix = ".#odd name~", .user = "root"})) ==
        Verdicts{"oddname-a added"});
}

TEST_CASE("a line of a user that the settings allow runs as that user") {
  World world;
  world.config.allow_users = {"www-data"};
  const Imported imported = import(world, "@daily www-data a\n@daily root b\n", {.user = "root"});
  CHECK(imported.left_out.empty());
  CHECK(world.stored("a").definition.policy.user == "www-data");
  CHECK_FALSE(world.stored("b").definition.policy.user);
  // A scheduler of one's own cannot do that, whatever the settings say.
  const Imported own = import(world, "@daily www-data c\n", {.user = "anna"});
  REQUIRE(own.left_out.size() == 1);
  CHECK(contains(own.left_out[0].message, "only a daemon of root"));
}

TEST_CASE("lines of other users, and what is no schedule, are named and the others imported") {
  World world;
  const Imported imported = import(world,
                                   "@daily www-data a\nfoo\n0 25 * * * root b\nCRON_TZ=No/Where\n"
                                   "@daily root c\nCRON_TZ=UTC\nA.B=1\n@daily root d\n",
                                   {.user = "root"});
  REQUIRE(imported.left_out.size() == 5);
  CHECK(imported.left_out[0].line == 1);
  CHECK(contains(imported.left_out[0].message, "runs as www-data"));
  CHECK(imported.left_out[1].line == 2);
  CHECK(contains(imported.left_out[2].message, "hour 25"));
  CHECK(contains(imported.left_out[3].message, "timezone: "));
  CHECK(contains(imported.left_out[4].message, "env: 'A.B'"));
  CHECK(imported.jobs.empty());
}

TEST_CASE("a line that has become wrong leaves its job as it is, and it is not gone") {
  World world;
  import(world, "@daily x\n");
  const Imported imported = import(world, "0 0 31 2 * x\n");
  CHECK(imported.gone.empty());
  REQUIRE(imported.left_out.size() == 1);
  CHECK(contains(imported.left_out[0].message, "never fires"));
  CHECK(contains(imported.left_out[0].message, "job x stays as it is"));
  CHECK(world.stored("x").definition.schedule.cron == "@daily");
}

TEST_CASE("a job that went to somebody else's hands is not taken back") {
  World world;
  import(world, "@daily x\n");
  job::Job job = world.stored("x");
  job.managed_by = "apply:shop";
  World::must(world.store->update_job(job));
  CHECK(verdicts(import(world, "@daily x\n")) == Verdicts{"x unchanged"});
  const Imported imported = import(world, "@hourly x\n");
  CHECK(imported.jobs.empty());
  REQUIRE(imported.left_out.size() == 1);
  CHECK(contains(imported.left_out[0].message, "shop"));
}

TEST_CASE("a dry run says the same and writes nothing; paused jobs begin paused") {
  World world;
  const std::string before = world.contents();
  CHECK(verdicts(import(world, "@daily x\n", {.dry_run = true})) == Verdicts{"x added"});
  CHECK(world.contents() == before);
  CHECK(world.pokes == 0);
  import(world, "@daily x\n", {.paused = true});
  CHECK(world.stored("x").paused);
  CHECK_FALSE(world.stored("x").upcoming_fire().has_value());
}

TEST_CASE("the tag of a crontab is one that a job can have, and differs for other paths") {
  CHECK(crontab_tag("") == "crontab.stdin");
  CHECK(crontab_tag("/etc/cron.d/sysstat") == "crontab.etc.cron.d.sysstat");
  CHECK(crontab_tag("/home/anna/my tab") != crontab_tag("/home/anna/my_tab"));
  for (const std::string& path :
       {std::string("/"), std::string("/a b/\xff\x01"), "/" + std::string(4000, 'x')}) {
    CHECK(job::check_name(crontab_tag(path)).has_value());
  }
  CHECK(crontab_tag("/" + std::string(4000, 'x')) != crontab_tag("/" + std::string(4001, 'x')));
}

}  // namespace schedctl::ops
