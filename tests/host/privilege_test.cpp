#include "schedctl/host/privilege.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <functional>

#include "tests/base/scratch.hpp"

namespace schedctl::host {
namespace {

using test::Scratch;

bool is_root() {
  if (::geteuid() == 0) return true;
  MESSAGE("skipped: only root can become somebody else");
  return false;
}

Account daemon_account() {
  return find_account("daemon", "daemon_user").value();
}

/// What a child of this process says of something that changes who it is.
bool in_child(const std::function<bool()>& claim) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(claim() ? 0 : 1);
  int status = -1;
  ::waitpid(child, &status, 0);
  return status == 0;
}

struct stat look(const std::string& path) {
  struct stat st {};
  REQUIRE_MESSAGE(::lstat(path.c_str(), &st) == 0, path);
  return st;
}

/// A directory that root alone can change, and others can pass.
struct RootsScratch {
  RootsScratch() { REQUIRE(::chmod(scratch.path().c_str(), 0755) == 0); }
  std::string operator/(const std::string& name) const { return scratch / name; }
  void make(const std::string& name, mode_t mode = 0700, uid_t uid = 0) const {
    REQUIRE(::mkdir((*this / name).c_str(), mode) == 0);
    REQUIRE(::chown((*this / name).c_str(), uid, 0) == 0);
  }
  Scratch scratch;
};

bool any(const std::string&) {
  return true;
}

TEST_CASE("a user that is not there is told with the line that makes it") {
  const auto none = find_account("no-such-user", "daemon_user");
  REQUIRE_FALSE(none);
  CHECK(none.error().kind == ErrorKind::config);
  CHECK(none.error().where == "daemon_user");
  CHECK(none.error().message.find("useradd --system") != std::string::npos);
  CHECK(none.error().message.ends_with(" no-such-user"));
  CHECK(find_account("root", "daemon_user")->uid == 0);
}

TEST_CASE("who has become another user has no way back") {
  if (!is_root()) return;
  const Account user = daemon_account();
  CHECK(in_child([&] {
    if (!become_for_good(user)) return false;
    uid_t r = 0, e = 0, s = 0;
    ::getresuid(&r, &e, &s);
    return r == user.uid && e == user.uid && s == user.uid && ::getgroups(0, nullptr) == 0 &&
           ::setuid(0) != 0 && ::seteuid(0) != 0 && ::setgid(0) != 0 &&
           ::open("/etc/shadow", O_RDONLY) < 0;
  }));
  // Who is not root becomes nobody else.
  CHECK(in_child([&] {
    return become_for_good(user).has_value() && !become_for_good(Account{"root", 0, 0}) &&
           ::geteuid() == user.uid;
  }));
}

TEST_CASE("root acts as another user for a while") {
  if (!is_root()) return;
  const Account user = daemon_account();
  CHECK(in_child([&] {
    {
      const auto acting = ActingAs::begin(user);
      if (!acting || ::geteuid() != user.uid || ::getegid() != user.gid ||
          ::getgroups(0, nullptr) != 0 || ::open("/etc/shadow", O_RDONLY) >= 0) {
        return false;
      }
    }
    return ::geteuid() == 0 && ::getegid() == 0 && ::open("/etc/shadow", O_RDONLY) >= 0;
  }));
  CHECK(in_child([&] { return ActingAs::begin(std::nullopt).has_value() && ::geteuid() == 0; }));
}

TEST_CASE("a directory that is missing, or root's alone, is provided for the user") {
  if (!is_root()) return;
  const RootsScratch place;
  const Account user = daemon_account();
  REQUIRE(provide_directory(place / "a/b", 0700, user, any));
  CHECK(look(place / "a").st_uid == 0);
  CHECK((look(place / "a").st_mode & 0777) == 0755);
  CHECK(look(place / "a/b").st_uid == user.uid);
  CHECK((look(place / "a/b").st_mode & 0777) == 0700);
  // In one that is the user's, what is missing is made with the user's rights.
  REQUIRE(provide_directory(place / "a/b/c", 0700, user, any));
  CHECK(look(place / "a/b/c").st_uid == user.uid);

  place.make("old");
  place.make("old/output");
  place.make("old/keeper");
  std::ofstream(place / "old/db") << "x";
  std::ofstream(place / "old/output/mine") << "x";
  std::ofstream(place / "old/output/others") << "x";
  REQUIRE(::chmod((place / "old/output/others").c_str(), 0600) == 0);
  REQUIRE(::chown((place / "old/output/others").c_str(), 65'534, 65'534) == 0);
  std::ofstream(place / "outside") << "x";
  REQUIRE(::link((place / "outside").c_str(), (place / "old/linked").c_str()) == 0);
  REQUIRE(::symlink((place / "outside").c_str(), (place / "old/way").c_str()) == 0);
  REQUIRE(provide_directory(place / "old", 0700, user, any));
  for (const char* name : {"old", "old/output", "old/db", "old/output/mine"}) {
    CAPTURE(name);
    CHECK(look(place / name).st_uid == user.uid);
  }
  CHECK(look(place / "old/keeper").st_uid == 0);
  CHECK(look(place / "outside").st_uid == 0);
  CHECK(look(place / "old/output/others").st_uid == 65'534);
  CHECK(look(place / "old/output/others").st_gid == user.gid);
  CHECK((look(place / "old/output/others").st_mode & 0777) == 0640);
}

TEST_CASE("a directory that is more than schedctl's, or in other hands, is left alone") {
  if (!is_root()) return;
  const RootsScratch place;
  const Account user = daemon_account();
  const auto refusal = [&](const std::string& name) {
    const auto provided = provide_directory(place / name, 0700, user,
                                            [](const std::string& entry) { return entry == "db"; });
    REQUIRE_FALSE(provided);
    CHECK(provided.error().kind == ErrorKind::config);
    return provided.error().message;
  };
  place.make("shared", 0755);
  std::ofstream(place / "shared/db") << "x";
  std::ofstream(place / "shared/syslog") << "x";
  CHECK(refusal("shared").find("(syslog)") != std::string::npos);
  CHECK(look(place / "shared").st_uid == 0);
  CHECK(look(place / "shared/db").st_uid == 0);
  place.make("others", 0755, 65'534);
  CHECK(refusal("others").find("not root's alone") != std::string::npos);
  CHECK(refusal("others/below").find("can be written by others than root") != std::string::npos);
  place.make("target", 0700);
  REQUIRE(::symlink((place / "target").c_str(), (place / "way").c_str()) == 0);
  CHECK(refusal("way").find("symbolic link") != std::string::npos);
  CHECK(refusal("way/below").find("symbolic link") != std::string::npos);
  CHECK(look(place / "target").st_uid == 0);
  // A way that the user has laid leads root nowhere.
  place.make("users", 0700, user.uid);
  REQUIRE(::symlink((place / "target").c_str(), (place / "users/way").c_str()) == 0);
  CHECK(refusal("users/way/below").find("written by others") != std::string::npos);
  CHECK(::access((place / "target/below").c_str(), F_OK) != 0);
}

TEST_CASE("a log file in a directory of many is given to the user alone") {
  if (!is_root()) return;
  const RootsScratch place;
  const Account user = daemon_account();
  place.make("log", 0755);
  REQUIRE(provide_log_file(place / "log/info.log", user));
  CHECK(look(place / "log").st_uid == 0);
  CHECK(look(place / "log/info.log").st_uid == user.uid);
  REQUIRE(provide_log_file(place / "log/info.log", user));
  std::ofstream(place / "secret") << "x";
  REQUIRE(::chmod((place / "secret").c_str(), 0600) == 0);
  REQUIRE(::symlink((place / "secret").c_str(), (place / "log/way.log").c_str()) == 0);
  CHECK_FALSE(provide_log_file(place / "log/way.log", user));
  REQUIRE(::link((place / "secret").c_str(), (place / "log/name.log").c_str()) == 0);
  CHECK_FALSE(provide_log_file(place / "log/name.log", user));
  CHECK(look(place / "secret").st_uid == 0);
}

TEST_CASE("a directory is root's if the way to it is, too") {
  if (!is_root()) return;
  const RootsScratch place;
  place.make("roots", 0755);
  place.make("users", 0755, daemon_account().uid);
  place.make("users/inner", 0755);
  REQUIRE(::symlink((place / "roots").c_str(), (place / "way").c_str()) == 0);
  CHECK(is_roots_alone("/", S_IFDIR));
  CHECK(is_roots_alone(place / "roots", S_IFDIR));
  for (const char* name : {"users", "users/inner", "way", "missing"}) {
    CAPTURE(name);
    CHECK_FALSE(is_roots_alone(place / name, S_IFDIR));
  }
  REQUIRE(::chmod((place / "roots").c_str(), 0775) == 0);
  CHECK_FALSE(is_roots_alone(place / "roots", S_IFDIR));
  REQUIRE(::chmod((place / "roots").c_str(), 01777) == 0);
  CHECK_FALSE(is_roots_alone(place / "roots", S_IFDIR));
}

TEST_CASE("the user of a process is told") {
  CHECK(user_of_process(::getpid()) == ::geteuid());
  CHECK_FALSE(user_of_process(0));
}

}  // namespace
}  // namespace schedctl::host
