#include <doctest/doctest.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "schedctl/host/processes.hpp"
#include "src/cli/doctor.hpp"

namespace schedctl::cli {
namespace {

TEST_CASE("findings are counted by level, and summed up in words") {
  Findings findings;
  CHECK(findings.summary() == "no errors, no warnings");
  findings.begin("store");
  findings.ok("well");
  findings.error("bad", "mend it");
  findings.error("worse", "mend that");
  findings.warning("odd", "look");
  CHECK(findings.count(Level::ok) == 1);
  CHECK(findings.count(Level::error) == 2);
  CHECK(findings.summary() == "2 errors, 1 warning");
}

TEST_CASE("findings are shown by area, with the remedy under each") {
  Findings findings;
  findings.begin("clock");
  findings.ok("synchronised");
  findings.begin("disk");
  findings.error("full", "rm it\nor that");
  findings.warning("old", "new");
  CHECK(findings.text() ==
        "clock\n"
        "  ok       synchronised\n"
        "disk\n"
        "  error    full\n"
        "           -> rm it\n"
        "              or that\n"
        "  warning  old\n"
        "           -> new\n");
}

TEST_CASE("a finding may quote what does things to a terminal") {
  Findings findings;
  findings.begin("jobs");
  findings.error("\x1b[2J\rjob", "say \x07");
  CHECK(findings.text() ==
        "jobs\n"
        "  error    \\x1b[2J\\x0djob\n"
        "           -> say \\x07\n");
}

/// A process that starts one child after the other, each of which takes so long to begin; in the
/// state in which it spends most of its time.
class Starter {
 public:
  explicit Starter(useconds_t slowness) : pid_(::fork()) {
    if (pid_ == 0) start_for_ever(slowness);
    while (state() != 'D') ::usleep(1000);
  }
  ~Starter() {
    // Its child, too, which it waits for without hearing signals.
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Starter(const Starter&) = delete;
  Starter& operator=(const Starter&) = delete;

  pid_t pid() const { return pid_; }

 private:
  [[noreturn]] static void start_for_ever(useconds_t slowness) {
    ::setpgid(0, 0);
    while (true) {
      const pid_t child = ::vfork();
      if (child == 0) {
        ::usleep(slowness);
        ::_exit(0);
      }
      ::waitpid(child, nullptr, 0);
    }
  }
  char state() const {
    const auto stat = host::process_stat(pid_);
    return stat ? stat->state : '?';
  }

  pid_t pid_;
};

TEST_CASE("who starts one process after the other is busy, though it never seems to do anything") {
  const Starter busy(100'000);
  for (int look = 0; look < 3; ++look) CHECK_FALSE(is_stuck_in_kernel(busy.pid()));
}

TEST_CASE("who gets on with nothing for a second while the kernel holds it is stuck") {
  const Starter stuck(60'000'000);
  CHECK(is_stuck_in_kernel(stuck.pid()));
}

TEST_CASE("the nearest directory is the one above what is not there") {
  CHECK(nearest_directory("/") == "/");
  CHECK(nearest_directory("/proc") == "/proc");
  CHECK(nearest_directory("/proc/no/such/thing") == "/proc");
  CHECK(nearest_directory("/no-such-directory-at-all/x") == "/");
  CHECK(parent_directory("/a/b") == "/a");
  CHECK(parent_directory("/a") == "/");
  CHECK(parent_directory("/") == "/");
}

}  // namespace
}  // namespace schedctl::cli
