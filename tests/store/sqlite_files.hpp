#pragma once

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>
#include <random>
#include <set>
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

/// Sorted, each followed by a space; without what SQLite keeps beside a database.
inline std::string names_in(const ScratchDir& dir) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with("-wal") && !name.ends_with("-shm")) names.insert(name);
  }
  std::string all;
  for (const std::string& name : names) all += name + " ";
  return all;
}

inline bool has_companions(const std::string& path) {
  return std::filesystem::exists(path + "-wal") || std::filesystem::exists(path + "-shm");
}

inline std::size_t jobs_in(const std::string& path) {
  return must(must(open_sqlite({.path = path, .create = false}))->list_jobs("")).size();
}

inline mode_t mode_of(const std::string& path) {
  struct stat st {};
  REQUIRE(::lstat(path.c_str(), &st) == 0);
  return st.st_mode & 07777;
}

/// Page `n`, counted from 1, becomes noise.
inline void damage_page(const std::string& path, std::size_t n) {
  std::string bytes = read_file(path);
  REQUIRE(bytes.size() >= n * 4096);
  std::mt19937 random(static_cast<unsigned>(n));
  for (std::size_t i = (n - 1) * 4096; i < n * 4096; ++i) bytes[i] = static_cast<char>(random());
  write_file(path, bytes);
}

/// A page with rows of the run table: reading those fails, opening the file does not.
inline void damage_runs(const std::string& path) {
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

}  // namespace schedctl::store
