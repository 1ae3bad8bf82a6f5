// A keeper that becomes a newer program of itself. The program is this test: started with the
// keeper's words it never gets to doctest, but serves. "Another build" is a copy of it with another
// build id.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <map>
#include <set>

#include "builds.hpp"
#include "living_keeper.hpp"
#include "schedctl/host/host.hpp"
#include "src/keeper/holdings.hpp"

namespace schedctl::keeper {
namespace {

using namespace test;
using std::chrono::milliseconds;
using std::chrono::seconds;

__attribute__((constructor)) void serve_if_asked(int argc, char** argv, char**) {
  if (argc < 6 || std::string(argv[1]) != "keeper") return;
  host::remember_argv(argc, argv);
  KeeperPaths paths{argv[3], argv[5]};
  int ready_fd = -1;
  for (int i = 6; i + 1 < argc; i += 2) {
    if (std::string(argv[i]) == "--ready-fd") ready_fd = std::stoi(argv[i + 1]);
    if (std::string(argv[i]) == "--config") paths.config_file = argv[i + 1];
  }
  ::_exit(serve(paths, ready_fd) ? 0 : 1);
}

/// A keeper that was spawned from a program of its own.
class Installed {
 public:
  Installed() {
    install(program(), 1);
    const Result<void> spawned = spawn_keeper(program(), scratch.paths());
    REQUIRE_MESSAGE(spawned, (spawned ? "" : spawned.error().message));
    adopt_pid();
  }
  Installed(const Installed&) = delete;
  Installed& operator=(const Installed&) = delete;
  ~Installed() {
    // Whatever a test does to it, it is the same process in the end.
    CHECK(living_keeper(scratch / "keeper") == pid_);
    kill();
  }

  std::string program() const { return scratch / "schedctl"; }
  pid_t pid() const { return pid_; }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  /// Of the keeper that was spawned last.
  void adopt_pid() {
    pid_ = static_cast<pid_t>(living_keeper(scratch / "keeper"));
    REQUIRE(pid_ > 0);
  }
  bool runs_what_is_installed() const {
    std::error_code error;
    return std::filesystem::equivalent("/proc/" + std::to_string(pid_) + "/exe", program(), error);
  }

  Scratch scratch;

 private:
  pid_t pid_ = 0;
};

void wait_for_close(Daemon& daemon) {
  CHECK(comes_true([&] {
    daemon.serve_for(10);
    return daemon.closed;
  }));
}

/// Asks, and is there until the keeper has gone through with it.
void renew(Daemon& daemon) {
  daemon.client->reexec();
  wait_for_close(daemon);
  CHECK(daemon.stayed.empty());
}

TEST_CASE("a build is told from another, whatever stands under the program's path") {
  CHECK(host::own_build().size() >= 32);
  CHECK(host::own_build() == host::own_build());
  Installed keeper;
  Daemon daemon(keeper.scratch.paths());
  CHECK(daemon.client->is_of_another_build());
  CHECK(daemon.client->build().size() == host::own_build().size());
  std::filesystem::remove(keeper.program());
  Daemon later(keeper.scratch.paths());
  CHECK(later.client->build() == daemon.client->build());
}

/// Lowers the soft limit of descriptors, which a keeper raises for itself alone.
class FewDescriptors {
 public:
  FewDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit few{1000, before_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST_CASE("a newer program takes over a living keeper, with everything it held") {
  const FewDescriptors few;
  Installed keeper;
  const std::string go = keeper.scratch / "go";
  const std::string wait = "while [ ! -e " + go + " ]; do sleep 0.01; done; ";
  std::string instance;
  // How long it takes here, so that one run's timeout surely comes after it.
  const auto begun = std::chrono::steady_clock::now();
  {
    Daemon daemon(keeper.scratch.paths());
    install(keeper.program(), 2);
    renew(daemon);
  }
  CHECK(comes_true([&] { return keeper.runs_what_is_installed(); }));
  {
    Daemon daemon(keeper.scratch.paths());
    const auto took = std::chrono::steady_clock::now() - begun;
    instance = daemon.client->inventory().instance;
    daemon.run(shell(1, "echo one; exit 3"));
    daemon.client->start(order_of(2, {"/no/such"}));
    daemon.client->start(shell(3, "echo before; ulimit -Sn; " + wait + "echo after; exit 7"));
    StartOrder timed = order_of(4, {"sleep", "1000"});
    timed.timeout = seconds(3) + std::chrono::duration_cast<Duration>(2 * took);
    daemon.client->start(timed);
    daemon.until([&] { return daemon.started.size() == 3 && daemon.failed.size() == 1; });
    install(keeper.program(), 3);
    CHECK_FALSE(keeper.runs_what_is_installed());
    renew(daemon);
  }
  CHECK(comes_true([&] { return keeper.runs_what_is_installed(); }));
  Daemon daemon(keeper.scratch.paths());
  const Inventory known = daemon.client->inventory();
  CHECK(known.instance == instance);
  CHECK(daemon.client->pid() == keeper.pid());
  CHECK(known.running.size() == 2);
  REQUIRE(known.ended.size() == 1);
  CHECK(known.ended[0].wait_status == 3 << 8);
  CHECK(known.ended[0].output_bytes == 4);
  REQUIRE(known.failed.size() == 1);
  CHECK(known.failed[0].error_number == ENOENT);
  daemon.until([&] { return daemon.ended.size() == 1; });
  CHECK(daemon.ended[0].key.run == RunId(4));
  CHECK(daemon.ended[0].timed_out);
  CHECK(daemon.ended[0].wait_status == SIGTERM);
  std::ofstream(go) << "go";
  daemon.until([&] { return daemon.ended.size() == 2; });
  CHECK(daemon.ended[1].wait_status == 7 << 8);
  const std::string before = read_file(daemon.ended[1].output_path);
  CHECK(before == "before\n1000\nafter\n");
  CHECK(daemon.ended[1].output_bytes == static_cast<std::int64_t>(before.size()));
  // A new command gets the same limits, and a file of its own.
  const Ended limits = daemon.run(shell(5, "echo before; ulimit -Sn; echo after"));
  CHECK(read_file(limits.output_path) == before);
  CHECK(limits.output_path != daemon.ended[1].output_path);
  CHECK(daemon.run(order_of(6, {"/bin/true"})).output_path.empty());
  CHECK(read_file("/proc/" + std::to_string(keeper.pid()) + "/task/" +
                  std::to_string(keeper.pid()) + "/children")
            .empty());
}

TEST_CASE("what runs leave behind is ended by the newer program, as the older one would have") {
  Installed keeper;
  const std::string pids = keeper.scratch / "pids";
  {
    Daemon daemon(keeper.scratch.paths());
    const std::string stubborn =
        "setsid sh -c 'trap \"\" TERM; echo $$ >>" + pids + "; while :; do sleep 0.01; done' & ";
    StartOrder order = shell(1, stubborn + "while [ ! -s " + pids + " ]; do sleep 0.01; done");
    order.env.insert(order.env.end(), {"SCHEDCTL_KEY=k", "SCHEDCTL_ATTEMPT=1"});
    order.kill_grace = seconds(3);
    daemon.run(order);
    order = shell(2, "echo one; echo two >>/dev/stderr; sleep 1000");
    order.terms.stop_signal = SIGINT;
    daemon.client->start(order);
    daemon.until([&] { return daemon.started.size() == 2; });
    install(keeper.program(), 2);
    renew(daemon);
  }
  CHECK(comes_true([&] { return keeper.runs_what_is_installed(); }));
  Daemon daemon(keeper.scratch.paths());
  REQUIRE(daemon.client->inventory().running.size() == 1);
  daemon.client->end(daemon.client->inventory().running[0].key, seconds(60));
  daemon.until([&] { return daemon.ended.size() == 1; });
  CHECK(WTERMSIG(daemon.ended[0].wait_status) == SIGINT);
  const auto left = static_cast<pid_t>(std::stol(read_file(pids)));
  CHECK(comes_true([&] { return !is_alive(left); }));
}

TEST_CASE("what has left its run's session does not outlive a renewed keeper either") {
  Installed keeper;
  const std::string pids = keeper.scratch / "pids";
  {
    Daemon daemon(keeper.scratch.paths());
    StartOrder order = shell(1, "setsid sh -c 'echo $$ > " + pids + "; exec sleep 1000' & wait");
    order.env.insert(order.env.end(), {"SCHEDCTL_KEY=k", "SCHEDCTL_ATTEMPT=1"});
    daemon.client->start(order);
    daemon.until([&] { return daemon.started.size() == 1; });
    CHECK(comes_true([&] { return read_file(pids).ends_with('\n'); }));
    daemon.settle();
    install(keeper.program(), 2);
    renew(daemon);
  }
  CHECK(comes_true([&] { return keeper.runs_what_is_installed(); }));
  const auto left = static_cast<pid_t>(std::stol(read_file(pids)));
  keeper.kill();
  CHECK(is_alive(left));
  KeeperProcess next(keeper.scratch.paths());
  REQUIRE(next.said() == "R");
  CHECK(comes_true([&] { return !is_alive(left); }));
}

TEST_CASE("a keeper is renewed again and again, and leaks no descriptor") {
  Installed keeper;
  const auto descriptors = [&] {
    std::filesystem::directory_iterator all("/proc/" + std::to_string(keeper.pid()) + "/fd");
    return std::distance(begin(all), end(all));
  };
  std::ptrdiff_t first = 0;
  for (int life = 1; life <= 3; ++life) {
    Daemon daemon(keeper.scratch.paths());
    daemon.run(shell(life, "exit 3"));
    daemon.settle();
    if (life == 1) first = descriptors();
    CHECK(descriptors() <= first);
    CHECK(daemon.client->inventory().ended.size() == static_cast<std::size_t>(life - 1));
    install(keeper.program(), life + 1);
    renew(daemon);
    CHECK(comes_true([&] { return keeper.runs_what_is_installed(); }));
  }
}

TEST_CASE("after an exec nothing but the standard descriptors would survive another program's") {
  Installed keeper;
  Daemon daemon(keeper.scratch.paths());
  daemon.client->start(order_of(1, {"sleep", "1000"}));
  daemon.until([&] { return daemon.started.size() == 1; });
  install(keeper.program(), 2);
  renew(daemon);
  Daemon next(keeper.scratch.paths());
  std::size_t looked_at = 0;
  const std::string infos = "/proc/" + std::to_string(keeper.pid()) + "/fdinfo";
  for (const auto& entry : std::filesystem::directory_iterator(infos)) {
    if (std::stoi(entry.path().filename()) <= 2) continue;
    const std::string info = read_file(entry.path());
    const std::size_t flags = info.find("flags:");
    REQUIRE(flags != std::string::npos);
    CHECK((std::stol(info.substr(flags + 6), nullptr, 8) & O_CLOEXEC) != 0);
    ++looked_at;
  }
  CHECK(looked_at > 5);
}

TEST_CASE("starts that are on their way to their exec come to their end in the newer program") {
  Installed keeper;
  const std::string ran = keeper.scratch / "ran";
  constexpr std::size_t kEach = 20;
  {
    Daemon daemon(keeper.scratch.paths());
    install(keeper.program(), 2);
    daemon.client->reexec();
    daemon.settle();
    // The trial ends while the keeper stands still; then it finds the orders and the go at once.
    ::kill(keeper.pid(), SIGSTOP);
    const std::string children = "/proc/" + std::to_string(keeper.pid()) + "/task/" +
                                 std::to_string(keeper.pid()) + "/children";
    CHECK(comes_true([&] {
      const std::string child = read_file(children);
      return child.empty() || !is_alive(static_cast<pid_t>(std::stol(child)));
    }));
    for (std::size_t i = 0; i < kEach; ++i) {
      const auto run = static_cast<std::int64_t>(2 * i);
      // Nobody has looked for these, so the kernel has no answer at hand, and the keeper forks.
      const StartOrder missing = order_of(run, {keeper.scratch / ("missing-" + std::to_string(i))});
      daemon.client->start(missing);
      daemon.client->start(shell(run + 1, "echo $$ >> " + ran + "; exit 5"));
    }
    daemon.client->on_ready(POLLOUT);
    ::kill(keeper.pid(), SIGCONT);
    wait_for_close(daemon);
  }
  CHECK(comes_true([&] { return keeper.runs_what_is_installed(); }));
  std::set<std::int64_t> failed;
  std::set<std::int64_t> ended;
  Daemon daemon(keeper.scratch.paths());
  const auto note = [&](const StartFailed& m) {
    CHECK(m.error_number == ENOENT);
    CHECK(m.stage == Stage::exec);
    failed.insert(m.key.run.value);
  };
  for (const StartFailed& m : daemon.client->inventory().failed) note(m);
  for (const Ended& m : daemon.client->inventory().ended) ended.insert(m.key.run.value);
  daemon.until([&] {
    for (const StartFailed& m : daemon.failed) note(m);
    for (const Ended& m : daemon.ended) ended.insert(m.key.run.value);
    return failed.size() + ended.size() == 2 * kEach;
  });
  CHECK(failed.size() == kEach);
  const std::string pids = read_file(ran);
  CHECK(static_cast<std::size_t>(std::count(pids.begin(), pids.end(), '\n')) == kEach);
}

TEST_CASE("a run whose end was told is still killed to the last of its processes afterwards") {
  Installed keeper;
  const std::string pid_file = keeper.scratch / "pid";
  pid_t deaf = 0;
  {
    Daemon daemon(keeper.scratch.paths());
    StartOrder order = shell(1, "sh -c 'trap \"\" TERM; echo $$ > " + pid_file +
                                    "; while :; do sleep 1; done' & "
                                    "sleep 1000");
    order.kill_grace = std::chrono::hours(1);
    daemon.client->start(order);
    daemon.until([&] { return daemon.started.size() == 1; });
    CHECK(comes_true([&] { return read_file(pid_file).ends_with('\n'); }));
    deaf = static_cast<pid_t>(std::stol(read_file(pid_file)));
    daemon.client->end(order_of(1, {}).key, seconds(3));
    daemon.until([&] { return daemon.ended.size() == 1; });
    CHECK(is_alive(deaf));
    install(keeper.program(), 2);
    renew(daemon);
  }
  CHECK(comes_true([&] { return !is_alive(deaf); }));
  Daemon daemon(keeper.scratch.paths());
  CHECK(daemon.client->inventory().running.empty());
  REQUIRE(daemon.client->inventory().ended.size() == 1);
  CHECK(daemon.client->inventory().ended[0].ended_on_order);
}

TEST_CASE("a program that is no good is not become, and everything goes on") {
  Installed keeper;
  Daemon daemon(keeper.scratch.paths());
  daemon.client->start(order_of(1, {"sleep", "1000"}));
  daemon.until([&] { return daemon.started.size() == 1; });
  const auto answer = [&] {
    const std::size_t before = daemon.stayed.size();
    daemon.client->reexec();
    daemon.until([&] { return daemon.stayed.size() > before; });
    return daemon.stayed.back();
  };
  const std::string& path = keeper.program();
  std::filesystem::remove(path);
  CHECK(answer().find("No such file") != std::string::npos);
  std::filesystem::create_directory(path);
  CHECK(answer().find("not a file") != std::string::npos);
  std::filesystem::remove(path);
  install(path, 2);
  ::chmod(path.c_str(), 0644);
  CHECK(answer().find("Permission denied") != std::string::npos);
  std::filesystem::remove(path);
  std::ofstream(path) << "no program";
  ::chmod(path.c_str(), 0755);
  CHECK(answer().find("no good") != std::string::npos);
  // Something else altogether, which does not know its part.
  std::filesystem::remove(path);
  std::filesystem::copy_file("/bin/true", path);
  CHECK(answer().find("it says nothing") != std::string::npos);
  if (::geteuid() == 0) {
    install(path, 2);
    ::chmod(path.c_str(), 0775);
    CHECK(answer().find("by others than root") != std::string::npos);
    ::chmod(path.c_str(), 0755);
    REQUIRE(::chown(path.c_str(), 65534, 0) == 0);
    CHECK(answer().find("by others than root") != std::string::npos);
  }
  CHECK_FALSE(daemon.closed);
  CHECK(daemon.ended.empty());
  CHECK(daemon.run(shell(2, "exit 3")).wait_status == 3 << 8);
  install(path, 2);
  daemon.client->reexec();
  wait_for_close(daemon);
  Daemon next(keeper.scratch.paths());
  CHECK(next.client->inventory().running.size() == 1);
}

TEST_CASE("a daemon that dies in the middle changes nothing") {
  Installed keeper;
  install(keeper.program(), 2);
  {
    Daemon daemon(keeper.scratch.paths());
    daemon.client->start(order_of(1, {"sleep", "1000"}));
    daemon.client->reexec();
    daemon.client->on_ready(POLLOUT);
  }
  CHECK(comes_true([&] { return keeper.runs_what_is_installed(); }));
  Daemon daemon(keeper.scratch.paths());
  CHECK(daemon.client->inventory().running.size() == 1);
}

TEST_CASE("a renewed keeper that is killed leaves a journal that says everything") {
  Installed keeper;
  pid_t running = 0;
  {
    Daemon daemon(keeper.scratch.paths());
    daemon.run(shell(1, "exit 3"));
    daemon.client->start(order_of(2, {"sleep", "1000"}));
    daemon.client->start(order_of(3, {"sleep", "1000"}));
    daemon.until([&] { return daemon.started.size() == 3; });
    running = static_cast<pid_t>(daemon.started[2].pid);
    install(keeper.program(), 2);
    renew(daemon);
    // An end that comes before any other start is in it too.
    Daemon next(keeper.scratch.paths());
    next.client->end(order_of(2, {}).key, seconds(10));
    next.until([&] { return next.ended.size() == 1; });
  }
  keeper.kill();
  CHECK(comes_true([&] { return !is_alive(running); }));
  CHECK(comes_true([&] { return living_keeper(keeper.scratch / "keeper") == 0; }));
  {
    KeeperProcess heir(keeper.scratch.paths());
    REQUIRE(heir.said() == "R");
    Daemon daemon(keeper.scratch.paths());
    REQUIRE(daemon.client->inventory().ended.size() == 2);
    CHECK(daemon.client->inventory().ended[0].wait_status == 3 << 8);
    CHECK(daemon.client->inventory().ended[1].ended_on_order);
    CHECK(daemon.client->inventory().running.empty());
  }
  const Result<void> again = spawn_keeper(keeper.program(), keeper.scratch.paths());
  REQUIRE(again);
  keeper.adopt_pid();
}

TEST_CASE("under a load of short commands none is lost or doubled") {
  Installed keeper;
  const std::string ran = keeper.scratch / "ran";
  constexpr std::int64_t kRuns = 200;
  std::map<std::int64_t, std::int64_t> fences;
  std::set<std::int64_t> ended;
  std::int64_t ordered = 0;
  int renewals = 0;
  bool asked = false;
  auto daemon = std::make_unique<Daemon>(keeper.scratch.paths());
  const auto start = [&](std::int64_t run) {
    StartOrder order = shell(run, "echo " + std::to_string(run) + " >> " + ran);
    order.key.fence = ++fences[run];
    daemon->client->start(order);
  };
  const auto note = [&](const Ended& m) {
    CHECK(m.wait_status == 0);
    CHECK(m.key.fence == fences[m.key.run.value]);
    ended.insert(m.key.run.value);
    daemon->client->acknowledge({m.key});
  };
  auto give_up = std::chrono::steady_clock::now() + kPatience;
  for (std::size_t before = 0; static_cast<std::int64_t>(ended.size()) < kRuns;) {
    // As long as it goes on, however slowly.
    if (ended.size() > before) give_up = std::chrono::steady_clock::now() + kPatience;
    before = ended.size();
    REQUIRE(std::chrono::steady_clock::now() < give_up);
    while (ordered < kRuns && ordered - static_cast<std::int64_t>(ended.size()) < 10) {
      start(++ordered);
    }
    if (!asked && renewals < 3 && ordered > 40 * (renewals + 1)) {
      install(keeper.program(), 2 + renewals);
      daemon->client->reexec();
      asked = true;
    }
    daemon->serve_for(10);
    for (const Ended& m : daemon->ended) note(m);
    daemon->ended.clear();
    if (!daemon->closed) continue;
    ++renewals;
    asked = false;
    daemon = std::make_unique<Daemon>(keeper.scratch.paths());
    const Inventory& known = daemon->client->inventory();
    std::set<std::int64_t> heard_of;
    for (const Started& m : known.running) heard_of.insert(m.key.run.value);
    for (const Ended& m : known.ended) heard_of.insert(m.key.run.value), note(m);
    // Unknown to the same instance: never started, so it is started now.
    for (std::int64_t run = 1; run <= ordered; ++run) {
      if (!heard_of.contains(run) && !ended.contains(run)) start(run);
    }
  }
  CHECK(renewals >= 1);
  std::multiset<std::int64_t> lines;
  std::ifstream in(ran);
  for (std::int64_t run = 0; in >> run;) lines.insert(run);
  CHECK(lines.size() == kRuns);
  CHECK(std::set<std::int64_t>(lines.begin(), lines.end()).size() == kRuns);
}

TEST_CASE("holdings read back as they were written, and nothing else does") {
  Holdings holdings;
  holdings.estate.instance = "0123456789abcdef";
  holdings.estate.lock = 5;
  holdings.runs.resize(2);
  holdings.runs[0].output = 7;
  holdings.runs[1].pending = 8;
  StartFailed failed;
  failed.error_number = 2;
  holdings.finished.emplace_back(failed);
  holdings.finished.emplace_back(Ended{});
  const std::string bytes = to_bytes(holdings);
  const Result<Holdings> read = holdings_from(bytes);
  REQUIRE(read);
  CHECK(to_bytes(*read) == bytes);
  CHECK(descriptors_of(*read) == std::vector<int>{5, -1, -1, -1, 7, 8});
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    CHECK_FALSE(holdings_from(bytes.substr(0, length)));
  }
  CHECK_FALSE(holdings_from(bytes + bytes));
  holdings.estate.version = kEstateVersion + 1;
  CHECK_FALSE(holdings_from(to_bytes(holdings)));
}

}  // namespace
}  // namespace schedctl::keeper
