#include "schedctl/alert/outbox.hpp"

#include <doctest/doctest.h>

namespace schedctl::alert {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

struct Post {
  std::unique_ptr<store::Store> store = store::open_memory();
  Outbox outbox{*store};
  Time now{std::chrono::sys_days{std::chrono::year{2026} / 3 / 1}};
  Duration elapsed{};

  Post() { REQUIRE(outbox.configure({{"slack", "address-1", {}}}).has_value()); }
  void pass(Duration d) { now += d, elapsed += d; }
  void write(const std::string& text) {
    store::Message message;
    message.notifier = "slack";
    message.created_at = message.due_at = now;
    message.payload = "{\"text\":\"" + text + "\",\"blocks\":[]}";
    message.summary = text;
    REQUIRE(store->insert_message(message).has_value());
  }
  /// Hands out what is due.
  std::optional<Delivery> hand() {
    auto due = outbox.due(now, elapsed);
    REQUIRE(due.has_value());
    if (due->empty()) return std::nullopt;
    REQUIRE(due->size() == 1);
    outbox.sent(due->front());
    return due->front();
  }
  Outbox::Recorded answer(const Delivery& delivery, int status,
                          std::optional<Duration> retry_after = {}) {
    auto recorded =
        outbox.record({delivery.message, "slack", status, "words", retry_after}, now, elapsed);
    REQUIRE(recorded.has_value());
    REQUIRE(recorded->has_value());
    return **recorded;
  }
};

}  // namespace

TEST_CASE("messages go out one by one, in order, a second apart") {
  Post p;
  p.write("one");
  p.write("two");
  const auto one = p.hand();
  REQUIRE(one.has_value());
  CHECK(one->payload.find("one") != std::string::npos);
  p.pass(seconds(10));
  CHECK_FALSE(p.hand().has_value());  // the first is still on its way
  CHECK(p.answer(*one, 200).kind == Verdict::Kind::sent);
  // It may have arrived only now.
  CHECK_FALSE(p.hand().has_value());
  p.pass(kBetweenMessages);
  const auto two = p.hand();
  REQUIRE(two.has_value());
  CHECK(two->payload.find("two") != std::string::npos);
  CHECK(p.answer(*two, 200).kind == Verdict::Kind::sent);
  p.write("three");
  CHECK_FALSE(p.hand().has_value());
  CHECK(*p.outbox.next(p.now, p.elapsed) == p.now + kBetweenMessages);
  p.pass(kBetweenMessages);
  CHECK(p.hand().has_value());
  CHECK(p.store->waiting_messages("slack", 10)->size() == 1);
}

TEST_CASE("a server that fails is tried again, later and later, and nothing is lost") {
  Post p;
  p.write("one");
  Duration last{};
  for (int i = 0; i < 12; ++i) {
    const auto delivery = p.hand();
    REQUIRE(delivery.has_value());
    const auto recorded = p.answer(*delivery, i % 2 == 0 ? 500 : 0);
    CHECK(recorded.kind == Verdict::Kind::retry);
    CHECK(recorded.wait >= last);
    last = recorded.wait;
    CHECK_FALSE(p.hand().has_value());
    p.pass(recorded.wait);
  }
  CHECK(last <= minutes(6));
  const auto delivery = p.hand();
  REQUIRE(delivery.has_value());
  CHECK(p.answer(*delivery, 200).kind == Verdict::Kind::sent);
  CHECK(p.store->waiting_messages("slack", 10)->empty());
}

TEST_CASE("a busy server is tried again when it says") {
  Post p;
  p.write("one");
  const auto delivery = p.hand();
  CHECK(p.answer(*delivery, 429, seconds(30)).wait == seconds(30));
  p.pass(seconds(29));
  CHECK_FALSE(p.hand().has_value());
  p.pass(seconds(1));
  CHECK(p.hand().has_value());
}

TEST_CASE("a webhook that is gone stops its notifier until the address changes") {
  for (const int status : {403, 404, 410}) {
    CAPTURE(status);
    Post p;
    p.write("one");
    p.write("two");
    const auto delivery = p.hand();
    CHECK(p.answer(*delivery, status).kind == Verdict::Kind::stop);
    p.pass(hours(1));
    CHECK_FALSE(p.hand().has_value());
    CHECK_FALSE(p.outbox.next(p.now, p.elapsed).has_value());
    CHECK(p.store->list_notifiers()->front().stopped_at.has_value());
    CHECK(p.store->list_notifiers()->front().why == std::to_string(status) + " words");
    // A restart does not forget it.
    Outbox again(*p.store);
    REQUIRE(again.configure({{"slack", "address-1", {}}}).has_value());
    CHECK(again.due(p.now, p.elapsed)->empty());
    REQUIRE(p.outbox.configure({{"slack", "address-2", {}}}).has_value());
    const auto first = p.hand();
    REQUIRE(first.has_value());
    CHECK(first->payload.find("one") != std::string::npos);
  }
}

TEST_CASE("a message that is refused is said without blocks, and then given up") {
  Post p;
  p.write("one");
  p.write("two");
  auto delivery = p.hand();
  CHECK(p.answer(*delivery, 400).kind == Verdict::Kind::retry);
  p.pass(kBetweenMessages);
  delivery = p.hand();
  REQUIRE(delivery.has_value());
  CHECK(delivery->payload.find("blocks") == std::string::npos);
  CHECK(delivery->payload.find("one") != std::string::npos);
  CHECK(p.answer(*delivery, 400).kind == Verdict::Kind::refused);
  CHECK(p.store->get_message(delivery->message)->value().given_up);
  p.pass(kBetweenMessages);
  delivery = p.hand();
  REQUIRE(delivery.has_value());
  CHECK(delivery->payload.find("two") != std::string::npos);
}

TEST_CASE("what was on its way when the process died is sent again") {
  Post p;
  p.write("one");
  CHECK(p.hand().has_value());
  Outbox again(*p.store);
  REQUIRE(again.configure({{"slack", "address-1", {}}}).has_value());
  CHECK(again.due(p.now, p.elapsed)->size() == 1);
}

TEST_CASE("a clock that was set back does not hold messages for long") {
  Post p;
  p.write("one");
  p.now -= hours(24 * 365);
  CHECK(p.hand().has_value());
}

TEST_CASE("an outcome that is told twice, or of a message that is gone, is nothing") {
  Post p;
  p.write("one");
  const auto delivery = p.hand();
  CHECK(p.answer(*delivery, 200).kind == Verdict::Kind::sent);
  const auto record = [&](MessageId message, int status) {
    return p.outbox.record({message, "slack", status, "", {}}, p.now, p.elapsed);
  };
  CHECK_FALSE(record(delivery->message, 500)->has_value());
  CHECK_FALSE(record(MessageId{99}, 200)->has_value());
}

}  // namespace schedctl::alert
