#pragma once

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>

#include <fstream>
#include <sstream>

#include "tests/store/stores.hpp"

/// Databases as files: made, read and damaged behind the store's back.
namespace schedctl::store {

using Stored = std::unique_ptr<Store>;

/// A second connection that knows nothing of the program: another tool, or another process.
inline SQLite::Database stranger(const std::string& path) {
  return SQLite::Database(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, 1000);
}

inline std::int64_t number(const std::string& path, const std::string& sql) {
  SQLite::Database db = stranger(path);
  return db.execAndGet(sql).getInt64();
}

inline void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

inline std::string read_file(const std::string& path) {
  std::ostringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  return bytes.str();
}

inline bool says(const Error& error, const std::string& text) {
  const bool found = error.message.find(text) != std::string::npos;
  if (!found) MESSAGE(error.message);
  return found;
}

/// A database with some content, closed properly, so that it is one file.
inline std::string filled(const ScratchDir& dir) {
  std::string path = dir.file("s.db");
  Stored store = must(open_sqlite({.path = path}));
  Transaction transaction = must(Transaction::begin(*store));
  for (int i = 0; i < 500; ++i) {
    job::Job job = job_named("job-" + std::to_string(i));
    job.next_fire = at(i);
    must(store->insert_job(job));
    add_run(*store, run_of(job, at(i)));
  }
  must(transaction.commit());
  return path;
}

}  // namespace schedctl::store
