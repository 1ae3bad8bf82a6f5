#include "schedctl/store/glance.hpp"

#include <sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "src/store/sqlite/schema.hpp"

// A reader in WAL mode usually makes the -wal and -shm files where there are none, and clears up
// behind a process that died. This one is asked by a shell while somebody types, perhaps as root in
// a directory of the daemon's, so it may do neither. Three states:
//   no WAL, or an empty one   everything is in the database: read as if nobody could change it. If
//                             somebody does meanwhile, a word is missing or the reading fails.
//   a WAL, and -shm           read under the shared locks of a reader, through a descriptor that
//                             cannot write; where nobody else is there, SQLite makes its index of
//                             the WAL in memory.
//   a WAL without -shm        as the first: what the WAL has is not told.

namespace schedctl::store {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kLockPatienceMs = 30;
/// A database that is huge, damaged or on a slow disk is left after that.
constexpr auto kPatience = std::chrono::milliseconds(120);
/// So many instructions of SQLite's between two looks at the clock: well under a millisecond.
constexpr int kInstructions = 2000;

struct CloseDatabase {
  void operator()(sqlite3* db) const { sqlite3_close(db); }
};
struct EndStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Connection = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, EndStatement>;

/// A word and a note a row. Older schemas have these columns, too.
const char* query(Glance what) {
  switch (what) {
    case Glance::jobs:
      return "SELECT name, '' FROM job ORDER BY name";
    case Glance::paused_jobs:
      return "SELECT name, '' FROM job WHERE paused = 1 ORDER BY name";
    case Glance::tags:
      return "SELECT DISTINCT value, '' FROM job, json_each(job.tags) ORDER BY value";
    case Glance::living_runs:
      // Each half has an index of its own to go by.
      return "SELECT '#' || id, job_name FROM run WHERE state = 'running' UNION ALL "
             "SELECT '#' || id, job_name FROM run WHERE state = 'pending' AND attempt > 1";
    case Glance::open_alerts:
      return "SELECT '#' || alert.id, coalesce(job.name, '') FROM alert "
             "LEFT JOIN job ON job.id = alert.job_id WHERE alert.ended_at IS NULL "
             "ORDER BY alert.id";
  }
  return "";
}

/// What a URI gives a meaning is escaped.
std::string uri(const std::string& path, const char* parameters) {
  std::string out = "file:";
  for (const char c : path) {
    if (c == '%' || c == '?' || c == '#') {
      static constexpr const char* kHex = "0123456789ABCDEF";
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kHex[byte >> 4U], kHex[byte & 15U]};
    } else {
      out += c;
    }
  }
  return out + parameters;
}

/// A pipe would be waited for, and a link may lead anywhere.
bool is_file(const std::string& path, off_t at_least) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         status.st_size >= at_least;
}

Connection open(const std::string& path) {
  if (!path.starts_with('/') || !is_file(path, 1)) return nullptr;
  const bool is_live = is_file(path + "-wal", 1) && is_file(path + "-shm", 0);
  const std::string name = uri(path, is_live ? "?mode=ro&readonly_shm=1" : "?mode=ro&immutable=1");
  sqlite3* opened = nullptr;
  const int code = sqlite3_open_v2(
      name.c_str(), &opened, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, nullptr);
  Connection db(opened);
  if (code != SQLITE_OK) return nullptr;
  sqlite3_db_config(db.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_db_config(db.get(), SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_busy_timeout(db.get(), kLockPatienceMs);
  return db;
}

Statement prepare(const Connection& db, const char* sql) {
  sqlite3_stmt* prepared = nullptr;
  sqlite3_prepare_v2(db.get(), sql, -1, &prepared, nullptr);
  return Statement(prepared);
}

bool is_ours(const Connection& db) {
  const Statement label = prepare(db, "PRAGMA application_id");
  return label && sqlite3_step(label.get()) == SQLITE_ROW &&
         sqlite3_column_int(label.get(), 0) == sqlite::kApplicationId;
}

std::string text(const Statement& statement, int column) {
  const auto* bytes = sqlite3_column_text(statement.get(), column);
  return bytes == nullptr ? "" : reinterpret_cast<const char*>(bytes);
}

/// Names, tags and numbers are; what somebody else wrote into the file need not be.
bool is_plain(const std::string& word) {
  return !word.empty() && word.find_first_not_of(
                              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                              "._-#@:/+") == std::string::npos;
}

int is_late(void* deadline) {
  return Clock::now() > *static_cast<Clock::time_point*>(deadline) ? 1 : 0;
}

}  // namespace

std::vector<Glimpse> glance_at_sqlite(const std::string& path, Glance what, std::size_t limit) {
  Clock::time_point deadline = Clock::now() + kPatience;
  const Connection db = open(path);
  if (!db) return {};
  sqlite3_progress_handler(db.get(), kInstructions, is_late, &deadline);
  if (!is_ours(db)) return {};
  const Statement rows = prepare(db, query(what));
  std::vector<Glimpse> found;
  while (rows && found.size() < limit && sqlite3_step(rows.get()) == SQLITE_ROW) {
    Glimpse glimpse{text(rows, 0), text(rows, 1)};
    if (!glimpse.note.empty() && !is_plain(glimpse.note)) glimpse.note.clear();
    if (is_plain(glimpse.word)) found.push_back(std::move(glimpse));
  }
  return found;
}

}  // namespace schedctl::store
