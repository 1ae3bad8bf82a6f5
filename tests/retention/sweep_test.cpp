#include "schedctl/retention/sweep.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <utime.h>

#include <filesystem>
#include <utility>

#include "schedctl/base/limits.hpp"
#include "tests/base/scratch.hpp"

namespace schedctl::retention {
namespace {

constexpr Duration kDay = std::chrono::hours(24);
constexpr Time kNow{std::chrono::sys_days{std::chrono::year{2026} / 3 / 1}};

/// A store with jobs and runs, and a directory with their files.
struct World {
  test::Scratch scratch;
  std::string output_dir = scratch / "output";
  FakeClock clock{kNow};
  std::unique_ptr<store::Store> store = open();
  job::Retention rules{.max_age = 90 * kDay, .max_runs = 0, .max_output_bytes = 0};
  int files_made = 0;

  World() { std::filesystem::create_directory(output_dir); }

  std::unique_ptr<store::Store> open() const {
    auto opened = store::open_sqlite({.path = scratch / "schedctl.db"});
    REQUIRE(opened.has_value());
    return std::move(*opened);
  }

  job::Job add(const std::string& name) {
    job::Job job;
    job.name = name;
    job.created_at = job.defined_at = kNow - 1000 * kDay;
    job.definition.schedule.kind = job::ScheduleKind::manual;
    job.definition.action.command = {"/bin/true"};
    REQUIRE(store->insert_job(job).has_value());
    return job;
  }

  /// A file of so many bytes, written so long ago.
  std::string file(std::size_t bytes, Duration age) {
    const std::string path =
        output_dir + "/0123456789abcdef-" + std::to_string(++files_made) + ".log";
    test::write_file(path, std::string(bytes, 'x'));
    const auto then = std::chrono::system_clock::to_time_t(kNow - age);
    const utimbuf times{.actime = then, .modtime = then};
    REQUIRE(::utime(path.c_str(), &times) == 0);
    return path;
  }

  job::Run run(const job::Job& job, Duration age, std::string path = "") {
    job::Run run;
    run.job_id = job.id;
    run.job_name = job.name;
    run.cause = job::Cause::schedule;
    run.fire_time = run.created_at = run.due_at = kNow - age;
    run.state = job::RunState::succeeded;
    run.result.started_at = run.result.ended_at = kNow - age;
    run.result.output_path = std::move(path);
    REQUIRE(store->insert_run(run).value());
    return run;
  }

  bool has(const job::Run& run) { return store->get_run(run.id)->has_value(); }

  struct Swept {
    Gone gone;
    std::string trouble;
    int steps = 0;
  };
  Swept sweep(bool dry_run = false) {
    Sweep sweep(*store, clock,
                {.rules = rules, .output_dir = output_dir, .strays = true, .dry_run = dry_run});
    for (Swept swept;; ++swept.steps) {
      const auto more = sweep.step();
      REQUIRE_MESSAGE(more.has_value(), (more ? "" : more.error().message));
      REQUIRE(swept.steps < 10'000);
      if (*more) continue;
      swept.gone = sweep.gone();
      swept.trouble = sweep.trouble();
      return swept;
    }
  }
};

bool is_there(const std::string& path) {
  struct stat st {};
  return ::lstat(path.c_str(), &st) == 0;
}

TEST_CASE("runs older than max_age go with their files, and no others") {
  World w;
  const job::Job job = w.add("a");
  const job::Run old = w.run(job, 91 * kDay, w.file(100, 91 * kDay));
  const job::Run young = w.run(job, 89 * kDay, w.file(100, 89 * kDay));
  const job::Run last = w.run(job, kDay);
  const Gone gone = w.sweep().gone;
  CHECK_FALSE(w.has(old));
  CHECK_FALSE(is_there(old.result.output_path));
  CHECK(w.has(young));
  CHECK(is_there(young.result.output_path));
  CHECK(w.has(last));
  CHECK(gone.runs == 1);
  CHECK(gone.files == 1);
  CHECK(gone.bytes == 100);
}

TEST_CASE("a second sweep finds nothing to do") {
  World w;
  const job::Job job = w.add("a");
  for (int i = 0; i < 5; ++i) w.run(job, (100 - i) * kDay, w.file(10, (100 - i) * kDay));
  CHECK(w.sweep().gone.runs == 4);
  CHECK(w.sweep().gone.nothing());
}

TEST_CASE("without limits nothing goes, however old") {
  World w;
  w.rules = {.max_age = Duration::zero(), .max_runs = 0, .max_output_bytes = 0};
  const job::Job job = w.add("a");
  for (int i = 0; i < 5; ++i) w.run(job, (5000 - i) * kDay, w.file(10, 5000 * kDay));
  const std::string stray = w.file(10, 5000 * kDay);
  CHECK(w.sweep().gone.nothing());
  CHECK(is_there(stray));
}

TEST_CASE("of each job the youngest max_runs stay, and what is younger than a day") {
  World w;
  w.rules = {.max_age = Duration::zero(), .max_runs = 3, .max_output_bytes = 0};
  const job::Job a = w.add("a");
  const job::Job b = w.add("b");
  const job::Job busy = w.add("busy");
  std::vector<job::Run> of_a, of_busy;
  for (int i = 0; i < 6; ++i) of_a.push_back(w.run(a, (10 - i) * kDay));
  const job::Run of_b = w.run(b, 300 * kDay);
  for (int i = 0; i < 6; ++i) of_busy.push_back(w.run(busy, kDay - std::chrono::minutes(10 - i)));
  CHECK(w.sweep().gone.runs == 3);
  for (std::size_t i = 0; i < 6; ++i) CHECK(w.has(of_a[i]) == (i >= 3));
  CHECK(w.has(of_b));
  for (const job::Run& run : of_busy) CHECK(w.has(run));
}

TEST_CASE("what lasts longer than one step is done in several, of bounded size") {
  World w;
  const job::Job job = w.add("a");
  constexpr int kRuns = 1234;
  REQUIRE(w.store->begin().has_value());
  for (int i = 0; i < kRuns; ++i) w.run(job, 100 * kDay + std::chrono::seconds(kRuns - i));
  REQUIRE(w.store->commit().has_value());
  w.run(job, kDay);
  const World::Swept swept = w.sweep();
  CHECK(swept.gone.runs == kRuns);
  CHECK(swept.steps >= kRuns / static_cast<int>(limits::kRowsPerSweepStep));
}

TEST_CASE("one step removes a bounded number of files") {
  World w;
  const job::Job job = w.add("a");
  constexpr int kRuns = 250;
  for (int i = 0; i < kRuns; ++i)
    w.run(job, 100 * kDay + std::chrono::seconds(kRuns - i), w.file(1, 100 * kDay));
  w.run(job, kDay);
  Sweep sweep(*w.store, w.clock, {.rules = w.rules, .output_dir = w.output_dir});
  std::int64_t before = 0;
  while (*sweep.step()) {
    CHECK(sweep.gone().files - before <= static_cast<std::int64_t>(limits::kFilesPerSweepStep));
    CHECK(sweep.gone().runs == sweep.gone().files);
    before = sweep.gone().files;
  }
  CHECK(before == kRuns);
}

TEST_CASE("the oldest output files go until the rest is small enough, and their rows stay") {
  World w;
  w.rules = {.max_age = Duration::zero(), .max_runs = 0, .max_output_bytes = 250'000};
  const job::Job job = w.add("a");
  std::vector<job::Run> runs;
  for (int i = 0; i < 5; ++i) {
    const Duration age = std::chrono::minutes(50 - i);
    runs.push_back(w.run(job, age, w.file(100'000, age)));
  }
  const Gone gone = w.sweep().gone;
  CHECK(gone.files == 3);
  CHECK(gone.bytes == 300'000);
  CHECK(gone.runs == 0);
  for (std::size_t i = 0; i < 5; ++i) {
    CAPTURE(i);
    CHECK(is_there(runs[i].result.output_path) == (i >= 3));
    const job::Run row = w.store->get_run(runs[i].id)->value();
    CHECK(row.result.output_path.empty() == (i < 3));
  }
}

TEST_CASE("files of earlier attempts count, and go with the run's own") {
  World w;
  w.rules = {.max_age = Duration::zero(), .max_runs = 0, .max_output_bytes = 1};
  const job::Job job = w.add("a");
  job::Run run = w.run(job, 2 * kDay);
  run.attempt = 2;
  run.result.output_path = w.file(10, 2 * kDay);
  REQUIRE(w.store->update_run(run, 0).value());
  job::AttemptResult first;
  first.output_path = w.file(10, 2 * kDay);
  REQUIRE(w.store->insert_attempt(run.id, first, job::Reason::signal).has_value());
  w.run(job, kDay);

  SUBCASE("by their size") {
    CHECK(w.sweep().gone.files == 2);
    CHECK(w.has(run));
    CHECK(w.store->list_attempts(run.id)->front().output_path.empty());
  }
  SUBCASE("by their age") {
    w.rules = {.max_age = kDay, .max_runs = 0, .max_output_bytes = 0};
    const Gone gone = w.sweep().gone;
    CHECK(gone.files == 2);
    CHECK(gone.attempts == 1);
    CHECK_FALSE(w.has(run));
    CHECK(w.store->list_attempts(run.id)->empty());
  }
  CHECK_FALSE(is_there(run.result.output_path));
  CHECK_FALSE(is_there(first.output_path));
}

TEST_CASE("large files go as small ones do") {
  World w;
  const job::Job job = w.add("a");
  std::vector<std::string> paths;
  for (int i = 0; i < 3; ++i) {
    paths.push_back(w.file(3'000'000, 100 * kDay));
    w.run(job, 100 * kDay - std::chrono::seconds(i), paths.back());
  }
  w.run(job, kDay);
  const Gone gone = w.sweep().gone;
  CHECK(gone.files == 3);
  CHECK(gone.bytes == 9'000'000);
  for (const std::string& path : paths) CHECK_FALSE(is_there(path));
}

TEST_CASE("the output of a job's last run stays, however large") {
  World w;
  w.rules = {.max_age = Duration::zero(), .max_runs = 0, .max_output_bytes = 1};
  const job::Job job = w.add("a");
  const job::Run before = w.run(job, 2 * kDay, w.file(5000, 2 * kDay));
  const job::Run last = w.run(job, kDay, w.file(5000, kDay));
  CHECK(w.sweep().gone.files == 1);
  CHECK_FALSE(is_there(before.result.output_path));
  CHECK(is_there(last.result.output_path));
}

TEST_CASE("an old file of which no row speaks goes, and no other") {
  World w;
  const job::Job job = w.add("a");
  const job::Run last = w.run(job, 200 * kDay, w.file(10, 200 * kDay));
  const job::Job other = w.add("b");
  job::Run running = w.run(other, 200 * kDay, w.file(10, 200 * kDay));
  running.state = job::RunState::running;
  REQUIRE(w.store->update_run(running, 0).value());
  const std::string stray = w.file(10, 91 * kDay);
  const std::string young = w.file(10, 89 * kDay);
  const std::string empty = w.file(0, 200 * kDay);
  const std::string strange = w.output_dir + "/notes.txt";
  std::filesystem::copy_file(stray, strange);
  const Gone gone = w.sweep().gone;
  CHECK(gone.files == 1);
  CHECK_FALSE(is_there(stray));
  for (const std::string& kept :
       {young, empty, strange, last.result.output_path, running.result.output_path}) {
    CAPTURE(kept);
    CHECK(is_there(kept));
  }
}

TEST_CASE("rows with paths from elsewhere go, and what they name is left") {
  World w;
  const job::Job job = w.add("a");
  const std::string target = w.scratch / "precious";
  test::write_file(target, "x");
  const std::string link = w.output_dir + "/0123456789abcdef-99.log";
  std::filesystem::create_symlink(target, link);
  const std::string climbing = w.output_dir + "/../precious";
  std::vector<job::Run> runs;
  for (const std::string& path : {target, link, climbing, std::string("../../etc/passwd")})
    runs.push_back(w.run(job, 100 * kDay + std::chrono::seconds(runs.size()), path));
  w.run(job, kDay);
  const Gone gone = w.sweep().gone;
  CHECK(gone.runs == 4);
  CHECK(gone.left == 4);
  CHECK(gone.files == 0);
  CHECK(is_there(target));
  CHECK(is_there(link));
  CHECK(is_there("/etc/passwd"));
}

TEST_CASE("a run whose file cannot be removed stays, and the others go") {
  World w;
  const job::Job job = w.add("a");
  const job::Run stuck = w.run(job, 101 * kDay, w.file(10, 101 * kDay));
  const job::Run silent = w.run(job, 100 * kDay);
  w.run(job, kDay);
  Sweep sweep(*w.store, w.clock, {.rules = w.rules, .output_dir = w.output_dir, .strays = false});
  // Opens what it needs, which whoever we are then may not.
  REQUIRE(*sweep.step());
  REQUIRE(::chmod(w.scratch.path().c_str(), 0755) == 0);
  {
    const test::Locked locked(w.output_dir);
    while (true) {
      const auto more = sweep.step();
      REQUIRE(more.has_value());
      if (!*more) break;
    }
  }
  CHECK(sweep.trouble().find("cannot remove " + stuck.result.output_path) != std::string::npos);
  CHECK(w.has(stuck));
  CHECK_FALSE(w.has(silent));
  CHECK(w.sweep().gone.runs == 1);
  CHECK_FALSE(is_there(stuck.result.output_path));
}

TEST_CASE("a file that is gone already does not hold its row") {
  World w;
  const job::Job job = w.add("a");
  const job::Run run = w.run(job, 100 * kDay, w.output_dir + "/0123456789abcdef-5.log");
  w.run(job, kDay);
  const Gone gone = w.sweep().gone;
  CHECK_FALSE(w.has(run));
  CHECK(gone.files == 0);
  CHECK(gone.left == 0);
}

TEST_CASE("a dry run counts what a sweep then removes, and removes nothing") {
  World w;
  w.rules = {.max_age = 90 * kDay, .max_runs = 3, .max_output_bytes = 250'000};
  const job::Job job = w.add("a");
  for (int i = 0; i < 4; ++i) w.run(job, (100 - i) * kDay, w.file(100'000, (100 - i) * kDay));
  for (int i = 0; i < 6; ++i) w.run(job, (20 - i) * kDay, w.file(100'000, (20 - i) * kDay));
  const std::string stray = w.file(10, 100 * kDay);
  REQUIRE(w.store->add_event({kNow - 100 * kDay, "n", "daemon-up", ""}).has_value());
  REQUIRE(w.store->add_audit({kNow - 100 * kDay, "root", "add", "a", ""}).has_value());
  const Gone counted = w.sweep(true).gone;
  CHECK(is_there(stray));
  CHECK(w.store->list_runs({})->size() == 10);
  CHECK(w.store->list_events({})->size() == 1);
  const Gone gone = w.sweep().gone;
  CHECK(counted.runs == 7);
  CHECK(gone.runs == 7);
  CHECK(gone.files == 9);
  CHECK(counted.files == gone.files);
  CHECK(counted.bytes == gone.bytes);
  CHECK(counted.events == 1);
  CHECK(counted.audits == 1);
  CHECK(gone.events == 1);
  CHECK(gone.audits == 1);
  CHECK(w.sweep(true).gone.nothing());
}

TEST_CASE("everything that is known of a removed job goes in one sweep, when it is old") {
  World w;
  const job::Job job = w.add("a");
  w.run(job, 300 * kDay);
  w.run(job, 200 * kDay);
  REQUIRE(w.store->delete_job(job.id).has_value());
  REQUIRE(w.store->add_audit({kNow - 199 * kDay, "root", "remove", "a", ""}).has_value());
  const Gone gone = w.sweep().gone;
  CHECK(gone.runs == 2);
  CHECK(gone.versions == 1);
  CHECK(w.store->versions_of("a")->empty());
}

}  // namespace
}  // namespace schedctl::retention
