#include <algorithm>

#include "tests/ops/world.hpp"

using namespace schedctl;
using namespace schedctl::ops;

namespace {

const std::string kDirectory = "/etc/jobs.d";

config::FileJob file_job(const std::string& file, const std::string& name, job::JobDraft draft) {
  config::FileJob job;
  job.name = name;
  job.draft = std::move(draft);
  job.file = kDirectory + "/" + file;
  job.position = job.file + ":1:6";
  for (const char* key : {"every", "cron", "at"}) job.positions[key] = job.file + ":2:1";
  return job;
}

/// What reading the directory yields: these jobs, and these files beside theirs.
config::JobFiles reading(std::vector<config::FileJob> jobs, std::vector<std::string> bad = {}) {
  config::JobFiles files;
  for (const config::FileJob& job : jobs) {
    if (std::find(files.files.begin(), files.files.end(), job.file) == files.files.end()) {
      files.files.push_back(job.file);
    }
  }
  files.jobs = std::move(jobs);
  files.bad_files = std::move(bad);
  return files;
}

Synced sync(World& world, const config::JobFiles& files) {
  return World::must(world.ops.sync_job_files(files, {kDirectory}));
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("jobs of files are added, changed and removed with what the files say") {
  World world;
  Synced first = sync(world, reading({file_job("a.toml", "a", every("5m")),
                                      file_job("b.toml", "b", cron("0 1 * * *"))}));
  CHECK(first.added == Names{"a", "b"});
  CHECK(first.errors.empty());
  CHECK(world.stored("a").managed_by == "file:/etc/jobs.d/a.toml");
  CHECK(world.stored("a").next_fire == world.now() + minutes(5));
  CHECK(world.last_audit().action == "load");
  CHECK(world.pokes == 1);
  const JobId id = world.stored("a").id;

  world.clock.advance(minutes(7));
  const Synced second = sync(world, reading({file_job("a.toml", "a", every("1h"))}));
  CHECK(second.added.empty());
  CHECK(second.changed == Names{"a"});
  CHECK(second.removed == Names{"b"});
  CHECK(world.stored("a").id == id);
  CHECK(world.stored("a").version == 2);
  CHECK(brief(world.runs("a")) == Briefs{"skipped schedule_changed"});
  CHECK_FALSE(world.exists("b"));
}

TEST_CASE("unchanged jobs are not touched") {
  World world;
  job::JobDraft at_once = every("5m");
  at_once.immediately = true;
  job::JobDraft rich = cron("0 1 * * *", "Europe/Berlin");
  rich.env = {{"A", "1"}};
  rich.tags = {"t"};
  rich.policy.timeout = minutes(1);
  const config::JobFiles files = reading(
      {file_job("a.toml", "a", every("5m")), file_job("a.toml", "at-once", at_once),
       file_job("a.toml", "rich", rich), file_job("a.toml", "once", at("2026-03-02 01:00"))});
  sync(world, files);
  const std::string before = world.contents();
  world.clock.advance(days(1));
  const Synced again = sync(world, files);
  CHECK(again.added.empty());
  CHECK(again.changed.empty());
  CHECK(again.removed.empty());
  CHECK(again.errors.empty());
  CHECK(world.contents() == before);
  CHECK(world.pokes == 1);
}

TEST_CASE("pause and history of a file's job survive its changes") {
  World world;
  sync(world, reading({file_job("a.toml", "a", every("5m"))}));
  World::must(world.ops.pause({"a"}, "by hand"));
  sync(world, reading({file_job("a.toml", "a", every("1h"))}));
  CHECK(world.stored("a").paused);
  CHECK_FALSE(world.stored("a").next_fire);
}

TEST_CASE("a job that somebody else manages is left alone with an error at its place") {
  World world;
  world.add("mine", every("5m"));
  // A file that is there, so somebody may still read it.
  world.add("other", every("5m"), {.managed_by = "file:/etc/passwd"});
  const std::string before = world.contents();
  const Synced synced = sync(world, reading({file_job("a.toml", "mine", every("1h")),
                                             file_job("a.toml", "other", every("1h"))}));
  REQUIRE(synced.errors.size() == 2);
  CHECK(synced.errors[0].kind == ErrorKind::conflict);
  CHECK(synced.errors[0].where == "/etc/jobs.d/a.toml:1:6");
  CHECK(contains(synced.errors[1].message, "/etc/passwd"));
  CHECK(world.contents() == before);
}

TEST_CASE("jobs of bad files and unreadable directories stay as they are") {
  World world;
  sync(world,
       reading({file_job("a.toml", "a", every("5m")), file_job("b.toml", "b", every("5m"))}));
  CHECK(sync(world, reading({file_job("b.toml", "b", every("5m"))}, {kDirectory + "/a.toml"}))
            .removed.empty());
  CHECK(sync(world, reading({}, {kDirectory})).removed.empty());
  CHECK(world.exists("a"));
  CHECK(sync(world, reading({})).removed == Names{"a", "b"});
}

TEST_CASE("jobs of a directory that is missing stay as they are, and that is an error") {
  World world;
  sync(world,
       reading({file_job("a.toml", "a", every("5m")), file_job("b.toml", "b", every("5m"))}));
  config::JobFiles gone;
  gone.missing = {kDirectory};
  const Synced synced = sync(world, gone);
  CHECK(synced.removed.empty());
  CHECK(world.stored("a").name == "a");
  REQUIRE(synced.errors.size() == 1);
  CHECK(synced.errors[0].where == kDirectory);
  // Elsewhere, nothing is missed.
  World fresh;
  CHECK(sync(fresh, gone).errors.empty());
}

TEST_CASE("a file's job that no longer names a zone has that of the settings") {
  World world;
  sync(world, reading({file_job("a.toml", "a", cron("0 1 * * *", "Asia/Tokyo"))}));
  CHECK(sync(world, reading({file_job("a.toml", "a", cron("0 1 * * *"))})).changed == Names{"a"});
  CHECK(world.stored("a").definition.schedule.timezone == world.config.timezone);
}

TEST_CASE("a job whose file is gone may be taken from elsewhere") {
  World world;
  world.add("x", every("5m"), {.managed_by = "file:/nonexistent/jobs.d/x.toml"});
  CHECK(sync(world, reading({file_job("a.toml", "x", every("1h"))})).changed == Names{"x"});
  CHECK(world.stored("x").managed_by == "file:/etc/jobs.d/a.toml");
}

TEST_CASE("jobs of files outside the directories stay as they are") {
  World world;
  world.add("x", every("5m"), {.managed_by = "file:/etc/jobs.d.old/x.toml"});
  CHECK(sync(world, reading({})).removed.empty());
  CHECK(world.exists("x"));
}

TEST_CASE("a job that moves to another of the files stays the same job") {
  World world;
  sync(world, reading({file_job("a.toml", "x", every("5m"))}));
  const JobId id = world.stored("x").id;
  const Synced synced = sync(world, reading({file_job("b.toml", "x", every("5m"))}));
  CHECK(synced.changed == Names{"x"});
  CHECK(world.stored("x").id == id);
  CHECK(world.stored("x").version == 1);
  CHECK(world.stored("x").managed_by == "file:/etc/jobs.d/b.toml");
  // But not out of a file that cannot be read now.
  const Synced from_bad =
      sync(world, reading({file_job("c.toml", "x", every("5m"))}, {kDirectory + "/b.toml"}));
  CHECK(from_bad.changed.empty());
  CHECK(from_bad.errors.size() == 1);
}

TEST_CASE("a job that cannot be is an error at the key's place, and does not hold back others") {
  World world;
  sync(world, reading({file_job("a.toml", "good", every("5m"))}));
  const Synced synced = sync(world, reading({file_job("a.toml", "good", cron("61 * * * *")),
                                             file_job("a.toml", "empty", shell_job()),
                                             file_job("a.toml", "new", every("5m"))}));
  REQUIRE(synced.errors.size() == 2);
  CHECK(synced.errors[0].kind == ErrorKind::config);
  CHECK(synced.errors[0].where == "/etc/jobs.d/a.toml:2:1");
  CHECK(contains(synced.errors[0].message, "good"));
  CHECK(synced.errors[1].where == "/etc/jobs.d/a.toml:1:6");
  CHECK(synced.added == Names{"new"});
  CHECK(world.stored("good").definition.schedule.every == minutes(5));
}

TEST_CASE("a job that is removed from its file while it runs runs on to its end") {
  World world;
  sync(world, reading({file_job("a.toml", "a", every("5m"))}));
  world.start(World::must(world.ops.trigger("a", false)));
  CHECK(sync(world, reading({})).removed == Names{"a"});
  CHECK(brief(world.runs("a")) == Briefs{"running"});
  CHECK_FALSE(world.runs("a")[0].cancel_requested);
}

TEST_CASE("a job that comes after one that goes from its file is named together with it") {
  World world;
  job::JobDraft draft = every("5m");
  draft.policy.after = {"first"};
  sync(world, reading({file_job("a.toml", "first", every("5m")),
                       file_job("b.toml", "second", draft), file_job("c.toml", "fourth", draft)}));
  world.add("third", draft);
  const Synced synced = sync(world, reading({file_job("b.toml", "second", draft)}));
  CHECK(synced.removed == Names{"first", "fourth"});
  REQUIRE(synced.warnings.size() == 2);
  CHECK(contains(synced.warnings[0], "job second comes after first (after), which is removed"));
  CHECK(contains(synced.warnings[1], "job third comes after first (after), which is removed"));
}

TEST_CASE("a run that waits for its retry when its job goes from its file was not skipped") {
  World world;
  sync(world, reading({file_job("a.toml", "a", every("5m"))}));
  world.wait_for_retry(world.start(World::must(world.ops.trigger("a", false))));
  CHECK(sync(world, reading({})).removed == Names{"a"});
  CHECK(brief(world.runs("a")) == Briefs{"cancelled removed"});
}

TEST_CASE("what is over is an error of its time, which a file judged by itself may have") {
  World world;
  job::JobDraft over = at("2000-01-01T00:00:00Z");
  job::JobDraft done = cron("0 * * * *");
  done.until = "2000-01-01T00:00:00Z";
  job::JobDraft wrong = at("2000-13-01T00:00:00Z");
  const config::JobFiles files =
      reading({file_job("a.toml", "over", over), file_job("a.toml", "done", done),
               file_job("a.toml", "wrong", wrong)});
  std::vector<Error> late;
  CHECK(world.ops.validate(files, &late).size() == 1);
  REQUIRE(late.size() == 2);
  CHECK(contains(late[0].message, "is in the past"));
  CHECK(contains(late[1].message, "nothing would ever fire"));
  CHECK(world.ops.validate(files).size() == 3);
}

TEST_CASE("validate finds every error and writes nothing") {
  World world;
  world.add("mine", every("5m"));
  config::JobFiles files = reading({file_job("a.toml", "good", every("5m")),
                                    file_job("a.toml", "bad", cron("61 * * * *")),
                                    file_job("a.toml", "mine", every("0s"))});
  files.errors.push_back(Error{ErrorKind::config, "unknown key", "/etc/jobs.d/b.toml:3:1"});
  const std::string before = world.contents();
  const std::vector<Error> errors = world.ops.validate(files);
  REQUIRE(errors.size() == 4);
  CHECK(errors[0].where == "/etc/jobs.d/b.toml:3:1");
  CHECK(errors[1].where == "/etc/jobs.d/a.toml:2:1");
  CHECK(errors[2].kind == ErrorKind::conflict);
  CHECK(contains(errors[3].message, "mine"));
  CHECK(world.contents() == before);
}
