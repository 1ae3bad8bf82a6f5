#include "schedctl/host/remains.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <set>

#include "schedctl/base/clock.hpp"
#include "tests/base/scratch.hpp"

namespace schedctl::host {
namespace {

using test::comes_true;

/// A shell that ends, and the two that it leaves: one in its session, one in its own.
struct Ended {
  explicit Ended(const std::string& mark) {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    trace = {.session = 0, .since_boot = SystemClock().elapsed(), .marks = {mark}};
    trace.session = ::fork();
    REQUIRE(trace.session >= 0);
    if (trace.session == 0) {
      ::setsid();
      const char* env[] = {mark.c_str(), "PATH=/bin:/usr/bin", nullptr};
      ::execle("/bin/sh", "sh", "-c", "sleep 1000 & setsid sleep 1000 &", nullptr, env);
      ::_exit(9);
    }
    ::waitpid(trace.session, nullptr, 0);
  }
  Ended(const Ended&) = delete;
  Ended& operator=(const Ended&) = delete;
  ~Ended() {
    for (const ProcessStat& one : remains()) signal_process(one, SIGKILL);
    comes_true([&] { return ::waitpid(-1, nullptr, WNOHANG) < 0; });
    ::prctl(PR_SET_CHILD_SUBREAPER, 0);
  }
  std::vector<ProcessStat> remains() const {
    return remains_of({trace}, [](pid_t) { return false; }).front();
  }
  Trace trace;
};

TEST_CASE("what a command left is found by its session and by its environment") {
  const Ended ended("REMAINS_TEST=one");
  CHECK(comes_true([&] {
    std::set<pid_t> sessions;
    for (const ProcessStat& one : ended.remains()) sessions.insert(one.session);
    return ended.remains().size() == 2 && sessions.size() == 2;
  }));
  Trace unmarked = ended.trace;
  unmarked.marks.clear();
  Trace stranger = ended.trace;
  stranger.session = 0;
  stranger.marks = {"REMAINS_TEST=two"};
  Trace later = ended.trace;
  later.since_boot = SystemClock().elapsed() + std::chrono::hours(1);
  const auto found = remains_of({unmarked, stranger, later, Trace{}}, [](pid_t) { return false; });
  CHECK(found[0].size() == 1);
  for (std::size_t i = 1; i < found.size(); ++i) CHECK(found[i].empty());
  const auto its_own = remains_of({unmarked}, [&](pid_t p) { return p == ended.trace.session; });
  CHECK(its_own[0].empty());
}

TEST_CASE("orphans of a dead parent are killed by their mark, and strangers are not") {
  const Ended ended("REMAINS_TEST=orphan");
  CHECK(comes_true([&] { return ended.remains().size() == 2; }));
  Trace anywhere = ended.trace;
  anywhere.session = 0;
  anywhere.marks = {"REMAINS_TEST=other"};
  kill_orphans({anywhere}, "REMAINS_TEST=");
  CHECK(ended.remains().size() == 2);
  // In its session, but not its own.
  Trace inside = ended.trace;
  inside.marks = {"REMAINS_TEST=other"};
  kill_orphans({inside}, "REMAINS_TEST=");
  CHECK(ended.remains().size() == 2);
  kill_orphans({inside}, "SOMETHING_ELSE=");
  CHECK(comes_true([&] { return ended.remains().size() == 1; }));
  anywhere.marks = ended.trace.marks;
  kill_orphans({anywhere}, "REMAINS_TEST=");
  CHECK(comes_true([&] { return ended.remains().empty(); }));
}

}  // namespace
}  // namespace schedctl::host
