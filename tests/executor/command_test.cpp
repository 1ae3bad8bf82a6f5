#include "schedctl/executor/command.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <filesystem>
#include <memory>
#include <set>
#include <thread>

#include "schedctl/base/limits.hpp"
#include "schedctl/base/log.hpp"
#include "schedctl/keeper/serve.hpp"
#include "tests/base/scratch.hpp"
#include "tests/keeper/waiting.hpp"
#include "world.hpp"

using namespace schedctl;
using namespace schedctl::executor;
using namespace std::chrono_literals;
using executor::test::is_alive;
using executor::test::World;
using job::Happening;
using schedctl::test::comes_true;
using schedctl::test::Scratch;

// The executor spawns `program keeper --keeper-dir D --output-dir D --ready-fd N`. In these tests
// the program is the test itself: started with these words it never gets to doctest, but serves.
namespace {

__attribute__((constructor)) void serve_if_asked(int argc, char** argv, char**) {
  if ((argc != 6 && argc != 8) || std::string(argv[1]) != "keeper") return;
  host::remember_argv(argc, argv);
  const keeper::KeeperPaths paths{argv[3], argv[5]};
  ::_exit(keeper::serve(paths, argc == 8 ? std::stoi(argv[7]) : -1) ? 0 : 1);
}

}  // namespace

TEST_CASE("a run is reported as started and as finished, with all that is known of it") {
  World world;
  world.connect();
  const auto before = std::chrono::floor<Duration>(std::chrono::system_clock::now());
  world.start(world.shell(1, "echo hello; echo oops >&2; exit 3"));
  const Report& finished = world.wait_for(1);
  const Report* started = world.find(1, Report::Kind::started);
  REQUIRE(started != nullptr);
  CHECK(started->fence == 1);
  CHECK(started->result.pid > 0);
  CHECK(started->result.started_at >= before);
  CHECK(started->result.output_path.starts_with(world.scratch / "output"));
  CHECK(finished.fence == 1);
  CHECK(finished.happening == Happening::exited_nonzero);
  CHECK_FALSE(finished.ended_on_order);
  CHECK(finished.result.exit_code == 3);
  CHECK_FALSE(finished.result.signal);
  CHECK(finished.result.pid == started->result.pid);
  CHECK(finished.result.started_at == started->result.started_at);
  CHECK(finished.result.ended_at >= finished.result.started_at);
  CHECK(finished.result.output_tail == "hello\noops\n");
  CHECK(finished.result.output_bytes == 11);
  CHECK(schedctl::test::read_file(finished.result.output_path) == "hello\noops\n");
  CHECK(world.reports.size() == 2);
}

TEST_CASE("success, failure and signals are told apart") {
  World world;
  world.connect();
  CHECK(world.run(world.request(1, {"/bin/true"})).happening == Happening::exited_zero);
  CHECK(world.run(world.request(2, {"/bin/false"})).happening == Happening::exited_nonzero);
  const Report& killed = world.run(world.shell(3, "kill -9 $$"));
  CHECK(killed.happening == Happening::killed_by_signal);
  CHECK(killed.result.signal == SIGKILL);
  CHECK_FALSE(killed.result.exit_code);
  CHECK(killed.result.output_tail.empty());
}

TEST_CASE("only the last 8 KiB of the output are kept, in whole characters") {
  World world;
  world.connect();
  // 5,000 characters of three bytes: the limit falls within one.
  const Report& report = world.run(
      world.shell(1, "i=0; while [ $i -lt 500 ]; do printf '€€€€€€€€€€'; i=$((i+1)); done"));
  CHECK(report.result.output_bytes == 15'000);
  const std::string& tail = report.result.output_tail;
  CHECK(tail.size() <= limits::kOutputTail);
  CHECK(tail.size() > limits::kOutputTail - 3);
  CHECK(tail.size() % 3 == 0);
  CHECK(tail.starts_with("€"));
  CHECK(tail.ends_with("€"));
  // What is no text is kept byte by byte.
  const Report& binary = world.run(world.shell(2, "printf '\\200\\200\\200\\200\\200ab'"));
  CHECK(binary.result.output_tail == "\200\200\200\200\200ab");
}

TEST_CASE("an output file that became something else gives no tail, and hangs nobody") {
  World world;
  world.connect();
  // The job replaces its own output file by a link to what it could not read itself.
  const Report& link = world.run(
      world.shell(1, "echo x; f=$(readlink /proc/$$/fd/1); rm \"$f\"; ln -s /etc/passwd \"$f\""));
  CHECK(link.happening == Happening::exited_zero);
  CHECK(link.result.output_tail.empty());
  const Report& fifo =
      world.run(world.shell(2, "echo x; f=$(readlink /proc/$$/fd/1); rm \"$f\"; mkfifo \"$f\""));
  CHECK(fifo.happening == Happening::exited_zero);
  CHECK(fifo.result.output_tail.empty());
}

TEST_CASE("a command that cannot be executed says so in words") {
  World world;
  world.connect();
  const auto words = [&](std::int64_t id, StartRequest request) {
    request.run = RunId(id);
    const Report& report = world.run(std::move(request));
    CHECK(report.happening == Happening::exec_failed);
    CHECK(world.find(id, Report::Kind::started) == nullptr);
    CHECK(report.result.ended_at != Time{});
    return report.result.error;
  };
  schedctl::test::write_file(world.scratch / "plain", "text\n");
  CHECK(words(1, world.request(1, {"/no/such/program"})) ==
        "cannot execute the command: No such file or directory");
  CHECK(words(2, world.request(2, {world.scratch / "plain"})) ==
        "cannot execute the command: Permission denied");
  StartRequest lost = world.request(3, {"/bin/true"});
  lost.cwd = "/no/such/directory";
  CHECK(words(3, lost) == "cannot enter its working directory: No such file or directory");
  CHECK(words(4, world.request(4, {"/bin/echo", std::string(4'000'000, 'x')})) ==
        "cannot execute the command: Argument list too long");
}

TEST_CASE("command and environment of the greatest size that is allowed start") {
  World world;
  world.connect();
  StartRequest request =
      world.request(1, {"/bin/sh", "-c", "printf %s \"$BIG\" | wc -c", std::string(60'000, 'x')});
  request.env = {{"BIG", std::string(60'000, 'y')}};
  CHECK(world.run(std::move(request)).result.output_tail == "60000\n");
}

TEST_CASE("a run has the environment and the directory it was given, the user's home by default") {
  World world;
  world.connect();
  StartRequest request = world.shell(1, "env; pwd");
  request.env = {{"GREETING", "hello world"}};
  request.timezone = "Europe/Amsterdam";
  request.cwd.clear();
  const std::string out = world.run(request).result.output_tail;
  std::set<std::string> lines;
  std::istringstream in(out);
  for (std::string line; std::getline(in, line);) lines.insert(line);
  const host::User user = host::current_user();
  for (const std::string& entry : build_environment(request, Accounts().find(""))) {
    CAPTURE(entry);
    CHECK(lines.count(entry) == 1);
  }
  CHECK(lines.count(std::filesystem::canonical(user.home).string()) == 1);
}

TEST_CASE("a run that takes too long is timed out") {
  World world;
  world.connect();
  StartRequest request = world.request(1, {"/bin/sleep", "600"});
  request.policy.timeout = 50ms;
  const Report& report = world.run(std::move(request));
  CHECK(report.happening == Happening::timed_out);
  CHECK_FALSE(report.ended_on_order);
  CHECK(report.result.signal == SIGTERM);
}

TEST_CASE("a run that is ended on order says so, by force if it will not listen") {
  World world;
  world.connect();
  world.start(world.shell(1, "trap '' TERM; echo deaf; while :; do sleep 600; done"));
  const std::string output = world.wait_for(1, Report::Kind::started).result.output_path;
  REQUIRE(comes_true([&] { return schedctl::test::read_file(output) == "deaf\n"; }));
  world.executor->end(RunId(1), 1, 10ms);
  const Report& report = world.wait_for(1);
  CHECK(report.ended_on_order);
  CHECK(report.result.signal == SIGKILL);
  world.executor->end(RunId(1), 1, 10ms);   // it has ended: ignored
  world.executor->end(RunId(99), 1, 10ms);  // unknown: ignored
  CHECK(world.run(world.request(2, {"/bin/true"})).happening == Happening::exited_zero);
}

TEST_CASE("an order to end an earlier attempt does not reach the later one") {
  World world;
  world.connect();
  StartRequest request = world.request(1, {"/bin/sleep", "600"});
  request.fence = 2;
  world.start(std::move(request));
  const std::int64_t pid = world.wait_for(1, Report::Kind::started).result.pid;
  world.executor->end(RunId(1), 1, 10ms);
  CHECK(world.run(world.request(2, {"/bin/true"})).happening == Happening::exited_zero);
  CHECK(is_alive(pid));
  world.executor->end(RunId(1), 2, 10ms);
  CHECK(world.wait_for(1).ended_on_order);
}

TEST_CASE("a start from before the adoption is never carried out") {
  World world;
  world.connect();
  StartRequest stale = world.shell(1, "touch '" + world.scratch / "ran" + "'");
  stale.generation = world.adoptions.back().generation - 1;
  CHECK(world.run(stale).happening == Happening::never_started);
  stale.generation = world.adoptions.back().generation + 1;
  stale.run = RunId(2);
  CHECK(world.run(stale).happening == Happening::never_started);
  CHECK(world.run(world.request(3, {"/bin/true"})).happening == Happening::exited_zero);
  CHECK_FALSE(std::filesystem::exists(world.scratch / "ran"));
}

TEST_CASE("without a keeper a start is reported as never started") {
  World world;
  CHECK(world.run(world.request(1, {"/bin/true"})).happening == Happening::never_started);
  CHECK(world.executor->keeper_pid() == 0);
}

TEST_CASE("a killed keeper is told as lost, and a new one is adopted") {
  World world;
  world.connect();
  world.start(world.request(1, {"/bin/sleep", "600"}));
  world.wait_for(1, Report::Kind::started);
  const Adoption first = world.adoptions.back();
  CHECK(first.keeper_pid == world.executor->keeper_pid());
  StartRequest old = world.request(2, {"/bin/true"});
  world.kill_keeper();
  world.until([&] { return world.adoptions.size() == 2; });
  CHECK(world.losses.size() == 1);
  const Adoption& second = world.adoptions.back();
  CHECK(second.keeper != first.keeper);
  CHECK(second.keeper_pid != first.keeper_pid);
  CHECK(second.generation > first.generation);
  CHECK(world.run(std::move(old)).happening == Happening::never_started);
  CHECK(world.run(world.request(3, {"/bin/true"})).happening == Happening::exited_zero);
}

TEST_CASE("what ended and was not recorded is told again to the next daemon, until it is") {
  World world;
  world.connect();
  world.start(world.shell(1, "echo one; exit 7"));
  world.start(world.request(2, {"/bin/sleep", "600"}));
  world.start(world.request(3, {"/no/such/program"}));
  world.wait_for(1);
  world.wait_for(3);
  const std::int64_t pid = world.wait_for(2, Report::Kind::started).result.pid;
  // A keeper that lives on, and a daemon that comes back.
  world.make_executor();
  world.connect();
  REQUIRE(world.adoptions.size() == 2);
  CHECK(world.adoptions[1].keeper == world.adoptions[0].keeper);
  const auto known = [&](std::int64_t run) -> const Report* {
    for (const Report& report : world.adoptions.back().reports) {
      if (report.run == RunId(run)) return &report;
    }
    return nullptr;
  };
  REQUIRE((known(1) && known(2) && known(3)));
  CHECK(known(1)->kind == Report::Kind::finished);
  CHECK(known(1)->result.exit_code == 7);
  CHECK(known(1)->result.output_tail == "one\n");
  CHECK(known(2)->kind == Report::Kind::started);
  CHECK(known(2)->result.pid == pid);
  CHECK(known(3)->happening == Happening::exec_failed);
  CHECK(is_alive(pid));
  world.executor->recorded({{RunId(1), 1}, {RunId(3), 1}});
  world.reports.clear();
  world.run(world.request(4, {"/bin/true"}));
  world.make_executor();
  world.connect();
  CHECK(known(1) == nullptr);
  CHECK(known(3) == nullptr);
  CHECK(known(2) != nullptr);
  CHECK(known(4) != nullptr);
}

TEST_CASE("the journal of a killed keeper is heard after it") {
  World world;
  world.connect();
  world.start(world.shell(1, "exit 7"));
  world.wait_for(1);
  world.kill_keeper();
  world.until([&] { return world.adoptions.size() == 2; });
  const auto& known = world.adoptions.back().reports;
  REQUIRE(known.size() == 1);
  CHECK(known[0].run == RunId(1));
  CHECK(known[0].result.exit_code == 7);
}

TEST_CASE("runs of another store are nobody's to report") {
  World world("mine");
  world.connect();
  world.start(world.shell(1, "exit 7"));
  world.wait_for(1);
  auto created = CommandExecutor::create(
      *world.loop, {world.paths(), std::filesystem::read_symlink("/proc/self/exe"), "another's"},
      world);
  REQUIRE(created);
  world.executor = std::move(*created);
  world.connect();
  CHECK(world.adoptions.back().reports.empty());
}

TEST_CASE("a program that is no keeper is an error with its words, and nothing is adopted") {
  World world;
  auto created =
      CommandExecutor::create(*world.loop, {world.paths(), "/bin/false", "store"}, world);
  REQUIRE(created);
  world.executor = std::move(*created);
  const auto connected = world.executor->connect();
  REQUIRE_FALSE(connected);
  CHECK(connected.error().message.find("keeper") != std::string::npos);
  CHECK(world.adoptions.empty());
}

TEST_CASE("an idle keeper ends when it is dismissed; what was recorded last still counts") {
  World world;
  world.connect();
  world.run(world.shell(1, "exit 7"));
  world.executor->recorded({{RunId(1), 1}});
  world.executor->dismiss_keeper();
  CHECK(comes_true([&] { return keeper::living_keeper(world.paths().keeper_dir) == 0; }));
  CHECK(world.losses.empty());
  REQUIRE(world.loop->run_once(Duration(0)));  // and nobody makes a new one
  CHECK(keeper::living_keeper(world.paths().keeper_dir) == 0);
  world.make_executor();
  world.connect();
  CHECK(world.adoptions.back().reports.empty());
}

TEST_CASE("a keeper that still has children stays when it is dismissed") {
  World world;
  world.connect();
  world.start(world.request(1, {"/bin/sleep", "600"}));
  const std::int64_t pid = world.wait_for(1, Report::Kind::started).result.pid;
  world.executor->dismiss_keeper();
  CHECK(keeper::living_keeper(world.paths().keeper_dir) != 0);
  CHECK(is_alive(pid));
}

TEST_CASE("a daemon that starts while the last one's keeper is ending gets one all the same") {
  World world;
  for (int i = 0; i < 5; ++i) {
    world.make_executor();
    world.connect();
    // No waiting for its end, as a daemon would that was killed right after the order.
    auto client = keeper::test::connect(world.paths(), 20s);
    if (client) (*client)->quit_if_idle();
  }
  world.make_executor();
  world.connect();
  CHECK(world.run(world.request(1, {"/bin/true"})).happening == Happening::exited_zero);
}

TEST_CASE("orders from another thread are carried out, a thousand starts each exactly once") {
  World world;
  world.connect();
  constexpr int kRuns = 1000;
  std::thread runner([&] {
    for (int batch = 0; batch < 10; ++batch) {
      std::vector<StartRequest> requests;
      for (int i = 0; i < kRuns / 10; ++i) {
        requests.push_back(world.request(batch * (kRuns / 10) + i + 1, {"/bin/true"}));
      }
      world.executor->start(std::move(requests));
    }
  });
  const auto finished = [&] {
    std::size_t count = 0;
    for (const Report& report : world.reports) {
      if (report.kind == Report::Kind::finished) ++count;
    }
    return count;
  };
  // The generation was read before the thread began: adoptions do not change while it runs.
  world.until([&] { return finished() >= kRuns; });
  runner.join();
  std::set<std::int64_t> seen;
  for (const Report& report : world.reports) {
    if (report.kind != Report::Kind::finished) continue;
    CHECK(report.happening == Happening::exited_zero);
    CHECK(seen.insert(report.run.value).second);
  }
  CHECK(seen.size() == kRuns);
}
