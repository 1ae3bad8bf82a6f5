#include "schedctl/host/launcher.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "schedctl/base/limits.hpp"
#include "tests/base/scratch.hpp"

namespace schedctl::host {
namespace {

using test::comes_true;
using test::read_file;
using test::Scratch;

/// As if an earlier program had set the process up, and without what outlives the test.
struct Place {
  Place() : launcher(*Launcher::create(-1, &before)) {}
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() { ::prctl(PR_SET_CHILD_SUBREAPER, 0); }

  Command shell(const std::string& script) const {
    return {.argv = {"sh", "-c", script}, .env = {"PATH=/bin:/usr/bin", "A=B"}, .cwd = "/"};
  }
  /// What it wrote; its exit status; why it was not launched.
  std::string text;
  int status = -1;
  std::optional<NotLaunched> run(Command command) {
    const UniqueFd output(
        ::open((scratch / "output").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    command.output_fd = output.get();
    const auto launched = launcher.launch(command);
    if (!launched) return launched.error();
    std::optional<NotLaunched> failed;
    if (launched->pending) {
      REQUIRE(comes_true([&] { return is_settled(launched->pending); }));
      failed = outcome_of(launched->pending);
    }
    CHECK(::waitpid(launched->pid, &status, 0) == launched->pid);
    text = read_file(scratch / "output");
    return failed;
  }

  Scratch scratch;
  Launcher::Before before;
  Launcher launcher;
};

TEST_CASE("a command finds what it was given, in a session of its own") {
  Place place;
  Command command = place.shell("echo $A; umask; cat; ls /proc/self/fd | wc -l; nice; exit 3");
  command.umask = 027;
  command.stdin_text = "text\n";
  command.nice = 7;
  CHECK_FALSE(place.run(command));
  CHECK(place.text == "B\n0027\ntext\n4\n7\n");
  CHECK(place.status == 3 << 8);
  CHECK_FALSE(place.run(place.shell("exec cut -d' ' -f1,6 /proc/self/stat")));
  const std::string::size_type space = place.text.find(' ');
  CHECK(place.text.substr(0, space) + "\n" == place.text.substr(space + 1));
}

TEST_CASE("files of a command are read on its way, where that may take as long as it likes") {
  Place place;
  test::write_file(place.scratch / "in", "stdin\n");
  test::write_file(place.scratch / "env", "A=other\nC=D\n");
  Command command = place.shell("cat; echo $A $C; ulimit -c");
  command.stdin_file = place.scratch / "in";
  command.env_file = place.scratch / "env";
  command.limits = {{RLIMIT_CORE, 0}};
  CHECK_FALSE(place.run(command));
  CHECK(place.text == "stdin\nB D\n0\n");
}

TEST_CASE("what could not be done for a command is told by its step, and nothing of it runs") {
  Place place;
  const auto failure = [&](auto change) {
    Command command = place.shell("echo it ran");
    change(command);
    const std::optional<NotLaunched> failed = place.run(command);
    CHECK(place.text.empty());
    REQUIRE(failed);
    return std::pair(failed->step, failed->error_number);
  };
  CHECK(failure([](Command& c) { c.argv = {"no-such-program"}; }) == std::pair(Step::exec, ENOENT));
  CHECK(failure([](Command& c) { c.cwd = "/nowhere"; }) == std::pair(Step::cwd, ENOENT));
  CHECK(failure([](Command& c) { c.user = "no-such-user"; }) == std::pair(Step::user, ENOENT));
  CHECK(failure([](Command& c) { c.group = "no-such-group"; }) == std::pair(Step::group, ENOENT));
  CHECK(failure([](Command& c) { c.stdin_file = "/"; }) == std::pair(Step::input, EISDIR));
  CHECK(failure([](Command& c) { c.env_file = "/nowhere"; }) == std::pair(Step::env_file, ENOENT));
  CHECK(failure([](Command& c) { c.io_class = 5; }) == std::pair(Step::io_class, EINVAL));
  const std::string long_text(limits::kStdinText + 1, 'x');
  CHECK(failure([&](Command& c) { c.stdin_text = long_text; }) == std::pair(Step::input, E2BIG));
}

TEST_CASE("steps keep their numbers, by which an earlier program's children tell them") {
  const Step steps[] = {Step::output, Step::fork,  Step::setup,    Step::cwd,      Step::exec,
                        Step::user,   Step::group, Step::limits,   Step::input,    Step::env_file,
                        Step::cgroup, Step::nice,  Step::io_class, Step::oom_score};
  for (int i = 0; i < 14; ++i) CHECK(static_cast<int>(steps[i]) == i);
}

}  // namespace
}  // namespace schedctl::host
