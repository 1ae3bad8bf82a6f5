// Copies are made by SQLite's own backup, in one step: a reader of a WAL database sees one moment
// of it and holds up no writer, so that a copy of a busy database is consistent and comes to its
// end. A copy is one file (no -wal), is checked before it gets its name, and gets it only if
// nothing else has it.
//
// A restored database gets a new store id. Ids of runs, and their fences, go on from where the
// backup was made, so they have been used before; the keeper names a run by (store, run, fence),
// and must not take a run of now for one of then that it still knows. What the backup says is
// running is lost, then: no keeper knows it under the new id.

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <SQLiteCpp/Backup.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "schedctl/base/unique_fd.hpp"
#include "src/store/new_id.hpp"
#include "src/store/sqlite/schema.hpp"

namespace schedctl::store {
namespace {

using sqlite::Database;
using sqlite::Query;

/// As many findings as anybody reads.
constexpr const char* kIntegrity = "PRAGMA integrity_check(50)";

struct RowCheck {
  int since_version;
  const char* sql;
  const char* finding;
};
constexpr std::array kRowChecks = {
    RowCheck{1, "SELECT count(*) FROM attempt WHERE run_id NOT IN (SELECT id FROM run)",
             "attempts of runs that do not exist"},
    RowCheck{1,
             "SELECT count(*) FROM job WHERE NOT EXISTS (SELECT 1 FROM job_version AS v WHERE "
             "v.job_id = job.id AND v.version = job.version)",
             "jobs whose present definition is not among their versions"},
    RowCheck{2,
             "SELECT count(*) FROM alert WHERE ended_at IS NULL AND job_id <> 0 AND job_id NOT IN "
             "(SELECT id FROM job)",
             "open alerts of jobs that do not exist"},
};

Result<std::vector<std::string>> findings_of(Database& database) {
  TRY(const std::int64_t version, sqlite::version_of(database));
  return database.read([&]() -> Result<std::vector<std::string>> {
    std::vector<std::string> findings;
    SQLite::Statement integrity(database.raw(), kIntegrity);
    for (Query rows(integrity); rows.next();) {
      std::string line(rows.text());
      if (line != "ok") findings.push_back(std::move(line));
    }
    // Where pages are damaged, what rows say is noise.
    if (!findings.empty()) return findings;
    for (const RowCheck& check : kRowChecks) {
      if (version < check.since_version) continue;
      SQLite::Statement statement(database.raw(), check.sql);
      Query row(statement);
      std::int64_t count = 0;
      if (row.next()) row.read(count);
      if (count > 0) findings.push_back(std::to_string(count) + " " + check.finding);
    }
    return findings;
  });
}

Result<void> expect_whole(const std::string& path) {
  TRY(const std::vector<std::string> findings, check_sqlite(path));
  if (findings.empty()) return {};
  return fail(ErrorKind::config, path + " is damaged: " + findings.front());
}

Result<void> sync(const std::string& path, int flags) {
  const UniqueFd fd(::open(path.c_str(), flags | O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd || ::fsync(fd.get()) != 0) {
    return fail(error_from_errno("cannot write " + path + " to the disk", errno));
  }
  return {};
}

Result<void> sync_directory_of(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return sync(parent.empty() ? "." : parent, O_DIRECTORY);
}

/// A file under a name of its own for as long as it is not finished; gone with it.
class Unfinished {
 public:
  static Result<Unfinished> make(const std::string& beside) {
    const std::string path = beside + ".part-" + std::to_string(::getpid());
    ::unlink(path.c_str());
    if (::mknod(path.c_str(), S_IFREG | 0600, 0) != 0) {
      return fail(error_from_errno("cannot make " + path, errno));
    }
    return Unfinished(path);
  }
  Unfinished(Unfinished&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  Unfinished& operator=(Unfinished&&) = delete;
  ~Unfinished() {
    if (path_.empty()) return;
    for (const char* suffix : {"", "-journal", "-wal", "-shm"}) ::unlink((path_ + suffix).c_str());
  }
  const std::string& path() const { return path_; }

 private:
  explicit Unfinished(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

/// Copies into `to`, which is made and empty; with a new store id if that is wished.
Result<void> copy(const std::string& from, const std::string& to, bool new_store_id) {
  TRY(const std::unique_ptr<Database> source, Database::open({.path = from, .create = false}));
  TRY(const std::unique_ptr<Database> target, Database::open({.path = to, .create = false}));
  TRY_VOID(source->read([&]() -> Result<void> {
    SQLite::Backup backup(target->raw(), source->raw());
    backup.executeStep(-1);
    return {};
  }));
  TRY_VOID(target->read([&]() -> Result<void> {
    // The copied header says WAL, which would want files beside it.
    SQLite::Statement one_file(target->raw(), "PRAGMA journal_mode=DELETE");
    one_file.executeStep();
    if (!new_store_id) return {};
    SQLite::Statement rename(target->raw(), "UPDATE store_meta SET id = ?");
    Query(rename, new_id()).run();
    return {};
  }));
  return {};
}

Error in_words(Error error, const std::string& what) {
  error.message = what + ": " + error.message;
  return error;
}

bool exists(const std::string& path) {
  struct stat st {};
  return ::lstat(path.c_str(), &st) == 0;
}

/// Brings what lies in the -wal into the database itself. False: it cannot be, or not be read.
bool fold_wal(const std::string& path) {
  auto database = Database::open({.path = path, .create = false});
  if (!database) return false;
  const auto folded = (*database)->read([&]() -> Result<bool> {
    SQLite::Statement checkpoint((*database)->raw(), "PRAGMA wal_checkpoint(TRUNCATE)");
    return checkpoint.executeStep() && checkpoint.getColumn(0).getInt() == 0;
  });
  return folded && *folded;
}

std::string stamp(Time now) {
  std::string text = format_rfc3339(std::chrono::floor<std::chrono::seconds>(now));
  std::erase_if(text, [](char c) { return c == ':' || c == '-'; });
  return text;
}

}  // namespace

Result<std::vector<std::string>> check_sqlite(const std::string& path) {
  TRY(const std::unique_ptr<Database> database, Database::open({.path = path, .create = false}));
  return findings_of(*database);
}

Result<void> backup_sqlite(const std::string& from, const std::string& to) {
  if (exists(to)) return fail(ErrorKind::conflict, to + " exists already; name another file");
  TRY(const Unfinished part, Unfinished::make(to));
  const Result<void> copied = copy(from, part.path(), false);
  if (!copied) return fail(in_words(copied.error(), "no backup was made"));
  TRY_VOID(expect_whole(part.path()));
  TRY_VOID(sync(part.path(), 0));
  // A link, unlike a rename, replaces nothing.
  if (::link(part.path().c_str(), to.c_str()) != 0) {
    if (errno == EEXIST)
      return fail(ErrorKind::conflict, to + " exists already; name another file");
    return fail(error_from_errno("cannot make " + to, errno));
  }
  return sync_directory_of(to);
}

Result<std::string> restore_sqlite(const std::string& from, const std::string& path, Time now) {
  TRY_VOID(expect_whole(from));
  TRY(const Unfinished part, Unfinished::make(path));
  const Result<void> copied = copy(from, part.path(), true);
  if (!copied) return fail(in_words(copied.error(), "nothing was restored"));
  TRY_VOID(expect_whole(part.path()));
  TRY_VOID(sync(part.path(), 0));
  std::string kept;
  if (exists(path)) {
    kept = path + ".before-restore-" + stamp(now);
    const bool whole = fold_wal(path);
    if (::link(path.c_str(), kept.c_str()) != 0) {
      return fail(error_from_errno("cannot keep the old database as " + kept, errno));
    }
    if (!whole && exists(path + "-wal")) {
      if (::link((path + "-wal").c_str(), (kept + "-wal").c_str()) != 0) {
        return fail(error_from_errno("cannot keep " + path + "-wal", errno));
      }
    }
    TRY_VOID(sync_directory_of(path));
  }
  // Before the new file has the name: it would be mended with what another database's -wal says.
  for (const char* suffix : {"-wal", "-shm"}) ::unlink((path + suffix).c_str());
  TRY_VOID(sync_directory_of(path));
  if (::rename(part.path().c_str(), path.c_str()) != 0) {
    return fail(error_from_errno("cannot put " + path + " in its place", errno));
  }
  TRY_VOID(sync_directory_of(path));
  return kept;
}

}  // namespace schedctl::store
