#include "schedctl/store/glance.hpp"

#include "tests/store/sqlite_files.hpp"

// What others see of a glance, or rather do not, is told in tests/e2e/test_completion.py: locks
// belong to processes.

namespace schedctl::store {
namespace {

constexpr std::size_t kAll = 100'000;

std::vector<std::string> words(const std::string& path, Glance what, std::size_t limit = kAll) {
  std::vector<std::string> found;
  for (const Glimpse& glimpse : glance_at_sqlite(path, what, limit)) {
    found.push_back(glimpse.word + (glimpse.note.empty() ? "" : " of " + glimpse.note));
  }
  return found;
}

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("a glance finds names, tags, living runs and open alerts, and nothing else") {
  ScratchDir dir;
  const std::string path = dir.file("s ?#%.db");
  {
    Stored store = must(open_sqlite({.path = path}));
    job::Job job = job_named("nightly");
    job.definition.tags = {"db", "slow"};
    must(store->insert_job(job));
    job::Job paused = job_named("backup");
    paused.definition.tags = {"db"};
    paused.paused = true;
    must(store->insert_job(paused));
    job::Run over = run_of(job, at(1));
    over.state = job::RunState::succeeded;
    add_run(*store, over);
    job::Run alive = run_of(job, at(2));
    alive.state = job::RunState::running;
    add_run(*store, alive);
    add_run(*store, run_of(job, at(3)));
    job::Run again = run_of(paused, at(4));
    again.attempt = 2;
    add_run(*store, again);
  }
  CHECK(words(path, Glance::jobs) == Words{"backup", "nightly"});
  CHECK(words(path, Glance::jobs, 1) == Words{"backup"});
  CHECK(words(path, Glance::paused_jobs) == Words{"backup"});
  CHECK(words(path, Glance::tags) == Words{"db", "slow"});
  CHECK(words(path, Glance::living_runs) == Words{"#2 of nightly", "#4 of backup"});
  CHECK(words(path, Glance::open_alerts).empty());
  CHECK(names_in(dir) == "s ?#%.db ");
  CHECK_FALSE(has_companions(path));
}

TEST_CASE("a glance at what is no database of ours finds nothing and changes nothing") {
  ScratchDir dir;
  CHECK(words(dir.file("missing.db"), Glance::jobs).empty());
  CHECK(words("relative.db", Glance::jobs).empty());
  write_file(dir.file("empty.db"), "");
  CHECK(words(dir.file("empty.db"), Glance::jobs).empty());
  write_file(dir.file("text.db"), std::string(10'000, 'x'));
  CHECK(words(dir.file("text.db"), Glance::jobs).empty());
  {
    SQLite::Database other = stranger(dir.file("other.db"));
    other.exec("CREATE TABLE job(name TEXT); INSERT INTO job VALUES ('theirs')");
  }
  CHECK(words(dir.file("other.db"), Glance::jobs).empty());
  const std::string path = filled(dir);
  std::filesystem::create_symlink(path, dir.file("link.db"));
  CHECK(words(dir.file("link.db"), Glance::jobs).empty());
  REQUIRE(::mkfifo(dir.file("pipe.db").c_str(), 0600) == 0);
  CHECK(words(dir.file("pipe.db"), Glance::jobs).empty());
  CHECK(words(dir.path(), Glance::jobs).empty());
  CHECK(names_in(dir) == "empty.db link.db other.db pipe.db s.db text.db ");
}

TEST_CASE("a glance at a damaged database ends, and of strange words none is told") {
  ScratchDir dir;
  const std::string path = filled(dir);
  CHECK(words(path, Glance::jobs).size() == 500);
  stranger(path).exec(
      "UPDATE job SET name = 'a b' WHERE name = 'job-1';"
      "UPDATE job SET name = '$(x)' WHERE name = 'job-2';"
      "UPDATE job SET name = 'a' || char(10) || 'b' WHERE name = 'job-3'");
  CHECK(words(path, Glance::jobs).size() == 497);
  std::string bytes = read_file(path);
  for (std::size_t page = 2; page <= bytes.size() / 4096; ++page) damage_page(path, page);
  CHECK(words(path, Glance::jobs).empty());
  CHECK(words(path, Glance::living_runs).empty());
  write_file(path, bytes.substr(0, 5000));
  CHECK(words(path, Glance::jobs).empty());
}

TEST_CASE("a glance looks at living runs through an index") {
  ScratchDir dir;
  const std::string path = filled(dir);
  SQLite::Database db = stranger(path);
  for (const char* half : {"state = 'running'", "state = 'pending' AND attempt > 1"}) {
    SQLite::Statement plan(db, std::string("EXPLAIN QUERY PLAN SELECT id, job_name FROM run "
                                           "WHERE ") +
                                   half);
    REQUIRE(plan.executeStep());
    const std::string told = plan.getColumn(3).getString();
    CAPTURE(told);
    CHECK(told.find("USING INDEX") != std::string::npos);
  }
}

}  // namespace schedctl::store
