#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <set>
#include <vector>

#include "schedctl/base/text.hpp"
#include "schedctl/host/host.hpp"
#include "tests/base/scratch.hpp"

using namespace schedctl;
using namespace schedctl::host;
using test::read_file;
using test::Scratch;
using test::write_file;

namespace {

mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

bool in_child(const std::function<bool()>& check) {
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) ::_exit(check() ? 0 : 1);
  int status = -1;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

TEST_CASE("a node's id is a UUID, made once, that only its owner may read") {
  const Scratch scratch;
  const auto first = node_id(scratch.path());
  REQUIRE(first);
  CHECK(first->size() == 36);
  CHECK(node_id(scratch.path()) == *first);
  CHECK(read_file(scratch / "node-id") == *first + "\n");
  CHECK(mode_of(scratch / "node-id") == 0600);
  const Scratch other;
  CHECK(node_id(other.path()) != *first);
}

TEST_CASE("twelve processes that ask for the node's id at once get the same, and leave no litter") {
  for (int round = 0; round < 20; ++round) {
    const Scratch scratch;
    const Scratch answers;
    int gate[2];
    REQUIRE(::pipe2(gate, O_CLOEXEC) == 0);
    for (int i = 0; i < 12; ++i) {
      const pid_t pid = ::fork();
      REQUIRE(pid >= 0);
      if (pid == 0) {
        ::close(gate[1]);
        char byte = 0;
        if (::read(gate[0], &byte, 1) != 0) ::_exit(2);  // all wait for the gate to close
        write_file(answers / std::to_string(i), node_id(scratch.path()).value_or("none"));
        ::_exit(0);
      }
    }
    ::close(gate[0]);
    ::close(gate[1]);
    for (int i = 0; i < 12; ++i) REQUIRE(::wait(nullptr) > 0);
    std::set<std::string> ids;
    for (int i = 0; i < 12; ++i) ids.insert(read_file(answers / std::to_string(i)));
    CHECK(ids.size() == 1);
    CHECK(*ids.begin() == node_id(scratch.path()).value_or(""));
    const std::filesystem::directory_iterator files(scratch.path());
    CHECK(std::distance(begin(files), end(files)) == 1);
  }
}

TEST_CASE("a damaged node id is a person's to mend, and is not replaced") {
  const Scratch scratch;
  for (const std::string& text :
       {std::string(), std::string("garbage"), std::string(36, 'x'), std::string(300, '0')}) {
    write_file(scratch / "node-id", text);
    const auto id = node_id(scratch.path());
    REQUIRE_FALSE(id);
    CHECK(id.error().kind == ErrorKind::config);
    CHECK(id.error().message.find(scratch / "node-id") != std::string::npos);
    CHECK(read_file(scratch / "node-id") == text);
  }
}

TEST_CASE("a node id that is a link, a FIFO or a directory is refused, and nothing hangs") {
  const Scratch scratch;
  const std::string path = scratch / "node-id";
  SUBCASE("link") {
    write_file(scratch / "other", "3f9d7c1e-0000-4000-8000-000000000000\n");
    REQUIRE(::symlink((scratch / "other").c_str(), path.c_str()) == 0);
  }
  SUBCASE("FIFO") {
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  }
  SUBCASE("directory") {
    REQUIRE(::mkdir(path.c_str(), 0700) == 0);
  }
  CHECK_FALSE(node_id(scratch.path()));
}

TEST_CASE("where no id can be written, that is said") {
  const Scratch scratch;
  const auto id = node_id(scratch / "missing");
  REQUIRE_FALSE(id);
  CHECK(id.error().message.find("missing") != std::string::npos);
}

TEST_CASE("directories are made with their parents, the mode is the last one's") {
  const Scratch scratch;
  const mode_t old = ::umask(0);
  CHECK(make_directory(scratch / "a/b/c", 0700));
  CHECK(make_directory(scratch / "d/e/", 0700));
  CHECK(make_directory(scratch / "f//g///", 0710));
  ::umask(old);
  CHECK(mode_of(scratch / "a") == 0755);
  CHECK(mode_of(scratch / "a/b") == 0755);
  CHECK(mode_of(scratch / "a/b/c") == 0700);
  CHECK(mode_of(scratch / "d") == 0755);
  CHECK(mode_of(scratch / "d/e") == 0700);
  CHECK(mode_of(scratch / "f/g") == 0710);
}

TEST_CASE("a directory that exists stays as it is") {
  const Scratch scratch;
  REQUIRE(::mkdir((scratch / "a").c_str(), 0711) == 0);
  CHECK(make_directory(scratch / "a", 0700));
  CHECK(mode_of(scratch / "a") == 0711);
  REQUIRE(::symlink((scratch / "a").c_str(), (scratch / "link").c_str()) == 0);
  CHECK(make_directory(scratch / "link", 0700));
  CHECK(make_directory(scratch / "link/b", 0700));
  CHECK(make_directory("/", 0700));
}

TEST_CASE("a directory that exists is no error where nothing may be written") {
  if (::geteuid() != 0) return;
  const Scratch scratch;
  REQUIRE(::mkdir((scratch / "a").c_str(), 0755) == 0);
  REQUIRE(::chmod(scratch.path().c_str(), 0755) == 0);
  CHECK(in_child([&] {
    return ::setuid(65534) == 0 && make_directory(scratch / "a", 0700) &&
           !make_directory(scratch / "b", 0700);
  }));
}

TEST_CASE("what is no directory is an error that names it") {
  const Scratch scratch;
  write_file(scratch / "file", "");
  for (const std::string& path : {scratch / "file", scratch / "file/below", std::string()}) {
    const auto made = make_directory(path, 0700);
    REQUIRE_FALSE(made);
    CHECK(made.error().message.find(path) != std::string::npos);
  }
  REQUIRE(::symlink((scratch / "nothing").c_str(), (scratch / "link").c_str()) == 0);
  CHECK_FALSE(make_directory(scratch / "link", 0700));
}

TEST_CASE("boot id, host name and user say something") {
  CHECK(boot_id().size() == 36);
  CHECK(boot_id() == boot_id());
  CHECK_FALSE(hostname().empty());
  const User user = current_user();
  CHECK_FALSE(user.name.empty());
  CHECK(user.home.starts_with('/'));
  CHECK(user.shell.starts_with('/'));
}

TEST_CASE("the boot id is what the unit says, in the kernel's form, if it says one") {
  const std::string own = boot_id();
  ::setenv("SCHEDCTL_BOOT_ID", "0123456789abcdef0123456789abcdef", 1);
  CHECK(boot_id() == "01234567-89ab-cdef-0123-456789abcdef");
  for (const char* none :
       {"", "0123456789abcdef0123456789abcde", "0123456789abcdef0123456789abcdeg"}) {
    ::setenv("SCHEDCTL_BOOT_ID", none, 1);
    CHECK(boot_id() == own);
  }
  ::unsetenv("SCHEDCTL_BOOT_ID");
}

TEST_CASE("a uid without an entry in the user database has a home and a shell all the same") {
  if (::geteuid() != 0) return;
  CHECK(in_child([] {
    if (::setuid(4'000'123) != 0) return false;
    const User user = current_user();
    return user.name == "4000123" && user.home == "/" && user.shell == "/bin/sh" &&
           acting_user() == "uid 4000123";
  }));
}

TEST_CASE("the audit sees who is behind sudo, for root only and without control characters") {
  if (::geteuid() != 0) return;
  CHECK(in_child([] {
    ::unsetenv("SUDO_USER");
    if (acting_user() != "root") return false;
    ::setenv("SUDO_USER", "anna", 1);
    if (acting_user() != "root (anna)") return false;
    ::setenv("SUDO_USER", "root", 1);
    if (acting_user() != "root") return false;
    ::setenv("SUDO_USER", "an\nna\x1b", 1);
    if (acting_user() != "root (an\\nna\\x1b)") return false;
    ::setenv("SUDO_USER", "anna", 1);
    return ::setuid(65534) == 0 && acting_user() == "nobody";
  }));
}

TEST_CASE("a random name is another one each time") {
  const std::string name = random_name();
  CHECK(name.size() == 16);
  CHECK(name.find_first_not_of("0123456789abcdef") == std::string::npos);
  CHECK(random_name() != name);
}
