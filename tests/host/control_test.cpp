#include "schedctl/host/control.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <memory>
#include <thread>
#include <vector>

#include "tests/base/scratch.hpp"

using namespace schedctl;
using namespace schedctl::host;
using namespace std::chrono_literals;
using test::comes_true;
using test::Scratch;
using test::write_file;

namespace {

/// A daemon's side: the server in a loop on a thread of its own, which answers "ok REQUEST".
class Daemon {
 public:
  explicit Daemon(const std::string& path)
      : Daemon(path, [](const auto& request, auto reply) { reply("ok " + request); }) {}
  Daemon(const std::string& path, ControlServer::Handler handler) {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    stop_.reset(ends[0]);
    stopper_.reset(ends[1]);
    auto listening = ControlServer::listen(path);
    REQUIRE_MESSAGE(listening, (listening ? "" : listening.error().message));
    server = std::move(*listening);
    server->set_handler(std::move(handler));
    thread_ = std::thread([this] {
      pollfd polls[2]{{server->fd(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
      while (::poll(polls, 2, -1) >= 0 && polls[1].revents == 0) ++turns, server->on_ready();
    });
  }
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  ~Daemon() { stop(); }
  void stop() {
    if (!thread_.joinable()) return;
    stopper_.reset();
    thread_.join();
  }
  std::unique_ptr<ControlServer> server;
  std::atomic<int> turns = 0;

 private:
  UniqueFd stop_;
  UniqueFd stopper_;
  std::thread thread_;
};

/// A peer with manners of its own.
UniqueFd connect_to(const std::string& path) {
  UniqueFd peer(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  REQUIRE(path.size() < sizeof address.sun_path);
  std::strcpy(address.sun_path, path.c_str());
  REQUIRE(::connect(peer.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return peer;
}

std::string receive(const UniqueFd& peer) {
  std::string text(70'000, '\0');
  pollfd wait{peer.get(), POLLIN, 0};
  REQUIRE(::poll(&wait, 1, 20'000) == 1);
  const ssize_t n = ::recv(peer.get(), text.data(), text.size(), 0);
  text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return text;
}

ErrorKind kind_of(const Result<std::string>& answer) {
  REQUIRE_FALSE(answer);
  return answer.error().kind;
}

}  // namespace

TEST_CASE("a request gets its answer") {
  const Scratch scratch;
  const Daemon daemon(scratch / "control");
  CHECK(control_request(scratch / "control", "ping", 20s) == "ok ping");
  CHECK(control_request(scratch / "control", "two\nlines", 20s) == "ok two\nlines");
}

TEST_CASE("the socket is its owner's alone, whatever the umask says") {
  const Scratch scratch;
  const mode_t old = ::umask(0);
  const auto server = ControlServer::listen(scratch / "control");
  const mode_t kept = ::umask(old);
  REQUIRE(server);
  CHECK(kept == 0);  // other threads make files too
  struct stat status {};
  REQUIRE(::stat((scratch / "control").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
}

TEST_CASE("a path longer than a socket address works at both ends") {
  const Scratch scratch;
  const std::string deep = scratch / (std::string(100, 'd') + "/" + std::string(100, 'e'));
  REQUIRE(std::filesystem::create_directories(deep));
  const std::string path = deep + "/control";
  {
    const Daemon daemon(path);
    CHECK(std::filesystem::is_socket(path));
    CHECK(control_request(path, "ping", 20s) == "ok ping");
  }
  CHECK_FALSE(std::filesystem::exists(path));
  CHECK(kind_of(control_request(path, "ping", 20s)) == ErrorKind::unavailable);
}

TEST_CASE("paths of every length around the limit work") {
  const Scratch scratch;
  for (std::size_t length = 100; length <= 115; ++length) {
    const std::string path = scratch / std::string(length - scratch.path().size() - 1, 'c');
    REQUIRE(path.size() == length);
    const Daemon daemon(path);
    CHECK(control_request(path, "ping", 20s) == "ok ping");
  }
}

TEST_CASE("a file name that no socket can have is an error") {
  const Scratch scratch;
  CHECK_FALSE(ControlServer::listen(scratch / std::string(200, 'c')));
  CHECK(kind_of(control_request(scratch / std::string(200, 'c'), "ping", 1s)) ==
        ErrorKind::unavailable);
}

TEST_CASE("nobody there, a dead daemon's socket and a plain file are unavailable at once") {
  const Scratch scratch;
  CHECK(kind_of(control_request(scratch / "none", "ping", 20s)) == ErrorKind::unavailable);
  CHECK(kind_of(control_request(scratch / "no/dir", "ping", 20s)) == ErrorKind::unavailable);
  write_file(scratch / "file", "");
  CHECK(kind_of(control_request(scratch / "file", "ping", 20s)) == ErrorKind::unavailable);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, (scratch / "dead").c_str());
  {
    const UniqueFd dead(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
  CHECK(kind_of(control_request(scratch / "dead", "ping", 20s)) == ErrorKind::unavailable);
  const Daemon daemon(scratch / "dead");  // which a new daemon clears away
  CHECK(control_request(scratch / "dead", "ping", 20s) == "ok ping");
}

TEST_CASE("a file that is no socket is not removed to make room for one") {
  const Scratch scratch;
  write_file(scratch / "control", "precious");
  CHECK_FALSE(ControlServer::listen(scratch / "control"));
  CHECK(test::read_file(scratch / "control") == "precious");
  REQUIRE(::symlink((scratch / "control").c_str(), (scratch / "link").c_str()) == 0);
  CHECK_FALSE(ControlServer::listen(scratch / "link"));
  CHECK_FALSE(ControlServer::listen(scratch / "no/control"));
}

TEST_CASE("the socket's file goes with the server, but a successor's stays") {
  const Scratch scratch;
  auto first = ControlServer::listen(scratch / "control");
  REQUIRE(first);
  auto second = ControlServer::listen(scratch / "control");
  REQUIRE(second);
  first->reset();
  CHECK(std::filesystem::is_socket(scratch / "control"));
  second->reset();
  CHECK_FALSE(std::filesystem::exists(scratch / "control"));
}

TEST_CASE("an error in the answer comes back as that error") {
  const Scratch scratch;
  const Daemon daemon(scratch / "control", [](const auto& request, auto reply) { reply(request); });
  const auto asked = [&](const std::string& answer) {
    return control_request(scratch / "control", answer, 20s);
  };
  const auto conflict =
      asked("error " + std::to_string(static_cast<int>(ErrorKind::conflict)) + " it runs already");
  CHECK(kind_of(conflict) == ErrorKind::conflict);
  CHECK(conflict.error().message == "it runs already");
  for (const char* odd : {"error 99 odd", "error -1 odd", "error x odd", "error ", "error 3"}) {
    CAPTURE(odd);
    CHECK_FALSE(asked(odd));
  }
  CHECK(asked("errors are none") == "errors are none");
}

TEST_CASE("a daemon that says nothing is unavailable after the timeout, and hangs nobody") {
  const Scratch scratch;
  std::vector<ControlServer::Reply> kept;
  const Daemon daemon(scratch / "control",
                      [&](const auto&, auto reply) { kept.push_back(std::move(reply)); });
  const auto begin = std::chrono::steady_clock::now();
  CHECK(kind_of(control_request(scratch / "control", "ping", 30ms)) == ErrorKind::unavailable);
  const auto took = std::chrono::steady_clock::now() - begin;
  CHECK(took >= 30ms);
  CHECK(took < 10s);
}

TEST_CASE("a request whose answer is thrown away is told so at once") {
  const Scratch scratch;
  const Daemon daemon(scratch / "control", [](const auto&, auto) {});
  CHECK(kind_of(control_request(scratch / "control", "ping", 20s)) == ErrorKind::unavailable);
}

TEST_CASE("an answer may come later and from another thread") {
  const Scratch scratch;
  std::vector<std::thread> workers;
  {
    const Daemon daemon(scratch / "control", [&](const auto& request, auto reply) {
      workers.emplace_back([request, reply] { reply("late " + request); });
    });
    for (int i = 0; i < 20; ++i) {
      CHECK(control_request(scratch / "control", std::to_string(i), 20s) ==
            "late " + std::to_string(i));
    }
  }
  for (std::thread& worker : workers) worker.join();
}

TEST_CASE("an answer that outlives the server harms nobody") {
  const Scratch scratch;
  ControlServer::Reply kept;
  UniqueFd peer;
  {
    Daemon daemon(scratch / "control", [&](const auto&, auto reply) { kept = reply; });
    peer = connect_to(scratch / "control");
    REQUIRE(::send(peer.get(), "ping", 4, 0) == 4);
    REQUIRE(comes_true([&] { return daemon.turns >= 2; }));
    daemon.stop();
  }
  REQUIRE(kept);
  kept("ok");
  CHECK(receive(peer) == "ok");
}

TEST_CASE("a peer that leaves before its answer costs nothing") {
  const Scratch scratch;
  std::atomic<int> requests = 0;
  const Daemon daemon(scratch / "control", [&](const auto& request, auto reply) {
    if (request == "leave") {
      // The peer is gone by now, or soon.
      ::poll(nullptr, 0, 1);
      reply("ok");
      reply("ok again");
    } else {
      reply("ok");
    }
    ++requests;
  });
  for (int i = 0; i < 50; ++i) {
    const UniqueFd peer = connect_to(scratch / "control");
    REQUIRE(::send(peer.get(), "leave", 5, 0) == 5);
  }
  CHECK(comes_true([&] { return requests == 50; }));
  CHECK(control_request(scratch / "control", "ping", 20s) == "ok");
}

TEST_CASE("a request that is too long is refused, not cut") {
  const Scratch scratch;
  std::atomic<int> requests = 0;
  const Daemon daemon(scratch / "control", [&](const auto& request, auto reply) {
    ++requests;
    reply("ok " + std::to_string(request.size()));
  });
  CHECK(control_request(scratch / "control", std::string(4096, 'x'), 20s) == "ok 4096");
  CHECK(kind_of(control_request(scratch / "control", std::string(4097, 'x'), 20s)) ==
        ErrorKind::usage);
  CHECK(kind_of(control_request(scratch / "control", std::string(100'000, 'x'), 20s)) ==
        ErrorKind::usage);
  CHECK_FALSE(control_request(scratch / "control", std::string(10'000'000, 'x'), 20s));
  CHECK(requests == 1);
}

TEST_CASE("an empty packet is no request") {
  const Scratch scratch;
  std::atomic<int> requests = 0;
  const Daemon daemon(scratch / "control",
                      [&](const auto&, auto reply) { ++requests, reply("ok"); });
  const UniqueFd peer = connect_to(scratch / "control");
  REQUIRE(::send(peer.get(), "", 0, 0) == 0);
  CHECK(receive(peer).empty());
  CHECK(requests == 0);
  CHECK(control_request(scratch / "control", "ping", 20s) == "ok");
}

TEST_CASE("a long answer arrives whole") {
  const Scratch scratch;
  const Daemon daemon(scratch / "control",
                      [](const auto&, auto reply) { reply(std::string(64 * 1024, 'y')); });
  CHECK(control_request(scratch / "control", "reload", 20s) == std::string(64 * 1024, 'y'));
}

TEST_CASE("a thousand who connect and say nothing keep nobody from being served") {
  const Scratch scratch;
  const Daemon daemon(scratch / "control");
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 900; ++i) {
    silent.push_back(connect_to(scratch / "control"));
    if (i % 100 == 0) CHECK(control_request(scratch / "control", "ping", 20s) == "ok ping");
  }
  CHECK(control_request(scratch / "control", "ping", 20s) == "ok ping");
  // The last who came are still welcome; the first have been turned away.
  REQUIRE(::send(silent.back().get(), "late", 4, 0) == 4);
  CHECK(receive(silent.back()) == "ok late");
  CHECK(receive(silent.front()).empty());
}

TEST_CASE("a thousand requests at once are all answered, though the queue is short") {
  const Scratch scratch;
  const Daemon daemon(scratch / "control");
  std::atomic<int> answered = 0;
  std::vector<std::thread> askers;
  for (int t = 0; t < 50; ++t) {
    askers.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        if (control_request(scratch / "control", "poke", 30s) == "ok poke") ++answered;
      }
    });
  }
  for (std::thread& asker : askers) asker.join();
  CHECK(answered == 1000);
}

TEST_CASE("a caller waits while the queue is full, for as long as it has time") {
  const Scratch scratch;
  const auto server = ControlServer::listen(scratch / "control");  // nobody serves it
  REQUIRE(server);
  std::vector<UniqueFd> queue;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, (scratch / "control").c_str());
  int connected = 0;
  while (connected == 0) {
    queue.emplace_back(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    connected =
        ::connect(queue.back().get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  REQUIRE(errno == EAGAIN);
  const auto answer = control_request(scratch / "control", "ping", 30ms);
  CHECK(kind_of(answer) == ErrorKind::unavailable);
  CHECK(answer.error().message.find("did not answer") != std::string::npos);
}

TEST_CASE("without a free descriptor the daemon serves one caller at a time, and does not spin") {
  const Scratch scratch;
  Daemon daemon(scratch / "control");
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  std::vector<UniqueFd> callers;
  for (int i = 0; i < 4; ++i)
    callers.emplace_back(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  const UniqueFd probe(::dup(0));
  const rlimit none{static_cast<rlim_t>(probe.get()), limit.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, (scratch / "control").c_str());
  for (const UniqueFd& caller : callers) {
    CHECK(::connect(caller.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
          0);
  }
  const UniqueFd last = std::move(callers.back());
  callers.pop_back();
  for (const UniqueFd& caller : callers) CHECK(receive(caller).empty());  // turned away
  REQUIRE(::send(last.get(), "ping", 4, 0) == 4);
  CHECK(receive(last) == "ok ping");
  const int turns = daemon.turns;
  ::poll(nullptr, 0, 20);
  CHECK(daemon.turns - turns < 5);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
  CHECK(control_request(scratch / "control", "ping", 20s) == "ok ping");
}

TEST_CASE("only root and the daemon's user are answered") {
  if (::geteuid() != 0) return;
  const Scratch scratch;
  REQUIRE(::chmod(scratch.path().c_str(), 0755) == 0);
  const Daemon daemon(scratch / "control");
  const auto as_nobody = [&] {
    const pid_t pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      if (::setuid(65534) != 0) ::_exit(2);
      const auto answer = control_request(scratch / "control", "ping", 20s);
      const bool refused = !answer && answer.error().kind == ErrorKind::not_allowed &&
                           answer.error().message.find("sudo") != std::string::npos &&
                           answer.error().message.find("--own") != std::string::npos;
      ::_exit(refused ? 0 : 1);
    }
    int status = -1;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  };
  CHECK(as_nobody());
  // Also if somebody has opened the file for all: it is the peer that counts.
  REQUIRE(::chmod((scratch / "control").c_str(), 0666) == 0);
  CHECK(as_nobody());
}

TEST_CASE("a successor in this process's place serves those who came in between") {
  const Scratch scratch;
  std::string path = scratch / "control";
  SUBCASE("short path") {}
  SUBCASE("long path") {
    path = scratch / (std::string(120, 'd'));
    REQUIRE(::mkdir(path.c_str(), 0700) == 0);
    path += "/control";
  }
  UniqueFd listener;
  {
    const auto first = ControlServer::listen(path);
    REQUIRE(first);
    listener.reset(::dup((*first)->hand_over()));
  }
  REQUIRE(std::filesystem::is_socket(path));
  // The queue takes a caller though nobody is there to serve; the successor finds him.
  std::string answer;
  std::thread caller([&] { answer = control_request(path, "ping", 20s).value_or("none"); });
  pollfd wait{listener.get(), POLLIN, 0};
  CHECK(::poll(&wait, 1, 20'000) == 1);
  auto second = ControlServer::adopt(std::move(listener), path);
  REQUIRE(second);
  (*second)->set_handler([](const auto&, auto reply) { reply("ok"); });
  pollfd ready{(*second)->fd(), POLLIN, 0};
  const auto give_up = std::chrono::steady_clock::now() + 30s;
  std::atomic<bool> over = false;
  std::thread watcher([&] {
    caller.join();
    over = true;
  });
  while (!over && std::chrono::steady_clock::now() < give_up) {
    if (::poll(&ready, 1, 10) == 1) (*second)->on_ready();
  }
  watcher.join();
  CHECK(answer == "ok");
}
