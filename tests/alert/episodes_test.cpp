#include "schedctl/alert/episodes.hpp"

#include <doctest/doctest.h>

#include "schedctl/alert/teller.hpp"
#include "schedctl/zone/system_zones.hpp"

namespace schedctl::alert {
namespace {

using job::AlertEnd;
using job::AlertKind;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

/// Episodes and a teller over a store in memory, at a time that is moved by hand.
struct Told {
  std::unique_ptr<store::Store> store = store::open_memory();
  Episodes episodes{*store, "node-1"};
  Teller teller{*store};
  Time now{std::chrono::sys_days{std::chrono::year{2026} / 3 / 1}};
  Duration elapsed{};
  Rules rules;

  Told() {
    auto zone = zone::system_zones()->find("UTC");
    teller.configure({.notifiers = {"slack"}, .sender = {"test", "here"}, .zone = *zone});
  }
  void pass(Duration d) { now += d, elapsed += d; }
  void begin(AlertKind kind, int job, const std::string& detail = "exit status 1") {
    REQUIRE(episodes
                .begin({.kind = kind,
                        .job = JobId{job},
                        .subject = "job-" + std::to_string(job),
                        .detail = detail},
                       rules, now)
                .has_value());
  }
  void end(int job, AlertEnd how = AlertEnd::succeeded) {
    REQUIRE(episodes.end(JobId{job}, {}, how, now).has_value());
  }
  /// What was said since the last time this was asked, oldest first.
  std::vector<std::string> said() {
    REQUIRE(teller.tell(now, elapsed).has_value());
    const auto waiting = store->waiting_messages("slack", 10'000);
    REQUIRE(waiting.has_value());
    std::vector<std::string> lines;
    for (store::Message message : *waiting) {
      lines.push_back(message.summary);
      message.settled_at = now;
      REQUIRE(store->update_message(message).has_value());
    }
    return lines;
  }
  std::vector<std::string> said_later(Duration d) {
    pass(d);
    return said();
  }
  job::Alert only() {
    const auto all = store->list_alerts({});
    REQUIRE(all.has_value());
    REQUIRE(all->size() == 1);
    return all->front();
  }
};

bool has(const std::vector<std::string>& lines, const std::string& words) {
  for (const std::string& line : lines) {
    if (line.find(words) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("an episode is told once when it begins and once when it is over") {
  Told t;
  t.begin(AlertKind::failed, 1);
  CHECK(t.said().empty());
  auto first = t.said_later(kGather);
  REQUIRE(first.size() == 1);
  CHECK(first[0].find("job-1 failed: exit status 1") != std::string::npos);
  // It goes on failing.
  for (int i = 0; i < 5; ++i) {
    t.pass(minutes(1));
    t.begin(AlertKind::failed, 1, "exit status 2");
    CHECK(t.said_later(kGather).empty());
  }
  CHECK(t.only().events == 6);
  CHECK(t.only().detail == "exit status 2");
  t.end(1);
  auto over = t.said_later(kGather);
  REQUIRE(over.size() == 1);
  CHECK(over[0].find("job-1 succeeded again") != std::string::npos);
  CHECK(t.said_later(hours(100)).empty());
}

TEST_CASE("a job without an open episode ends nothing") {
  Told t;
  t.end(1);
  CHECK(t.said_later(minutes(1)).empty());
}

TEST_CASE("what fails and recovers before anybody was told is told nonetheless, both") {
  Told t;
  t.begin(AlertKind::failed, 1);
  t.end(1);
  const auto lines = t.said_later(kGather);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].find("failed") != std::string::npos);
  CHECK(lines[1].find("succeeded again") != std::string::npos);
}

TEST_CASE("an open episode is reminded of three times, a day apart") {
  Told t;
  t.begin(AlertKind::failed, 1);
  CHECK(t.said_later(kGather).size() == 1);
  for (int i = 0; i < 3; ++i) {
    CHECK(t.said_later(hours(23)).empty());
    const auto lines = t.said_later(hours(1));
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].find("still: job-1 failed") != std::string::npos);
  }
  CHECK(t.said_later(hours(1000)).empty());
  t.end(1);
  CHECK(t.said_later(kGather).size() == 1);
}

TEST_CASE("without a time for reminders there are none") {
  Told t;
  t.rules.realert_after = Duration::zero();
  auto zone = zone::system_zones()->find("UTC");
  t.teller.configure({.notifiers = {"slack"},
                      .sender = {"test", "here"},
                      .zone = *zone,
                      .rules = {Duration::zero(), hours(1)}});
  t.begin(AlertKind::failed, 1);
  CHECK(t.said_later(kGather).size() == 1);
  for (int i = 0; i < 5; ++i) CHECK(t.said_later(hours(30)).empty());
  t.end(1);
  CHECK(t.said_later(kGather).size() == 1);
}

TEST_CASE("an episode that is back within the flap window is counted and not told") {
  Told t;
  t.begin(AlertKind::failed, 1);
  CHECK(t.said_later(kGather).size() == 1);
  t.end(1);
  CHECK(t.said_later(kGather).size() == 1);
  for (int i = 0; i < 10; ++i) {
    t.pass(minutes(2));
    t.begin(AlertKind::failed, 1);
    CHECK(t.said_later(minutes(2)).empty());
    t.end(1);
    CHECK(t.said_later(minutes(2)).empty());
  }
  CHECK(t.only().count == 11);
  CHECK_FALSE(t.only().open());
}

TEST_CASE("one that is back and stays for a flap window is told after all, and its end, too") {
  Told t;
  t.begin(AlertKind::failed, 1);
  (void)t.said_later(kGather);
  t.end(1);
  (void)t.said_later(kGather);
  t.pass(minutes(5));
  t.begin(AlertKind::failed, 1);
  CHECK(t.said_later(minutes(59)).empty());
  CHECK(t.said_later(minutes(2)).size() == 1);
  t.end(1);
  CHECK(t.said_later(kGather).size() == 1);
}

TEST_CASE("one that is back before its end was told has never been away") {
  Told t;
  t.begin(AlertKind::failed, 1);
  (void)t.said_later(kGather);
  t.end(1);
  t.begin(AlertKind::failed, 1);
  CHECK(t.said_later(minutes(10)).empty());
  t.end(1);
  CHECK(t.said_later(kGather).size() == 1);
}

TEST_CASE("after the flap window it is a new episode") {
  Told t;
  t.begin(AlertKind::failed, 1);
  (void)t.said_later(kGather);
  t.end(1);
  (void)t.said_later(kGather);
  t.pass(minutes(61));
  t.begin(AlertKind::failed, 1);
  CHECK(t.said_later(kGather).size() == 1);
  CHECK(t.store->list_alerts({})->size() == 2);
}

TEST_CASE("a silenced one begins again unheard until the silence ends") {
  Told t;
  t.begin(AlertKind::failed, 1);
  (void)t.said_later(kGather);
  t.end(1, AlertEnd::acked);
  job::Alert alert = t.only();
  alert.silenced_until = t.now + hours(8);
  REQUIRE(t.store->update_alert(alert).has_value());
  CHECK(has(t.said_later(kGather), "acknowledged"));
  t.pass(hours(3));
  t.begin(AlertKind::failed, 1);
  CHECK(t.said_later(hours(4)).empty());
  CHECK(t.said_later(hours(1)).size() == 1);
}

TEST_CASE("five at once are five messages, six are one with the cause and all names") {
  Told t;
  for (int job = 1; job <= 5; ++job) t.begin(AlertKind::failed, job);
  CHECK(t.said_later(kGather).size() == 5);
  Told six;
  for (int job = 1; job <= 6; ++job) {
    REQUIRE(six.episodes
                .begin({.kind = AlertKind::lost,
                        .job = JobId{job},
                        .subject = "job-" + std::to_string(job),
                        .cause = "the keeper died"},
                       six.rules, six.now)
                .has_value());
  }
  six.pass(kGather);
  REQUIRE(six.teller.tell(six.now, six.elapsed).has_value());
  const auto messages = six.store->waiting_messages("slack", 10);
  REQUIRE(messages->size() == 1);
  CHECK(messages->front().summary.find("6 alerts: 6 lost") != std::string::npos);
  CHECK(messages->front().payload.find("the keeper died") != std::string::npos);
  CHECK(messages->front().payload.find("job-6") != std::string::npos);
}

TEST_CASE("a storm of five thousand over ten minutes is a handful of messages that miss nobody") {
  Told t;
  std::size_t messages = 0;
  for (int job = 1; job <= 5000; ++job) {
    t.begin(AlertKind::failed, job);
    if (job % 10 != 0) continue;
    messages += t.said_later(std::chrono::milliseconds(1200)).size();
  }
  messages += t.said_later(minutes(5)).size();
  CHECK(messages <= 10);
  const auto alerts = t.store->list_alerts({.limit = 10'000});
  for (const job::Alert& alert : *alerts) CHECK(alert.told_at);
}

TEST_CASE("with nobody to tell, beginnings wait for somebody") {
  Told t;
  alert::Voice nobody = t.teller.voice();
  nobody.notifiers.clear();
  const alert::Voice somebody = t.teller.voice();
  t.teller.configure(nobody);
  t.begin(AlertKind::failed, 1);
  CHECK(t.said_later(minutes(1)).empty());
  CHECK_FALSE(t.teller.next(t.now, t.elapsed)->has_value());
  t.teller.configure(somebody);
  CHECK(t.said().size() == 1);
}

TEST_CASE("the teller says when it has something to say next") {
  Told t;
  CHECK_FALSE(t.teller.next(t.now, t.elapsed)->has_value());
  t.begin(AlertKind::failed, 1);
  CHECK(**t.teller.next(t.now, t.elapsed) == t.now + kGather);
  (void)t.said_later(kGather);
  CHECK(**t.teller.next(t.now, t.elapsed) == t.now + hours(24));
  t.end(1);
  CHECK(**t.teller.next(t.now, t.elapsed) <= t.now + kGather);
}

TEST_CASE("a clock that is set back makes nothing wait") {
  Told t;
  t.begin(AlertKind::failed, 1);
  (void)t.said_later(kGather);
  t.end(1);
  t.begin(AlertKind::failed, 2);
  t.now -= hours(5);
  REQUIRE(t.teller.clock_set_back(t.now, hours(5)).has_value());
  CHECK(t.said_later(2 * kGather).size() == 2);
}

}  // namespace schedctl::alert
