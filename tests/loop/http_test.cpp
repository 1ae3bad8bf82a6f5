#include "schedctl/loop/http.hpp"

#include <dlfcn.h>
#include <netdb.h>
#include <sys/socket.h>

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "schedctl/loop/timer.hpp"
#include "tests/loop/http_server.hpp"

using namespace schedctl;
using namespace schedctl::loop;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

/// A name server that does not answer while the gate is shut, for names that begin with "slow".
struct NameServer {
  std::mutex mutex;
  std::condition_variable changed;
  bool open = true;
  int waiting = 0;
} name_server;

}  // namespace

// curl asks for names through this one, since the program's own comes before the C library's.
extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints,
                           addrinfo** result) {
  if (node != nullptr && std::strncmp(node, "slow", 4) == 0) {
    std::unique_lock lock(name_server.mutex);
    ++name_server.waiting;
    name_server.changed.notify_all();
    name_server.changed.wait(lock, [] { return name_server.open; });
    --name_server.waiting;
    name_server.changed.notify_all();
    return EAI_AGAIN;
  }
  using Real = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
  static const Real real = reinterpret_cast<Real>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  return real(node, service, hints, result);
}

namespace {

struct World {
  World() {
    auto made_loop = Loop::create();
    REQUIRE(made_loop);
    loop = std::move(*made_loop);
    auto made = Http::create(*loop, "schedctl/test");
    REQUIRE(made);
    http = std::move(*made);
  }

  /// Runs the loop until nothing is under way.
  void finish() {
    const auto give_up = std::chrono::steady_clock::now() + 60s;
    while (http->under_way() > 0 && std::chrono::steady_clock::now() < give_up) {
      REQUIRE(loop->run_once(1s));
    }
    REQUIRE(http->under_way() == 0);
  }

  HttpAnswer ask(HttpRequest request) {
    HttpAnswer got;
    int calls = 0;
    http->send(std::move(request), [&](const HttpAnswer& answer) { got = answer, ++calls; });
    CHECK(calls == 0);
    finish();
    CHECK(calls == 1);
    // Either there is an answer, or a reason why there is none.
    CHECK((got.status == 0) == !got.error.empty());
    return got;
  }
  HttpAnswer get(const std::string& url, Duration timeout = 30s) {
    return ask({.url = url, .timeout = timeout});
  }

  std::unique_ptr<Loop> loop;
  std::unique_ptr<Http> http;
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    ++count;
  return count;
}

/// A port on which nobody listens.
int closed_port() {
  test::HttpServer server;
  server.kill();
  return server.port();
}

}  // namespace

TEST_CASE("a request arrives as it was sent, and its answer comes back") {
  test::HttpServer server;
  World world;
  const HttpAnswer answer = world.ask({.method = "POST",
                                       .url = server / "echo?a=b",
                                       .headers = {"Content-Type: application/json"},
                                       .body = R"({"text":"x"})"});
  CHECK(answer.status == 200);
  CHECK(answer.took > 0us);
  const json echo = json::parse(answer.body);
  CHECK(echo["method"] == "POST");
  CHECK(echo["path"] == "/echo?a=b");
  CHECK(echo["body"] == R"({"text":"x"})");
  CHECK(echo["headers"]["content-type"] == "application/json");
  CHECK(echo["headers"]["user-agent"] == "schedctl/test");
  for (const std::string method : {"GET", "PUT", "DELETE", "POST"}) {
    const json plain = json::parse(world.ask({.method = method, .url = server / "echo"}).body);
    CHECK(plain["method"] == method);
    CHECK(plain["body"] == "");
  }
  const json put =
      json::parse(world.ask({.method = "PUT", .url = server / "echo", .body = "b"}).body);
  CHECK(put["method"] == "PUT");
  CHECK(put["body"] == "b");
  const HttpAnswer head = world.ask({.method = "HEAD", .url = server / "status/200?body=long"});
  CHECK(head.status == 200);
  CHECK(head.body.empty());
}

TEST_CASE("every status is an answer, with its body and its wish to wait") {
  test::HttpServer server;
  World world;
  for (const int status : {200, 204, 400, 404, 410, 429, 500, 503}) {
    CHECK(world.get(server / ("status/" + std::to_string(status))).status == status);
  }
  const HttpAnswer slow_down = world.get(server / "status/429?retry_after=7&body=slow");
  CHECK(slow_down.retry_after == "7");
  CHECK(slow_down.body == "slow");
  CHECK_FALSE(world.get(server / "status/429").retry_after);
  const HttpAnswer later =
      world.get(server / "status/503?retry_after=Sun,%2006%20Nov%201994%2008:49:37%20GMT");
  CHECK(later.retry_after == "Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST_CASE("a redirect is an answer and is not followed") {
  test::HttpServer server;
  World world;
  CHECK(world.get(server / "redirect").status == 302);
  const json seen = json::parse(world.get(server / "seen").body);
  REQUIRE(seen.size() == 2);
  CHECK(seen[0]["path"] == "/redirect");
}

TEST_CASE("who refuses, hangs, stops half way or says nothing gave no answer") {
  test::HttpServer server;
  World world;
  const std::string dead = "http://127.0.0.1:" + std::to_string(closed_port()) + "/secret";
  const HttpAnswer refused = world.get(dead);
  CHECK(refused.status == 0);
  CHECK(refused.error == "Couldn't connect to server: Connection refused");
  for (const std::string path : {"hang", "drip"}) {
    const HttpAnswer late = world.get(server / path, 300ms);
    CHECK(late.status == 0);
    CHECK(has(late.error, "Timeout was reached"));
    CHECK(late.body.empty());
    CHECK(late.took >= 250ms);
  }
  for (const std::string path : {"cut", "nothing", "ancient", "headers"}) {
    const HttpAnswer broken = world.get(server / path);
    CHECK(broken.status == 0);
    CHECK(broken.body.empty());
  }
  CHECK(world.get(server / "slow").body == "slow!");
}

TEST_CASE("an answer is cut where it was to be, and an endless one ends") {
  test::HttpServer server;
  World world;
  for (const std::size_t most : {std::size_t{0}, std::size_t{100}, std::size_t{65536}}) {
    const HttpAnswer endless =
        world.ask({.url = server / "endless", .timeout = 60s, .most_body = most});
    CHECK(endless.status == 200);
    CHECK(endless.body == std::string(most, 'x'));
  }
  const HttpAnswer exact = world.ask({.url = server / "big/100", .most_body = 100});
  CHECK(exact.body.size() == 100);
  CHECK(world.ask({.url = server / "big/101", .most_body = 100}).body.size() == 100);
  CHECK(world.get(server / "big/0").body.empty());
}

TEST_CASE("a connection is used again, and a new one made when the server has closed it") {
  test::HttpServer server;
  World world;
  const auto connection = [&] {
    const HttpAnswer answer = world.ask({.method = "POST", .url = server / "echo", .body = "once"});
    REQUIRE(answer.status == 200);
    return json::parse(answer.body)["connection"].get<int>();
  };
  CHECK(connection() == 1);
  CHECK(connection() == 1);
  for (int i = 0; i < 20; ++i) {
    CHECK(world.get(server / "leave").body == "bye");
    CHECK(connection() == i + 2);
  }
  const json seen = json::parse(world.get(server / "seen").body);
  CHECK(seen.size() == 43);  // nothing was sent twice
}

TEST_CASE("a hundred requests at once all come back, and leave no descriptor behind") {
  test::HttpServer server;
  const std::size_t before = open_descriptors();
  {
    World world;
    constexpr int kMany = 100;
    std::vector<int> answers(kMany);
    for (int i = 0; i < kMany; ++i) {
      world.http->send({.method = "POST", .url = server / "echo", .body = std::to_string(i)},
                       [&, i](const HttpAnswer& answer) {
                         CHECK(json::parse(answer.body)["body"] == std::to_string(i));
                         ++answers[static_cast<std::size_t>(i)];
                       });
    }
    CHECK(world.http->under_way() == kMany);
    world.finish();
    CHECK(answers == std::vector<int>(kMany, 1));
    CHECK(open_descriptors() < before + 30);  // idle connections are few
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("what is told of an answer may send again") {
  test::HttpServer server;
  World world;
  int left = 20;
  Http::Done again = [&](const HttpAnswer&) {
    if (--left == 0) return;
    // One that begins, and one that cannot.
    const bool good = left % 2 == 0;
    world.http->send({.method = good ? "GET" : "no method", .url = server / "echo"}, again);
  };
  world.http->send({.url = server / "echo"}, again);
  world.finish();
  CHECK(left == 0);
}

TEST_CASE("requests that end at once and ones that hang do not hold each other up") {
  test::HttpServer server;
  World world;
  int hung = 0;
  for (int i = 0; i < 10; ++i) {
    world.http->send({.url = server / "hang", .timeout = 60s}, [&](const auto&) { ++hung; });
  }
  int done = 0;
  for (int i = 0; i < 10; ++i) {
    world.http->send({.url = server / "echo"}, [&](const auto& answer) {
      CHECK(answer.status == 200);
      ++done;
    });
  }
  while (done < 10) REQUIRE(world.loop->run_once(20s));
  CHECK(hung == 0);
  CHECK(world.http->under_way() == 10);
  server.kill();
  world.finish();
  CHECK(hung == 10);
}

TEST_CASE("what is under way when it ends is dropped without a word") {
  test::HttpServer server;
  const std::size_t before = open_descriptors();
  int calls = 0;
  {
    World world;
    for (const std::string path : {"hang", "endless", "drip", "echo"}) {
      world.http->send({.url = server / path}, [&](const auto&) { ++calls; });
    }
    world.http->send({.method = "", .url = server / "echo"}, [&](const auto&) { ++calls; });
    CHECK(world.http->under_way() == 5);
    calls = 0;
  }
  CHECK(calls == 0);
  CHECK(open_descriptors() == before);
}

TEST_CASE("a request that makes no sense is told of from the loop, and reaches nobody") {
  test::HttpServer server;
  World world;
  CHECK(world.get("file:///etc/passwd").error == "Unsupported protocol");
  CHECK(world.get("gopher://127.0.0.1/").error == "Unsupported protocol");
  CHECK(world.get("").status == 0);
  CHECK(world.get("http://").status == 0);
  CHECK(world.get("http://127.0.0.1:99999/secret").status == 0);
  CHECK(has(world.get(server / "echo\r\nX: y").error, "line break"));
  CHECK(has(world.ask({.url = server / "echo", .headers = {"A: b\r\nC: d"}}).error, "line break"));
  CHECK(has(world.ask({.method = "GET /x", .url = server / "echo"}).error, "method"));
  CHECK(json::parse(world.get(server / "seen").body).size() == 1);
}

TEST_CASE("an error never says the address, which may be a secret") {
  World world;
  const std::string port = std::to_string(closed_port());
  for (const std::string& url :
       {"http://127.0.0.1:" + port + "/hush", std::string("http://hush.invalid/hush"),
        std::string("hush://hush/hush"), std::string("http://hu sh/hush"),
        std::string("http://127.0.0.1:hush/hush"), std::string("http://hush:hush@[hush]/hush"),
        "https://127.0.0.1:" + port + "/hush", std::string("http://ex\x01hush/")}) {
    const HttpAnswer answer = world.get(url);
    CHECK(answer.status == 0);
    CHECK_FALSE(has(answer.error, "hush"));
  }
}

TEST_CASE("what does not speak TLS is an error that says so") {
  test::HttpServer server;
  World world;
  const HttpAnswer answer =
      world.get("https://127.0.0.1:" + std::to_string(server.port()) + "/echo");
  CHECK(answer.status == 0);
  CHECK(has(answer.error, "SSL"));
}

TEST_CASE("a name that is not known is an error") {
  World world;
  CHECK(world.get("http://nonexistent.invalid/").error == "Couldn't resolve host name");
}

TEST_CASE("a name server that does not answer holds nobody up, not even at the timeout") {
  test::HttpServer server;
  World world;
  {
    const std::lock_guard lock(name_server.mutex);
    name_server.open = false;
  }
  int slow = 0;
  world.http->send({.url = "http://slow.invalid/", .timeout = 300ms}, [&](const auto& answer) {
    CHECK(answer.status == 0);
    CHECK(has(answer.error, "Timeout"));
    ++slow;
  });
  world.http->send({.url = "http://slow-too.invalid/", .timeout = 60s},
                   [&](const auto&) { FAIL("it was to be dropped"); });
  for (int i = 0; i < 5; ++i) {
    bool done = false;
    world.http->send({.url = server / "echo"}, [&](const auto&) { done = true; });
    while (!done) REQUIRE(world.loop->run_once(20s));
  }
  while (slow == 0) REQUIRE(world.loop->run_once(20s));
  world.http.reset();  // the other one still waits for its name
  std::unique_lock lock(name_server.mutex);
  CHECK(name_server.waiting == 2);
  name_server.open = true;
  name_server.changed.notify_all();
  // The waiting threads end by themselves; the sanitizers would see what they leave.
  CHECK(name_server.changed.wait_for(lock, 20s, [] { return name_server.waiting == 0; }));
}

TEST_CASE("an idle client wakes nobody") {
  test::HttpServer server;
  World world;
  CHECK(world.get(server / "echo").status == 200);
  server.kill();
  // The timer of the answered request, if there was one, is disarmed.
  int wakes = 0;
  auto timer = MonotonicTimer::create();
  REQUIRE(timer);
  bool over = false;
  REQUIRE(world.loop->watch(timer->fd(), EPOLLIN, [&](auto) { timer->drain(), over = true; }));
  timer->arm(200ms);
  while (!over) {
    REQUIRE(world.loop->run_once(20s));
    ++wakes;
  }
  CHECK(wakes == 1);
}
