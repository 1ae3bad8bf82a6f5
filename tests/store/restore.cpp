#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/store/sqlite_files.hpp"

// Restoring a database file from a backup.

namespace schedctl::store {
namespace {

/// Leaves a database as a process does that is killed: its last commits are in the -wal.
void die_after_adding(const std::string& path, const std::string& name) {
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    auto store = open_sqlite({.path = path});
    job::Job job = job_named(name);
    const bool added = store && (*store)->insert_job(job);
    ::_exit(added ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  REQUIRE(status == 0);
  REQUIRE(std::filesystem::file_size(path + "-wal") > 0);
}

}  // namespace

TEST_CASE("a restored database is the backup under another id, and the old one is kept") {
  ScratchDir dir;
  const std::string path = filled(dir);
  const std::string id = must(open_sqlite({.path = path}))->id();
  must(backup_sqlite(path, dir.file("copy")));
  const std::string backup = read_file(dir.file("copy"));
  die_after_adding(path, "too-late");

  const std::string kept = must(restore_sqlite(dir.file("copy"), path, at(86'400)));
  CHECK(kept == path + ".before-restore-19700102T000000Z");
  CHECK(mode_of(path) == 0600);
  CHECK(names_in(dir) == "copy s.db s.db.before-restore-19700102T000000Z ");
  CHECK_FALSE(has_companions(path));
  CHECK(read_file(dir.file("copy")) == backup);
  CHECK(must(check_sqlite(path)).empty());
  {
    Stored store = must(open_sqlite({.path = path, .create = false}));
    CHECK(store->id().size() == 36);
    CHECK(store->id() != id);
    CHECK(must(store->list_jobs("")).size() == 500);
    CHECK(must(store->list_runs({})).size() == 500);
  }
  // What only the -wal had is in the old one, too.
  Stored old = must(open_sqlite({.path = kept, .create = false}));
  CHECK(must(old->find_job("too-late")));
  CHECK(old->id() == id);
}

TEST_CASE("what runs in a backup is no living keeper's any more once it is restored") {
  ScratchDir dir;
  const std::string path = dir.file("s.db");
  {
    Stored store = must(open_sqlite({.path = path}));
    const job::Job job = add_job(*store, "a");
    for (const auto state : {job::RunState::running, job::RunState::succeeded}) {
      job::Run run = run_of(job, at(static_cast<int>(state)));
      run.state = state;
      run.keeper = "b8994eefcb19f827";
      run.fence = 3;
      add_run(*store, run);
    }
  }
  must(backup_sqlite(path, dir.file("copy")));
  must(restore_sqlite(dir.file("copy"), path, at(0)));
  Stored store = must(open_sqlite({.path = path}));
  const std::vector<job::Run> running = must(store->runs_in_state(job::RunState::running));
  REQUIRE(running.size() == 1);
  CHECK(running[0].keeper.empty());
  CHECK(running[0].fence == 3);
  CHECK(must(store->runs_in_state(job::RunState::succeeded)).at(0).keeper == "b8994eefcb19f827");
}

TEST_CASE("two restores in one second keep two old databases") {
  ScratchDir dir;
  const std::string path = filled(dir);
  must(backup_sqlite(path, dir.file("copy")));
  const std::string first = must(restore_sqlite(dir.file("copy"), path, at(0)));
  const std::string second = must(restore_sqlite(dir.file("copy"), path, at(0)));
  CHECK(second == first + "-2");
  CHECK(jobs_in(first) == 500);
  CHECK(jobs_in(second) == 500);
}

TEST_CASE("a database is restored where there is none, and in the place of what is damaged") {
  ScratchDir dir;
  const std::string path = filled(dir);
  must(backup_sqlite(path, dir.file("copy")));
  std::filesystem::remove(path);
  CHECK(must(restore_sqlite(dir.file("copy"), path, at(0))).empty());
  CHECK(jobs_in(path) == 500);

  int n = 0;
  for (const char* damage : {"pages", "header", "noise", "empty", "newer", "permissions"}) {
    CAPTURE(damage);
    const std::string what = damage;
    if (what == "pages") damage_runs(path);
    if (what == "header") damage_page(path, 1);
    if (what == "noise") write_file(path, "noise");
    if (what == "empty") write_file(path, "");
    if (what == "newer") stranger(path).exec("PRAGMA user_version = 99");
    if (what == "permissions") std::filesystem::permissions(path, std::filesystem::perms(0666));
    const std::string bytes = read_file(path);
    const std::string kept = must(restore_sqlite(dir.file("copy"), path, at(++n)));
    CHECK(read_file(kept) == bytes);
    CHECK(jobs_in(path) == 500);
    CHECK(mode_of(path) == 0600);
  }
}

TEST_CASE("the log of a database that cannot be used is kept with it, and mends no other") {
  ScratchDir dir;
  const std::string path = filled(dir);
  must(backup_sqlite(path, dir.file("copy")));
  die_after_adding(path, "in-the-log");
  // Nobody opens it like this, to bring the log into it.
  std::filesystem::permissions(path, std::filesystem::perms(0666));
  const std::string kept = must(restore_sqlite(dir.file("copy"), path, at(0)));
  CHECK_FALSE(has_companions(path));
  CHECK(jobs_in(path) == 500);
  CHECK(must(check_sqlite(path)).empty());
  std::filesystem::permissions(kept, std::filesystem::perms(0600));
  CHECK(jobs_in(kept) == 501);
}

TEST_CASE("nothing is restored from what is no whole backup, and nothing is changed then") {
  ScratchDir dir;
  const std::string path = filled(dir);
  must(backup_sqlite(path, dir.file("good")));
  const std::string whole = read_file(dir.file("good"));
  write_file(dir.file("text"), "[job.a]\n");
  write_file(dir.file("empty"), "");
  write_file(dir.file("short"), whole.substr(0, whole.size() / 2));
  write_file(dir.file("damaged"), whole);
  damage_runs(dir.file("damaged"));
  write_file(dir.file("newer"), whole);
  for (const char* name : {"text", "empty", "short", "damaged", "newer"})
    std::filesystem::permissions(dir.file(name), std::filesystem::perms(0600));
  stranger(dir.file("newer")).exec("PRAGMA journal_mode=DELETE; PRAGMA user_version = 99");
  stranger(dir.file("other")).exec("CREATE TABLE job(id)");
  std::filesystem::permissions(dir.file("other"), std::filesystem::perms(0600));
  REQUIRE(::mkfifo(dir.file("fifo").c_str(), 0600) == 0);
  std::filesystem::create_directory(dir.file("sub"));
  const std::string before = names_in(dir);
  const std::string bytes = read_file(path);

  const auto refused = [&](const char* name) {
    CAPTURE(name);
    const Error error = error_of(restore_sqlite(dir.file(name), path, at(0)));
    CHECK(says(error, "nothing was restored: "));
    CHECK(says(error, dir.file(name)));
    CHECK(error.where.empty());
    CHECK(read_file(path) == bytes);
    return error;
  };
  CHECK(refused("none").kind == ErrorKind::not_found);
  CHECK(refused("empty").kind == ErrorKind::not_found);
  for (const char* name : {"text", "short", "other", "fifo", "sub", "damaged"})
    CHECK(refused(name).kind == ErrorKind::config);
  CHECK(says(refused("newer"), "has schema version 99"));
  CHECK(says(refused("s.db"), "is the database itself"));
  CHECK(refused("s.db").kind == ErrorKind::conflict);
  std::filesystem::create_hard_link(path, dir.file("second-name"));
  CHECK(refused("second-name").kind == ErrorKind::conflict);
  std::filesystem::remove(dir.file("second-name"));
  CHECK(names_in(dir) == before);
  CHECK(must(check_sqlite(path)).empty());
}

TEST_CASE("where there is no room for the restored database, the old one stays") {
  ScratchDir dir;
  const std::string path = filled(dir);
  must(backup_sqlite(path, dir.file("copy")));
  const std::string before = names_in(dir);
  Result<std::string> restored;
  {
    TightDisk tight(64 * 1024);
    restored = restore_sqlite(dir.file("copy"), path, at(0));
  }
  CHECK(error_of(restored).kind == ErrorKind::unavailable);
  CHECK(names_in(dir) == before);
  CHECK(jobs_in(path) == 500);
}

TEST_CASE("a database that somebody reads or writes is not taken away from him") {
  ScratchDir dir;
  const std::string path = filled(dir);
  must(backup_sqlite(path, dir.file("copy")));
  Stored user = must(open_sqlite({.path = path}));
  add_job(*user, "late");
  for (const char* begin : {"BEGIN; SELECT count(*) FROM job", "BEGIN IMMEDIATE"}) {
    SQLite::Database other = stranger(path);
    other.exec(begin);
    const Error error = error_of(restore_sqlite(dir.file("copy"), path, at(0)));
    CHECK(error.kind == ErrorKind::conflict);
    CHECK(says(error, "another program uses " + path));
    CHECK(names_in(dir) == "copy s.db ");
    other.exec("COMMIT");
  }
  CHECK(must(user->find_job("late")));
  user.reset();
  CHECK_FALSE(must(restore_sqlite(dir.file("copy"), path, at(0))).empty());
}

TEST_CASE("what has the name of the database and is no file stays there") {
  ScratchDir dir;
  must(backup_sqlite(filled(dir), dir.file("copy")));
  std::filesystem::create_directory(dir.file("place"));
  std::filesystem::create_symlink(dir.file("copy"), dir.file("link"));
  for (const char* name : {"place", "link"}) {
    const Error error = error_of(restore_sqlite(dir.file("copy"), dir.file(name), at(0)));
    CHECK(error.kind == ErrorKind::config);
    CHECK(says(error, dir.file(name) + ", where the database belongs, is not a file"));
  }
  CHECK(names_in(dir) == "copy link place s.db ");
  CHECK(error_of(restore_sqlite(dir.file("copy"), dir.file("no/s.db"), at(0))).kind ==
        ErrorKind::failed);
}

TEST_CASE("what root restores belongs to whom the old database belonged") {
  if (::geteuid() != 0) {
    MESSAGE("skipped: only root can give files away");
    return;
  }
  ScratchDir dir;
  const std::string path = filled(dir);
  must(backup_sqlite(path, dir.file("copy")));
  REQUIRE(::chown(path.c_str(), 12'345, 23'456) == 0);
  const auto owner_is = [&](uid_t user, gid_t group) {
    struct stat st {};
    return ::stat(path.c_str(), &st) == 0 && st.st_uid == user && st.st_gid == group;
  };
  must(restore_sqlite(dir.file("copy"), path, at(0)));
  CHECK(owner_is(12'345, 23'456));
  std::filesystem::remove(path);
  REQUIRE(::chown(dir.path().c_str(), 34'567, 23'456) == 0);
  must(restore_sqlite(dir.file("copy"), path, at(0)));
  CHECK(owner_is(34'567, 23'456));
}

}  // namespace schedctl::store
