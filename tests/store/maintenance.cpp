#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <csignal>
#include <random>
#include <set>
#include <thread>

#include "tests/store/sqlite_files.hpp"

// Checking, backing up and restoring a database file.

namespace schedctl::store {
namespace {

/// Sorted, each followed by a space; without what SQLite keeps beside a database.
std::string names_in(const ScratchDir& dir) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with("-wal") && !name.ends_with("-shm")) names.insert(name);
  }
  std::string all;
  for (const std::string& name : names) all += name + " ";
  return all;
}

bool has_companions(const std::string& path) {
  return std::filesystem::exists(path + "-wal") || std::filesystem::exists(path + "-shm");
}

std::size_t jobs_in(const std::string& path) {
  return must(must(open_sqlite({.path = path, .create = false}))->list_jobs("")).size();
}

mode_t mode_of(const std::string& path) {
  struct stat st {};
  REQUIRE(::lstat(path.c_str(), &st) == 0);
  return st.st_mode & 07777;
}

/// Page `n`, counted from 1, becomes noise.
void damage_page(const std::string& path, std::size_t n) {
  std::string bytes = read_file(path);
  REQUIRE(bytes.size() >= n * 4096);
  std::mt19937 random(static_cast<unsigned>(n));
  for (std::size_t i = (n - 1) * 4096; i < n * 4096; ++i) bytes[i] = static_cast<char>(random());
  write_file(path, bytes);
}

/// A page with rows of the run table: reading those fails, opening the file does not.
void damage_runs(const std::string& path) {
  const std::int64_t page =
      number(path, "SELECT max(pageno) FROM dbstat WHERE name = 'run' AND pagetype = 'leaf'");
  damage_page(path, static_cast<std::size_t>(page));
}

/// While it lives no file of this process may grow beyond `bytes`: to a program the same as a full
/// disk.
class TightDisk {
 public:
  explicit TightDisk(rlim_t bytes) {
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &room_) == 0);
    rlimit tight = room_;
    tight.rlim_cur = bytes;
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &tight) == 0);
  }
  TightDisk(const TightDisk&) = delete;
  TightDisk& operator=(const TightDisk&) = delete;
  ~TightDisk() {
    ::setrlimit(RLIMIT_FSIZE, &room_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit room_{};
  void (*handler_)(int) = nullptr;
};

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

// ---- restore

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
