#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>

#include "schedctl/base/unique_fd.hpp"
#include "tests/store/sqlite_files.hpp"

// What becomes of a database that an older version made.

namespace schedctl::store {
namespace {

/// A file as an older program left it; the path of it.
std::string file_of_version(int version, const ScratchDir& dir, const std::string& name) {
  const std::string sql = read_file("tests/store/data/version" + std::to_string(version) + ".sql");
  REQUIRE_MESSAGE(!sql.empty(), "run this in the directory of the repository");
  const std::string path = dir.file(name);
  stranger(path).exec(sql);
  std::filesystem::permissions(path, std::filesystem::perms(0600));
  return path;
}

std::string version_1(const ScratchDir& dir, const std::string& name = "s.db") {
  return file_of_version(1, dir, name);
}

std::vector<std::string> backups_in(const ScratchDir& dir) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(dir.path()))
    if (entry.path().extension() == ".bak") found.push_back(entry.path().string());
  return found;
}

/// Every row of every table, as text.
std::string contents_of(const std::string& path) {
  SQLite::Database db = stranger(path);
  std::string all;
  SQLite::Statement tables(
      db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'");
  while (tables.executeStep()) {
    const std::string table = tables.getColumn(0).getString();
    SQLite::Statement rows(db, "SELECT * FROM " + table);
    while (rows.executeStep()) {
      all += table;
      for (int i = 0; i < rows.getColumnCount(); ++i)
        all += "|" + (rows.isColumnNull(i) ? "NULL" : rows.getColumn(i).getString());
      all += "\n";
    }
  }
  return all;
}

void check_untouched(const std::string& path, const std::string& contents) {
  CHECK(number(path, "PRAGMA user_version") == 1);
  CHECK((contents_of(path) == contents));
}

}  // namespace

TEST_CASE("a database of version 1 is brought up to date with everything in it") {
  ScratchDir dir;
  const std::string path = version_1(dir);
  Stored store = must(open_sqlite({.path = path, .create = false}));
  CHECK(number(path, "PRAGMA user_version") == schema_version());
  CHECK(must(check_sqlite(path)).empty());
  CHECK(store->id() == must(open_sqlite({.path = path}))->id());

  std::vector<JobListing> jobs = must(store->list_jobs(""));
  REQUIRE(jobs.size() == 6);
  const job::Job nightly = must(store->find_job("nightly")).value();
  CHECK(nightly.definition.schedule.cron == "30 2 * * *");
  CHECK(nightly.definition.schedule.timezone == "Europe/Amsterdam");
  CHECK(nightly.definition.action.command == std::vector<std::string>{"/bin/echo", "a b"});
  CHECK(nightly.definition.tags == std::vector<std::string>{"a", "b"});
  CHECK(nightly.definition.env.size() == 1);
  CHECK(nightly.definition.policy.max_attempts == 3);
  CHECK_FALSE(nightly.definition.policy.alert_grace);
  const job::Job every = must(store->find_job("every")).value();
  CHECK(every.paused);
  CHECK(every.paused_reason == "until the move is over");
  CHECK(must(store->find_job("by-hand"))->version == 2);
  CHECK(must(store->find_job("long")));
  CHECK(jobs.at(0).open_alerts == 0);

  CHECK(must(store->list_runs({})).size() == 15);
  const job::Run failed = must(store->get_run(RunId{1})).value();
  CHECK(failed.state == job::RunState::failed);
  CHECK(failed.result.exit_code == 3);
  CHECK(failed.result.output_tail == "out\n");
  CHECK(must(store->list_attempts(RunId{1})).size() == 1);
  CHECK(must(store->get_run(RunId{6}))->state == job::RunState::lost);
  CHECK(must(store->get_run(RunId{9}))->count == 9);
  const std::vector<job::Run> running = must(store->runs_in_state(job::RunState::running));
  REQUIRE(running.size() == 1);
  CHECK(running[0].id == RunId{14});
  CHECK(must(store->list_nodes()).size() == 1);
  CHECK(must(store->list_events({.limit = 99})).size() >= 2);
  CHECK(must(store->list_audit("", 99)).size() >= 11);
  // Nothing is promised twice, and no id is given again.
  job::Run same = must(store->get_run(RunId{3})).value();
  CHECK_FALSE(must(store->insert_run(same)));
  CHECK(add_job(*store, "new").id.value > must(store->find_job("long"))->id.value);
}

TEST_CASE("a database of version 2 is brought up to date with everything in it") {
  ScratchDir dir;
  const std::string path = file_of_version(2, dir, "s.db");
  Stored store = must(open_sqlite({.path = path, .create = false}));
  CHECK(number(path, "PRAGMA user_version") == schema_version());
  CHECK(must(check_sqlite(path)).empty());
  REQUIRE(must(store->list_jobs("")).size() == 5);
  const job::Job night = must(store->find_job("night")).value();
  CHECK(night.definition.schedule.cron == "45 2 * * *");
  CHECK(night.definition.schedule.weeks == 1);
  // Since when a schedule is what it is says the version that made it so.
  const std::vector<JobVersion> versions = must(store->versions_of("night"));
  REQUIRE(versions.size() == 2);
  CHECK(versions[0].definition.schedule.cron == "30 2 * * *");
  CHECK(night.defined_at == versions[1].since);
  CHECK(night.defined_at > versions[0].since);
  const job::Job fail = must(store->find_job("fail")).value();
  CHECK(fail.paused);
  CHECK_FALSE(fail.paused_until);
  CHECK(fail.definition.policy.alert_grace == std::chrono::minutes(3));
  CHECK_FALSE(fail.definition.policy.max_runs);
  CHECK(must(store->runs_in_state(job::RunState::running)).size() == 1);
  CHECK(must(store->list_alerts({})).size() == 1);
  CHECK(must(store->versions_of("gone")).size() == 1);
}

TEST_CASE("what is new in version 2 works in a database that was of version 1") {
  ScratchDir dir;
  Stored store = must(open_sqlite({.path = version_1(dir)}));
  job::Job job = must(store->find_job("nightly")).value();
  job.definition.policy.alert_grace = std::chrono::minutes(3);
  ++job.version;
  must(store->update_job(job));
  CHECK(must(store->find_job("nightly"))->definition.policy.alert_grace == std::chrono::minutes(3));
  job::Alert alert;
  alert.job_id = job.id;
  alert.tell_at = at(1);
  must(store->insert_alert(alert));
  CHECK(must(store->alerts_to_tell(at(1), 9)).size() == 1);
  Message message;
  message.notifier = "slack";
  must(store->insert_message(message));
  must(store->put_notifier({.name = "slack"}));
  CHECK(must(store->waiting_messages("slack", 9)).size() == 1);
  CHECK(must(check_sqlite(dir.file("s.db"))).empty());
}

TEST_CASE("before a migration the database is kept as it was") {
  ScratchDir dir;
  const std::string path = version_1(dir);
  const std::string before = contents_of(path);
  must(open_sqlite({.path = path}));
  const std::vector<std::string> backups = backups_in(dir);
  REQUIRE(backups.size() == 1);
  CHECK(backups[0].starts_with(path + ".v1-"));
  check_untouched(backups[0], before);
  struct stat st {};
  REQUIRE(::stat(backups[0].c_str(), &st) == 0);
  CHECK((st.st_mode & 07777) == 0600);

  // Once, and not for a database that is made.
  must(open_sqlite({.path = path}));
  must(open_sqlite({.path = dir.file("new.db")}));
  CHECK(backups_in(dir).size() == 1);

  // It can be put back, and goes the same way again.
  must(restore_sqlite(backups[0], path, at(0)));
  CHECK(number(path, "PRAGMA user_version") == 1);
  CHECK(must(must(open_sqlite({.path = path}))->list_jobs("")).size() == 6);
  CHECK(backups_in(dir).size() == 2);
}

TEST_CASE("an older database is checked and backed up as it is") {
  ScratchDir dir;
  const std::string path = version_1(dir);
  const std::string before = contents_of(path);
  CHECK(must(check_sqlite(path)).empty());
  must(backup_sqlite(path, dir.file("copy")));
  check_untouched(path, before);
  check_untouched(dir.file("copy"), before);
  CHECK(backups_in(dir).empty());
}

TEST_CASE("eight processes that open an older database at once migrate it once") {
  ScratchDir dir;
  const std::string path = version_1(dir);
  std::array<int, 2> gate{};
  REQUIRE(::pipe(gate.data()) == 0);
  const UniqueFd wait_here(gate[0]);
  UniqueFd open_here(gate[1]);
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    const pid_t pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      open_here.reset();
      char byte = 0;
      static_cast<void>(!::read(wait_here.get(), &byte, 1));
      auto store = open_sqlite({.path = path, .busy_timeout = std::chrono::seconds(60)});
      if (!store) std::fprintf(stderr, "%s\n", store.error().message.c_str());
      const auto jobs = store ? (*store)->list_jobs("") : Result<std::vector<JobListing>>();
      ::_exit(store && jobs && jobs->size() == 6 ? 0 : 1);
    }
    children.push_back(pid);
  }
  open_here.reset();
  for (const pid_t pid : children) {
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    CHECK(status == 0);
  }
  CHECK(number(path, "PRAGMA user_version") == schema_version());
  CHECK(backups_in(dir).size() == 1);
  CHECK(must(check_sqlite(path)).empty());
}

TEST_CASE("without a backup there is no migration") {
  ScratchDir dir;
  // Long enough that the backup's name is too long, and the name of the -wal is not.
  const std::string path = version_1(dir, std::string(240, 'x'));
  const std::string before = contents_of(path);
  Error error = error_of(open_sqlite({.path = path}));
  CHECK(says(error, "of an older version (1) and was left as it is"));
  CHECK(says(error, "the backup that is made first failed: "));
  CHECK(says(error, "File name too long"));
  check_untouched(path, before);

  const std::string other = version_1(dir);
  Result<Stored> opened;
  {
    TightDisk tight(64 * 1024);
    opened = open_sqlite({.path = other});
  }
  error = error_of(opened);
  CHECK(error.kind == ErrorKind::unavailable);
  CHECK(says(error, "was left as it is"));
  check_untouched(other, before);
  CHECK(backups_in(dir).empty());
  CHECK(must(must(open_sqlite({.path = other}))->list_jobs("")).size() == 6);
}

TEST_CASE("a damaged database of an older version is left as it is") {
  ScratchDir dir;
  const std::string path = version_1(dir);
  const std::int64_t page = number(path, "SELECT max(pageno) FROM dbstat WHERE name = 'run'");
  std::string bytes = read_file(path);
  std::fill_n(bytes.begin() + (page - 1) * 4096, 4096, '\x55');
  write_file(path, bytes);
  const Error error = error_of(open_sqlite({.path = path}));
  CHECK(error.kind == ErrorKind::config);
  CHECK(says(error, "was left as it is"));
  CHECK(says(error, path + " is damaged"));
  CHECK(number(path, "PRAGMA user_version") == 1);
  CHECK(backups_in(dir).empty());
}

TEST_CASE("a migration that fails in its middle leaves what was there") {
  ScratchDir dir;
  const std::string path = version_1(dir);
  stranger(path).exec("CREATE TABLE notifier(x)");
  const std::string before = contents_of(path);
  for (int round = 0; round < 2; ++round) {
    CHECK(error_of(open_sqlite({.path = path})).kind == ErrorKind::config);
    check_untouched(path, before);
  }
  stranger(path).exec("DROP TABLE notifier");
  CHECK(must(must(open_sqlite({.path = path}))->list_jobs("")).size() == 6);
  // Each try was kept, also those of one second.
  CHECK(backups_in(dir).size() == 3);
}

TEST_CASE("rows that point nowhere do not keep a database from being migrated") {
  ScratchDir dir;
  const std::string path = version_1(dir);
  stranger(path).exec("DELETE FROM job_version; DELETE FROM run WHERE id = 1");
  CHECK(must(must(open_sqlite({.path = path}))->list_jobs("")).size() == 6);
}

}  // namespace schedctl::store
