// Copies are made by SQLite's own backup, in one step: a reader of a WAL database sees one moment
// of it and holds up no writer, so that a copy of a busy database is consistent and comes to its
// end. A copy is one file (no -wal), is checked before it gets its name, and gets it only if
// nothing else has it. Rows that point nowhere are no reason to refuse a copy: they were so before,
// and the scheduler lives with them.
//
// A restored database gets a new store id. Ids of runs, and their fences, go on from where the
// backup was made, so they have been used before; the keeper names a run by (store, run, fence),
// and must not take a run of now for one of then that it still knows. What the backup says is
// running is lost, then: no keeper knows it under the new id. Its keeper's name is taken out of it,
// or, should that one still live, not to know a run would mean that it was never started.
//
// The old database keeps its name until the new one takes it in one step. What must not be left
// beside it by then is its -wal (or -journal), from which SQLite would mend the new one. So the
// -wal is brought into the old database first; only that of a database that is damaged anyhow is
// set aside with it.

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include "schedctl/base/crash_point.hpp"
#include "schedctl/base/text.hpp"
#include "schedctl/base/unique_fd.hpp"
#include "src/store/new_id.hpp"
#include "src/store/sqlite/maintenance.hpp"
#include "src/store/sqlite/schema.hpp"

namespace schedctl::store {
namespace {

using sqlite::Database;
using sqlite::Query;
using sqlite::Statement;

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

Result<std::vector<std::string>> findings_in_pages(Database& database) {
  return database.read([&]() -> Result<std::vector<std::string>> {
    std::vector<std::string> findings;
    Statement integrity(database.raw(), kIntegrity);
    for (Query rows(integrity); rows.next();) {
      std::string line(rows.text());
      if (line != "ok") findings.push_back(std::move(line));
    }
    return findings;
  });
}

Result<std::vector<std::string>> findings_in_rows(Database& database, std::int64_t version) {
  return database.read([&]() -> Result<std::vector<std::string>> {
    std::vector<std::string> findings;
    for (const RowCheck& check : kRowChecks) {
      if (version < check.since_version) continue;
      Statement statement(database.raw(), check.sql);
      Query row(statement);
      std::int64_t count = 0;
      if (row.next()) row.read(count);
      if (count > 0) findings.push_back(std::to_string(count) + " " + check.finding);
    }
    return findings;
  });
}

bool is_there(const std::string& path) {
  struct stat st {};
  return ::lstat(path.c_str(), &st) == 0;
}

/// Of a file that is to be made or named.
Error file_error(const std::string& what, int error_number) {
  Error error = error_from_errno(what, error_number);
  if (error_number == ENOSPC || error_number == EDQUOT) error.kind = ErrorKind::unavailable;
  if (error_number == EROFS) error.kind = ErrorKind::not_allowed;
  return error;
}

std::string directory_of(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

Result<void> sync_directory_of(const std::string& path) {
  const std::string directory = directory_of(path);
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd && ::fsync(fd.get()) == 0) return {};
  // Some network file systems have nothing to do there, and say so.
  if (fd && (errno == EINVAL || errno == EOPNOTSUPP)) return {};
  return fail(file_error("cannot write " + directory + " to the disk", errno));
}

/// A file under a name of its own for as long as it is not finished; gone with it. The process in
/// its name tells it from what one left that was killed: a lock would, where flock(2) is made of
/// fcntl(2) as on NFS, keep SQLite itself from the file.
class Unfinished {
 public:
  static Result<Unfinished> make(const std::string& beside) {
    sweep(beside);
    const std::string path = beside + kInfix + std::to_string(::getpid());
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return fail(file_error("cannot make " + path, errno));
    return Unfinished(path, std::move(fd));
  }
  Unfinished(Unfinished&& other) noexcept
      : path_(std::exchange(other.path_, "")), fd_(std::move(other.fd_)) {}
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  Unfinished& operator=(Unfinished&&) = delete;
  ~Unfinished() { remove(path_); }
  const std::string& path() const { return path_; }
  Result<void> sync() const {
    if (::fsync(fd_.get()) == 0) return {};
    return fail(file_error("cannot write " + path_ + " to the disk", errno));
  }
  /// What root restores must stay usable for whoever the database belongs to.
  Result<void> give_to(uid_t user, gid_t group) const {
    if (::geteuid() != 0 || ::fchown(fd_.get(), user, group) == 0) return {};
    return fail(file_error("cannot change the owner of " + path_, errno));
  }
  /// It has another name now.
  void release() { path_.clear(); }

 private:
  static constexpr const char* kInfix = ".part-";

  Unfinished(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  static void remove(const std::string& path) {
    if (path.empty()) return;
    // The file last: by its name the others are found, should this process be killed, too.
    for (const char* suffix : {"-journal", "-wal", "-shm", ""}) ::unlink((path + suffix).c_str());
  }

  /// Copies that were killed would fill the disk, one after the other.
  static void sweep(const std::string& beside) {
    const std::string prefix = std::filesystem::path(beside).filename().string() + kInfix;
    std::error_code error;
    for (std::filesystem::directory_iterator it(directory_of(beside), error), end;
         !error && it != end; it.increment(error)) {
      const std::string name = it->path().filename().string();
      if (!name.starts_with(prefix)) continue;
      const auto pid = parse_int(name.substr(prefix.size()));
      struct stat st {};
      if (!pid || *pid <= 0 || ::lstat(it->path().c_str(), &st) != 0) continue;
      const bool ours = S_ISREG(st.st_mode) && st.st_uid == ::geteuid();
      const auto maker = static_cast<pid_t>(*pid);
      const bool gone = maker == ::getpid() || (::kill(maker, 0) != 0 && errno == ESRCH);
      if (ours && gone) remove(it->path().string());
    }
  }

  std::string path_;
  UniqueFd fd_;
};

/// Is it the file that is read, and not the one that is written, of which a failed copy speaks?
bool is_of_source(int code) {
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return true;
    default:
      return code == SQLITE_IOERR_READ || code == SQLITE_IOERR_SHORT_READ ||
             code == SQLITE_IOERR_CORRUPTFS;
  }
}

/// The last one to close a whole database may bring its -wal into it, and leave one file. What is
/// damaged is left as it is.
void leave_tidily(Database& database) {
  sqlite3_db_config(database.raw().getHandle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, nullptr);
}

Result<void> copy_pages(Database& source, Database& target) {
  sqlite3_backup* backup =
      sqlite3_backup_init(target.raw().getHandle(), "main", source.raw().getHandle(), "main");
  if (backup == nullptr) return fail(target.error_of(SQLite::Exception(target.raw().getHandle())));
  const int code = sqlite3_backup_step(backup, -1);
  sqlite3_backup_finish(backup);
  if (code == SQLITE_DONE) return {};
  const Database& blamed = is_of_source(code) ? source : target;
  return fail(blamed.error_of(SQLite::Exception(sqlite3_errstr(code), code & 0xff)));
}

/// One file, which wants none beside it, though the copied header says WAL. What is wrong in it.
Result<std::vector<std::string>> finish(Database& copied, bool as_new_store) {
  TRY_VOID(copied.read([&]() -> Result<void> {
    Statement one_file(copied.raw(), "PRAGMA journal_mode=DELETE");
    one_file.executeStep();
    if (!as_new_store) return {};
    Statement rename(copied.raw(), "UPDATE store_meta SET id = ?");
    Query(rename, new_id()).run();
    copied.raw().exec("UPDATE run SET keeper = '' WHERE state = 'running'");
    return {};
  }));
  return findings_in_pages(copied);
}

Result<void> copy(const std::string& from, const std::string& to, bool as_new_store) {
  TRY(const std::unique_ptr<Database> source, Database::open({.path = from, .create = false}));
  TRY_VOID(sqlite::version_of(*source));
  TRY(const std::unique_ptr<Database> target, Database::open({.path = to, .create = false}));
  TRY_VOID(copy_pages(*source, *target));
  const auto findings = finish(*target, as_new_store);
  // What is wrong with the copy is wrong with the original.
  if (!findings && findings.error().kind == ErrorKind::config)
    return fail(ErrorKind::config, "the database " + from + " is damaged");
  if (!findings) return fail(findings.error());
  if (!findings->empty())
    return fail(ErrorKind::config, "the database " + from + " is damaged: " + findings->front());
  leave_tidily(*source);
  return {};
}

/// A checked copy of `from`, on the disk, beside `beside`, for which it is meant.
Result<Unfinished> checked_copy(const std::string& from, const std::string& beside,
                                bool as_new_store) {
  auto part = Unfinished::make(beside);
  Result<void> copied;
  if (part) copied = copy(from, part->path(), as_new_store);
  if (part && copied) copied = part->sync();
  if (part && copied) return part;
  Error error = part ? copied.error() : part.error();
  // Of the file that nobody asked for by its name people know nothing.
  const std::string name = beside + ".part-" + std::to_string(::getpid());
  if (const std::size_t at = error.message.find(name); at != std::string::npos)
    error.message.replace(at, name.size(), beside);
  return fail(std::move(error));
}

/// Gives it its name, unless something has that name.
Result<void> name_it(Unfinished& part, const std::string& to) {
  bool named =
      ::renameat2(AT_FDCWD, part.path().c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0;
  if (named) {
    part.release();
  } else if (errno == EINVAL || errno == ENOSYS) {
    // Not every file system can do that; those can make links.
    named = ::link(part.path().c_str(), to.c_str()) == 0;
  }
  if (named) return sync_directory_of(to);
  if (errno == EEXIST) return fail(ErrorKind::conflict, to + " exists already; name another file");
  return fail(file_error("cannot make " + to, errno));
}

Result<void> back_up(const std::string& from, const std::string& to, const std::string& beside) {
  struct stat st {};
  if (::lstat(to.c_str(), &st) == 0)
    return fail(ErrorKind::conflict,
                to + (S_ISDIR(st.st_mode) ? " is a directory; name a file in it"
                                          : " exists already; name another file"));
  TRY(Unfinished part, checked_copy(from, beside, false));
  CRASH_POINT("store.copied");
  return name_it(part, to);
}

/// Brings what lies in the -wal (or in a -journal) into the database itself. Where that cannot be
/// done, because it is damaged, nothing is lost by it. False: somebody else is using it.
bool fold_wal(const std::string& path) {
  auto database = Database::open({.path = path, .create = false});
  if (!database) return true;
  try {
    (*database)->raw().exec("SELECT count(*) FROM sqlite_schema");
    Statement checkpoint((*database)->raw(), "PRAGMA wal_checkpoint(TRUNCATE)");
    return !checkpoint.executeStep() || checkpoint.getColumn(0).getInt() == 0;
  } catch (const SQLite::Exception& e) {
    return e.getErrorCode() != SQLITE_BUSY && e.getErrorCode() != SQLITE_LOCKED;
  }
}

std::string stamp(Time now) {
  std::string text = format_rfc3339(std::chrono::floor<std::chrono::seconds>(now));
  std::erase_if(text, [](char c) { return c == ':' || c == '-'; });
  return text;
}

std::string unused(const std::string& wanted, const std::string& suffix = "") {
  std::string name = wanted + suffix;
  for (int n = 2; is_there(name); ++n) name = wanted + "-" + std::to_string(n) + suffix;
  return name;
}

/// Gives the old database a second name, which is returned.
Result<std::string> keep(const std::string& path, Time now) {
  if (!fold_wal(path))
    return fail(ErrorKind::conflict,
                "another program uses " + path + "; end it first (who it is: fuser " + path + ")");
  const std::string kept = unused(path + ".before-restore-" + stamp(now));
  // The database last: when its second name is there, all of it is.
  for (const std::string suffix : {"-wal", "-journal", ""}) {
    struct stat st {};
    if (!suffix.empty() && (::lstat((path + suffix).c_str(), &st) != 0 || st.st_size == 0))
      continue;
    if (::link((path + suffix).c_str(), (kept + suffix).c_str()) == 0) continue;
    const int error = errno;
    for (const char* made : {"-wal", "-journal"}) ::unlink((kept + made).c_str());
    return fail(file_error("cannot keep the old database as " + kept + suffix, error));
  }
  TRY_VOID(sync_directory_of(path));
  return kept;
}

/// The name that the old database has now.
Result<std::string> restore(const std::string& from, const std::string& path, Time now) {
  struct stat source {};
  struct stat old {};
  const bool has_old = ::lstat(path.c_str(), &old) == 0;
  if (has_old && !S_ISREG(old.st_mode))
    return fail(ErrorKind::config, path + ", where the database belongs, is not a file");
  if (has_old && ::stat(from.c_str(), &source) == 0 && source.st_dev == old.st_dev &&
      source.st_ino == old.st_ino)
    return fail(ErrorKind::conflict, from + " is the database itself; name a backup of it");
  TRY(Unfinished part, checked_copy(from, path, true));
  if (!has_old && ::stat(directory_of(path).c_str(), &old) != 0)
    return fail(file_error("cannot reach " + directory_of(path), errno));
  TRY_VOID(part.give_to(old.st_uid, old.st_gid));
  CRASH_POINT("store.copied");
  std::string kept;
  if (has_old) {
    TRY(kept, keep(path, now));
  }
  CRASH_POINT("store.kept");
  for (const char* suffix : {"-wal", "-shm", "-journal"}) ::unlink((path + suffix).c_str());
  TRY_VOID(sync_directory_of(path));
  CRASH_POINT("store.cleared");
  if (::rename(part.path().c_str(), path.c_str()) != 0) {
    return fail(file_error("cannot put " + path + " in its place" +
                               (kept.empty() ? "" : "; the old one is kept as " + kept),
                           errno));
  }
  part.release();
  CRASH_POINT("store.replaced");
  TRY_VOID(sync_directory_of(path));
  return kept;
}

Error in_words(Error error, const std::string& what) {
  error.message = what + ": " + error.message;
  return error;
}

}  // namespace

Result<std::vector<std::string>> check_sqlite(const std::string& path) {
  TRY(const std::unique_ptr<Database> database, Database::open({.path = path, .create = false}));
  TRY(const std::int64_t version, sqlite::version_of(*database));
  Result<std::vector<std::string>> findings = findings_in_pages(*database);
  // Some damage keeps even SQLite's check from coming to its end.
  if (!findings && findings.error().kind == ErrorKind::config)
    return std::vector{findings.error().message};
  // Where pages are damaged, what rows say is noise.
  if (!findings || !findings->empty()) return findings;
  leave_tidily(*database);
  return findings_in_rows(*database, version);
}

Result<SqliteSpace> space_of_sqlite(const std::string& path) {
  TRY(const std::unique_ptr<Database> database, Database::open({.path = path, .create = false}));
  TRY_VOID(sqlite::version_of(*database));
  SqliteSpace space;
  TRY_VOID(database->read([&]() -> Result<void> {
    const auto number = [&](const char* pragma) {
      Statement statement(database->raw(), pragma);
      return statement.executeStep() ? statement.getColumn(0).getInt64() : 0;
    };
    const std::int64_t page = number("PRAGMA page_size");
    space = {.bytes = page * number("PRAGMA page_count"),
             .free = page * number("PRAGMA freelist_count")};
    return {};
  }));
  leave_tidily(*database);
  return space;
}

Result<void> backup_sqlite(const std::string& from, const std::string& to) {
  const Result<void> made = back_up(from, to, to);
  if (!made) return fail(in_words(made.error(), "no backup was made"));
  return {};
}

Result<std::string> sqlite::backup_of_version(const std::string& path, std::int64_t version) {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  // A second one in this second is that of a process that was killed before it went on.
  const std::string to = unused(
      path + ".v" + std::to_string(version) + "-" + std::to_string(now.time_since_epoch().count()),
      ".bak");
  TRY_VOID(back_up(path, to, path));
  CRASH_POINT("store.backed-up");
  return to;
}

Result<std::string> restore_sqlite(const std::string& from, const std::string& path, Time now) {
  Result<std::string> kept = restore(from, path, now);
  if (kept) return kept;
  Error error = in_words(kept.error(), "nothing was restored");
  // It is a file on the command line that is spoken of, not the setting `store`.
  error.where.clear();
  return fail(std::move(error));
}

}  // namespace schedctl::store
