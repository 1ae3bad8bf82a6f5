#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <thread>
#include <vector>

#include "schedctl/host/host.hpp"
#include "schedctl/host/privilege.hpp"
#include "schedctl/host/processes.hpp"
#include "tests/base/scratch.hpp"

using namespace schedctl;
using namespace schedctl::host;
using test::comes_true;
using test::read_file;
using test::Scratch;
using test::write_file;

namespace {

/// A process of its own that does `first`, says so, and lives until the test is over.
class Process {
 public:
  explicit Process(const std::function<bool()>& first) {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      const bool success = first();
      if (::write(ends[1], success ? "y" : "n", 1) != 1) ::_exit(1);
      while (true) ::pause();
    }
    ::close(ends[1]);
    char answer = 'n';
    done = ::read(ends[0], &answer, 1) == 1 && answer == 'y';
    ::close(ends[0]);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() { kill(); }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  pid_t pid() const { return pid_; }
  bool done = false;

 private:
  pid_t pid_ = 0;
};

/// Runs `check` in a forked child, which may change namespaces and the like, and gives its answer.
bool in_child(const std::function<bool()>& check) {
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) ::_exit(check() ? 0 : 1);
  int status = -1;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// Takes the lock and keeps it for as long as the process lives.
bool take_for_good(const std::string& path) {
  static std::vector<FileLock> kept;
  auto lock = FileLock::take(path, 0);
  if (lock) kept.push_back(std::move(*lock));
  return lock.has_value();
}

std::string complaint(const Result<FileLock>& result, ErrorKind kind) {
  REQUIRE_FALSE(result);
  CHECK(result.error().kind == kind);
  return result.error().message;
}

bool mentions(const std::string& text, const std::string& word) {
  return text.find(word) != std::string::npos;
}

}  // namespace

TEST_CASE("a lock is taken once, and again after it is gone") {
  const Scratch scratch;
  const std::string path = scratch / "lock";
  {
    auto lock = FileLock::take(path, 0);
    REQUIRE(lock);
    CHECK(lock->is_of(path));
    CHECK(lock_holder(path) == ::getpid());
    const std::string said = complaint(FileLock::take(path, 0), ErrorKind::conflict);
    CHECK(mentions(said, "process " + std::to_string(::getpid())));
  }
  CHECK(lock_holder(path) == 0);
  CHECK(FileLock::take(path, 0));
}

TEST_CASE("a lock file is 0600, whatever umask and an earlier owner say") {
  const Scratch scratch;
  const mode_t old = ::umask(0);
  write_file(scratch / "lock", "garbage");
  REQUIRE(::chmod((scratch / "lock").c_str(), 0666) == 0);
  const auto found = FileLock::take(scratch / "lock", 0);
  const auto made = FileLock::take(scratch / "new", 0);
  ::umask(old);
  REQUIRE((found && made));
  for (const char* name : {"lock", "new"}) {
    struct stat status {};
    REQUIRE(::stat((scratch / name).c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0600);
  }
}

TEST_CASE("the death of its holder frees a lock, kill -9 included") {
  const Scratch scratch;
  Process holder([&] { return take_for_good(scratch / "lock"); });
  REQUIRE(holder.done);
  CHECK(lock_holder(scratch / "lock") == holder.pid());
  const std::string said = complaint(FileLock::take(scratch / "lock", 0), ErrorKind::conflict);
  CHECK(mentions(said, std::to_string(holder.pid())));
  holder.kill();
  CHECK(lock_holder(scratch / "lock") == 0);
  CHECK(FileLock::take(scratch / "lock", 0));
}

TEST_CASE("a lock that becomes free within the patience is taken") {
  const Scratch scratch;
  Process holder([&] { return take_for_good(scratch / "lock"); });
  REQUIRE(holder.done);
  std::thread killer([&] {
    ::poll(nullptr, 0, 30);
    holder.kill();
  });
  CHECK(FileLock::take(scratch / "lock", 20'000));
  killer.join();
}

TEST_CASE("a holder on its way out is waited for, whatever the patience") {
  const Scratch scratch;
  const std::string path = scratch / "lock";
  // As a killed daemon is for a while: its first thread is gone, another one still holds the lock.
  Process holder([&] {
    ::signal(SIGUSR1, [](int) { ::syscall(SYS_exit, 0); });
    if (!take_for_good(path)) return false;
    std::thread([] {
      while (true) ::pause();
    }).detach();
    return true;
  });
  REQUIRE(holder.done);
  CHECK_FALSE(is_ending(holder.pid()));
  CHECK(lasting_lock_holder(path) == holder.pid());
  REQUIRE(::syscall(SYS_tgkill, holder.pid(), holder.pid(), SIGUSR1) == 0);
  REQUIRE(comes_true([&] { return is_ending(holder.pid()); }));
  CHECK(lock_holder(path) == holder.pid());

  std::atomic<pid_t> thread = 0;
  std::atomic<bool> over = false, taken = false;
  std::thread taker([&] {
    thread = static_cast<pid_t>(::syscall(SYS_gettid));
    taken = FileLock::take(path, 0).has_value();
    over = true;
  });
  CHECK(comes_true([&] {
    const std::string at = "/proc/self/task/" + std::to_string(thread) + "/stat";
    return over || (thread != 0 && mentions(read_file(at), ") S "));
  }));
  CHECK_FALSE(over);
  holder.kill();
  taker.join();
  CHECK(taken);
}

TEST_CASE("whoever was killed is on its way out before it has noticed") {
  const Scratch scratch;
  Process holder([&] { return take_for_good(scratch / "lock"); });
  REQUIRE(holder.done);
  ::kill(holder.pid(), SIGKILL);
  CHECK(is_ending(holder.pid()));
  CHECK(lasting_lock_holder(scratch / "lock") == 0);
}

TEST_CASE("a program that the holder executes does not inherit the lock") {
  const Scratch scratch;
  auto lock = FileLock::take(scratch / "lock", 0);
  REQUIRE(lock);
  CHECK((::fcntl(lock->fd(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("a lock survives being handed to a successor by its descriptor") {
  const Scratch scratch;
  auto lock = FileLock::take(scratch / "lock", 0);
  REQUIRE(lock);
  const FileLock adopted = FileLock::adopt(::dup(lock->fd()));
  { const FileLock gone = std::move(*lock); }
  CHECK(adopted.is_of(scratch / "lock"));
  CHECK(lock_holder(scratch / "lock") == ::getpid());
}

TEST_CASE("a lock says who holds it, to a reader's group too") {
  const Scratch scratch;
  const auto lock = FileLock::take(scratch / "lock", 0);
  REQUIRE(lock);
  lock->describe_holder("somebody");
  const std::string text = read_file(scratch / "lock");
  CHECK(mentions(text, "pid " + std::to_string(::getpid()) + "\n"));
  CHECK(mentions(text, "boot_id " + boot_id() + "\ninstance somebody\n"));
  const UniqueFd dir(::open(scratch.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (::geteuid() == 0) {
    CHECK(lock->show_to({"reader", 1, 1}, dir.get(), "lock"));
    struct stat st {};
    REQUIRE(::stat((scratch / "lock").c_str(), &st) == 0);
    CHECK(st.st_gid == 1);
    CHECK((st.st_mode & 07777) == 0640);
  }
  write_file(scratch / "other", "");
  CHECK_FALSE(lock->show_to({"reader", 1, 1}, dir.get(), "other"));
  CHECK_FALSE(lock->show_to({"reader", 1, 1}, dir.get(), "none"));
}

TEST_CASE("a lock file that is not a plain file of its own is refused at once") {
  const Scratch scratch;
  const std::string path = scratch / "lock";
  SUBCASE("a symbolic link") {
    write_file(scratch / "victim", "precious");
    REQUIRE(::symlink((scratch / "victim").c_str(), path.c_str()) == 0);
    CHECK(mentions(complaint(FileLock::take(path, 0), ErrorKind::not_allowed), "symbolic link"));
    CHECK(read_file(scratch / "victim") == "precious");
    CHECK(lock_holder(path) == 0);
  }
  SUBCASE("a link into nothing makes no file there") {
    REQUIRE(::symlink((scratch / "nothing").c_str(), path.c_str()) == 0);
    CHECK_FALSE(FileLock::take(path, 0));
    CHECK_FALSE(std::filesystem::exists(scratch / "nothing"));
  }
  SUBCASE("a FIFO does not hang") {
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    CHECK(mentions(complaint(FileLock::take(path, 0), ErrorKind::not_allowed), "plain file"));
  }
  SUBCASE("a directory") {
    REQUIRE(::mkdir(path.c_str(), 0700) == 0);
    CHECK(mentions(complaint(FileLock::take(path, 0), ErrorKind::failed), "directory"));
  }
  SUBCASE("a file with a second name") {
    write_file(scratch / "victim", "precious");
    REQUIRE(::link((scratch / "victim").c_str(), path.c_str()) == 0);
    REQUIRE(::chmod(path.c_str(), 0644) == 0);
    CHECK(mentions(complaint(FileLock::take(path, 0), ErrorKind::not_allowed), "plain file"));
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0644);
  }
  SUBCASE("somebody else's file") {
    if (::geteuid() != 0) return;
    write_file(path, "");
    REQUIRE(::chown(path.c_str(), 12345, 12345) == 0);
    CHECK(mentions(complaint(FileLock::take(path, 0), ErrorKind::not_allowed), "plain file"));
  }
  SUBCASE("no directory to make it in") {
    CHECK(
        mentions(complaint(FileLock::take(scratch / "no/lock", 0), ErrorKind::failed), "no/lock"));
  }
}

TEST_CASE("whoever may not open the lock file is told that he may not") {
  if (::geteuid() != 0) return;
  const Scratch scratch;
  REQUIRE(FileLock::take(scratch / "lock", 0));
  REQUIRE(::chmod(scratch.path().c_str(), 0755) == 0);
  CHECK(in_child([&] {
    if (::setuid(65534) != 0) return false;
    const auto lock = FileLock::take(scratch / "lock", 0);
    return !lock && lock.error().kind == ErrorKind::not_allowed &&
           lock_holder(scratch / "lock") == 0;
  }));
}

TEST_CASE("a lock file that is removed is locked by nobody, and the next start makes a new one") {
  const Scratch scratch;
  auto lock = FileLock::take(scratch / "lock", 0);
  REQUIRE(lock);
  REQUIRE(::unlink((scratch / "lock").c_str()) == 0);
  CHECK_FALSE(lock->is_of(scratch / "lock"));
  CHECK(lock_holder(scratch / "lock") == 0);
  auto second = FileLock::take(scratch / "lock", 0);
  REQUIRE(second);
  CHECK(second->is_of(scratch / "lock"));
  CHECK_FALSE(lock->is_of(scratch / "lock"));
}

TEST_CASE("of many processes at once one gets the lock, also while the file is being removed") {
  const Scratch scratch;
  const std::string path = scratch / "lock";
  std::vector<pid_t> children;
  for (int i = 0; i < 20; ++i) {
    const pid_t pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      const auto lock = FileLock::take(path, 0);
      if (!lock) ::_exit(lock.error().kind == ErrorKind::conflict ? 1 : 2);
      // Held until all the others have tried.
      while (!std::filesystem::exists(path + ".over")) ::poll(nullptr, 0, 1);
      ::_exit(lock->is_of(path) ? 0 : 3);
    }
    children.push_back(pid);
  }
  int winners = 0;
  std::vector<int> codes;
  for (std::size_t ended = 0; ended < children.size(); ++ended) {
    if (ended + 1 == children.size()) write_file(path + ".over", "");
    int status = 0;
    REQUIRE(::wait(&status) > 0);
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) <= 1);
    if (WEXITSTATUS(status) == 0) ++winners;
  }
  CHECK(winners == 1);
}

TEST_CASE("the holder of a lock is found by any user, who takes no lock for it") {
  if (::geteuid() != 0) return;
  const Scratch scratch;
  REQUIRE(::chmod(scratch.path().c_str(), 0755) == 0);
  auto lock = FileLock::take(scratch / "lock", 0);
  REQUIRE(lock);
  const pid_t holder = ::getpid();
  CHECK(in_child([&] { return ::setuid(65534) == 0 && lock_holder(scratch / "lock") == holder; }));
}

TEST_CASE("a process that only waits for the lock is not its holder") {
  const Scratch scratch;
  const std::string path = scratch / "lock";
  auto lock = FileLock::take(path, 0);
  REQUIRE(lock);
  const pid_t waiter = ::fork();
  REQUIRE(waiter >= 0);
  if (waiter == 0) {
    ::close(lock->fd());  // a copy, which would keep the lock
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    ::flock(fd, LOCK_EX);
    while (true) ::pause();
  }
  const std::string mine = std::to_string(waiter) + " ";
  CHECK(comes_true([&] { return mentions(read_file("/proc/locks"), mine); }));
  CHECK(lock_holder(path) == ::getpid());
  { const FileLock gone = std::move(*lock); }
  CHECK(comes_true([&] { return lock_holder(path) == waiter; }));
  ::kill(waiter, SIGKILL);
  ::waitpid(waiter, nullptr, 0);
}

TEST_CASE("a POSIX lock on the file is not the daemon's") {
  const Scratch scratch;
  const std::string path = scratch / "lock";
  write_file(path, "");
  Process stranger([&] {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    struct flock whole {};
    whole.l_type = F_WRLCK;
    return ::fcntl(fd, F_SETLK, &whole) == 0;
  });
  REQUIRE(stranger.done);
  CHECK(lock_holder(path) == 0);
  CHECK(FileLock::take(path, 0));
}

TEST_CASE("a file of the same number on another filesystem is another file") {
  Scratch memory("/dev/shm/schedctl-test-XXXXXX");
  const Scratch disk;
  auto here = FileLock::take(memory / "lock", 0);
  REQUIRE(here);
  write_file(disk / "lock", "");
  CHECK(lock_holder(memory / "lock") == ::getpid());
  CHECK(lock_holder(disk / "lock") == 0);
}

TEST_CASE("the holder is found on a filesystem whose stat tells another device") {
  if (::geteuid() != 0) return;
  const Scratch scratch;
  for (const char* name : {"low", "up", "merged"}) {
    REQUIRE(::mkdir((scratch / name).c_str(), 0700) == 0);
  }
  CHECK(in_child([&] {
    const std::string options = "lowerdir=" + (scratch / "low/l") +
                                ",upperdir=" + (scratch / "up/u") +
                                ",workdir=" + (scratch / "up/w");
    const bool mounted =
        ::unshare(CLONE_NEWNS) == 0 &&
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
        ::mount("none", (scratch / "low").c_str(), "tmpfs", 0, nullptr) == 0 &&
        ::mkdir((scratch / "low/l").c_str(), 0700) == 0 &&
        ::mkdir((scratch / "up/u").c_str(), 0700) == 0 &&
        ::mkdir((scratch / "up/w").c_str(), 0700) == 0 &&
        ::mount("ov", (scratch / "merged").c_str(), "overlay", 0, options.c_str()) == 0;
    if (!mounted) return true;  // this machine does not let a test do so
    const auto lock = FileLock::take(scratch / "merged/lock", 0);
    return lock && lock_holder(scratch / "merged/lock") == ::getpid();
  }));
}

TEST_CASE("the holder is found among thousands of locks that come and go") {
  const Scratch scratch;
  const std::string path = scratch / "lock";
  REQUIRE(::mkdir((scratch / "many").c_str(), 0700) == 0);
  const auto lock_many = [&](int from, int count) {
    for (int i = from; i < from + count; ++i) {
      const int fd =
          ::open((scratch / ("many/" + std::to_string(i))).c_str(), O_RDWR | O_CREAT, 0600);
      if (fd < 0 || ::flock(fd, LOCK_EX) != 0) return false;
    }
    return true;
  };
  Process few_before([&] { return lock_many(0, 500); });
  Process holder([&] { return take_for_good(path); });
  Process few_after([&] { return lock_many(500, 500); });
  REQUIRE((few_before.done && holder.done && few_after.done));
  const pid_t churn = ::fork();
  REQUIRE(churn >= 0);
  if (churn == 0) {
    std::vector<int> fds;
    for (int i = 1000; i < 1200; ++i) {
      fds.push_back(
          ::open((scratch / ("many/" + std::to_string(i))).c_str(), O_RDWR | O_CREAT, 0600));
    }
    while (true) {
      for (const int fd : fds) ::flock(fd, LOCK_EX);
      for (const int fd : fds) ::flock(fd, LOCK_UN);
    }
  }
  int found = 0;
  for (int i = 0; i < 300; ++i) found += lock_holder(path) == holder.pid() ? 1 : 0;
  ::kill(churn, SIGKILL);
  ::waitpid(churn, nullptr, 0);
  CHECK(found == 300);
}

TEST_CASE("a holder in another pid namespace keeps the lock, seen or not") {
  if (::geteuid() != 0) return;
  const Scratch scratch;
  auto lock = FileLock::take(scratch / "lock", 0);
  REQUIRE(lock);
  CHECK(in_child([&] {
    if (::unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) return true;
    return in_child([&] {
      ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
      if (::mount("proc", "/proc", "proc", 0, nullptr) != 0) return true;
      const auto second = FileLock::take(scratch / "lock", 0);
      return !second && second.error().kind == ErrorKind::conflict &&
             mentions(second.error().message, "another process") &&
             lock_holder(scratch / "lock").value_or(0) == 0;
    });
  }));
}

TEST_CASE("without /proc nobody can tell who holds a lock, and that is said") {
  if (::geteuid() != 0) return;
  const Scratch scratch;
  REQUIRE(FileLock::take(scratch / "lock", 0));
  CHECK(in_child([&] {
    if (::unshare(CLONE_NEWNS) != 0) return true;
    ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    if (::mount("none", "/proc", "tmpfs", 0, nullptr) != 0) return true;
    return !lock_holder(scratch / "lock").has_value();
  }));
}

// --- pidfile ---------------------------------------------------------------------------------

TEST_CASE("the pidfile names this process, for everybody to read and nobody to write") {
  const Scratch scratch;
  const std::string path = scratch / "schedctl.pid";
  const mode_t old = ::umask(0077);
  REQUIRE(write_pidfile(path));
  ::umask(old);
  CHECK(read_file(path) == std::to_string(::getpid()) + "\n");
  CHECK(read_pidfile(path) == ::getpid());
  struct stat status {};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0644);
  remove_pidfile(path);
  CHECK_FALSE(std::filesystem::exists(path));
  CHECK(read_pidfile(path) == 0);
}

TEST_CASE("whatever stood at the pidfile's place is no obstacle and no weapon") {
  const Scratch scratch;
  const std::string path = scratch / "schedctl.pid";
  SUBCASE("a dead daemon's number") {
    write_file(path, "999999\n");
  }
  SUBCASE("garbage") {
    write_file(path, std::string(10'000, '7'));
  }
  SUBCASE("a file that everybody may write") {
    write_file(path, "1\n");
    REQUIRE(::chmod(path.c_str(), 0666) == 0);
  }
  SUBCASE("a symbolic link") {
    REQUIRE(::symlink((scratch / "victim").c_str(), path.c_str()) == 0);
  }
  SUBCASE("a second name of another file") {
    REQUIRE(::link((scratch / "victim").c_str(), path.c_str()) != 0);
    write_file(scratch / "victim", "precious");
    REQUIRE(::link((scratch / "victim").c_str(), path.c_str()) == 0);
  }
  SUBCASE("a FIFO") {
    REQUIRE(::mkfifo(path.c_str(), 0666) == 0);
  }
  SUBCASE("a link in the place of the new file") {
    REQUIRE(::symlink((scratch / "victim").c_str(), (path + ".new").c_str()) == 0);
  }
  if (!std::filesystem::exists(scratch / "victim")) write_file(scratch / "victim", "precious");
  REQUIRE(write_pidfile(path));
  struct stat status {};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  CHECK(S_ISREG(status.st_mode));
  CHECK(status.st_nlink == 1);
  CHECK((status.st_mode & 07777) == 0644);
  CHECK(read_pidfile(path) == ::getpid());
  CHECK(read_file(scratch / "victim") == "precious");
}

TEST_CASE("a directory at the pidfile's place is an error that names it") {
  const Scratch scratch;
  REQUIRE(::mkdir((scratch / "pid").c_str(), 0700) == 0);
  const auto written = write_pidfile(scratch / "pid");
  REQUIRE_FALSE(written);
  CHECK(mentions(written.error().message, scratch / "pid"));
  CHECK_FALSE(std::filesystem::exists(scratch / "pid.new"));
}

TEST_CASE("a pidfile that names somebody else is left alone") {
  const Scratch scratch;
  write_file(scratch / "pid", "1\n");
  remove_pidfile(scratch / "pid");
  CHECK(read_file(scratch / "pid") == "1\n");
}

TEST_CASE("only a number makes a pidfile, and only in a plain file") {
  const Scratch scratch;
  const auto reads = [&](const std::string& text) {
    write_file(scratch / "pid", text);
    return read_pidfile(scratch / "pid");
  };
  CHECK(reads("123\n") == 123);
  CHECK(reads("123") == 123);
  CHECK(reads("123  \n\n") == 123);
  for (const std::string text :
       {"", "\n", "abc", "12x", "12 34", "-5", "0", "+7", "0x10", "1\n2\n", "4294967297",
        "2147483648", "99999999999999999999999999999999999999999999"}) {
    CAPTURE(text);
    CHECK(reads(text) == 0);
  }
  CHECK(reads(std::string("1\0002", 3)) == 0);
  CHECK(read_pidfile(scratch / "missing") == 0);
  CHECK(read_pidfile(scratch.path()) == 0);
  REQUIRE(::mkfifo((scratch / "fifo").c_str(), 0600) == 0);
  CHECK(read_pidfile(scratch / "fifo") == 0);
  REQUIRE(::symlink((scratch / "pid").c_str(), (scratch / "link").c_str()) == 0);
  write_file(scratch / "pid", "123\n");
  CHECK(read_pidfile(scratch / "link") == 0);
}

TEST_CASE("where the directory is somebody else's, the pidfile is emptied") {
  if (::geteuid() != 0) return;
  const Scratch scratch;
  REQUIRE(::chmod(scratch.path().c_str(), 0755) == 0);
  const std::string path = scratch / "pid";
  CHECK(in_child([&] {
    write_file(path, std::to_string(::getpid()) + "\n");
    if (::chown(path.c_str(), 65534, 65534) != 0 || ::setuid(65534) != 0) return false;
    remove_pidfile(path);
    return read_pidfile(path) == 0;
  }));
  CHECK(std::filesystem::exists(path));
  CHECK(read_file(path).empty());
}
