#include "src/store/sqlite/database.hpp"

#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <thread>

#include "schedctl/base/check.hpp"

// The file is made by mknod(2), not by open(2): it appears at once with its mode (the -wal and -shm
// files take theirs from it), never through a symbolic link, and without a descriptor. Closing a
// descriptor of a database would drop the locks of every SQLite connection this process has to it
// (fcntl locks belong to the process), so nothing in here ever opens the file but SQLite.

namespace schedctl::store::sqlite {
namespace {

constexpr mode_t kMode = 0600;

int milliseconds(Duration d) {
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(d).count());
}

Result<void> make_file(const std::string& path) {
  if (::mknod(path.c_str(), S_IFREG | kMode, 0) == 0 || errno == EEXIST) return {};
  int error = errno;
  std::string parent = std::filesystem::path(path).parent_path().string();
  if (error == ENOENT || error == ENOTDIR)
    return fail(ErrorKind::config,
                "cannot make the database " + path + ": there is no directory " +
                    (parent.empty() ? "." : parent) + "; make it, or name another place",
                "store");
  if (error == ENOSPC || error == EDQUOT)
    return fail(ErrorKind::unavailable, "no space left on the disk of " + path);
  if (error == EROFS)
    return fail(ErrorKind::not_allowed,
                "cannot make the database " + path + ": " + errno_text(error));
  return fail(error_from_errno("cannot make the database " + path, error));
}

/// There must be a regular file that nobody else writes; a link might lead root anywhere.
Result<void> find_file(const SqliteOptions& options) {
  const std::string& path = options.path;
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) {
    if (errno != ENOENT && errno != ENOTDIR)
      return fail(error_from_errno("cannot reach the database " + path, errno));
    if (!options.create) return fail(ErrorKind::not_found, "there is no database " + path);
    TRY_VOID(make_file(path));
    if (::lstat(path.c_str(), &st) != 0)
      return fail(error_from_errno("cannot reach the database " + path, errno));
  }
  if (S_ISLNK(st.st_mode))
    return fail(ErrorKind::config,
                "the database " + path + " is a symbolic link; name the file it leads to", "store");
  if (!S_ISREG(st.st_mode)) return fail(ErrorKind::config, path + " is not a file", "store");
  if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return fail(ErrorKind::config,
                "others may write the database " + path +
                    ", and who writes it decides what is run; say chmod 600 " + path,
                "store");
  return {};
}

/// SQLite says of a companion file that it cannot make only that it is not there.
bool is_out_of_inodes(const std::string& path) {
  struct statvfs disk {};
  return ::statvfs(path.c_str(), &disk) == 0 && disk.f_files > 0 && disk.f_favail == 0;
}

Error no_inodes(const std::string& path) {
  return {ErrorKind::unavailable, "no inodes left on the disk of " + path +
                                      ": it has too many files; df -i shows how many it may have"};
}

/// SQLite gives some names a meaning of their own (":memory:", "file:...").
std::string plain_path(const std::string& path) {
  return path.starts_with('/') ? path : "./" + path;
}

}  // namespace

Result<std::unique_ptr<Database>> Database::open(const SqliteOptions& options) {
  // Counting its memory costs SQLite a lock at each allocation, an eighth of a busy runner's time.
  // Before the first connection of the process; later it is refused, which does no harm.
  [[maybe_unused]] static const int uncounted = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  TRY_VOID(find_file(options));
  try {
    return std::unique_ptr<Database>(new Database(options));
  } catch (const SQLite::Exception& e) {
    const bool forbidden = errno == EACCES || errno == EPERM;
    return fail(forbidden ? ErrorKind::not_allowed : ErrorKind::unavailable,
                "cannot open the database " + options.path + ": " +
                    (errno != 0 ? errno_text(errno) : e.what()));
  }
}

Database::Database(const SqliteOptions& options)
    : options_(options),
      connection_(plain_path(options.path), SQLite::OPEN_READWRITE | SQLite::OPEN_NOMUTEX,
                  milliseconds(options.busy_timeout)) {
  // Until configure(), even the WAL of a stranger's database stays as it is.
  sqlite3_db_config(connection_.getHandle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
}

Database::~Database() {
  was_moved();
}

void Database::configure() {
  // The change to WAL takes an exclusive lock without asking the busy handler, so that of several
  // processes that make a database at once all but one are refused: wait here instead.
  auto deadline = std::chrono::steady_clock::now() + options_.busy_timeout;
  while (true) {
    try {
      Statement wal(connection_, "PRAGMA journal_mode=WAL");
      wal.executeStep();
      break;
    } catch (const SQLite::Exception& e) {
      if (e.getErrorCode() != SQLITE_BUSY || std::chrono::steady_clock::now() >= deadline) throw;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  connection_.exec(
      "PRAGMA synchronous=FULL;"
      "PRAGMA foreign_keys=OFF;"
      "PRAGMA trusted_schema=OFF;"
      // Whatever the number of jobs and runs, this is what they cost in memory (KiB).
      "PRAGMA cache_size=-8192;"
      // Sorting a listing must not need space in /tmp.
      "PRAGMA temp_store=MEMORY;"
      // A burst may make the WAL long; the next checkpoint cuts it back to this.
      "PRAGMA journal_size_limit=16777216");
  sqlite3_db_config(connection_.getHandle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, nullptr);
}

bool Database::was_moved() {
  int moved = 0;
  sqlite3_file_control(connection_.getHandle(), "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  // Without its WAL the file is a database of the past, which the next process would go on with.
  // With another shared memory that process would neither see this one's locks nor what it wrote.
  const bool gone = moved != 0 || is_not("-wal", wal_inode_) || is_not("-shm", shm_inode_);
  if (gone != gone_) {
    gone_ = gone;
    // Nor may this connection, when it is closed, put what it knows of the WAL into the database
    // and remove it: others may have written there since.
    sqlite3_db_config(connection_.getHandle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, gone ? 1 : 0,
                      nullptr);
  }
  return gone;
}

/// Whether the companion is another file than the one that was seen first, or none.
bool Database::is_not(const char* suffix, std::optional<ino_t>& inode) const {
  struct stat st {};
  const bool exists = ::stat((options_.path + suffix).c_str(), &st) == 0;
  if (!inode && exists) inode = st.st_ino;
  return inode && (!exists || st.st_ino != *inode);
}

Result<void> Database::begin() {
  CHECK(!in_transaction_);
  // SQLite would go on with a file that nobody else can see.
  if (was_moved())
    return fail(ErrorKind::config, "the database " + options_.path +
                                       " (or its -wal or -shm) was removed or replaced while it "
                                       "was in use; put it back, or restart");
  TRY_VOID(read([this]() -> Result<void> {
    run("BEGIN IMMEDIATE");
    return {};
  }));
  in_transaction_ = true;
  return {};
}

Result<void> Database::commit() {
  CHECK(in_transaction_);
  Result<void> done = read([this]() -> Result<void> {
    run("COMMIT");
    return {};
  });
  if (!done) {
    rollback();
    return done;
  }
  in_transaction_ = false;
  return {};
}

void Database::rollback() {
  if (!in_transaction_) return;
  in_transaction_ = false;
  failure_.reset();
  // Where SQLite has rolled back already (disk full, I/O error) there is nothing left to do.
  if (sqlite3_get_autocommit(connection_.getHandle()) == 0) connection_.tryExec("ROLLBACK");
}

std::uint64_t Database::revision() {
  unsigned version = 0;
  // What it could not tell is no revision that was there before.
  if (sqlite3_file_control(connection_.getHandle(), "main", SQLITE_FCNTL_DATA_VERSION, &version) !=
      SQLITE_OK)
    return UINT64_MAX - ++unknown_revisions_;
  return version;
}

Statement::Statement(SQLite::Database& database, const std::string& sql)
    : SQLite::Statement(database, sql),
      // SQLiteCpp keeps it to itself; SQLite lists the youngest first.
      handle_(sqlite3_next_stmt(database.getHandle(), nullptr)) {
  while (handle_ != nullptr && sqlite3_sql(handle_) != sql)
    handle_ = sqlite3_next_stmt(database.getHandle(), handle_);
  CHECK(handle_ != nullptr);
}

Statement& Database::statement(const char* sql) {
  auto it = statements_.find(sql);
  if (it == statements_.end()) it = statements_.emplace(sql, Statement(connection_, sql)).first;
  return it->second;
}

Error Database::failed(const SQLite::Exception& e) {
  Error error = error_of(e);
  if (in_transaction_) failure_ = error;
  return error;
}

/// SQLite keeps the errno of a statement that failed, but not of a commit: its files know it.
int Database::last_errno() const {
  sqlite3* db = connection_.getHandle();
  int error = sqlite3_system_errno(db);
  sqlite3_file* wal = nullptr;
  if (error == 0 &&
      sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal) == SQLITE_OK &&
      wal != nullptr && wal->pMethods != nullptr)
    wal->pMethods->xFileControl(wal, SQLITE_FCNTL_LAST_ERRNO, &error);
  if (error == 0) sqlite3_file_control(db, "main", SQLITE_FCNTL_LAST_ERRNO, &error);
  return error;
}

Error Database::error_of(const SQLite::Exception& e) const {
  const std::string& path = options_.path;
  const int os_error = last_errno();
  const std::string why = os_error != 0 ? errno_text(os_error) : e.what();
  Error read_only = {ErrorKind::not_allowed,
                     "database " + path +
                         " cannot be written: check who owns the file and its directory, and "
                         "that the file system is writable"};
  switch (e.getErrorCode()) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {ErrorKind::unavailable, "database " + path +
                                          " is locked by another process (waited " +
                                          format_duration(options_.busy_timeout) +
                                          "); try again, or look who holds it: fuser " + path};
    case SQLITE_FULL:
      return {ErrorKind::unavailable, "no space left on the disk of " + path};
    case SQLITE_IOERR:
      return {ErrorKind::unavailable, "cannot read or write the database " + path + ": " + why};
    case SQLITE_NOMEM:
      return {ErrorKind::unavailable, "out of memory while using the database " + path};
    case SQLITE_CANTOPEN:
      // The file could be opened for reading only, and its WAL not be made.
      if (sqlite3_db_readonly(connection_.getHandle(), "main") == 1) return read_only;
      if (is_out_of_inodes(path)) return no_inodes(path);
      return {
          os_error == EACCES || os_error == EPERM ? ErrorKind::not_allowed : ErrorKind::unavailable,
          "cannot open the database " + path + ": " + why};
    case SQLITE_READONLY:
      if (e.getExtendedErrorCode() == SQLITE_READONLY_DBMOVED)
        return {ErrorKind::config,
                "database " + path + " was moved or removed while it was in use; put it back"};
      return read_only;
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return {ErrorKind::not_allowed, "database " + path + " cannot be used: " + e.what()};
    case SQLITE_NOTADB:
      return {ErrorKind::config, path + " is not a schedctl database", "store"};
    case SQLITE_CORRUPT:
    case SQLITE_ERROR:  // a table or a column is missing
      return {ErrorKind::config, "database " + path + " is damaged (" + e.what() +
                                     "); put back a backup (schedctl db restore FILE), or move it "
                                     "away to begin a new one"};
    default:
      return {ErrorKind::failed, "database " + path + ": " + e.what()};
  }
}

}  // namespace schedctl::store::sqlite
