#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <thread>

#include "tests/store/sqlite_files.hpp"

// Checking and backing up a database file.

namespace schedctl::store {

// ---- check

TEST_CASE("a whole database has no findings, used or not") {
  ScratchDir dir;
  const std::string path = filled(dir);
  const std::string bytes = read_file(path);
  CHECK(must(check_sqlite(path)).empty());
  CHECK(read_file(path) == bytes);
  CHECK_FALSE(has_companions(path));
  Stored store = must(open_sqlite({.path = path}));
  Transaction transaction = must(Transaction::begin(*store));
  add_job(*store, "during");
  CHECK(must(check_sqlite(path)).empty());
  must(transaction.commit());
  CHECK(must(check_sqlite(path)).empty());
}

TEST_CASE("damaged pages are found, wherever they are") {
  ScratchDir dir;
  const std::string path = filled(dir);
  const std::string whole = read_file(path);
  const std::size_t pages = whole.size() / 4096;
  int found = 0;
  for (std::size_t page = 1; page <= pages; page += 1 + pages / 40) {
    write_file(path, whole);
    damage_page(path, page);
    const auto findings = check_sqlite(path);
    if (findings)
      CHECK_FALSE(findings->empty());
    else
      CHECK(findings.error().kind == ErrorKind::config);
    ++found;
  }
  CHECK(found > 20);
  write_file(path, whole);
  CHECK(must(check_sqlite(path)).empty());
}

TEST_CASE("rows that point nowhere are found") {
  ScratchDir dir;
  const std::string path = filled(dir);
  stranger(path).exec(
      "DELETE FROM job_version WHERE job_id IN (3, 4);"
      "INSERT INTO attempt(run_id, attempt, reason, pid, signal, error, cpu, output_path, "
      "output_bytes) VALUES (9999, 1, '', 0, 0, '', 0, '', 0);"
      "INSERT INTO alert(kind, job_id, subject, node, began_at, ended_by, ended_who, count, "
      "events, run_id, detail, cause, reminders, over_untold) VALUES "
      "('failed', 7777, '', '', 0, '', '', 1, 1, 0, '', '', 0, 0),"
      "('keeper', 0, '', '', 0, '', '', 1, 1, 0, '', '', 0, 0);");
  CHECK(must(check_sqlite(path)) ==
        std::vector<std::string>{"1 attempts of runs that do not exist",
                                 "2 jobs whose present definition is not among their versions",
                                 "1 open alerts of jobs that do not exist"});
}

TEST_CASE("what is no database of ours cannot be checked, and is left alone") {
  ScratchDir dir;
  CHECK(error_of(check_sqlite(dir.file("none"))).kind == ErrorKind::not_found);
  write_file(dir.file("empty"), "");
  CHECK(error_of(check_sqlite(dir.file("empty"))).kind == ErrorKind::not_found);
  write_file(dir.file("text"), std::string(5'000, 'x'));
  CHECK(error_of(check_sqlite(dir.file("text"))).kind == ErrorKind::config);
  REQUIRE(::mkfifo(dir.file("fifo").c_str(), 0600) == 0);
  CHECK(error_of(check_sqlite(dir.file("fifo"))).kind == ErrorKind::config);
  CHECK(error_of(check_sqlite(dir.path())).kind == ErrorKind::config);
  stranger(dir.file("other")).exec("CREATE TABLE job(id)");
  CHECK(says(error_of(check_sqlite(dir.file("other"))), "another program's"));
  CHECK(names_in(dir) == "empty fifo other text ");
}

// ---- backup

TEST_CASE("a backup is one file for its owner only, with everything") {
  ScratchDir dir;
  const std::string path = filled(dir);
  Stored store = must(open_sqlite({.path = path}));
  add_job(*store, "in-the-log");
  const mode_t before = ::umask(0);
  must(backup_sqlite(path, dir.file("copy")));
  ::umask(before);
  CHECK(names_in(dir) == "copy s.db ");
  CHECK(mode_of(dir.file("copy")) == 0600);
  CHECK(must(check_sqlite(dir.file("copy"))).empty());
  CHECK_FALSE(has_companions(dir.file("copy")));

  // It is the same store, so that it may take the place of the other.
  Stored copy = must(open_sqlite({.path = dir.file("copy"), .create = false}));
  CHECK(copy->id() == store->id());
  CHECK(must(copy->list_jobs("")).size() == 501);
  CHECK(must(copy->list_runs({})).size() == 500);
  add_job(*copy, "only-here");
  CHECK_FALSE(must(store->find_job("only-here")));
}

TEST_CASE("a backup replaces nothing, and is made nowhere it cannot be made") {
  ScratchDir dir;
  const std::string path = filled(dir);
  write_file(dir.file("precious"), "precious");
  std::filesystem::create_symlink(dir.file("nothing"), dir.file("link"));
  std::filesystem::create_directory(dir.file("sub"));
  const std::string before = names_in(dir);
  Error error = error_of(backup_sqlite(path, dir.file("precious")));
  CHECK(error.kind == ErrorKind::conflict);
  CHECK(says(error, dir.file("precious") + " exists already"));
  CHECK(read_file(dir.file("precious")) == "precious");
  CHECK(error_of(backup_sqlite(path, dir.file("link"))).kind == ErrorKind::conflict);
  CHECK(error_of(backup_sqlite(path, path)).kind == ErrorKind::conflict);
  error = error_of(backup_sqlite(path, dir.file("sub")));
  CHECK(error.kind == ErrorKind::conflict);
  CHECK(says(error, "is a directory; name a file in it"));
  for (const char* name : {"no/copy", "precious/copy", "new/"}) {
    error = error_of(backup_sqlite(path, dir.file(name)));
    CHECK(error.kind == ErrorKind::failed);
    CHECK(says(error, "no backup was made: cannot make " + dir.file(name) + ": "));
  }
  CHECK(error_of(backup_sqlite(dir.file("none"), dir.file("copy"))).kind == ErrorKind::not_found);
  CHECK(names_in(dir) == before);
}

TEST_CASE("what is damaged, foreign or newer is not backed up, and the blame is its own") {
  ScratchDir dir;
  const std::string path = filled(dir);
  const std::string whole = read_file(path);
  damage_runs(path);
  Error error = error_of(backup_sqlite(path, dir.file("copy")));
  CHECK(error.kind == ErrorKind::config);
  CHECK(says(error, "no backup was made: the database " + path + " is damaged"));
  write_file(path, "not a database, but long enough to be read as one");
  error = error_of(backup_sqlite(path, dir.file("copy")));
  CHECK(says(error, "no backup was made: " + path + " is not a schedctl database"));
  write_file(path, whole);
  stranger(path).exec("PRAGMA user_version = 99");
  error = error_of(backup_sqlite(path, dir.file("copy")));
  CHECK(error.kind == ErrorKind::config);
  CHECK(says(error, "no backup was made: database " + path + " has schema version 99"));
  CHECK(names_in(dir) == "s.db ");
}

TEST_CASE("rows that point nowhere do not keep anybody from a backup or from restoring it") {
  ScratchDir dir;
  const std::string path = filled(dir);
  stranger(path).exec("DELETE FROM job_version");
  must(backup_sqlite(path, dir.file("copy")));
  must(restore_sqlite(dir.file("copy"), path, at(0)));
  CHECK(must(check_sqlite(path)).size() == 1);
}

TEST_CASE("where there is no room for a backup, nothing is left of it") {
  ScratchDir dir;
  const std::string path = filled(dir);
  const std::string before = names_in(dir);
  Result<void> made;
  {
    TightDisk tight(64 * 1024);
    made = backup_sqlite(path, dir.file("copy"));
  }
  const Error error = error_of(made);
  CHECK(error.kind == ErrorKind::unavailable);
  CHECK(says(error, "no backup was made: cannot read or write the database " + dir.file("copy")));
  CHECK(names_in(dir) == before);
  must(backup_sqlite(path, dir.file("copy")));
}

TEST_CASE("a database that somebody has for himself is unavailable to a backup") {
  ScratchDir dir;
  const std::string path = filled(dir);
  SQLite::Database other = stranger(path);
  other.exec("PRAGMA journal_mode=DELETE; BEGIN EXCLUSIVE");
  const Error error = error_of(backup_sqlite(path, dir.file("copy")));
  CHECK(error.kind == ErrorKind::unavailable);
  CHECK(says(error, path + " is locked by another process"));
  CHECK(names_in(dir) == "s.db ");
}

TEST_CASE("a backup is of one moment, and holds up nobody who writes") {
  ScratchDir dir;
  const std::string path = filled(dir);
  Stored writer = must(open_sqlite({.path = path}));
  std::atomic<int> acknowledged = 0;
  std::atomic<bool> stop = false;
  std::atomic<int> refused = 0;
  // Each commit adds a job and a run of it: a copy with one and not the other is of two moments.
  std::thread load([&] {
    for (int i = 0; !stop; ++i) {
      auto transaction = Transaction::begin(*writer);
      job::Job job = job_named("load-" + std::to_string(i));
      const bool done = transaction && writer->insert_job(job);
      job::Run run = run_of(job, at(i));
      run.result.output_tail.assign(2'000, 'x');
      if (done && writer->insert_run(run) && transaction->commit())
        acknowledged = i + 1;
      else
        ++refused;
    }
  });
  for (int round = 0; round < 10; ++round) {
    const int before = acknowledged;
    while (acknowledged == before) std::this_thread::yield();
    const int sure = acknowledged;
    const std::string to = dir.file("copy-" + std::to_string(round));
    const auto made = backup_sqlite(path, to);
    const auto findings = check_sqlite(to);
    stop = !made || !findings || !findings->empty();
    CHECK_FALSE(stop);
    if (stop) break;
    const std::int64_t jobs = number(to, "SELECT count(*) FROM job");
    CHECK(jobs >= 500 + sure);
    CHECK(number(to, "SELECT count(*) FROM run") == jobs);
  }
  stop = true;
  load.join();
  CHECK(refused == 0);
}

TEST_CASE("what a backup that was killed has left goes with the next one") {
  ScratchDir dir;
  const std::string path = filled(dir);
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) ::_exit(0);
  REQUIRE(::waitpid(pid, nullptr, 0) == pid);
  const std::string dead = std::to_string(pid);
  write_file(dir.file("copy.part-" + dead), "half");
  write_file(dir.file("copy.part-" + dead + "-journal"), "half");
  write_file(dir.file("copy.part-" + std::to_string(::getpid())), "of another boot");
  const std::string in_use = "copy.part-" + std::to_string(::getppid());
  write_file(dir.file(in_use), "half");
  write_file(dir.file("copy.part-x"), "somebody's");
  write_file(dir.file("other.part-" + dead), "somebody's");
  std::filesystem::create_directory(dir.file("copy.part-0" + dead));
  std::filesystem::create_symlink(path, dir.file("copy.part-00" + dead));
  must(backup_sqlite(path, dir.file("copy")));
  CHECK_FALSE(std::filesystem::exists(dir.file("copy.part-" + dead)));
  CHECK_FALSE(std::filesystem::exists(dir.file("copy.part-" + dead + "-journal")));
  CHECK_FALSE(std::filesystem::exists(dir.file("copy.part-" + std::to_string(::getpid()))));
  for (const std::string& name : {in_use, std::string("copy.part-x"), "other.part-" + dead,
                                  "copy.part-0" + dead, "copy.part-00" + dead})
    CHECK(std::filesystem::exists(std::filesystem::symlink_status(dir.file(name))));
  CHECK(jobs_in(path) == 500);
}

}  // namespace schedctl::store
