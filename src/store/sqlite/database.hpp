#pragma once

#include <sys/types.h>

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Exception.h>

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "schedctl/store/store.hpp"
#include "src/store/sqlite/query.hpp"

namespace schedctl::store::sqlite {

/// One connection to one file: its settings, its transaction, its prepared statements, and what its
/// failures mean to a person. Knows no table.
class Database {
 public:
  /// Makes the file if the options say so, and connects. The file may still be anything.
  static Result<std::unique_ptr<Database>> open(const SqliteOptions& options);
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database();

  const SqliteOptions& options() const { return options_; }
  SQLite::Database& raw() { return connection_; }

  /// Switches to WAL and sets what a connection must set each time. Not before it is certain that
  /// the file is ours.
  void configure();

  Result<void> begin();
  Result<void> commit();
  void rollback();
  /// Of what the connection has seen last, which within a transaction is the database.
  std::uint64_t revision();

  /// A cached statement, ready for a Query. `sql` must be a constant: its address is the key.
  Statement& statement(const char* sql);

  /// Calls `verb`, which returns a Result and may throw SQLite::Exception. After a failure inside
  /// a transaction nothing more is done until rollback(): SQLite may have rolled back by itself,
  /// and a later write would then be a transaction of its own.
  template <class Verb>
  std::invoke_result_t<Verb> read(Verb&& verb) {
    if (failure_) return fail(*failure_);
    try {
      return verb();
    } catch (const SQLite::Exception& e) {
      return fail(failed(e));
    }
  }

  /// The same for verbs that write: outside a transaction they get one of their own, begun
  /// IMMEDIATE, because a read that turns into a write fails at once when somebody else has written
  /// in between (SQLITE_BUSY_SNAPSHOT), busy timeout or not.
  template <class Verb>
  std::invoke_result_t<Verb> write(Verb&& verb) {
    if (in_transaction_) return read(verb);
    TRY_VOID(begin());
    std::invoke_result_t<Verb> result = read(verb);
    if (!result) {
      rollback();
      return result;
    }
    TRY_VOID(commit());
    return result;
  }

  Error error_of(const SQLite::Exception& e) const;

 private:
  explicit Database(const SqliteOptions& options);
  Error failed(const SQLite::Exception& e);
  bool was_moved();
  bool is_not(const char* suffix, std::optional<ino_t>& inode) const;
  int last_errno() const;
  void run(const char* sql) { Query(statement(sql)).run(); }

  SqliteOptions options_;
  SQLite::Database connection_;
  std::unordered_map<const char*, Statement> statements_;
  bool in_transaction_ = false;
  std::optional<Error> failure_;
  std::optional<ino_t> wal_inode_;
  std::optional<ino_t> shm_inode_;
  std::uint64_t unknown_revisions_ = 0;
  bool gone_ = false;  ///< the files are others than those that were opened
};

}  // namespace schedctl::store::sqlite
