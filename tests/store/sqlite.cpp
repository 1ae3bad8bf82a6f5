#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <array>
#include <csignal>
#include <fstream>
#include <random>
#include <set>
#include <sstream>

#include "schedctl/base/unique_fd.hpp"
#include "src/store/sqlite/statements.hpp"
#include "tests/store/sqlite_files.hpp"

// What is special about a store that is a file: what may be wrong with it, who else uses it, and
// what it costs.

namespace schedctl::store {
namespace {

Error refused(const SqliteOptions& options) {
  return error_of(open_sqlite(options));
}

Stored fresh(const ScratchDir& dir) {
  return must(open_sqlite({.path = dir.file("s.db")}));
}

}  // namespace

// ---- the file

TEST_CASE("a new database and its companions are for their owner only") {
  ScratchDir dir;
  mode_t before = ::umask(0);
  Stored store = fresh(dir);
  add_job(*store, "a");
  ::umask(before);
  for (const char* suffix : {"", "-wal", "-shm"}) {
    struct stat st {};
    REQUIRE(::stat((dir.file("s.db") + suffix).c_str(), &st) == 0);
    CHECK((st.st_mode & 07777) == 0600);
  }
}

TEST_CASE("a database keeps everything while nobody has it open") {
  ScratchDir dir;
  Stored store = fresh(dir);
  std::string id = store->id();
  job::Job job = add_job(*store, "a");
  job::Run run = run_of(job, at(5));
  run.result.output_tail = std::string("\0\xff\x80 end\n", 8);
  run = add_run(*store, run);
  must(store->add_event({.at = at(1), .kind = "daemon-up"}));
  store.reset();
  CHECK_FALSE(std::filesystem::exists(dir.file("s.db-wal")));

  store = must(open_sqlite({.path = dir.file("s.db"), .create = false}));
  CHECK(store->id() == id);
  CHECK(must(store->find_job("a"))->definition == job.definition);
  CHECK((must(store->get_run(run.id))->result.output_tail == run.result.output_tail));
  CHECK(must(store->list_events({.limit = 9})).size() == 1);
  CHECK_FALSE(must(store->insert_run(run)));
}

TEST_CASE("a reader's open of a database that is not there makes nothing") {
  ScratchDir dir;
  CHECK(refused({.path = dir.file("s.db"), .create = false}).kind == ErrorKind::not_found);
  CHECK(refused({.path = dir.file("no/s.db"), .create = false}).kind == ErrorKind::not_found);
  CHECK(std::filesystem::is_empty(dir.path()));
  write_file(dir.file("empty"), "");
  CHECK(refused({.path = dir.file("empty"), .create = false}).kind == ErrorKind::not_found);
}

TEST_CASE("a missing directory is named, and not made") {
  ScratchDir dir;
  Error error = refused({.path = dir.file("no/s.db")});
  CHECK(error.kind == ErrorKind::config);
  CHECK(says(error, "there is no directory " + dir.file("no") + ";"));
  CHECK(std::filesystem::is_empty(dir.path()));
}

TEST_CASE("what is not a regular file of one's own is refused, and no link is followed") {
  ScratchDir dir;
  CHECK(refused({.path = dir.path()}).kind == ErrorKind::config);
  std::filesystem::create_symlink(dir.file("elsewhere"), dir.file("link"));
  Error error = refused({.path = dir.file("link")});
  CHECK(error.kind == ErrorKind::config);
  CHECK(says(error, "symbolic link"));
  CHECK_FALSE(std::filesystem::exists(dir.file("elsewhere")));
  write_file(dir.file("shared"), "");
  std::filesystem::permissions(dir.file("shared"), std::filesystem::perms(0660));
  CHECK(says(refused({.path = dir.file("shared")}), "chmod 600 " + dir.file("shared")));
  REQUIRE(::mkfifo(dir.file("fifo").c_str(), 0600) == 0);
  CHECK(refused({.path = dir.file("fifo")}).kind == ErrorKind::config);
}

TEST_CASE("a path that means something to SQLite is a path like any other") {
  ScratchDir dir;
  std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(dir.path());
  for (const char* name : {":memory:", "file:x?mode=memory", "s.db"}) {
    must(open_sqlite({.path = name}));
    CHECK(std::filesystem::file_size(dir.file(name)) > 0);
  }
  std::filesystem::current_path(before);
}

TEST_CASE("a file that its user may not read or write is not_allowed") {
  if (::geteuid() == 0) {
    MESSAGE("skipped: permissions do not bind root");
    return;
  }
  ScratchDir dir;
  std::string path = filled(dir);
  std::filesystem::permissions(path, std::filesystem::perms::none);
  CHECK(refused({.path = path}).kind == ErrorKind::not_allowed);
  std::filesystem::permissions(path, std::filesystem::perms::owner_read);
  Result<Stored> read_only = open_sqlite({.path = path});
  job::Job job = job_named("a");
  Error error = read_only ? error_of((*read_only)->insert_job(job)) : read_only.error();
  CHECK(error.kind == ErrorKind::not_allowed);
}

// ---- files that are not ours, or not whole

TEST_CASE("a file that is no database is refused and left alone") {
  std::mt19937 random(7);
  std::string noise(100'000, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  for (const std::string& bytes :
       {std::string("[job.a]\n"), noise, std::string("SQLite format 3"), std::string(4096, '\0')}) {
    ScratchDir dir;
    std::string path = dir.file("s.db");
    write_file(path, bytes);
    Error error = refused({.path = path});
    CHECK(error.kind == ErrorKind::config);
    CHECK(says(error, path + " is not a schedctl database"));
    CHECK(read_file(path) == bytes);
  }
}

TEST_CASE("another program's database is refused and left alone") {
  ScratchDir dir;
  std::string path = dir.file("s.db");
  stranger(path).exec("PRAGMA journal_mode=WAL; CREATE TABLE job(id); PRAGMA user_version=1");
  std::string bytes = read_file(path);
  Error error = refused({.path = path});
  CHECK(error.kind == ErrorKind::config);
  CHECK(says(error, "is not a schedctl database"));
  CHECK(read_file(path) == bytes);
}

TEST_CASE("a newer schema is refused, with both versions, and left alone") {
  ScratchDir dir;
  std::string path = filled(dir);
  int newer = schema_version() + 41;
  stranger(path).exec("PRAGMA user_version=" + std::to_string(newer));
  std::string bytes = read_file(path);
  Error error = refused({.path = path});
  CHECK(error.kind == ErrorKind::config);
  CHECK(says(error, "schema version " + std::to_string(newer)));
  CHECK(says(error, "versions up to " + std::to_string(schema_version())));
  CHECK(says(error, "Nothing was changed"));
  CHECK(read_file(path) == bytes);
}

TEST_CASE("a truncated database is an error of kind config") {
  ScratchDir dir;
  std::string path = filled(dir);
  std::string whole = read_file(path);
  for (std::size_t size :
       {whole.size() - 4096, whole.size() / 2, std::size_t{4096}, std::size_t{200}}) {
    write_file(path, whole.substr(0, size));
    Result<Stored> opened = open_sqlite({.path = path});
    Error error = opened ? error_of((*opened)->list_jobs("")) : opened.error();
    CHECK(error.kind == ErrorKind::config);
    CHECK(says(error, path));
  }
}

TEST_CASE("a database with damaged pages never does worse than an error") {
  ScratchDir dir;
  std::string path = filled(dir);
  const std::string whole = read_file(path);
  std::mt19937 random(11);
  int damaged = 0;
  for (int round = 0; round < 40; ++round) {
    std::string bytes = whole;
    for (int i = 0; i < 400; ++i)
      bytes[100 + random() % (bytes.size() - 100)] ^= random() % 255 + 1;
    write_file(path, bytes);
    Result<Stored> opened = open_sqlite({.path = path});
    if (!opened) {
      CHECK(opened.error().kind == ErrorKind::config);
      ++damaged;
      continue;
    }
    Store& store = **opened;
    auto look = [&](const auto& result) {
      if (result) return;
      CHECK(result.error().kind == ErrorKind::config);
      ++damaged;
    };
    look(store.list_jobs(""));
    look(store.due_jobs(at(1'000'000), 1'000));
    look(store.due_runs(at(1'000'000), 1'000, {}));
    look(store.list_runs({}));
    job::Run run = run_of(job_named("x"), at(77));
    if (store.begin()) {
      static_cast<void>(store.insert_run(run));
      store.rollback();
    }
    opened->reset();
    std::filesystem::remove(path + "-wal");
    std::filesystem::remove(path + "-shm");
  }
  CHECK(damaged > 0);
}

TEST_CASE("an empty file becomes a database") {
  ScratchDir dir;
  write_file(dir.file("s.db"), "");
  Stored store = fresh(dir);
  add_job(*store, "a");
}

// ---- others

TEST_CASE("a database that somebody else has locked is unavailable once the busy timeout is over") {
  ScratchDir dir;
  std::string path = dir.file("s.db");
  Stored store = must(open_sqlite({.path = path, .busy_timeout = std::chrono::milliseconds(50)}));
  job::Job kept = add_job(*store, "kept");
  SQLite::Database other = stranger(path);
  other.exec("BEGIN EXCLUSIVE");

  Error error = error_of(store->begin());
  CHECK(error.kind == ErrorKind::unavailable);
  CHECK(says(error, "database " + path + " is locked by another process (waited 50ms)"));
  job::Job job = job_named("a");
  CHECK(error_of(store->insert_job(job)).kind == ErrorKind::unavailable);
  CHECK(error_of(store->set_planned(kept.id, at(1), at(2))).kind == ErrorKind::unavailable);
  CHECK(must(store->find_job("kept")));

  other.exec("COMMIT");
  must(store->begin());
  must(store->insert_job(job));
  must(store->commit());
  CHECK(must(store->list_jobs("")).size() == 2);
}

TEST_CASE("two connections of one process keep each other's locks") {
  ScratchDir dir;
  Stored first = fresh(dir);
  must(first->begin());
  fresh(dir).reset();
  Stored second =
      must(open_sqlite({.path = dir.file("s.db"), .busy_timeout = std::chrono::milliseconds(20)}));
  CHECK(error_of(second->begin()).kind == ErrorKind::unavailable);
  must(first->commit());
  must(second->begin());
}

TEST_CASE("what one connection commits the other sees, and a writer is not held up by readers") {
  ScratchDir dir;
  Stored writer = fresh(dir);
  Stored reader = fresh(dir);
  CHECK(writer->id() == reader->id());
  must(writer->begin());
  job::Job job = add_job(*writer, "a");
  CHECK(must(reader->list_jobs("")).empty());
  must(writer->commit());
  CHECK(must(reader->list_jobs("")).size() == 1);
  must(reader->set_planned(job.id, at(1), at(2)));
  CHECK(must(writer->get_job(job.id))->next_fire == at(2));
}

TEST_CASE("the revision is another one when anybody has written, and only then") {
  ScratchDir dir;
  std::string path = filled(dir);
  Stored store = must(open_sqlite({.path = path}));
  Stored other = must(open_sqlite({.path = path}));
  const auto in_a_transaction = [&store] {
    must(store->begin());
    const std::uint64_t revision = store->revision();
    must(store->commit());
    return revision;
  };
  in_a_transaction();
  const std::uint64_t before = store->revision();
  must(other->list_jobs(""));
  must(store->list_jobs(""));
  CHECK(in_a_transaction() == before);

  must(other->add_event({.at = at(1), .kind = "other"}));
  const std::uint64_t seen = in_a_transaction();
  CHECK(seen != before);
  must(store->add_event({.at = at(2), .kind = "own"}));
  CHECK(in_a_transaction() != seen);

  must(store->begin());
  must(store->add_event({.at = at(3), .kind = "never"}));
  store->rollback();
  const std::uint64_t settled = store->revision();
  must(other->add_event({.at = at(4), .kind = "other again"}));
  CHECK(in_a_transaction() != settled);
}

TEST_CASE("a verb that only reads leaves no transaction open") {
  ScratchDir dir;
  std::string path = filled(dir);
  Stored store = must(open_sqlite({.path = path}));
  job::Job job = must(store->find_job("job-1")).value();
  must(store->get_job(job.id));
  must(store->list_jobs(""));
  must(store->due_jobs(at(9), 1));
  must(store->get_run(RunId{1}));
  must(store->list_runs({.limit = 1}));
  must(store->due_runs(at(9), 1, {}));
  must(store->runs_in_state(job::RunState::running));
  must(store->runs_in_state(job::RunState::failed));
  must(store->cancel_requests());
  must(store->list_attempts(RunId{1}));
  must(store->next_wake(at(0)));
  must(store->counts());
  must(store->list_nodes());
  must(store->list_events({.limit = 1}));
  must(store->list_audit("", 1));

  SQLite::Database other = stranger(path);
  other.exec("DELETE FROM run WHERE id = 7");
  // The first column says whether a reader or writer stood in the way.
  CHECK(other.execAndGet("PRAGMA wal_checkpoint(TRUNCATE)").getInt() == 0);
}

TEST_CASE("twelve processes that make one database at once all succeed") {
  ScratchDir dir;
  std::string path = dir.file("s.db");
  std::array<int, 2> gate{};
  REQUIRE(::pipe(gate.data()) == 0);
  UniqueFd wait_here(gate[0]);
  UniqueFd open_here(gate[1]);
  std::vector<pid_t> children;
  for (int i = 0; i < 12; ++i) {
    pid_t pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      open_here.reset();
      char byte = 0;
      static_cast<void>(!::read(wait_here.get(), &byte, 1));
      Result<Stored> store = open_sqlite({.path = path, .busy_timeout = std::chrono::seconds(60)});
      job::Job job = job_named("job-" + std::to_string(i));
      bool done = store && (*store)->insert_job(job);
      if (!store) std::fprintf(stderr, "%s\n", store.error().message.c_str());
      ::_exit(done ? 0 : 1);
    }
    children.push_back(pid);
  }
  open_here.reset();
  for (pid_t pid : children) {
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    CHECK(status == 0);
  }
  Stored store = must(open_sqlite({.path = path, .create = false}));
  CHECK(must(store->list_jobs("")).size() == 12);
  CHECK(number(path, "SELECT count(*) FROM store_meta") == 1);
}

// ---- limits of the machine

TEST_CASE("on a full disk nothing is half done, and the store goes on when there is room again") {
  ScratchDir dir;
  Stored store = fresh(dir);
  add_job(*store, "before");

  rlimit room{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &room) == 0);
  auto ignored = std::signal(SIGXFSZ, SIG_IGN);
  rlimit tight = room;
  tight.rlim_cur = 256 * 1024;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &tight) == 0);
  must(store->begin());
  Result<void> wrote;
  for (int i = 0; i < 20'000 && wrote; ++i) {
    job::Job job = job_named("during-" + std::to_string(i));
    wrote = store->insert_job(job);
  }
  // The page cache may hold it all until the commit.
  const bool failed_early = !wrote;
  job::Job job = job_named("after-the-failure");
  Result<void> more = store->insert_job(job);
  Result<void> committed = store->commit();
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &room) == 0);
  std::signal(SIGXFSZ, ignored);

  CHECK(bool(more) != failed_early);
  Error error = error_of(committed);
  CHECK(error.kind == ErrorKind::unavailable);
  CHECK(says(error, dir.file("s.db")));
  store->rollback();
  CHECK(must(store->list_jobs("")).size() == 1);
  add_job(*store, "afterwards");
  store.reset();
  CHECK(must(fresh(dir)->list_jobs("")).size() == 2);
}

TEST_CASE("the write-ahead log is cut back after a burst") {
  ScratchDir dir;
  Stored store = fresh(dir);
  job::Job job = add_job(*store, "a");
  int fire = 0;
  auto burst = [&](int runs) {
    Transaction transaction = must(Transaction::begin(*store));
    for (int i = 0; i < runs; ++i) {
      job::Run run = run_of(job, at(++fire));
      run.result.output_tail.assign(8'000, 'x');
      add_run(*store, run);
    }
    must(transaction.commit());
  };
  burst(4'000);
  burst(1);
  burst(1);
  CHECK(std::filesystem::file_size(dir.file("s.db-wal")) <= 16 * 1024 * 1024);
}

TEST_CASE("what a beat asks is answered from an index") {
  ScratchDir dir;
  Stored store = fresh(dir);
  SQLite::Database db = stranger(dir.file("s.db"));
  auto plan = [&db](const char* sql) {
    std::string steps;
    SQLite::Statement explain(db, std::string("EXPLAIN QUERY PLAN ") + sql);
    while (explain.executeStep()) steps += explain.getColumn(3).getString() + "\n";
    return steps;
  };
  CHECK(plan(sqlite::sql::kNextFire) ==
        "SEARCH job USING COVERING INDEX job_next_fire (next_fire>?)\n");
  CHECK(plan(sqlite::sql::kNextDue) == "SEARCH run USING INDEX run_due (due_at>?)\n");
  CHECK(plan(sqlite::sql::kDueJobs) == "SEARCH job USING INDEX job_next_fire (next_fire<?)\n");
  CHECK(plan(sqlite::sql::kDueRuns) ==
        "SEARCH due USING INDEX run_rank (rank<?)\n"
        "LIST SUBQUERY 2\n"
        "SCAN json_each VIRTUAL TABLE INDEX 1:\n"
        "CORRELATED SCALAR SUBQUERY 1\n"
        "SEARCH other USING INDEX run_busy (job_id=?)\n"
        "CORRELATED SCALAR SUBQUERY 1\n"
        "SEARCH other USING INDEX run_busy (job_id=?)\n");
  CHECK(plan(sqlite::sql::kGatedRuns) == "SCAN run USING INDEX run_gated\n");
  for (const char* sql : {sqlite::sql::kCancelRequests, sqlite::sql::kSignalRequests})
    CHECK(plan(sql) ==
          "SCAN run USING INDEX run_busy\n"
          "USE TEMP B-TREE FOR ORDER BY\n");
  CHECK(plan(sqlite::sql::kNextGivingUp) == "SEARCH run USING INDEX run_give_up (give_up_at>?)\n");
  CHECK(plan(sqlite::sql::kOverdueRuns) == "SEARCH run USING INDEX run_give_up (give_up_at<?)\n");
  CHECK(plan(sqlite::sql::kOpenBackfills) ==
        "SCAN backfill USING INDEX backfill_open\n"
        "USE TEMP B-TREE FOR ORDER BY\n");
  CHECK(plan(sqlite::sql::kOccurrenceBefore) ==
        "SEARCH run USING INDEX run_occurrence (job_id=? AND fire_time<?)\n");
  for (const char* sql : {sqlite::sql::kUpdateRun, sqlite::sql::kGetRun, sqlite::sql::kSetPlanned,
                          sqlite::sql::kSetLastRun})
    CHECK(plan(sql).find("USING INTEGER PRIMARY KEY") != std::string::npos);
}

// ---- rows that somebody edited

TEST_CASE("a job that cannot be read is set aside, and the others run") {
  for (const char* damage : {"kind = 'lunar'", "command = '[\"unfinished'", "command = 'true'",
                             "env = '[\"A\"]'", "dst_fold = 'never'", "on_lost = 'panic'"}) {
    ScratchDir dir;
    std::string path = filled(dir);
    Stored store = must(open_sqlite({.path = path}));
    stranger(path).exec(std::string("UPDATE job SET ") + damage + " WHERE name = 'job-3'");

    CHECK(must(store->due_jobs(at(5), 100)).size() == 5);
    CHECK(must(store->list_events({.limit = 9})).at(0).kind == "job-error");
    CHECK(must(store->list_events({.limit = 9})).at(0).detail.find("job-3") != std::string::npos);
    CHECK(must(store->due_jobs(at(5), 100)).size() == 5);
    CHECK(must(store->list_events({.limit = 9})).size() == 1);
    CHECK(must(store->list_jobs("")).size() == 500);

    Error error = error_of(store->find_job("job-3"));
    CHECK(error.kind == ErrorKind::config);
    CHECK(says(error, "job-3"));
    must(store->delete_job(JobId{4}));
  }
}

TEST_CASE("a run with words from nowhere is still listed") {
  ScratchDir dir;
  std::string path = filled(dir);
  stranger(path).exec(
      "UPDATE run SET state = 'dreaming', reason = 'moon', cause = 'x' WHERE id = 2");
  Stored store = must(open_sqlite({.path = path}));
  job::Run run = must(store->get_run(RunId{2})).value();
  CHECK(run.state == job::RunState::lost);
  CHECK(run.reason == job::Reason::none);
  CHECK(must(store->list_runs({})).size() == 500);
  CHECK(must(store->due_runs(at(1'000), 1'000, {})).size() == 499);
}

TEST_CASE("each change of a definition is a version, and versions outlive the job") {
  ScratchDir dir;
  std::string path = dir.file("s.db");
  Stored store = fresh(dir);
  job::Job job = add_job(*store, "a");
  job.paused = true;
  must(store->update_job(job));
  CHECK(number(path, "SELECT count(*) FROM job_version") == 1);
  job.version = 2;
  job.definition.schedule.every = std::chrono::minutes(9);
  must(store->update_job(job));
  must(store->delete_job(job.id));
  CHECK(number(path, "SELECT count(*) FROM job_version") == 2);
  CHECK(number(path, "SELECT every FROM job_version WHERE version = 1") == 300'000'000);
  CHECK(number(path, "SELECT every FROM job_version WHERE version = 2") == 540'000'000);
}

}  // namespace schedctl::store
