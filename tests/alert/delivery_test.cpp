#include <doctest/doctest.h>

#include <chrono>
#include <string>

#include "schedctl/alert/courier.hpp"
#include "src/alert/delivery.hpp"
#include "tests/loop/http_server.hpp"

using namespace schedctl;
using namespace schedctl::alert;
using namespace std::chrono_literals;
using Kind = Verdict::Kind;

namespace {

Verdict judged(int status, int tries = 1, std::optional<Duration> retry_after = {}) {
  return judge({.message = {},
                .notifier = "slack",
                .status = status,
                .answer = {},
                .retry_after = retry_after},
               tries);
}

// 2026-03-29T01:00:00Z, a Sunday.
const Time kNow = Time(std::chrono::sys_days(std::chrono::year(2026) / 3 / 29)) + 1h;

Outcome told(const std::string& address, const std::string& notifier = "slack",
             Duration timeout = 30s) {
  const auto outcome =
      deliver_now({.slack = address, .heartbeat = {}},
                  {.message = MessageId{7}, .notifier = notifier, .payload = R"({"text":"x"})"},
                  "schedctl/test", timeout);
  REQUIRE(outcome);
  CHECK(outcome->message == MessageId{7});
  CHECK(outcome->notifier == notifier);
  return *outcome;
}

}  // namespace

TEST_CASE("every status has its verdict") {
  for (const int status : {200, 201, 204, 299}) CHECK(judged(status).kind == Kind::sent);
  for (const int status : {301, 302, 307, 308, 401, 403, 404, 405, 410})
    CHECK(judged(status).kind == Kind::stop);
  for (const int status : {400, 402, 409, 413, 415, 422, 499})
    CHECK(judged(status).kind == Kind::refused);
  for (const int status : {0, 100, 101, 408, 425, 429, 500, 502, 503, 504, 599, 999})
    CHECK(judged(status).kind == Kind::retry);
}

TEST_CASE("tries grow apart up to five minutes") {
  Duration before{};
  for (const int status : {0, 408, 429, 500, 503}) {
    CHECK(judged(status, 1).wait == 2s);
    CHECK(judged(status, 2).wait == 4s);
    CHECK(judged(status, 8).wait == 256s);
    for (const int tries : {9, 10, 100, 1'000'000'000}) CHECK(judged(status, tries).wait == 5min);
    CHECK(judged(status, 0).wait == 2s);
  }
  for (int tries = 1; tries < 50; ++tries) {
    CHECK(judged(500, tries).wait >= before);
    before = judged(500, tries).wait;
  }
}

TEST_CASE("the wish to wait counts where it may be sent, and is never a circle") {
  CHECK(judged(429, 5, 30s).wait == 30s);
  CHECK(judged(503, 5, 3h).wait == 3h);
  CHECK(judged(429, 5, 0s).wait == 1s);
  CHECK(judged(500, 1, 3h).wait == 2s);
  CHECK(judged(404, 1, 3h).kind == Kind::stop);
}

TEST_CASE("Retry-After is seconds or a date") {
  const auto parse = [](const std::string& text) { return parse_retry_after(text, kNow); };
  CHECK(parse("0") == 0s);
  CHECK(parse("5") == 5s);
  CHECK(parse(" 120\t") == 120s);
  CHECK(parse("86400") == 24h);
  CHECK(parse("86401") == 24h);
  CHECK(parse("99999999999999999999999999") == 24h);
  // The three forms of RFC 9110.
  CHECK(parse("Sun, 29 Mar 2026 01:00:30 GMT") == 30s);
  CHECK(parse("Sunday, 29-Mar-26 01:02:00 GMT") == 2min);
  CHECK(parse("Sun Mar 29 01:00:07 2026") == 7s);
  CHECK(parse("Wed Apr  1 00:00:00 2026") == 24h);
  // What is over, and what is far away.
  CHECK(parse("Sun, 06 Nov 1994 08:49:37 GMT") == 0s);
  CHECK(parse("Sunday, 06-Nov-94 08:49:37 GMT") == 0s);
  CHECK(parse("Tue, 29 Mar 2050 01:00:00 GMT") == 24h);
}

TEST_CASE("a Retry-After that cannot be read is none") {
  for (const std::string text :
       {"", " ", "-1", "+5", "1.5", "5s", "soon", "0x10", "Sun, 29 Mar 2026 01:00:30",
        "Sun, 29 Mar 2026 01:00:30 CET", "Sun, 29 Mar 2026 25:00:30 GMT",
        "Sun, 32 Mar 2026 01:00:30 GMT", "Sun, 29 Foo 2026 01:00:30 GMT",
        "Mon, 30 Feb 2026 01:00:30 GMT", "Sun, 29 Mar 2026 01:00:30 GMT, and more",
        "2026-03-29T01:00:30Z", "Sun, -9 Mar 2026 01:00:30 GMT"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_retry_after(text, kNow));
  }
}

TEST_CASE("what a server answered is one short line that gives nothing away") {
  const std::string address =
      "https://user:passphrase@h.example/services/T0/B0/s3cretpart?key=abcdef1";
  const auto text = [&](const std::string& body, int status = 404) {
    return answer_text({.status = status, .error = {}, .body = body, .retry_after = {}, .took = {}},
                       address);
  };
  CHECK(text("ok\n", 200) == "ok");
  CHECK(text("") == "");
  CHECK(text("<h1>\nno\x1b[31m</h1>") == "<h1>\\nno\\x1b[31m</h1>");
  CHECK(text(std::string(5000, 'x')).size() == 200);
  CHECK(text("no /services/T0/B0/s3cretpart?key=abcdef1 here") == "no *** here");
  CHECK(text("no s3cretpart, abcdef1, passphrase") == "no ***, ***, ***");
  CHECK(text(std::string(195, 'x') + "s3cretpart") == std::string(195, 'x') + "***");
  CHECK(answer_text(
            {.status = 0, .error = "no s3cretpart", .body = "b", .retry_after = {}, .took = {}},
            address) == "no ***");
  // An address without secrets hides nothing.
  CHECK(answer_text({.status = 400, .error = {}, .body = "a / b", .retry_after = {}, .took = {}},
                    "http://h/") == "a / b");
}

TEST_CASE("one try says what the server answered") {
  test::HttpServer server;
  const Outcome ok = told(server / "status/200?body=ok");
  CHECK(ok.status == 200);
  CHECK(ok.answer == "ok");
  const Outcome slow = told(server / "status/429?retry_after=7&body=slow");
  CHECK(slow.status == 429);
  CHECK(slow.retry_after == 7s);
  CHECK(slow.answer == "slow");
  const Outcome gone = told(server / "no-such-secret");
  CHECK(gone.status == 404);
  CHECK(gone.answer == "no *** here");
  CHECK(told(server / "redirect").status == 302);
  const Outcome echo = told(server / "echo");
  CHECK(echo.answer.find("POST") != std::string::npos);
}

TEST_CASE("one try gives up in time, and says why there was no answer") {
  test::HttpServer server;
  const auto before = std::chrono::steady_clock::now();
  const Outcome late = told(server / "hang", "slack", 300ms);
  CHECK(std::chrono::steady_clock::now() - before < 20s);
  CHECK(late.status == 0);
  CHECK(late.answer.find("Timeout") != std::string::npos);
  server.kill();
  const Outcome dead = told(server / "status/200");
  CHECK(dead.status == 0);
  CHECK(dead.answer == "Couldn't connect to server: Connection refused");
  CHECK(told("").answer == "slack is not configured");
  CHECK(told("http://x/", "mail").answer == "mail is not configured");
}
