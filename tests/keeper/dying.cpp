// A keeper that dies at a named place (base/crash_point.hpp), and what the next one knows.

#ifdef SCHEDCTL_CRASH_POINTS

#include "living_keeper.hpp"

namespace schedctl::keeper {
namespace {

using namespace test;

struct Death {
  const char* where;
  bool began;         ///< the command was started
  bool end_is_known;  ///< to the next keeper
};

TEST_CASE("wherever a keeper dies, the next one knows an end or nothing, and no command is left") {
  const Death deaths[] = {
      {"keeper.ordered", false, false},     {"keeper.forked", true, false},
      {"keeper.journaled", true, false},    {"keeper.ended", true, false},
      {"keeper.end-journaled", true, true},
  };
  for (const Death& death : deaths) {
    CAPTURE(death.where);
    Scratch scratch;
    KeeperProcess keeper(scratch.paths(), [&] { ::setenv("_SCHEDCTL_CRASH_AT", death.where, 1); });
    REQUIRE(keeper.said() == "R");
    const std::string began = scratch / "began";
    Daemon daemon(scratch.paths());
    daemon.client->start(shell(1, "echo $$ > " + began + "; sleep 0.2; exit 3"));
    CHECK(comes_true([&] {
      daemon.serve_for(10);
      return daemon.closed;
    }));
    const int status = keeper.wait();
    REQUIRE(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGKILL);
    CHECK(daemon.ended.empty());
    // The keeper may be faster than its command's first line.
    if (!death.began) CHECK_FALSE(std::filesystem::exists(began));
    if (death.end_is_known) CHECK(std::filesystem::exists(began));
    KeeperProcess next(scratch.paths());
    REQUIRE(next.said() == "R");
    Daemon heir(scratch.paths());
    const Inventory& known = heir.client->inventory();
    CHECK(known.running.empty());
    CHECK(known.failed.empty());
    REQUIRE(known.ended.size() == (death.end_is_known ? 1 : 0));
    if (death.end_is_known) CHECK(known.ended[0].wait_status == 3 << 8);
    const std::string pid = read_file(began);
    if (!pid.empty()) {
      CHECK(comes_true([&] { return !is_alive(static_cast<pid_t>(std::stol(pid))); }));
    }
    CHECK(heir.run(shell(2, "exit 4")).wait_status == 4 << 8);
  }
}

}  // namespace
}  // namespace schedctl::keeper

#endif
