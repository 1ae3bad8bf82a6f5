#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>

#include "schedctl/base/bytes.hpp"
#include "schedctl/base/text.hpp"
#include "schedctl/host/host.hpp"
#include "schedctl/host/processes.hpp"
#include "schedctl/keeper/client.hpp"
#include "src/cli/errors.hpp"
#include "src/cli/families.hpp"
#include "src/cli/json.hpp"
#include "src/cli/output.hpp"
#include "src/cli/prune.hpp"
#include "src/cli/session.hpp"

// db: check, backup, restore, migrate; of prune, prune.cpp.

namespace schedctl::cli {
namespace {

constexpr int kLockPatienceMs = 200;

Result<std::string> file_word(const Invocation& call) {
  if (call.words.size() < 2 || call.words[1].empty()) {
    return fail(ErrorKind::usage, "which file? schedctl db " + call.words[0] + " FILE");
  }
  std::error_code error;
  const auto path = std::filesystem::absolute(call.words[1], error);
  if (error) return fail(ErrorKind::usage, "the working directory is gone; write a whole path");
  return path.lexically_normal().string();
}

Result<void> no_file(const Invocation& call) {
  if (call.words.size() == 1) return {};
  return fail(ErrorKind::usage, "db " + call.words[0] + " takes no file");
}

void answer(const Invocation& call, const std::string& database, const std::string& file,
            const std::string& text) {
  if (call.globals.json) {
    print(json_database(call.words[0].c_str(), true, database, file, {}) + "\n");
  } else {
    print_result(call, text);
  }
}

std::string size_text(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return "";
  return ", " + about_bytes(status.st_size);
}

Result<Outcome> check(const Invocation& call, Session& session, const std::string& database) {
  TRY_VOID(no_file(call));
  TRY_VOID(session.become_store_user(Access::read));
  const auto checked = store::check_sqlite(database);
  if (!checked) return fail(with_permission_hint(checked.error()));
  const std::vector<std::string>& findings = *checked;
  if (call.globals.json) {
    print(json_database("check", findings.empty(), database, "", findings) + "\n");
  } else {
    for (const std::string& finding : findings) print(escape_control(finding) + "\n");
    if (findings.empty()) print_result(call, "ok: " + database);
  }
  if (!findings.empty()) {
    talk(call,
         "the database is damaged; stop the daemon and put back a backup: schedctl stop, "
         "schedctl db restore FILE");
  }
  return Done{findings.empty() ? 0 : kExitFailed};
}

Result<void> copy(int from, int to, const std::string& path) {
  std::array<char, std::size_t{64} * 1024> part{};
  while (true) {
    const ssize_t n = ::read(from, part.data(), part.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(error_from_errno("cannot read what is to be copied to " + path, errno));
    if (n == 0) break;
    for (ssize_t at = 0; at < n;) {
      const ssize_t written = ::write(to, part.data() + at, static_cast<std::size_t>(n - at));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return fail(error_from_errno("cannot write " + path, errno));
      at += written;
    }
  }
  if (::fsync(to) == 0) return {};
  return fail(error_from_errno("cannot write " + path + " to the disk", errno));
}

/// A file that nobody has yet, whole or not at all.
Result<void> copy_to(int from, const std::string& path) {
  const std::string part = path + ".part-" + std::to_string(::getpid());
  const UniqueFd to(
      ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!to) return fail(error_from_errno("cannot make " + part, errno));
  Result<void> copied = copy(from, to.get(), path);
  if (copied && ::link(part.c_str(), path.c_str()) != 0) {
    copied = errno == EEXIST
                 ? fail(ErrorKind::conflict, path + " exists already; name another file")
                 : fail(error_from_errno("cannot make " + path, errno));
  }
  ::unlink(part.c_str());
  return copied;
}

bool may(const host::Account& user, const std::string& path, int mode) {
  const auto acting = host::ActingAs::begin(user);
  return acting && ::eaccess(path.c_str(), mode) == 0;
}

/// The copy is made and checked with the rights of the database's user; where only root may write,
/// root takes it there.
Result<void> back_up_for_root(const host::Account& user, const std::string& database,
                              const std::string& file) {
  const std::string staged = database + ".backup-" + std::to_string(::getpid());
  UniqueFd made;
  {
    TRY(const host::ActingAs acting, host::ActingAs::begin(user));
    TRY_VOID(store::backup_sqlite(database, staged));
    made.reset(::open(staged.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    const int error = errno;
    ::unlink(staged.c_str());
    if (!made) return fail(error_from_errno("cannot open " + staged, error));
  }
  return copy_to(made.get(), file);
}

Result<Outcome> back_up(const Invocation& call, Session& session, const std::string& database) {
  TRY(const std::string file, file_word(call));
  TRY(const std::optional<host::Account> user, session.store_user());
  const std::string place = std::filesystem::path(file).parent_path().string();
  if (user && !may(*user, place, W_OK | X_OK)) {
    TRY_VOID(back_up_for_root(*user, database, file));
  } else {
    TRY_VOID(session.become_store_user(Access::read));
    TRY_VOID(store::backup_sqlite(database, file));
  }
  answer(call, database, file, "backed up to " + file + size_text(file) + ", and checked");
  return Done{};
}

/// A backup may be named by a link ("latest"), unlike a database.
std::string without_links(const std::string& file) {
  std::error_code error;
  const auto real = std::filesystem::canonical(file, error);
  return error ? file : real.string();
}

/// The restored database is another store to the keeper: its jobs would go on unknown to anybody,
/// and be started beside themselves.
Result<void> expect_no_jobs(const config::Config& config) {
  const std::int64_t keeper = keeper::living_keeper(config.keeper_dir);
  // No daemon is there, so what the keeper has none of it will not get.
  if (keeper == 0 || !host::has_children(static_cast<pid_t>(keeper))) return {};
  const std::string pid = std::to_string(keeper);
  return fail(ErrorKind::conflict,
              "jobs still run under the keeper (pid " + pid +
                  "), and the restored database would not know of them; wait until they have "
                  "ended, or end them: kill -9 " +
                  pid);
}

Result<void> expect_directory_of(const std::string& database) {
  const std::string parent = std::filesystem::path(database).parent_path().string();
  struct stat status {};
  if (::stat(parent.c_str(), &status) == 0 || errno != ENOENT) return {};
  return fail(ErrorKind::config, "there is no directory " + parent + "; make it first", "store");
}

/// A backup that only root may read is read by root, and copied with the rights of the database's
/// user to where that one may read it: the copy's path, or nothing if there was no need. Root has
/// become that user in either case.
Result<std::string> stage(Session& session, const std::string& file) {
  TRY(const std::optional<host::Account> user, session.store_user());
  const bool closed = user && !may(*user, file, R_OK);
  const UniqueFd source(closed ? ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY) : -1);
  struct stat wal {};
  if (source && ::stat((file + "-wal").c_str(), &wal) == 0 && wal.st_size > 0) {
    return fail(ErrorKind::conflict, file + " is a database in use, with more of it in " + file +
                                         "-wal; make a backup of it first: schedctl --store "
                                         "sqlite:" +
                                         file + " db backup FILE");
  }
  TRY_VOID(session.become_store_user(Access::write));
  if (!source) return std::string();
  std::string staged = session.config().sqlite_path() + ".restore-" + std::to_string(::getpid());
  TRY_VOID(copy_to(source.get(), staged));
  return staged;
}

Result<Outcome> restore(const Invocation& call, Session& session) {
  const config::Config& config = session.config();
  TRY(std::string file, file_word(call));
  file = without_links(file);
  TRY(const std::string staged, stage(session, file));
  struct Removal {
    const std::string& path;
    ~Removal() {
      if (!path.empty()) ::unlink(path.c_str());
    }
  } const removal{staged};
  const std::string database = config.sqlite_path();
  const std::string lock_file = database + ".lock";
  // On a new machine nothing is there yet.
  if (std::filesystem::path(database).parent_path() == config.state_dir) {
    const Result<void> made = host::make_directory(config.state_dir, 0700);
    if (!made) return fail(with_permission_hint(made.error()));
  }
  TRY_VOID(expect_directory_of(database));
  // Held to the end, so that no daemon starts in between.
  auto lock = host::FileLock::take(lock_file, kLockPatienceMs);
  if (!lock && lock.error().kind == ErrorKind::conflict) {
    const pid_t pid = host::lock_holder(lock_file).value_or(0);
    return fail(ErrorKind::conflict, "a daemon" +
                                         (pid != 0 ? " (pid " + std::to_string(pid) + ")" : "") +
                                         " uses " + database + "; stop it first: schedctl stop");
  }
  if (!lock) return fail(with_permission_hint(lock.error()));
  TRY_VOID(expect_no_jobs(config));
  const SystemClock clock;
  TRY(const std::string kept,
      store::restore_sqlite(staged.empty() ? file : staged, database, clock.wall()));
  answer(call, database, file,
         "restored from " + file + (kept.empty() ? "" : "; the old database is kept as " + kept) +
             "; now schedctl start");
  return Done{};
}

Result<Outcome> migrate(const Invocation& call, Session& session) {
  TRY_VOID(no_file(call));
  // Opening it is what brings it up to date.
  TRY_VOID(session.open_store(Access::write));
  answer(call, session.config().sqlite_path(), "",
         "up to date: schema version " + std::to_string(store::schema_version()));
  return Done{};
}

}  // namespace

Result<Outcome> run_db(const Invocation& call) {
  const std::string& verb = call.words[0];
  if (call.has("dry-run") && verb != "prune") {
    return fail(ErrorKind::usage, "only db prune has a --dry-run", "--dry-run");
  }
  TRY(const std::unique_ptr<Session> session, Session::open(call, Access::none));
  const std::string database = session->config().sqlite_path();
  if (verb == "check") return check(call, *session, database);
  if (verb == "backup") return back_up(call, *session, database);
  if (verb == "restore") return restore(call, *session);
  if (verb == "migrate") return migrate(call, *session);
  if (verb == "prune") return run_prune(call, *session);
  return fail(ErrorKind::usage,
              verb == "copy" ? "db copy is not available in this version"
                             : "'" + escape_control(verb) +
                                   "' is not one of check, backup, restore, migrate and prune");
}

}  // namespace schedctl::cli
