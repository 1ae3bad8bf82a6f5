#include "schedctl/host/processes.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "tests/base/scratch.hpp"

namespace schedctl::host {
namespace {

using Paths = std::vector<std::string>;

TEST_CASE("a command is looked for where execvp looks") {
  CHECK(candidates("/bin/x", {"PATH=/a"}) == Paths{"/bin/x"});
  CHECK(candidates("./x", {"PATH=/a"}) == Paths{"./x"});
  CHECK(candidates("", {"PATH=/a"}) == Paths{""});
  CHECK(candidates("x", {"A=1", "PATH=/a::/b", "PATH=/c"}) == Paths{"/a/x", "./x", "/b/x"});
  CHECK(candidates("x", {}) == Paths{"/bin/x", "/usr/bin/x"});
}

TEST_CASE("a child that has ended is taken away once, with its status and what it used") {
  CHECK_FALSE(reap_child());
  const pid_t exits = ::fork();
  if (exits == 0) ::_exit(3);
  std::optional<Exit> exit;
  REQUIRE(test::comes_true([&] { return (exit = reap_child()).has_value(); }));
  CHECK(exit->pid == exits);
  CHECK(exit->wait_status == 3 << 8);
  CHECK(exit->cpu >= Duration::zero());
  const pid_t killed = ::fork();
  if (killed == 0) ::pause(), ::_exit(0);
  ::kill(killed, SIGKILL);
  REQUIRE(test::comes_true([&] { return (exit = reap_child()).has_value(); }));
  CHECK(exit->pid == killed);
  CHECK(WIFSIGNALED(exit->wait_status));
  CHECK(WTERMSIG(exit->wait_status) == SIGKILL);
  CHECK_FALSE(reap_child());
}

}  // namespace
}  // namespace schedctl::host
