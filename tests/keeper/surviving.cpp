#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <map>

#include "living_keeper.hpp"
#include "schedctl/base/unique_fd.hpp"
#include "schedctl/host/host.hpp"
#include "src/keeper/codec.hpp"
#include "src/keeper/journal.hpp"

namespace schedctl::keeper {
namespace {

using namespace test;
using std::chrono::seconds;

std::vector<std::string> journals_of(const Scratch& scratch) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(scratch / "keeper")) {
    const std::string name = entry.path().filename();
    if (name.starts_with("journal-")) names.push_back(name);
  }
  return names;
}

TEST_CASE("a new daemon learns what runs, what failed and what ended, until it acknowledges") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  const std::string go = scratch / "go";
  {
    Daemon daemon(scratch.paths());
    daemon.client->start(shell(1, "exit 3"));
    daemon.client->start(order_of(2, {"/no/such"}));
    daemon.client->start(order_of(3, {"sleep", "1000"}));
    daemon.client->start(shell(4, "while [ ! -e " + go + " ]; do sleep 0.01; done; exit 9"));
    daemon.until([&] {
      return daemon.ended.size() == 1 && daemon.failed.size() == 1 && daemon.started.size() == 3;
    });
  }
  std::ofstream(go) << "go";  // ends while no daemon is there
  const auto ended_unseen = [&] {
    Daemon daemon(scratch.paths());
    return daemon.client->inventory().ended.size() == 2;
  };
  CHECK(comes_true(ended_unseen));
  {
    Daemon daemon(scratch.paths());
    const Inventory& known = daemon.client->inventory();
    REQUIRE(known.running.size() == 1);
    CHECK(known.running[0].key.run == RunId(3));
    CHECK(is_alive(static_cast<pid_t>(known.running[0].pid)));
    REQUIRE(known.failed.size() == 1);
    CHECK(known.failed[0].key.run == RunId(2));
    REQUIRE(known.ended.size() == 2);
    CHECK(known.ended[0].wait_status == 3 << 8);
    CHECK(known.ended[1].wait_status == 9 << 8);
    daemon.client->acknowledge({known.ended[0].key, known.failed[0].key, known.running[0].key});
    daemon.settle();
  }
  Daemon daemon(scratch.paths());
  CHECK(daemon.client->inventory().running.size() == 1);
  CHECK(daemon.client->inventory().failed.empty());
  REQUIRE(daemon.client->inventory().ended.size() == 1);
  CHECK(daemon.client->inventory().ended[0].key.run == RunId(4));
  daemon.client->end(daemon.client->inventory().running[0].key, seconds(10));
  daemon.until([&] { return daemon.ended.size() == 1; });
}

TEST_CASE("orders that a dead daemon had sent are carried out before the next one is welcomed") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  {
    Daemon daemon(scratch.paths());
    ::kill(keeper.pid(), SIGSTOP);
    for (int run = 1; run <= 50; ++run) daemon.client->start(order_of(run, {"sleep", "1000"}));
    daemon.client->on_ready(POLLOUT);
    REQUIRE(daemon.client->wanted_events() == POLLIN);
  }
  ::kill(keeper.pid(), SIGCONT);
  Daemon daemon(scratch.paths());
  CHECK(daemon.client->inventory().running.size() == 50);
}

TEST_CASE("a new daemon takes the place of one that still lives, and no order is lost or doubled") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon old(scratch.paths());
  old.client->start(order_of(1, {"sleep", "1000"}));
  old.client->on_ready(POLLOUT);
  Daemon fresh(scratch.paths());
  CHECK(fresh.client->inventory().running.size() == 1);
  old.client->start(order_of(2, {"sleep", "1000"}));
  CHECK(comes_true([&] {
    old.serve_for(10);
    return old.closed;
  }));
  fresh.client->start(order_of(1, {"sleep", "1000"}));  // ordered again: known already
  fresh.until([&] { return fresh.started.size() == 1; });
  CHECK(fresh.started[0].pid == fresh.client->inventory().running[0].pid);
  Daemon last(scratch.paths());
  CHECK(last.client->inventory().running.size() == 1);
}

TEST_CASE("when the keeper is killed its commands die, and the next one knows what had ended") {
  Scratch scratch;
  std::string instance;
  pid_t running = 0;
  {
    KeeperProcess keeper(scratch.paths());
    Daemon daemon(scratch.paths());
    instance = daemon.client->inventory().instance;
    daemon.run(shell(1, "exit 3"));
    daemon.run(shell(2, "exit 4"));
    daemon.client->acknowledge({daemon.ended[1].key});
    daemon.client->start(order_of(3, {"/no/such"}));
    daemon.client->start(order_of(4, {"sleep", "1000"}));
    daemon.until([&] { return daemon.started.size() == 3 && daemon.failed.size() == 1; });
    daemon.settle();
    running = static_cast<pid_t>(daemon.started[2].pid);
    keeper.kill();
    CHECK(comes_true([&] {
      daemon.serve_for(10);
      return daemon.closed;
    }));
  }
  CHECK(comes_true([&] { return !is_alive(running); }));
  CHECK(living_keeper(scratch / "keeper") == 0);
  for (int life = 0; life < 2; ++life) {  // also over another death
    KeeperProcess keeper(scratch.paths());
    REQUIRE(keeper.said() == "R");
    CHECK(living_keeper(scratch / "keeper") == keeper.pid());
    Daemon daemon(scratch.paths());
    const Inventory& known = daemon.client->inventory();
    CHECK(known.instance != instance);
    CHECK(known.running.empty());
    REQUIRE(known.ended.size() == 1);
    CHECK(known.ended[0].wait_status == 3 << 8);
    REQUIRE(known.failed.size() == 1);
    CHECK(known.failed[0].key.run == RunId(3));
    CHECK(journals_of(scratch).size() == 1);
    if (life == 1) {
      daemon.client->acknowledge({known.ended[0].key, known.failed[0].key});
      daemon.client->quit_if_idle();
      daemon.client->on_ready(POLLOUT);
      CHECK(keeper.wait() == 0);
    }
  }
  CHECK(journals_of(scratch).empty());
}

TEST_CASE("what a killed keeper leaves of a run is killed by the next one, a stranger is not") {
  Scratch scratch;
  const std::string pids = scratch / "pids";
  {
    KeeperProcess keeper(scratch.paths());
    Daemon daemon(scratch.paths());
    for (const int run : {1, 2}) {
      StartOrder order = shell(run, "sleep 1000 & echo $! >> " + pids + "; wait");
      // The second has another run's number, as a process has that got the session's by chance.
      order.env.emplace_back("SCHEDCTL_RUN_ID=1");
      daemon.client->start(order);
      daemon.until([&] { return daemon.started.size() == static_cast<std::size_t>(run); });
      CHECK(comes_true([&] { return read_file(pids).size() > 1; }));
    }
    CHECK(comes_true([&] {
      const std::string text = read_file(pids);
      return std::count(text.begin(), text.end(), '\n') == 2;
    }));
    daemon.settle();
    keeper.kill();
  }
  std::ifstream file(pids);
  pid_t ours = 0;
  pid_t stranger = 0;
  file >> ours >> stranger;
  CHECK(is_alive(ours));
  KeeperProcess keeper(scratch.paths());
  REQUIRE(keeper.said() == "R");
  CHECK(comes_true([&] { return !is_alive(ours); }));
  CHECK(is_alive(stranger));
  ::kill(stranger, SIGKILL);
}

TEST_CASE("what has left its run's session does not outlive a killed keeper, kept children do") {
  Scratch scratch;
  const auto start = [&](Daemon& daemon, int run, bool keep_children) {
    const std::string pids = scratch / std::to_string(run);
    StartOrder order = shell(run, "setsid sh -c 'echo $$ > " + pids + "; exec sleep 1000' & wait");
    const std::string number = std::to_string(run);
    order.env.insert(order.env.end(), {"SCHEDCTL_RUN_ID=" + number, "SCHEDCTL_KEY=key-" + number,
                                       "SCHEDCTL_ATTEMPT=1"});
    order.terms.keep_children = keep_children;
    daemon.client->start(order);
    daemon.until([&] { return daemon.started.size() == static_cast<std::size_t>(run); });
    CHECK(comes_true([&] { return read_file(pids).ends_with('\n'); }));
    return static_cast<pid_t>(std::stol(read_file(pids)));
  };
  pid_t left = 0;
  pid_t kept = 0;
  {
    KeeperProcess keeper(scratch.paths());
    Daemon daemon(scratch.paths());
    left = start(daemon, 1, false);
    kept = start(daemon, 2, true);
    daemon.settle();
    keeper.kill();
  }
  CHECK(is_alive(left));
  KeeperProcess keeper(scratch.paths());
  REQUIRE(keeper.said() == "R");
  CHECK(comes_true([&] { return !is_alive(left); }));
  CHECK(is_alive(kept));
  ::kill(kept, SIGKILL);
}

TEST_CASE("what a killed keeper leaves of a run is found without its environment too") {
  Scratch scratch;
  const std::string pids = scratch / "pids";
  {
    KeeperProcess keeper(scratch.paths());
    Daemon daemon(scratch.paths());
    StartOrder order = shell(1, "env -i sleep 1000 & echo $! > " + pids + "; wait");
    order.env.emplace_back("SCHEDCTL_RUN_ID=1");
    daemon.client->start(order);
    daemon.until([&] { return daemon.started.size() == 1; });
    CHECK(comes_true([&] { return read_file(pids).ends_with('\n'); }));
    const std::string proc = "/proc/" + std::to_string(std::stol(read_file(pids)));
    CHECK(comes_true([&] {
      return read_file(proc + "/comm") == "sleep\n" && read_file(proc + "/environ").empty();
    }));
    keeper.kill();
  }
  const auto left = static_cast<pid_t>(std::stol(read_file(pids)));
  CHECK(is_alive(left));
  KeeperProcess keeper(scratch.paths());
  REQUIRE(keeper.said() == "R");
  CHECK(comes_true([&] { return !is_alive(left); }));
}

TEST_CASE(
    "a command that hangs before its exec is known to the next daemon, and dies with its keeper") {
  Scratch scratch;
  REQUIRE(::mkfifo((scratch / "fifo").c_str(), 0600) == 0);
  KeeperProcess keeper(scratch.paths());
  StartOrder order = order_of(1, {"cat"});
  order.terms.stdin_file = scratch / "fifo";
  {
    Daemon daemon(scratch.paths());
    daemon.client->start(order);
    daemon.settle();
    CHECK(daemon.started.empty());
  }
  Daemon daemon(scratch.paths());
  // Unknown, it would be taken for one that was never started, and be started again.
  REQUIRE(daemon.client->inventory().running.size() == 1);
  const auto pid = static_cast<pid_t>(daemon.client->inventory().running[0].pid);
  daemon.client->start(order);
  daemon.settle();
  CHECK(daemon.started.empty());
  const std::string blocked_in = "/proc/" + std::to_string(pid) + "/syscall";
  CHECK(comes_true([&] { return read_file(blocked_in).starts_with("257 "); }));  // openat
  keeper.kill();
  CHECK(comes_true([&] { return !is_alive(pid); }));
}

TEST_CASE("what a keeper started and had no time to write down is killed by the next one") {
  Scratch scratch;
  {
    KeeperProcess keeper(scratch.paths());
    REQUIRE(keeper.said() == "R");
    keeper.kill();
  }
  const std::string pids = scratch / "pids";
  const auto start = [&](const std::string& key) {
    std::filesystem::remove(pids);
    // In a session of its own, which no record names.
    REQUIRE(std::system(
                ("SCHEDCTL_KEY=" + key + " setsid sleep 1000 & echo $! > " + pids).c_str()) == 0);
    const auto pid = static_cast<pid_t>(std::stol(read_file(pids)));
    const std::string name = "/proc/" + std::to_string(pid) + "/comm";
    CHECK(comes_true([&] { return read_file(name) == "sleep\n"; }));
    return pid;
  };
  const pid_t older = start("ours");
  ::usleep(300'000);  // what the keeper forgives the clock that process starts are told in
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  const pid_t ours = start("ours");
  const pid_t stranger = start("theirs");
  UniqueFd dir(::open((scratch / "keeper").c_str(), O_RDONLY | O_DIRECTORY));
  auto journal = create_journal(dir.get(), {kJournalVersion, "fedcba9876543210", host::boot_id()});
  REQUIRE(journal);
  const Duration since = std::chrono::duration_cast<Duration>(
      std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
  journal->add(encoded(Intended{{"store", RunId(1), 1}, since, "SCHEDCTL_KEY=ours"}));
  CHECK(journal->write());
  KeeperProcess keeper(scratch.paths());
  REQUIRE(keeper.said() == "R");
  CHECK(comes_true([&] { return !is_alive(ours); }));
  CHECK(is_alive(older));
  CHECK(is_alive(stranger));
  CHECK(journals_of(scratch).size() == 1);
  for (const pid_t pid : {older, stranger}) ::kill(pid, SIGKILL);
}

TEST_CASE("a torn journal gives what was whole in it") {
  Scratch scratch;
  {
    KeeperProcess keeper(scratch.paths());
    Daemon daemon(scratch.paths());
    daemon.run(shell(1, "exit 3"));
    daemon.run(shell(2, "exit 4"));
  }
  const std::vector<std::string> journals = journals_of(scratch);
  REQUIRE(journals.size() == 1);
  const std::string path = scratch / ("keeper/" + journals[0]);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  REQUIRE(daemon.client->inventory().ended.size() == 1);
  CHECK(daemon.client->inventory().ended[0].wait_status == 3 << 8);
}

TEST_CASE("a journal that cannot grow refuses starts, tells all ends, and mends itself") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths(), [] {
    const rlimit size{1000, 1000};  // a full disk for everything that grows over it
    ::setrlimit(RLIMIT_FSIZE, &size);
  });
  std::vector<RunKey> keys;
  {
    Daemon daemon(scratch.paths());
    for (int run = 1; daemon.failed.empty(); ++run) {
      REQUIRE(run < 100);
      daemon.client->start(shell(run, "exit 3"));
      const auto told = static_cast<std::size_t>(run);
      daemon.until([&] { return daemon.ended.size() + daemon.failed.size() == told; });
    }
    CHECK(daemon.failed[0].stage == Stage::setup);
    CHECK(daemon.failed[0].error_number == EFBIG);
    REQUIRE(daemon.ended.size() > 2);
    for (const Ended& ended : daemon.ended) keys.push_back(ended.key);
  }
  Daemon daemon(scratch.paths());
  CHECK(daemon.client->inventory().ended.size() == keys.size());
  CHECK(daemon.client->inventory().failed.empty());
  daemon.client->acknowledge(keys);
  CHECK(daemon.run(shell(101, "exit 4")).wait_status == 4 << 8);
  keeper.kill();
  KeeperProcess next(scratch.paths());
  Daemon heir(scratch.paths());
  REQUIRE(heir.client->inventory().ended.size() == 1);
  CHECK(heir.client->inventory().ended[0].wait_status == 4 << 8);
}

TEST_CASE("a second keeper is refused and does no harm") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  KeeperProcess second(scratch.paths());
  CHECK(second.said().find(std::to_string(keeper.pid())) != std::string::npos);
  CHECK(WEXITSTATUS(second.wait()) == 1);
  CHECK(spawn_keeper("/bin/true", scratch.paths()).error().kind == ErrorKind::conflict);
  CHECK(daemon.run(shell(1, "exit 3")).wait_status == 3 << 8);
}

TEST_CASE("a command that hangs before its exec does not hold the keeper's lock") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  daemon.client->start(shell(1, "setsid sleep 1000 & echo $!"));
  daemon.until([&] { return daemon.ended.size() == 1; });
  const std::string left = read_file(daemon.ended[0].output_path);
  keeper.kill();
  CHECK(living_keeper(scratch / "keeper") == 0);
  KeeperProcess next(scratch.paths());
  CHECK(next.said() == "R");
  ::kill(static_cast<pid_t>(std::stol(left)), SIGKILL);
}

TEST_CASE("TERM ends an idle keeper, but not one with work; a lonely one ends by itself") {
  Scratch scratch;
  {
    KeeperProcess keeper(
        scratch.paths(), [] {}, Duration::zero());
    CHECK(keeper.wait() == 0);
  }
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  daemon.client->start(order_of(1, {"sleep", "1000"}));
  daemon.until([&] { return daemon.started.size() == 1; });
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) ::kill(keeper.pid(), number);
  daemon.client->quit_if_idle();
  daemon.settle();
  CHECK(is_alive(keeper.pid()));
  daemon.client->end(daemon.started[0].key, seconds(10));
  daemon.until([&] { return daemon.ended.size() == 1; });
  daemon.settle();
  ::kill(keeper.pid(), SIGTERM);
  CHECK(keeper.wait() == 0);
  CHECK_FALSE(std::filesystem::exists(scratch / "keeper/socket"));
}

TEST_CASE("nonsense and unwelcome versions cost the caller its connection, nobody else's") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  const auto answer_to = [&](const std::string& bytes) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = scratch / "keeper/socket";
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::send(fd.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
    std::string answer(4096, '\0');
    const ssize_t got = ::recv(fd.get(), answer.data(), answer.size(), 0);
    answer.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return answer;
  };
  CHECK(answer_to("nonsense").empty());
  std::string bytes;
  Frames::encode(QuitIfIdle{}, bytes);
  CHECK(answer_to(bytes).empty());
  bytes.clear();
  Frames::encode(Hello{kProtocolVersion + 1, ~0ULL}, bytes);
  const std::string refusal = answer_to(bytes);
  std::string_view rest = refusal;
  const auto refused = decode(rest);
  REQUIRE(refused);
  CHECK(std::get<Refused>(*refused).version == kProtocolVersion);
  // An epoch that has passed: the old daemon of a newer one.
  bytes.clear();
  Frames::encode(Hello{kProtocolVersion, 1}, bytes);
  const std::string late = answer_to(bytes);
  rest = late;
  const auto too_late = decode(rest);
  REQUIRE(too_late);
  CHECK(std::get<Refused>(*too_late).last_epoch > 1);
  CHECK(daemon.run(shell(1, "exit 3")).wait_status == 3 << 8);
}

TEST_CASE("a keeper that does not answer is told from one that is not there") {
  Scratch scratch;
  const auto nobody = connect(scratch.paths(), seconds(1));
  REQUIRE_FALSE(nobody);
  CHECK(nobody.error().kind == ErrorKind::unavailable);
  CHECK(nobody.error().message.find("no keeper") != std::string::npos);
  KeeperProcess keeper(scratch.paths());
  ::kill(keeper.pid(), SIGSTOP);
  const auto frozen = connect(scratch.paths(), std::chrono::milliseconds(100));
  REQUIRE_FALSE(frozen);
  CHECK(frozen.error().kind == ErrorKind::unavailable);
  CHECK(frozen.error().message == "it does not answer");
}

TEST_CASE("directories with long names are no obstacle") {
  Scratch scratch;
  KeeperPaths paths = scratch.paths();
  paths.keeper_dir += "/" + std::string(120, 'a') + "/" + std::string(120, 'b');
  KeeperProcess keeper(paths);
  REQUIRE(keeper.said() == "R");
  Daemon daemon(paths);
  CHECK(daemon.run(shell(1, "exit 3")).wait_status == 3 << 8);
}

TEST_CASE("a spawned keeper that cannot start is told with what it said") {
  Scratch scratch;
  CHECK(spawn_keeper("/no/such/program", scratch.paths()).error().message.find("No such file") !=
        std::string::npos);
  const std::string program = scratch / "program";
  std::ofstream(program) << "#!/bin/sh\necho \"$1 $2\" >&3\nexit 4\n";
  ::chmod(program.c_str(), 0755);
  const auto spawned = spawn_keeper(program, scratch.paths());
  REQUIRE_FALSE(spawned);
  CHECK(spawned.error().message.find("keeper --keeper-dir") != std::string::npos);
  std::ofstream(program) << "#!/bin/sh\nexit 4\n";
  CHECK(spawn_keeper(program, scratch.paths()).error().message.find("exit code 4") !=
        std::string::npos);
}

TEST_CASE("two thousand quick runs are all accounted for, once each") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  constexpr std::size_t kRuns = 2000;
  constexpr std::size_t kAtOnce = 100;
  std::size_t ordered = 0;
  std::size_t acknowledged = 0;
  while (daemon.ended.size() < kRuns) {
    while (ordered < kRuns && ordered - daemon.ended.size() < kAtOnce) {
      ++ordered;
      const auto run = static_cast<std::int64_t>(ordered);
      daemon.client->start(
          shell(run, run % 3 == 0 ? "echo $0; exit 3" : "exit " + std::to_string(run % 100)));
    }
    const std::size_t before = daemon.ended.size();
    daemon.until([&] { return daemon.ended.size() > before; });
    std::vector<RunKey> keys;
    for (; acknowledged < daemon.ended.size(); ++acknowledged) {
      keys.push_back(daemon.ended[acknowledged].key);
    }
    daemon.client->acknowledge(keys);
  }
  daemon.settle();
  std::map<std::int64_t, int> seen;
  for (const Ended& ended : daemon.ended) {
    const std::int64_t run = ended.key.run.value;
    ++seen[run];
    CHECK(ended.wait_status == (run % 3 == 0 ? 3 : static_cast<int>(run % 100)) << 8);
    CHECK((ended.output_bytes == 3) == (run % 3 == 0));
  }
  CHECK(seen.size() == kRuns);
  CHECK(daemon.ended.size() == kRuns);
  CHECK(daemon.started.size() == kRuns);
  Daemon next(scratch.paths());
  CHECK(next.client->inventory().running.empty());
  CHECK(next.client->inventory().ended.empty());
  CHECK(read_file("/proc/" + std::to_string(keeper.pid()) + "/task/" +
                  std::to_string(keeper.pid()) + "/children")
            .empty());
}

}  // namespace
}  // namespace schedctl::keeper
