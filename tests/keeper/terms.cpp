// What a command finds and what share of the machine it gets, on the terms of its order.

#include <sys/resource.h>

#include "living_keeper.hpp"
#include "schedctl/host/cgroup.hpp"

namespace schedctl::keeper {
namespace {

using namespace test;

std::pair<Stage, int> failure_of(Daemon& daemon, const StartOrder& order) {
  const std::size_t before = daemon.failed.size();
  daemon.client->start(order);
  daemon.until([&] { return daemon.failed.size() > before; });
  return {daemon.failed.back().stage, daemon.failed.back().error_number};
}

TEST_CASE("a command finds umask, nice value, I/O priority, limits and oom score as ordered") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  for (const char* dir : {"/", "/proc/self"}) {  // shared memory, and a fork
    CAPTURE(dir);
    StartOrder order = shell(dir[1] == 0 ? 1 : 2,
                             "umask; nice; ionice; ulimit -n; ulimit -Hn; ulimit -c; ulimit -u; "
                             "ulimit -t; ulimit -v; ulimit -f; cat /proc/self/oom_score_adj");
    order.argv[0] = "bash";
    order.cwd = dir;
    order.terms.umask = 0137;
    order.terms.nice = 7;
    order.terms.io_class = IoClass::best_effort;
    order.terms.io_level = 6;
    order.terms.limits = {{Resource::nofile, 100},     {Resource::core, 0},
                          {Resource::nproc, 1000},     {Resource::cpu, 50},
                          {Resource::as, 1024L << 20}, {Resource::fsize, 1 << 20}};
    order.terms.oom_score_adj = 321;
    CHECK(read_file(daemon.run(order).output_path) ==
          "0137\n7\nbest-effort: prio 6\n100\n100\n0\n1000\n50\n1048576\n1024\n321\n");
  }
  // The next one has none of it.
  const Ended plain = daemon.run(shell(3, "umask; nice; cat /proc/self/oom_score_adj"));
  CHECK(read_file(plain.output_path) == "0022\n0\n" + read_file("/proc/self/oom_score_adj"));
}

TEST_CASE("a limit of descriptors below what a start itself needs holds all the same") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  const std::string file = scratch / "env";
  std::ofstream(file) << "A=1\n";
  StartOrder order = order_of(1, {"/bin/sh", "-c", "ulimit -n"});
  order.terms.env_file = file;
  order.terms.stdin_file = file;
  order.terms.limits = {{Resource::nofile, 4}};
  CHECK(read_file(daemon.run(order).output_path) == "4\n");
}

TEST_CASE("terms that make no sense are refused before anything runs") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  std::int64_t run = 0;
  const auto refused = [&](const std::function<void(Terms&)>& ask) {
    StartOrder order = order_of(++run, {"true"});
    ask(order.terms);
    return failure_of(daemon, order).second == EINVAL;
  };
  CHECK(refused([](Terms& t) { t.umask = 01000; }));
  CHECK(refused([](Terms& t) { t.io_level = 8; }));
  CHECK(refused([](Terms& t) { t.stop_signal = 0; }));
  CHECK(refused([](Terms& t) { t.stop_signal = 65; }));
  CHECK(refused([](Terms& t) { t.max_output = -1; }));
  CHECK(refused([](Terms& t) { t.memory_max = -1; }));
  CHECK(refused([](Terms& t) { t.user = std::string("a\0b", 3); }));
  CHECK(refused([](Terms& t) { t.stdin_file = "/etc/passwd", t.stdin_text = ""; }));
}

TEST_CASE("a command reads the text or the file of its order, or nothing") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  StartOrder order = order_of(1, {"cat"});
  order.terms.stdin_text = std::string(64 * 1024, 'x');
  CHECK(read_file(daemon.run(order).output_path) == *order.terms.stdin_text);
  order = order_of(2, {"cat"});
  order.terms.stdin_text = "";
  CHECK(daemon.run(order).output_bytes == 0);
  order = order_of(3, {"cat"});
  order.terms.stdin_file = scratch / "in";
  std::ofstream(scratch / "in") << "from a file\n";
  CHECK(read_file(daemon.run(order).output_path) == "from a file\n");
  CHECK(daemon.run(order_of(4, {"cat"})).output_bytes == 0);
  // Who does not read it, or tries to write to it, harms nobody.
  order = shell(5, "exec 3<&0 <&-; (echo more >&3) 2>/dev/null && echo written; exit 3");
  order.terms.stdin_text = std::string(60'000, 'x');
  const Ended ended = daemon.run(order);
  CHECK(ended.wait_status == 3 << 8);
  CHECK(ended.output_bytes == 0);
  order = order_of(6, {"cat"});
  order.terms.stdin_file = scratch / "missing";
  CHECK(failure_of(daemon, order) == std::pair(Stage::input, ENOENT));
  order.key.run = RunId(7);
  order.terms.stdin_file = scratch / "";
  CHECK(failure_of(daemon, order) == std::pair(Stage::input, EISDIR));
}

TEST_CASE("a standard input that nobody writes to hangs its own run and not the keeper") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  REQUIRE(::mkfifo((scratch / "fifo").c_str(), 0600) == 0);
  StartOrder order = order_of(1, {"cat"});
  order.terms.stdin_file = scratch / "fifo";
  order.timeout = std::chrono::milliseconds(300);
  order.kill_grace = std::chrono::milliseconds(100);
  daemon.client->start(order);
  CHECK(daemon.run(shell(2, "exit 4")).wait_status == 4 << 8);
  daemon.until([&] { return daemon.ended.size() == 2; });
  CHECK(daemon.ended[1].timed_out);
}

TEST_CASE("variables of a file lie under those of the order, and reserved ones do not count") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  const std::string file = scratch / "env";
  std::ofstream(file) << "# comment\n\nA=of the file\nB = \"two words\" \nSCHEDCTL_KEY=forged\n"
                         "PATH=/nowhere\nA=last\n";
  StartOrder order = order_of(1, {"/usr/bin/env"});
  order.env = {"PATH=/bin", "OWN=1"};
  order.terms.env_file = file;
  CHECK(read_file(daemon.run(order).output_path) == "PATH=/bin\nOWN=1\nB=two words\nA=last\n");
}

TEST_CASE("an environment file that is none is told, and hangs nothing") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  std::int64_t run = 0;
  const auto failure = [&](const std::string& path) {
    StartOrder order = order_of(++run, {"true"});
    order.terms.env_file = path;
    const auto [stage, error] = failure_of(daemon, order);
    CHECK(stage == Stage::env_file);
    return error;
  };
  CHECK(failure(scratch / "missing") == ENOENT);
  CHECK(failure(scratch / "") == EISDIR);
  REQUIRE(::mkfifo((scratch / "fifo").c_str(), 0600) == 0);
  CHECK(failure(scratch / "fifo") == EINVAL);
  CHECK(failure("/dev/zero") == EINVAL);
  std::ofstream(scratch / "long") << "A=" << std::string(10 << 20, 'x') << "\n";
  CHECK(failure(scratch / "long") == EFBIG);
  for (const char* text : {"no equals sign\n", "=value\n", "1A=x\n", "A-B=x\n", "A=\"open\n"}) {
    CAPTURE(text);
    std::ofstream(scratch / "bad") << text;
    CHECK(failure(scratch / "bad") == EBADMSG);
  }
  CHECK(daemon.started.size() + daemon.ended.size() == 0);
}

TEST_CASE("a limit that this machine's cgroups cannot set ends the start") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  const std::optional<std::string> own = host::own_cgroup();
  const std::string controllers = own ? read_file(*own + "/cgroup.controllers") : "";
  std::int64_t run = 0;
  const auto ask = [&](const char* controller, const std::function<void(Terms&)>& limit) {
    CAPTURE(controller);
    if (controllers.find(controller) != std::string::npos) {
      MESSAGE("not tried: this machine's cgroups have " << controller);
      return;
    }
    StartOrder order = shell(++run, "echo ran >" + (scratch / "ran"));
    limit(order.terms);
    CHECK(failure_of(daemon, order) == std::pair(Stage::cgroup, EOPNOTSUPP));
  };
  ask("memory", [](Terms& t) { t.memory_max = 20 << 20; });
  ask("cpu", [](Terms& t) { t.cpu_max = 50; });
  ask("pids", [](Terms& t) { t.pids_max = 10; });
  CHECK_FALSE(std::filesystem::exists(scratch / "ran"));
  CHECK(daemon.started.empty());
}

TEST_CASE(
    "a run over its limit of memory is killed as a whole, which is told, and nobody else is") {
  const std::optional<std::string> own = host::own_cgroup();
  if (!own || read_file(*own + "/cgroup.controllers").find("memory") == std::string::npos) {
    MESSAGE("skipped: no cgroup v2 with a memory controller here");
    return;
  }
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  StartOrder order =
      shell(1, "sleep 1000 & head -c 200000000 /dev/zero | tail | wc -c; sleep 1000");
  order.terms.memory_max = 20 << 20;
  daemon.client->start(order);
  daemon.until([&] { return !daemon.ended.empty() || !daemon.failed.empty(); });
  if (!daemon.failed.empty()) {
    CHECK(daemon.failed[0].stage == Stage::cgroup);
    CHECK(daemon.failed[0].error_number == EBUSY);
    MESSAGE("skipped: the cgroup of this test is not delegated to it");
    return;
  }
  CHECK(daemon.ended[0].oom_killed);
  CHECK(WTERMSIG(daemon.ended[0].wait_status) == SIGKILL);
  CHECK(daemon.run(shell(2, "exit 4")).wait_status == 4 << 8);
}

}  // namespace
}  // namespace schedctl::keeper
