#include "schedctl/host/successor.hpp"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <cstdlib>

#include "tests/base/scratch.hpp"

namespace schedctl::host {
namespace {

constexpr const char* kVariable = "SUCCESSOR_TEST";

std::vector<std::string> shell(const std::string& script) {
  return {"/bin/sh", "-c", script};
}

/// What came of trying it out.
Result<void> verdict(const std::string& script) {
  Result<Successor> successor = Successor::try_out(shell(script), kVariable, "things");
  REQUIRE(successor);
  std::optional<Result<void>> outcome;
  REQUIRE(test::comes_true([&] { return (outcome = successor->outcome()).has_value(); }));
  while (::waitpid(-1, nullptr, 0) > 0) {
  }
  return *outcome;
}

TEST_CASE("a program is good if it says so after it was given what is held") {
  CHECK(verdict("[ $SUCCESSOR_TEST = try ] && [ $(cat /dev/stdin) = things ] && printf R"));
  CHECK(verdict("echo what is this").error().message.find("what is this") != std::string::npos);
  CHECK(verdict("exit 0").error().message.find("it says nothing") != std::string::npos);
  CHECK_FALSE(verdict("printf RR"));
}

TEST_CASE("what is no program is not tried out") {
  CHECK_FALSE(Successor::try_out({"/nowhere"}, kVariable, ""));
  CHECK_FALSE(Successor::try_out({"/bin"}, kVariable, ""));
  CHECK_FALSE(Successor::try_out({""}, kVariable, ""));
}

TEST_CASE("a process becomes the program, with what it held and its descriptors") {
  const test::Scratch scratch;
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    const int along = ::memfd_create("along", MFD_CLOEXEC);
    if (::write(along, "!", 1) != 1) ::_exit(8);
    const Result<Successor> successor = Successor::try_out(
        shell("[ $SUCCESSOR_TEST = try ] && exit; cd /proc/self/fd; cat $SUCCESSOR_TEST " +
              std::to_string(along) + " >" + (scratch / "held") + "; echo $$ >" +
              (scratch / "pid")),
        kVariable, "of the trial");
    if (successor) static_cast<void>(successor->become("things", {along}));
    ::_exit(9);
  }
  int status = -1;
  CHECK(::waitpid(pid, &status, 0) == pid);
  CHECK(status == 0);
  CHECK(test::read_file(scratch / "held") == "things!");
  CHECK(test::read_file(scratch / "pid") == std::to_string(pid) + "\n");
}

TEST_CASE("a program learns what it was started for") {
  ::unsetenv(kVariable);
  CHECK_FALSE(inheritance(kVariable));
  ::setenv(kVariable, "try", 1);
  CHECK(inheritance(kVariable)->trial);
  ::setenv(kVariable, "17", 1);
  CHECK_FALSE(inheritance(kVariable)->trial);
  CHECK(inheritance(kVariable)->holdings_fd == 17);
  ::unsetenv(kVariable);
  UniqueFd held(::memfd_create("held", MFD_CLOEXEC));
  REQUIRE(::write(held.get(), "things", 6) == 6);
  CHECK(read_holdings(std::move(held)) == "things");
  CHECK_FALSE(read_holdings(UniqueFd()));
}

}  // namespace
}  // namespace schedctl::host
