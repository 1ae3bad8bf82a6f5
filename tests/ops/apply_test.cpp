#include "schedctl/ops/apply.hpp"

#include <filesystem>

#include "tests/ops/world.hpp"

using namespace schedctl;
using namespace schedctl::ops;

namespace {

const std::string kRoot = "/srv/jobs";

config::FileJob file_job(const std::string& name, job::JobDraft draft,
                         const std::string& root = kRoot) {
  config::FileJob job;
  job.name = name;
  job.draft = std::move(draft);
  job.root = root;
  job.file = root + "/a.toml";
  job.position = job.file + ":1:6";
  for (const char* key : {"every", "cron", "at", "until"}) job.positions[key] = job.file + ":2:1";
  return job;
}

config::JobFiles reading(std::vector<config::FileJob> jobs, const std::string& root = kRoot) {
  config::JobFiles files;
  files.roots = {root};
  files.files = {root + "/a.toml"};
  files.jobs = std::move(jobs);
  return files;
}

ApplyOptions options(bool prune = false, bool adopt = false, const std::string& set = "") {
  return {.set = set, .prune = prune, .adopt = adopt};
}

/// Compares and applies, as the command line does.
Difference apply(World& world, const config::JobFiles& files, const ApplyOptions& how = options()) {
  Difference difference = World::must(world.ops.compare(files, how));
  if (difference.errors.empty()) World::must(world.ops.apply(files, how, difference));
  return difference;
}

using Names = std::vector<std::string>;

Names names_of(const std::vector<JobChange>& changes) {
  Names names;
  for (const JobChange& change : changes) names.push_back(change.name);
  return names;
}

/// "every: "5m" -> "1h"", a line a key.
std::string told(const JobChange& change) {
  std::string text;
  for (const KeyChange& key : change.keys) {
    text += key.key + ": " + (key.before ? config::toml_value(*key.before) : "-") + " -> " +
            (key.after ? config::toml_value(*key.after) : "-") + "\n";
  }
  return text;
}

}  // namespace

TEST_CASE("apply adds and changes what the files say, and tells key by key") {
  World world;
  const Difference first =
      apply(world, reading({file_job("a", every("5m")), file_job("b", cron("0 1 * * *"))}));
  CHECK(names_of(first.added) == Names{"a", "b"});
  CHECK(world.stored("a").managed_by == "apply:/srv/jobs");
  CHECK(world.stored("a").next_fire == world.now() + minutes(5));
  CHECK(world.last_audit().action == "apply");
  CHECK(world.pokes == 1);
  const JobId id = world.stored("a").id;

  world.clock.advance(minutes(7));
  job::JobDraft changed = every("1h");
  changed.policy.timeout = hours(2);
  changed.env = {{"A", "1"}};
  const Difference second =
      apply(world, reading({file_job("a", changed), file_job("b", cron("0 1 * * *"))}));
  CHECK(second.added.empty());
  REQUIRE(names_of(second.changed) == Names{"a"});
  CHECK(told(second.changed[0]) ==
        "every: \"5m\" -> \"1h\"\n"
        "timeout: - -> \"2h\"\n"
        "env.A: - -> \"1\"\n");
  CHECK(second.unchanged == 1);
  CHECK(world.stored("a").id == id);
  CHECK(world.stored("a").version == 2);
  CHECK(world.stored("b").version == 1);
  CHECK(brief(world.runs("a")) == Briefs{"skipped schedule_changed"});
}

TEST_CASE("applying the same files again changes nothing") {
  World world;
  job::JobDraft at_once = every("5m");
  at_once.immediately = true;
  job::JobDraft other_week = cron("0 1 * * 1");
  other_week.weeks = "2";
  const config::JobFiles files =
      reading({file_job("a", every("5m")), file_job("at-once", at_once),
               file_job("other-week", other_week), file_job("once", at("2026-03-02 01:00"))});
  apply(world, files);
  world.clock.advance(days(9));
  const std::string before = world.contents();
  const Difference again = apply(world, files, options(true));
  CHECK(again.empty());
  CHECK(again.unchanged == 4);
  CHECK(world.contents() == before);
  CHECK(world.pokes == 1);
}

TEST_CASE("comparing writes nothing") {
  World world;
  apply(world, reading({file_job("a", every("5m")), file_job("b", every("5m"))}));
  const std::string before = world.contents();
  const Difference difference = World::must(world.ops.compare(
      reading({file_job("a", every("1h")), file_job("c", every("5m"))}), options(true)));
  CHECK(names_of(difference.added) == Names{"c"});
  CHECK(names_of(difference.changed) == Names{"a"});
  CHECK(difference.removed == Names{"b"});
  CHECK(world.contents() == before);
  CHECK(world.pokes == 1);
}

TEST_CASE("one wrong job keeps all of them from being applied") {
  World world;
  apply(world, reading({file_job("a", every("5m"))}));
  const config::JobFiles files =
      reading({file_job("a", every("1h")), file_job("bad", cron("61 * * * *")),
               file_job("late", at("2026-03-01 01:00")), file_job("new", every("5m"))});
  const std::string before = world.contents();
  const Difference difference = apply(world, files);
  REQUIRE(difference.errors.size() == 2);
  CHECK(difference.errors[0].kind == ErrorKind::config);
  CHECK(difference.errors[0].where == "/srv/jobs/a.toml:2:1");
  CHECK(contains(difference.errors[1].message, "is in the past"));
  CHECK(world.refused([&] { return world.ops.apply(files, options(), difference); }).where ==
        difference.errors[0].where);
  CHECK(world.contents() == before);
}

TEST_CASE("a job that comes after a removed one is named together with it") {
  World world;
  job::JobDraft draft = every("1h");
  draft.policy.after = {"a"};
  apply(world, reading({file_job("a", every("5m")), file_job("b", draft)}));
  world.add("mine", draft);
  CHECK(apply(world, reading({file_job("b", draft)})).warnings.empty());
  const Difference kept = apply(world, reading({file_job("b", draft)}), options(true));
  CHECK(kept.removed == Names{"a"});
  REQUIRE(kept.warnings.size() == 2);
  CHECK(contains(kept.warnings[0], "job b comes after a (after), which is removed"));
  CHECK(contains(kept.warnings[1], "job mine comes after a (after), which is removed"));
  // What a file says now counts, not what is stored still.
  apply(world, reading({file_job("c", every("5m")), file_job("b", every("1h"))}));
  job::JobDraft later = every("1h");
  later.policy.after = {"c"};
  apply(world, reading({file_job("c", every("5m")), file_job("b", later)}));
  CHECK(apply(world, reading({file_job("b", every("1h"))}), options(true)).warnings.empty());
}

TEST_CASE(
    "jobs that are gone from the files are named, and removed with prune, but only the set's") {
  World world;
  world.add("mine", every("5m"));
  apply(world, reading({file_job("other", every("5m"), "/srv/other")}, "/srv/other"));
  apply(world, reading({file_job("a", every("5m")), file_job("b", every("5m"))}));
  const Difference without = apply(world, reading({file_job("a", every("5m"))}));
  CHECK(without.left == Names{"b"});
  CHECK(without.empty());
  CHECK(world.exists("b"));
  const Difference with = apply(world, reading({}), options(true));
  CHECK(with.removed == Names{"a", "b"});
  CHECK(with.left.empty());
  CHECK_FALSE(world.exists("a"));
  CHECK(world.exists("mine"));
  CHECK(world.exists("other"));
}

TEST_CASE("a set that has a name does not depend on where its files lie") {
  World world;
  apply(world, reading({file_job("a", every("5m")), file_job("b", every("5m"))}),
        options(false, false, "prod"));
  CHECK(world.stored("a").managed_by == "apply:prod");
  const Difference moved =
      apply(world, reading({file_job("a", every("1h"), "/elsewhere")}, "/elsewhere"),
            options(true, false, "prod"));
  CHECK(names_of(moved.changed) == Names{"a"});
  CHECK(moved.removed == Names{"b"});
  CHECK(world.stored("a").managed_by == "apply:prod");
  CHECK(world.refused([&] { return world.ops.compare(reading({}), options(false, false, "/x")); })
            .kind == ErrorKind::usage);
}

TEST_CASE("each argument is a set of its own") {
  World world;
  config::JobFiles files =
      reading({file_job("a", every("5m"), "/one"), file_job("b", every("5m"), "/two")});
  files.roots = {"/one", "/two"};
  apply(world, files);
  CHECK(world.stored("a").managed_by == "apply:/one");
  CHECK(world.stored("b").managed_by == "apply:/two");
  CHECK(apply(world, reading({}, "/one"), options(true)).removed == Names{"a"});
}

TEST_CASE("a job of the command line that is as the file says stays the command line's") {
  World world;
  const job::Job mine = world.add("mine", cron("0 1 * * *"));
  const std::string before = world.contents();
  const Difference difference = apply(world, reading({file_job("mine", cron("0 1 * * *"))}));
  CHECK(difference.empty());
  CHECK(difference.others == Names{"mine"});
  CHECK(difference.unchanged == 1);
  CHECK(world.contents() == before);
}

TEST_CASE("a job that others define is taken over only with adopt") {
  World world;
  world.add("mine", cron("0 1 * * *"));
  apply(world, reading({file_job("theirs", every("5m"), "/srv/other")}, "/srv/other"));
  const config::JobFiles files =
      reading({file_job("mine", cron("0 2 * * *")), file_job("theirs", every("5m"))});
  const Difference refused = apply(world, files);
  REQUIRE(refused.errors.size() == 1);
  CHECK(refused.errors[0].kind == ErrorKind::conflict);
  CHECK(refused.errors[0].where == "/srv/jobs/a.toml:1:6");
  CHECK(contains(refused.errors[0].message, "--adopt"));
  CHECK(refused.others == Names{"theirs"});

  const Difference taken = apply(world, files, options(false, true));
  REQUIRE(names_of(taken.changed) == Names{"mine", "theirs"});
  CHECK(told(taken.changed[0]) ==
        "cron: \"0 1 * * *\" -> \"0 2 * * *\"\nmanaged_by: \"cli\" -> \"apply:/srv/jobs\"\n");
  CHECK(told(taken.changed[1]) == "managed_by: \"apply:/srv/other\" -> \"apply:/srv/jobs\"\n");
  CHECK(world.stored("theirs").managed_by == "apply:/srv/jobs");
  CHECK(world.stored("theirs").version == 1);
  CHECK(contains(world.last_audit().detail, "taken over from apply:/srv/other"));
}

TEST_CASE("what the daemon reads by itself is neither applied nor taken over") {
  World world;
  world.config.jobs_dirs = {"/etc/jobs.d"};
  const Difference difference = apply(
      world, reading({file_job("a", every("5m"), "/etc/jobs.d/x.toml")}, "/etc/jobs.d/x.toml"));
  REQUIRE(difference.errors.size() == 1);
  CHECK(contains(difference.errors[0].message, "schedctl reload"));

  world.add("files", every("5m"), {.managed_by = "file:/etc/passwd"});
  const Difference adopting =
      apply(world, reading({file_job("files", every("1h"))}), options(false, true));
  REQUIRE(adopting.errors.size() == 1);
  CHECK(contains(adopting.errors[0].message, "/etc/passwd"));
  CHECK(contains(adopting.errors[0].message, "reload"));
  CHECK(apply(world, reading({file_job("files", every("5m"))}), options(false, true)).others ==
        Names{"files"});
  // Unless that file is gone.
  world.add("orphan", every("5m"), {.managed_by = "file:/nonexistent/x.toml"});
  CHECK(names_of(apply(world, reading({file_job("orphan", every("5m"))}), options(false, true))
                     .changed) == Names{"orphan"});
}

TEST_CASE("pause, runs and the grid of a job survive an apply") {
  World world;
  apply(world, reading({file_job("a", every("5m")), file_job("paused", every("5m"))}));
  World::must(world.ops.pause({"paused"}, "by hand"));
  world.start(World::must(world.ops.trigger("a", false)));
  world.clock.advance(minutes(2));
  job::JobDraft slower = every("5m");
  slower.policy.timeout = hours(1);
  apply(world, reading({file_job("a", slower), file_job("paused", every("1h"))}));
  CHECK(world.stored("a").next_fire == World::kStart + minutes(5));
  CHECK(brief(world.runs("a")) == Briefs{"running"});
  CHECK(world.stored("paused").paused);
  CHECK_FALSE(world.stored("paused").next_fire);
}

TEST_CASE("what was shown is done, or nothing") {
  World world;
  apply(world, reading({file_job("a", every("5m"))}));
  const config::JobFiles files =
      reading({file_job("a", every("1h")), file_job("new", every("5m"))});
  const Difference shown = World::must(world.ops.compare(files, options()));
  // A daemon that plans in between is no reason to stop.
  world.clock.advance(minutes(1));
  apply(world, reading({file_job("a", every("2h"))}));
  const Error error = world.refused([&] { return world.ops.apply(files, options(), shown); });
  CHECK(error.kind == ErrorKind::conflict);
  CHECK_FALSE(world.exists("new"));
  apply(world, files);
  CHECK(world.exists("new"));
}

TEST_CASE("a time that passes between showing and doing does not count as a change") {
  World world;
  job::JobDraft other_week = cron("0 1 * * 1");
  other_week.weeks = "2";
  const config::JobFiles files =
      reading({file_job("grid", every("1h")), file_job("weeks", other_week)});
  const Difference shown = World::must(world.ops.compare(files, options()));
  world.clock.advance(days(8));
  World::must(world.ops.apply(files, options(), shown));
  CHECK(world.stored("grid").next_fire == world.now() + hours(1));
}

TEST_CASE("set and remove of an applied job name the place where to do it") {
  World world;
  apply(world, reading({file_job("here", every("5m"), "/etc")}, "/etc"));
  apply(world, reading({file_job("named", every("5m"))}), options(false, false, "prod"));
  apply(world, reading({file_job("gone", every("5m"), "/nonexistent/x")}, "/nonexistent/x"));
  CHECK(world.refused([&] { return world.ops.set("here", change_every("1h"), {}); }).message ==
        "job here is defined in /etc; change it there and run schedctl apply /etc");
  CHECK(world.refused([&] { return world.ops.set("named", change_every("1h"), {}); }).message ==
        "job named is defined by the set prod; change it in that set's files and run schedctl "
        "apply --name prod on them");
  CHECK(world.refused([&] { return world.ops.remove({"here"}, true); }).message ==
        "job here is defined in /etc; remove it there and run schedctl apply --prune /etc");
  CHECK(contains(world.refused([&] { return world.ops.remove({"named"}, false); }).message,
                 "schedctl apply --prune --name prod"));
  CHECK(contains(world.refused([&] { return world.ops.add("here", every("1m"), {}); }).message,
                 "exists already, defined in /etc; change it there"));
  // Nobody else will ever remove that one.
  World::must(world.ops.remove({"gone"}, false));
}

TEST_CASE("a file of jobs_dirs leaves an applied job alone") {
  World world;
  apply(world, reading({file_job("a", every("5m"))}));
  config::FileJob job = file_job("a", every("1h"), "/etc/jobs.d");
  const Synced synced = World::must(world.ops.sync_job_files(reading({job}), {"/etc/jobs.d"}));
  REQUIRE(synced.errors.size() == 1);
  CHECK(contains(synced.errors[0].message, "job a is defined in /srv/jobs already"));
  CHECK(world.stored("a").definition.schedule.every == minutes(5));
}

TEST_CASE("edit changes a job that is still as it was seen") {
  World world;
  const job::Job seen = world.add("a", every("5m"));
  world.clock.advance(minutes(2));
  CHECK(World::must(world.ops.edit(seen, file_job("a", every("5m")))).version == 1);
  CHECK(world.pokes == 1);
  job::JobDraft slower = every("5m");
  slower.policy.timeout = hours(1);
  const job::Job edited = World::must(world.ops.edit(seen, file_job("a", slower)));
  CHECK(edited.version == 2);
  CHECK(edited.managed_by == "cli");
  CHECK(edited.next_fire == World::kStart + minutes(5));
  CHECK(world.last_audit().action == "edit");

  const Error changed =
      world.refused([&] { return world.ops.edit(seen, file_job("a", every("1h"))); });
  CHECK(changed.kind == ErrorKind::conflict);
  CHECK(contains(changed.message, "changed by somebody else"));
  const Error wrong =
      world.refused([&] { return world.ops.edit(edited, file_job("a", cron("61 * * * *"))); });
  CHECK(wrong.kind == ErrorKind::config);
  CHECK(wrong.where == "/srv/jobs/a.toml:2:1");
  World::must(world.ops.remove({"a"}, false));
  world.add("a", slower);
  CHECK(world.refused([&] { return world.ops.edit(edited, file_job("a", every("1h"))); }).kind ==
        ErrorKind::conflict);
}
