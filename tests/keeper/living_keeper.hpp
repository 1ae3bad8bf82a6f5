#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "schedctl/keeper/client.hpp"
#include "schedctl/keeper/serve.hpp"
#include "waiting.hpp"

/// A keeper in a process of its own and a scratch directory, and a daemon's end of the connection.
namespace schedctl::keeper::test {

inline constexpr Duration kPatience = std::chrono::seconds(120);

class Scratch {
 public:
  Scratch() {
    std::string path = "/tmp/schedctl-keeper-XXXXXX";
    REQUIRE(::mkdtemp(path.data()) != nullptr);
    path_ = path;
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  KeeperPaths paths() const { return {path_ + "/keeper", path_ + "/output"}; }

 private:
  std::string path_;
};

/// Runs serve() in a forked child, after `before` there. Killed and reaped at the end if need be.
class KeeperProcess {
 public:
  explicit KeeperProcess(
      const KeeperPaths& paths, const std::function<void()>& before = [] {},
      Duration idle_limit = std::chrono::minutes(1)) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      ::close(ends[0]);
      before();
      const Result<void> served = serve(paths, ends[1], idle_limit);
      ::_exit(served ? 0 : 1);
    }
    ::close(ends[1]);
    char buffer[512];
    for (ssize_t got = 0; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;) {
      said_.append(buffer, static_cast<std::size_t>(got));
    }
    ::close(ends[0]);
  }
  KeeperProcess(const KeeperProcess&) = delete;
  KeeperProcess& operator=(const KeeperProcess&) = delete;
  ~KeeperProcess() { kill(); }

  const std::string& said() const { return said_; }
  pid_t pid() const { return pid_; }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  /// The wait status, once it has ended by itself.
  int wait() {
    int status = -1;
    if (pid_ > 0) ::waitpid(pid_, &status, 0);
    pid_ = 0;
    return status;
  }

 private:
  pid_t pid_ = 0;
  std::string said_;
};

/// Connects, and remembers everything that the keeper tells.
class Daemon {
 public:
  explicit Daemon(const KeeperPaths& paths) {
    auto connected = connect(paths, kPatience);
    REQUIRE_MESSAGE(connected, (connected ? "" : connected.error().message));
    client = std::move(*connected);
    client->set_handlers({
        .started = [this](Started m) { started.push_back(std::move(m)); },
        .start_failed = [this](StartFailed m) { failed.push_back(std::move(m)); },
        .ended = [this](Ended m) { ended.push_back(std::move(m)); },
        .pong = [this](std::uint64_t token) { pongs.push_back(token); },
        .stayed = [this](const std::string& why) { stayed.push_back(why); },
        .closed = [this](Error) { closed = true; },
    });
  }

  /// Serves the connection until `done`, or fails the test.
  void until(const std::function<bool()>& done) {
    const auto give_up = std::chrono::steady_clock::now() + kPatience;
    while (!done()) {
      REQUIRE(std::chrono::steady_clock::now() < give_up);
      REQUIRE_FALSE(closed);
      serve_for(100);
    }
  }
  void serve_for(int milliseconds) {
    pollfd poll{client->fd(), static_cast<short>(client->wanted_events()), 0};
    if (::poll(&poll, 1, milliseconds) > 0) {
      client->on_ready(static_cast<std::uint32_t>(poll.revents));
    }
  }
  /// A ping and its pong: the keeper has carried out everything that was ordered before.
  void settle() {
    const std::size_t before = pongs.size();
    client->ping(before);
    until([&] { return pongs.size() > before; });
  }
  /// Runs a command to its end and gives it back.
  Ended run(StartOrder order) {
    const std::size_t before = ended.size();
    const std::size_t failed_before = failed.size();
    client->start(order);
    until([&] { return ended.size() > before || failed.size() > failed_before; });
    if (failed.size() > failed_before) {
      FAIL("start failed at stage " << static_cast<int>(failed.back().stage) << " with errno "
                                    << failed.back().error_number);
    }
    return ended.back();
  }

  std::unique_ptr<Client> client;
  std::vector<Started> started;
  std::vector<StartFailed> failed;
  std::vector<Ended> ended;
  std::vector<std::uint64_t> pongs;
  std::vector<std::string> stayed;
  bool closed = false;
};

inline StartOrder order_of(std::int64_t run, std::vector<std::string> argv) {
  StartOrder order;
  order.key = {"store", RunId(run), 1};
  order.argv = std::move(argv);
  order.env = {"PATH=/usr/local/bin:/usr/bin:/bin"};
  order.cwd = "/";
  order.kill_grace = std::chrono::seconds(10);
  return order;
}

inline StartOrder shell(std::int64_t run, const std::string& line) {
  return order_of(run, {"sh", "-c", line});
}

inline std::string read_file(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// Waits for a fact that no message tells.
inline bool comes_true(const std::function<bool()>& fact) {
  const auto give_up = std::chrono::steady_clock::now() + kPatience;
  while (!fact()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    ::poll(nullptr, 0, 5);
  }
  return true;
}

inline bool is_alive(pid_t pid) {
  const std::string stat = read_file("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name_end = stat.rfind(')');
  return name_end != std::string::npos && stat[name_end + 2] != 'Z' && stat[name_end + 2] != 'X';
}

}  // namespace schedctl::keeper::test
