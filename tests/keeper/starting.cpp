#include "living_keeper.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace schedctl::keeper {
namespace {

using namespace test;

TEST_CASE("a command runs and its exit code comes back") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  REQUIRE(keeper.said() == "R");
  Daemon daemon(scratch.paths());
  CHECK(daemon.client->pid() == keeper.pid());
  CHECK(daemon.client->inventory().instance.size() == 16);
  const Ended ended = daemon.run(shell(1, "exit 7"));
  CHECK(WIFEXITED(ended.wait_status));
  CHECK(WEXITSTATUS(ended.wait_status) == 7);
  REQUIRE(daemon.started.size() == 1);
  CHECK(daemon.started[0].key == ended.key);
  CHECK(daemon.started[0].pid == ended.pid);
  CHECK(ended.started_at == daemon.started[0].at);
  CHECK(ended.ended_at >= ended.started_at);
  CHECK_FALSE(ended.timed_out);
  CHECK_FALSE(ended.ended_on_order);
}

TEST_CASE("a command's death by a signal is told as such") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  const Ended ended = daemon.run(shell(1, "kill -USR1 $$"));
  CHECK(WIFSIGNALED(ended.wait_status));
  CHECK(WTERMSIG(ended.wait_status) == SIGUSR1);
}

TEST_CASE("what cannot be executed is told with stage and errno") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  const std::string plain = scratch / "plain";
  std::ofstream(plain) << "echo hello\n";
  const auto failure_of = [&](const StartOrder& order) {
    const std::size_t before = daemon.failed.size();
    daemon.client->start(order);
    daemon.until([&] { return daemon.failed.size() > before; });
    CHECK(daemon.failed.back().key == order.key);
    return std::pair(daemon.failed.back().stage, daemon.failed.back().error_number);
  };
  CHECK(failure_of(order_of(1, {"/no/such/program"})) == std::pair(Stage::exec, ENOENT));
  CHECK(failure_of(order_of(2, {"no-such-program"})) == std::pair(Stage::exec, ENOENT));
  CHECK(failure_of(order_of(3, {plain})) == std::pair(Stage::exec, EACCES));
  CHECK(failure_of(order_of(4, {"/"})) == std::pair(Stage::exec, EACCES));
  ::chmod(plain.c_str(), 0755);
  CHECK(failure_of(order_of(5, {plain})) == std::pair(Stage::exec, ENOEXEC));
  CHECK(failure_of(order_of(6, {""})) == std::pair(Stage::exec, ENOENT));
  CHECK(failure_of(order_of(7, {})) == std::pair(Stage::exec, EINVAL));
  CHECK(failure_of(order_of(8, {"true", std::string("a\0b", 3)})) ==
        std::pair(Stage::exec, EINVAL));
  StartOrder order = order_of(9, {"true"});
  order.cwd = "/no/such/directory";
  CHECK(failure_of(order) == std::pair(Stage::cwd, ENOENT));
  order.key.run = RunId(10);
  order.cwd = plain;
  CHECK(failure_of(order) == std::pair(Stage::cwd, ENOTDIR));
  order = order_of(11, {"true", std::string(200 * 1024, 'x')});
  CHECK(failure_of(order) == std::pair(Stage::exec, E2BIG));
  CHECK(daemon.started.empty());
  CHECK(daemon.run(shell(12, "exit 3")).wait_status == 3 << 8);
}

TEST_CASE("a program is looked for in the PATH it is given, and a forbidden one is remembered") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  for (const char* dir : {"first", "second"}) std::filesystem::create_directory(scratch / dir);
  std::ofstream(scratch / "first/tool") << "#!/bin/sh\nexit 1\n";
  std::ofstream(scratch / "second/tool") << "#!/bin/sh\nexit 42\n";
  ::chmod((scratch / "second/tool").c_str(), 0755);
  StartOrder order = order_of(1, {"tool"});
  order.env = {"PATH=/nowhere:" + (scratch / "first") + ":" + (scratch / "second")};
  CHECK(WEXITSTATUS(daemon.run(order).wait_status) == 42);
  order.key.run = RunId(2);
  order.env = {"PATH=" + (scratch / "first") + ":/nowhere"};
  daemon.client->start(order);
  daemon.until([&] { return daemon.failed.size() == 1; });
  CHECK(daemon.failed[0].error_number == EACCES);
}

TEST_CASE("a command gets exactly the environment of its order, and its directory") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths(), [] { ::setenv("SECRET", "of the keeper", 1); });
  Daemon daemon(scratch.paths());
  StartOrder order = order_of(1, {"/usr/bin/env"});
  order.env = {"B=2", "A=with space", "EMPTY="};
  CHECK(read_file(daemon.run(order).output_path) == "B=2\nA=with space\nEMPTY=\n");
  order = order_of(2, {"/bin/pwd"});
  order.cwd = scratch / "output";
  CHECK(read_file(daemon.run(order).output_path) == order.cwd + "\n");
  order.key.run = RunId(3);  // now the directory is in the kernel's cache, which is another way
  CHECK(read_file(daemon.run(order).output_path) == order.cwd + "\n");
}

TEST_CASE("a command has three descriptors, a session and a group of its own, and umask 022") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths(), [] { ::open("/dev/null", O_RDONLY); });
  Daemon daemon(scratch.paths());
  for (const char* dir : {"/", "/proc/self"}) {  // shared memory, and a fork
    CAPTURE(dir);
    StartOrder order = shell(*dir == '/' && dir[1] == 0 ? 1 : 2,
                             "for fd in /proc/$$/fd/*; do readlink $fd; done; umask; "
                             "cut -d' ' -f5,6 /proc/$$/stat; echo $$");
    order.cwd = dir;
    const Ended ended = daemon.run(order);
    const std::string pid = std::to_string(ended.pid);
    CHECK(read_file(ended.output_path) == "/dev/null\n" + ended.output_path + "\n" +
                                              ended.output_path + "\n0022\n" + pid + " " + pid +
                                              "\n" + pid + "\n");
  }
}

TEST_CASE("signals are as a command expects them, whatever the keeper inherited") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths(), [] {
    for (const int number : {SIGPIPE, SIGHUP, SIGCHLD, SIGTERM, SIGUSR2}) {
      ::signal(number, SIG_IGN);
    }
    sigset_t all;
    ::sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, nullptr);
  });
  Daemon daemon(scratch.paths());
  for (const char* dir : {"/", "/proc/self"}) {
    CAPTURE(dir);
    // Not grep, which catches a signal itself.
    StartOrder order = order_of(dir[1] == 0 ? 1 : 2, {"cat", "/proc/self/status"});
    order.cwd = dir;
    const std::string status = read_file(daemon.run(order).output_path);
    for (const char* what : {"SigBlk", "SigIgn", "SigCgt"}) {
      CHECK(status.find(std::string(what) + ":\t0000000000000000\n") != std::string::npos);
    }
  }
}

TEST_CASE("a command gets the limits and the oom score that the keeper was started with") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths(), [] {
    const rlimit files{256, 4096};
    ::setrlimit(RLIMIT_NOFILE, &files);
  });
  Daemon daemon(scratch.paths());
  const Ended ended = daemon.run(shell(1, "ulimit -Sn; ulimit -Hn; cat /proc/self/oom_score_adj"));
  CHECK(read_file(ended.output_path) == "256\n4096\n" + read_file("/proc/self/oom_score_adj"));
}

TEST_CASE("a command is not spared when memory is short because the keeper is") {
  const auto spare = [] {
    std::ofstream out("/proc/self/oom_score_adj");
    out << "-17" << std::flush;
    return static_cast<bool>(out);
  };
  // Only CAP_SYS_RESOURCE may, which not every root has.
  const pid_t child = ::fork();
  if (child == 0) ::_exit(spare() ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (status != 0) return;
  Scratch scratch;
  KeeperProcess keeper(scratch.paths(), [&] { spare(); });
  Daemon daemon(scratch.paths());
  const Ended ended = daemon.run(shell(1, "cat /proc/self/oom_score_adj"));
  CHECK(read_file(ended.output_path) == "0\n");
}

TEST_CASE("CPU time and peak memory of a command are told") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  const Ended busy = daemon.run(shell(1, "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"));
  CHECK(busy.cpu > std::chrono::milliseconds(10));
  // dd's buffer is in memory for sure, and larger than this test program.
  const Ended large =
      daemon.run(order_of(2, {"dd", "if=/dev/zero", "of=/dev/null", "bs=400M", "count=1"}));
  REQUIRE(large.max_rss_kb);
  CHECK(*large.max_rss_kb >= 400 * 1024);
  const Ended small = daemon.run(order_of(3, {"true"}));
  CHECK_FALSE(small.max_rss_kb);
}

TEST_CASE("a fork that the kernel refuses is told, and the next one goes on") {
  if (::geteuid() != 0) return;
  Scratch scratch;
  ::chmod((scratch / "").c_str(), 0755);
  // An ordinary user with a limit of processes: root has none.
  KeeperProcess keeper(scratch.paths(), [&] {
    std::filesystem::create_directory(scratch / "keeper");
    std::filesystem::create_directory(scratch / "output");
    for (const char* dir : {"keeper", "output"}) {
      if (::chown((scratch / dir).c_str(), 54'321, 54'321) != 0) ::_exit(9);
    }
    if (::setresgid(54'321, 54'321, 54'321) != 0 || ::setresuid(54'321, 54'321, 54'321) != 0) {
      ::_exit(9);
    }
    const rlimit processes{4, 4};
    ::setrlimit(RLIMIT_NPROC, &processes);
  });
  REQUIRE(keeper.said() == "R");
  Daemon daemon(scratch.paths());
  for (int run = 1; run <= 5; ++run) daemon.client->start(order_of(run, {"sleep", "1000"}));
  daemon.until([&] { return daemon.started.size() + daemon.failed.size() == 5; });
  REQUIRE_FALSE(daemon.started.empty());
  REQUIRE_FALSE(daemon.failed.empty());
  CHECK(daemon.failed[0].stage == Stage::fork);
  CHECK(daemon.failed[0].error_number == EAGAIN);
  daemon.client->end(daemon.started[0].key, std::chrono::seconds(10));
  daemon.until([&] { return daemon.ended.size() == 1; });
  CHECK(daemon.run(order_of(6, {"true"})).wait_status == 0);
}

}  // namespace
}  // namespace schedctl::keeper
