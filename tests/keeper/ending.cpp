#include "living_keeper.hpp"

namespace schedctl::keeper {
namespace {

using namespace test;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// Starts it and waits until it has written "ready" to its output.
Started start_ready(Daemon& daemon, const StartOrder& order) {
  const std::size_t before = daemon.started.size();
  daemon.client->start(order);
  daemon.until([&] { return daemon.started.size() > before; });
  const Started started = daemon.started.back();
  REQUIRE(comes_true(
      [&] { return read_file(started.output_path).find("ready") != std::string::npos; }));
  return started;
}

/// The pids that a script wrote.
std::vector<pid_t> pids_in(const std::string& path) {
  std::istringstream words(read_file(path));
  std::vector<pid_t> pids;
  for (std::string word; words >> word;) {
    if (word != "ready") pids.push_back(static_cast<pid_t>(std::stol(word)));
  }
  return pids;
}

Ended next_end(Daemon& daemon) {
  const std::size_t before = daemon.ended.size();
  daemon.until([&] { return daemon.ended.size() > before; });
  return daemon.ended.back();
}

TEST_CASE("a command over its timeout gets TERM") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  StartOrder order = order_of(1, {"sleep", "1000"});
  order.timeout = milliseconds(50);
  const Ended ended = daemon.run(order);
  CHECK(WTERMSIG(ended.wait_status) == SIGTERM);
  CHECK(ended.timed_out);
  CHECK_FALSE(ended.ended_on_order);
  CHECK(ended.ended_at - ended.started_at >= milliseconds(50));
}

TEST_CASE("a command that ignores TERM is killed with its whole group after the grace") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  StartOrder order =
      shell(1, "trap '' TERM; sleep 1000 & echo ready $!; while :; do wait; sleep 1; done");
  order.timeout = seconds(2);  // long enough for the trap
  order.kill_grace = milliseconds(200);
  const Started started = start_ready(daemon, order);
  const Ended ended = next_end(daemon);
  CHECK(WTERMSIG(ended.wait_status) == SIGKILL);
  CHECK(ended.timed_out);
  CHECK(ended.ended_at - ended.started_at >= milliseconds(2200));
  for (const pid_t pid : pids_in(started.output_path)) {
    CHECK(comes_true([&] { return !is_alive(pid); }));
  }
}

TEST_CASE("a run is ended on order, and its end says so") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  const StartOrder order = shell(1, "trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done");
  const Started started = start_ready(daemon, order);
  daemon.client->end(started.key, seconds(60));
  const Ended ended = next_end(daemon);
  CHECK(ended.wait_status == 5 << 8);
  CHECK(ended.ended_on_order);
  CHECK_FALSE(ended.timed_out);
  daemon.client->end(started.key, seconds(0));              // over already
  daemon.client->end({"store", RunId(99), 1}, seconds(0));  // never heard of
  daemon.settle();
  CHECK(daemon.ended.size() == 1);
}

TEST_CASE("a grace of zero kills at once, and a shorter one shortens the one that runs") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  const std::string stubborn = "trap '' TERM; echo ready; while :; do sleep 0.01; done";
  const Started first = start_ready(daemon, shell(1, stubborn));
  daemon.client->end(first.key, seconds(0));
  CHECK(WTERMSIG(next_end(daemon).wait_status) == SIGKILL);
  const Started second = start_ready(daemon, shell(2, stubborn));
  daemon.client->end(second.key, std::chrono::hours(1));
  daemon.client->end(second.key, milliseconds(10));
  CHECK(WTERMSIG(next_end(daemon).wait_status) == SIGKILL);
}

TEST_CASE("a stopped command is ended by TERM too") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  const Started started = start_ready(daemon, shell(1, "echo ready; kill -STOP $$"));
  CHECK(comes_true([&] {
    return read_file("/proc/" + std::to_string(started.pid) + "/stat").find(") T ") !=
           std::string::npos;
  }));
  daemon.client->end(started.key, std::chrono::hours(1));
  CHECK(WTERMSIG(next_end(daemon).wait_status) == SIGTERM);
}

TEST_CASE("a command that stops itself is ended by its timeout, and by the KILL after it") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  // What it is told to end by, it would handle only if it went on; then it stops again.
  StartOrder order = shell(1,
                           "trap 'kill -STOP $$' TERM; kill -STOP $$; "
                           "while :; do sleep 0.01; done");
  order.timeout = seconds(2);  // long enough for the trap
  order.kill_grace = milliseconds(200);
  const Ended ended = daemon.run(order);
  CHECK(WTERMSIG(ended.wait_status) == SIGKILL);
  CHECK(ended.timed_out);
}

TEST_CASE("the stop signal is the one that the order names") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  StartOrder order = shell(1,
                           "trap 'exit 8' QUIT; trap '' TERM; echo ready; "
                           "while :; do sleep 0.01; done");
  order.terms.stop_signal = SIGQUIT;
  const Started started = start_ready(daemon, order);
  daemon.client->end(started.key, seconds(60));
  CHECK(next_end(daemon).wait_status == 8 << 8);
}

TEST_CASE("a signal reaches the group of a run, and nobody else's") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  const std::string line = "trap 'echo got' USR2; echo ready; while :; do sleep 0.01; done";
  const Started first = start_ready(daemon, shell(1, line));
  const Started second = start_ready(daemon, shell(2, line));
  daemon.client->signal(first.key, SIGUSR2);
  daemon.client->signal({"store", RunId(99), 1}, SIGKILL);  // never heard of
  daemon.client->signal(first.key, 0);
  daemon.client->signal(first.key, 1000);
  daemon.settle();
  // The shell tells of its sleep too, which is in the group.
  CHECK(
      comes_true([&] { return read_file(first.output_path).find("got\n") != std::string::npos; }));
  CHECK(read_file(second.output_path) == "ready\n");
  daemon.client->signal(first.key, SIGKILL);
  CHECK(WTERMSIG(next_end(daemon).wait_status) == SIGKILL);
  CHECK_FALSE(daemon.ended.back().ended_on_order);
}

/// With what the daemon puts into every environment.
StartOrder marked(StartOrder order, int attempt = 1) {
  order.env.push_back("SCHEDCTL_KEY=key-" + std::to_string(order.key.run.value));
  order.env.push_back("SCHEDCTL_ATTEMPT=" + std::to_string(attempt));
  return order;
}

TEST_CASE(
    "what an ended run leaves in its session is killed after the grace, its end told before") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  // One stays in the group and ignores TERM; `set -m` puts the other into a group of its own. (The
  // usual shell has no job control without a terminal.)
  const std::string stubborn =
      "bash -c \"trap '' TERM; echo ready \\$\\$; while :; do sleep 0.01; done\" & ";
  const Started started =
      start_ready(daemon, order_of(1, {"bash", "-c", stubborn + "set -m; " + stubborn + "wait"}));
  REQUIRE(comes_true([&] { return pids_in(started.output_path).size() == 2; }));
  daemon.client->end(started.key, seconds(2));
  const Ended ended = next_end(daemon);
  CHECK(WTERMSIG(ended.wait_status) == SIGTERM);
  for (const pid_t pid : pids_in(started.output_path)) CHECK(is_alive(pid));
  // Others end meanwhile as ever.
  CHECK(daemon.run(shell(2, "exit 4")).wait_status == 4 << 8);
  CHECK(daemon.run(order_of(3, {"true"})).wait_status == 0);
  for (const pid_t pid : pids_in(started.output_path)) {
    CHECK(comes_true([&] { return !is_alive(pid); }));
  }
  // Nothing is left of any of it, zombies neither.
  CHECK(comes_true([&] { return ::kill(-started.pid, 0) != 0; }));
  CHECK(daemon.run(shell(4, "exit 6")).wait_status == 6 << 8);
}

TEST_CASE("what a run leaves behind when it ends by itself is told to end") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  // The group, another group, another session, and a session in that.
  const std::string pids = scratch / "pids";
  const std::string line = "exec >>" + pids +
                           "; sleep 1000 & echo $!; set -m; sleep 1000 & echo $!; set +m; "
                           "setsid sh -c 'echo $$; setsid sh -c \"echo \\$\\$; sleep 1000\" & :' & "
                           "while [ $(wc -l <" +
                           pids + ") -lt 4 ]; do sleep 0.01; done";
  const Ended ended = daemon.run(marked(order_of(1, {"bash", "-c", line})));
  CHECK(ended.wait_status == 0);
  CHECK(pids_in(pids).size() == 4);
  for (const pid_t pid : pids_in(pids)) CHECK(comes_true([&] { return !is_alive(pid); }));
}

TEST_CASE("what a run leaves in a session of its own is killed if it ignores the signal") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  StartOrder order =
      marked(shell(1,
                   "setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.01; done' & "
                   "while [ ! -s /proc/self/fd/1 ]; do sleep 0.01; done"));
  order.kill_grace = seconds(2);
  const Ended ended = daemon.run(order);
  REQUIRE(pids_in(ended.output_path).size() == 1);
  const pid_t left = pids_in(ended.output_path)[0];
  CHECK(is_alive(left));
  CHECK(comes_true([&] { return !is_alive(left); }));
  CHECK(std::chrono::system_clock::now() - ended.ended_at >= seconds(2));
}

TEST_CASE("what another run, or another attempt, has in a session of its own is left alone") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  const std::string line = "setsid sleep 1000 & echo ready $!; wait";
  const Started other = start_ready(daemon, marked(shell(1, line)));
  StartOrder next = marked(shell(2, line), 2);
  next.env.end()[-2] = "SCHEDCTL_KEY=key-1";
  const Started attempt = start_ready(daemon, next);
  StartOrder last = marked(shell(3, "setsid sleep 1000 & echo $!"), 3);
  last.env.end()[-2] = "SCHEDCTL_KEY=key-1";
  const Ended ended = daemon.run(last);
  REQUIRE(pids_in(ended.output_path).size() == 1);
  CHECK(comes_true([&] { return !is_alive(pids_in(ended.output_path)[0]); }));
  for (const Started& started : {other, attempt}) {
    const pid_t pid = pids_in(started.output_path)[0];
    CHECK(is_alive(pid));
    ::kill(pid, SIGKILL);
  }
}

TEST_CASE("what a run leaves behind goes on if it may, and its zombie is taken away") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  StartOrder order = marked(shell(1, "sleep 1000 & echo $!; setsid sleep 1000 & echo $!"));
  order.terms.keep_children = true;
  const Ended ended = daemon.run(order);
  CHECK(ended.wait_status == 0);
  // One that may not: once its child is gone, the keeper has looked.
  const Ended other = daemon.run(marked(shell(2, "setsid sleep 1000 & echo $!")));
  CHECK(comes_true([&] { return !is_alive(pids_in(other.output_path)[0]); }));
  REQUIRE(pids_in(ended.output_path).size() == 2);
  for (const pid_t pid : pids_in(ended.output_path)) {
    CHECK(is_alive(pid));
    ::kill(pid, SIGKILL);
    CHECK(comes_true([&] { return ::kill(pid, 0) != 0; }));
  }
}

TEST_CASE("a pending command can be ended before its exec") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  // /proc is not a local file system, so this is a fork; the end comes in the same packet.
  StartOrder order = order_of(1, {"sleep", "1000"});
  order.cwd = "/proc";
  daemon.client->start(order);
  daemon.client->end(order.key, seconds(20));
  const Ended ended = next_end(daemon);
  // Nothing of the command runs that could be asked to end.
  CHECK(WTERMSIG(ended.wait_status) == SIGKILL);
  CHECK(daemon.started.size() == 1);
}

}  // namespace
}  // namespace schedctl::keeper
