#include "schedctl/alert/courier.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "schedctl/base/log.hpp"
#include "tests/base/scratch.hpp"
#include "tests/loop/http_server.hpp"

using namespace schedctl;
using namespace schedctl::alert;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

class Kept final : public OutcomeSink {
 public:
  std::vector<Outcome> outcomes;
  void delivered(Outcome outcome) override { outcomes.push_back(std::move(outcome)); }
};

struct World {
  explicit World(Addresses addresses) {
    auto made_loop = loop::Loop::create();
    REQUIRE(made_loop);
    loop = std::move(*made_loop);
    auto made_http = loop::Http::create(*loop, "schedctl/test");
    REQUIRE(made_http);
    http = std::move(*made_http);
    auto made = HttpCourier::create(*loop, *http, std::move(addresses), sink);
    REQUIRE(made);
    courier = std::move(*made);
  }

  template <class Fact>
  void run_until(Fact fact) {
    const auto give_up = std::chrono::steady_clock::now() + 60s;
    while (!fact() && std::chrono::steady_clock::now() < give_up) REQUIRE(loop->run_once(1s));
    REQUIRE(fact());
  }

  /// Waits for one more outcome.
  Outcome tell(const std::string& notifier, std::int64_t id = 1) {
    const std::size_t before = sink.outcomes.size();
    courier->deliver({.message = MessageId{id}, .notifier = notifier, .payload = "{}"});
    run_until([&] { return sink.outcomes.size() > before; });
    return sink.outcomes.back();
  }

  /// Sends a heartbeat and waits until it is over.
  void beat() {
    courier->heartbeat();
    REQUIRE(loop->run_once(20s));
    run_until([&] { return http->under_way() == 0; });
  }

  json seen(const test::HttpServer& server) {
    json all;
    http->send({.url = server / "seen"},
               [&](const loop::HttpAnswer& answer) { all = json::parse(answer.body); });
    run_until([&] { return !all.is_null(); });
    return all;
  }

  Kept sink;
  std::unique_ptr<loop::Loop> loop;
  std::unique_ptr<loop::Http> http;
  std::unique_ptr<HttpCourier> courier;
};

/// The log goes to a file while this lives.
struct Log {
  test::Scratch scratch;
  Log() { REQUIRE(log::open(scratch / "log", log::Level::debug, false)); }
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  ~Log() { CHECK(log::open("", log::Level::info, false)); }
  std::string text() const {
    log::flush();
    return test::read_file(scratch / "log");
  }
  std::size_t count(const std::string& event) const {
    const std::string all = text();
    std::size_t lines = 0;
    for (std::size_t at = 0; (at = all.find(event, at)) != std::string::npos; ++at) ++lines;
    return lines;
  }
};

}  // namespace

TEST_CASE("a delivery arrives as JSON, and its outcome comes back") {
  test::HttpServer server;
  World world({.slack = server / "status/200?body=ok", .heartbeat = {}});
  world.courier->deliver(
      {.message = MessageId{5}, .notifier = "slack", .payload = R"({"text":"a"})"});
  world.run_until([&] { return !world.sink.outcomes.empty(); });
  const Outcome& outcome = world.sink.outcomes[0];
  CHECK(outcome.message == MessageId{5});
  CHECK(outcome.notifier == "slack");
  CHECK(outcome.status == 200);
  CHECK(outcome.answer == "ok");
  const json seen = world.seen(server);
  CHECK(seen[0]["method"] == "POST");
  CHECK(seen[0]["body"] == R"({"text":"a"})");
  CHECK(seen[0]["headers"]["content-type"] == "application/json");
}

TEST_CASE("whatever becomes of it, an outcome comes once and keeps the secret") {
  test::HttpServer server;
  World world({});
  const auto told = [&](const std::string& path) {
    world.courier->configure({.slack = server / path, .heartbeat = {}});
    return world.tell("slack");
  };
  CHECK(told("status/500?body=oops").status == 500);
  const Outcome slow = told("status/429?retry_after=3");
  CHECK(slow.retry_after == 3s);
  const Outcome missing = told("services/a-long-secret");
  CHECK(missing.status == 404);
  CHECK(missing.answer == "no *** here");
  CHECK(told("cut").status == 0);
  CHECK(told("nothing").status == 0);
  CHECK(told("redirect").status == 302);
  server.kill();
  const Outcome dead = told("services/a-long-secret");
  CHECK(dead.status == 0);
  CHECK(dead.answer.find("secret") == std::string::npos);
  CHECK(world.sink.outcomes.size() == 7);
}

TEST_CASE("a notifier that is not set up, or is no more, has an outcome too") {
  test::HttpServer server;
  World world({.slack = server / "status/200", .heartbeat = {}});
  const Outcome unknown = world.tell("mail", 3);
  CHECK(unknown.status == 0);
  CHECK(unknown.message == MessageId{3});
  CHECK(unknown.answer == "mail is not configured");
  world.courier->configure({});
  CHECK(world.tell("slack").answer == "slack is not configured");
  world.courier->configure({.slack = server / "status/200", .heartbeat = {}});
  CHECK(world.tell("slack").status == 200);
}

TEST_CASE("many threads deliver at once, and each message has one outcome") {
  test::HttpServer server;
  World world({.slack = server / "status/200", .heartbeat = server / "status/200"});
  constexpr int kThreads = 4;
  constexpr int kEach = 25;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&world, t] {
      for (int i = 0; i < kEach; ++i) {
        world.courier->deliver({.message = MessageId{t * 1000 + i},
                                .notifier = i % 5 == 0 ? "none" : "slack",
                                .payload = "{}"});
        world.courier->heartbeat();
      }
    });
  }
  world.run_until([&] { return world.sink.outcomes.size() >= kThreads * kEach; });
  for (std::thread& thread : threads) thread.join();
  world.run_until([&] { return world.http->under_way() == 0; });
  std::map<MessageId, int> count;
  for (const Outcome& outcome : world.sink.outcomes) {
    ++count[outcome.message];
    CHECK(outcome.status == (outcome.message.value % 1000 % 5 == 0 ? 0 : 200));
  }
  CHECK(count.size() == kThreads * kEach);
  CHECK(world.sink.outcomes.size() == kThreads * kEach);
}

TEST_CASE("a heartbeat is a GET, one at a time") {
  test::HttpServer server;
  World world({.slack = {}, .heartbeat = server / "hang"});
  for (int i = 0; i < 5; ++i) {
    world.courier->heartbeat();
    REQUIRE(world.loop->run_once(20s));
  }
  CHECK(world.http->under_way() == 1);
  // A delivery does not wait for it.
  CHECK(world.tell("slack").answer == "slack is not configured");
  const auto came = [&] {
    const json seen = world.seen(server);
    return std::ranges::any_of(seen, [](const json& one) { return one["path"] == "/hang"; });
  };
  world.run_until(came);
  int beats = 0;
  for (const json& one : world.seen(server)) {
    if (one["path"] != "/hang") continue;
    ++beats;
    CHECK(one["method"] == "GET");
  }
  CHECK(beats == 1);
}

TEST_CASE("a heartbeat that fails is one line in the log, and one when it works again") {
  test::HttpServer server;
  const Log log;
  World world({});
  const std::string secret = "a-long-secret";
  world.beat();  // there is none to send
  world.courier->configure({.slack = {}, .heartbeat = server / "status/200"});
  for (int i = 0; i < 3; ++i) world.beat();
  CHECK(log.text().empty());
  // The path ends in the secret, whatever it answers.
  world.courier->configure({.slack = {}, .heartbeat = server / ("missing/" + secret)});
  for (int i = 0; i < 3; ++i) world.beat();
  CHECK(log.count("heartbeat-failed") == 1);
  CHECK(log.count("status=404") == 1);
  CHECK(log.count("heartbeat-ok") == 0);
  CHECK(log.count("secret") == 0);
  server.kill();
  world.beat();
  CHECK(log.count("heartbeat-failed") == 1);
}

TEST_CASE("a heartbeat that works again says so once") {
  const Log log;
  World world({});
  {
    test::HttpServer dead;
    dead.kill();
    world.courier->configure({.slack = {}, .heartbeat = dead / "a-long-secret"});
    world.beat();
    world.beat();
  }
  CHECK(log.count("heartbeat-failed") == 1);
  CHECK(log.count("Connection refused") == 1);
  test::HttpServer server;
  // The same address answers differently as time goes by: three times not, then well.
  world.courier->configure({.slack = {}, .heartbeat = server / "after/3"});
  for (int i = 0; i < 3; ++i) world.beat();
  CHECK(log.count("heartbeat-failed") == 2);
  CHECK(log.count("heartbeat-ok") == 0);
  for (int i = 0; i < 3; ++i) world.beat();
  CHECK(log.count("heartbeat-failed") == 2);
  CHECK(log.count("heartbeat-ok") == 1);
  CHECK(log.count("secret") == 0);
}

TEST_CASE("what is under way when the courier goes reaches no sink") {
  test::HttpServer server;
  World world({.slack = server / "slow", .heartbeat = server / "slow"});
  world.courier->deliver({.message = MessageId{1}, .notifier = "slack", .payload = "{}"});
  world.courier->heartbeat();
  REQUIRE(world.loop->run_once(20s));
  CHECK(world.http->under_way() == 2);
  world.courier->deliver({.message = MessageId{2}, .notifier = "slack", .payload = "{}"});
  world.courier.reset();
  world.run_until([&] { return world.http->under_way() == 0; });
  CHECK(world.sink.outcomes.empty());
}
