#include "schedctl/host/cgroup.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "tests/base/scratch.hpp"

namespace schedctl::host {
namespace {

using test::comes_true;

TEST_CASE("a cgroup is entered, holds what began a session of its own, and goes when it is empty") {
  const std::optional<std::string> own = own_cgroup();
  if (!own || ::access(own->c_str(), W_OK) != 0) {
    MESSAGE("skipped: no cgroup v2 that this test may write to");
    return;
  }
  const std::string name = "schedctl-test-" + std::to_string(::getpid());
  const Cgroup cgroup(name);
  // Without a limit, for which this kernel may have no controller.
  const tl::expected<UniqueFd, int> procs = cgroup.make({});
  REQUIRE(procs);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (::write(procs->get(), "0", 1) != 1) ::_exit(9);
    ::execl("/bin/sh", "sh", "-c", "setsid sleep 1000 & setsid sleep 1000", nullptr);
    ::_exit(9);
  }
  CHECK(comes_true([&] { return cgroup.members().size() == 3; }));
  CHECK(Cgroup("none").members().empty());
  CHECK_FALSE(cgroup.remove());
  CHECK_FALSE(cgroup.had_oom_kill());
  cgroup.kill();
  ::waitpid(child, nullptr, 0);
  CHECK(comes_true([&] { return cgroup.members().empty(); }));
  CHECK(comes_true([&] { return cgroup.remove(); }));
  CHECK(cgroup.remove());
  REQUIRE(cgroup.make({}));
  Cgroup(name).sweep();
  CHECK(cgroup.make({}));
  CHECK(cgroup.remove());
}

}  // namespace
}  // namespace schedctl::host
