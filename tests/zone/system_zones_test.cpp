#include "schedctl/zone/system_zones.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

using namespace schedctl;
using job::CivilMeaning;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::sys_days;
using std::chrono::year;

namespace {

Time at(int y, unsigned m, unsigned d, int h = 0, int min = 0) {
  return Time{sys_days{year{y} / m / d}} + hours(h) + minutes(min);
}
CivilTime clock(int y, unsigned m, unsigned d, int h = 0, int min = 0) {
  return CivilTime{std::chrono::local_days{year{y} / m / d}} + hours(h) + minutes(min);
}

job::ZonePtr zone_named(const std::string& name) {
  static const auto kZones = zone::system_zones();
  auto found = kZones->find(name);
  REQUIRE_MESSAGE(found.has_value(), name);
  return *found;
}

std::string refusal(const std::string& name) {
  const auto found = zone::system_zones()->find(name);
  REQUIRE_MESSAGE(!found.has_value(), name);
  CHECK(found.error().kind == ErrorKind::usage);
  return found.error().message;
}

/// The changes of offset in a year.
std::vector<job::ZoneChange> changes(const std::string& name, int y) {
  std::vector<job::ZoneChange> out;
  const auto z = zone_named(name);
  for (auto c = z->next_change(at(y, 1, 1) - Duration(1)); c && c->at < at(y + 1, 1, 1);
       c = z->next_change(c->at)) {
    out.push_back(*c);
  }
  return out;
}

/// Sets a variable for one test.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old, was_set_ = true;
    ::setenv(name, value, 1);
  }
  ~Variable() { was_set_ ? ::setenv(name_, old_.c_str(), 1) : ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::string old_;
  bool was_set_ = false;
};

}  // namespace

TEST_CASE("a zone tells what its clocks show") {
  const auto berlin = zone_named("Europe/Berlin");
  CHECK(berlin->name() == "Europe/Berlin");
  CHECK(berlin->civil(at(2026, 1, 1)) == clock(2026, 1, 1, 1));
  CHECK(berlin->civil(at(2026, 7, 1)) == clock(2026, 7, 1, 2));
  CHECK(berlin->offset(at(2026, 1, 1)) == hours(1));
  CHECK(berlin->civil(at(2026, 1, 1) - Duration(1)) == clock(2026, 1, 1, 1) - seconds(1));
  CHECK(zone_named("Asia/Kathmandu")->offset(at(2026, 1, 1)) == minutes(345));
  CHECK(zone_named("Pacific/Kiritimati")->offset(at(2026, 1, 1)) == hours(14));
  CHECK(zone_named("UTC")->civil(at(1900, 1, 1)) == clock(1900, 1, 1));
  CHECK_FALSE(zone_named("UTC")->next_change(Time::min()).has_value());
}

TEST_CASE("readings are unique, skipped or repeated") {
  const auto berlin = zone_named("Europe/Berlin");
  const CivilMeaning plain = berlin->meaning(clock(2026, 1, 1, 1));
  CHECK(plain.kind == CivilMeaning::Kind::unique);
  CHECK(plain.first == at(2026, 1, 1));
  const CivilMeaning gap = berlin->meaning(clock(2026, 3, 29, 2, 30));
  CHECK(gap.kind == CivilMeaning::Kind::skipped);
  CHECK(gap.transition == at(2026, 3, 29, 1));
  const CivilMeaning fold = berlin->meaning(clock(2026, 10, 25, 2, 30));
  CHECK(fold.kind == CivilMeaning::Kind::repeated);
  CHECK(fold.first == at(2026, 10, 25, 0, 30));
  CHECK(fold.second == at(2026, 10, 25, 1, 30));
  CHECK(fold.transition == at(2026, 10, 25, 1));
  CHECK(zone_named("Pacific/Apia")->meaning(clock(2011, 12, 30, 12)).kind ==
        CivilMeaning::Kind::skipped);
}

TEST_CASE("changes of offset come one after the other, also past 2037") {
  for (const int y : {1996, 2026, 2050, 2100}) {
    const auto berlin = changes("Europe/Berlin", y);
    REQUIRE(berlin.size() == 2);
    CHECK(berlin[0].before == hours(1));
    CHECK(berlin[0].after == hours(2));
    CHECK(berlin[1].before == hours(2));
    CHECK(berlin[1].after == hours(1));
  }
  CHECK(changes("Europe/Berlin", 2026)[0].at == at(2026, 3, 29, 1));
  CHECK(changes("Australia/Lord_Howe", 2026)[0].before == minutes(660));
  CHECK(changes("Australia/Lord_Howe", 2026)[0].after == minutes(630));
  CHECK(changes("Africa/Casablanca", 2025).size() == 2);
  CHECK(changes("Asia/Kathmandu", 2026).empty());
}

TEST_CASE("changes that leave the offset alone are passed over") {
  for (const char* name : {"Europe/Berlin", "Europe/Dublin", "America/Sao_Paulo", "Europe/Lisbon",
                           "America/Anchorage", "Africa/Casablanca", "Asia/Manila"}) {
    const auto z = zone_named(name);
    int n = 0;
    for (auto c = z->next_change(at(1800, 1, 1)); c && c->at < at(2040, 1, 1);
         c = z->next_change(c->at), ++n) {
      INFO(name, " at ", format_rfc3339(c->at));
      CHECK(c->before != c->after);
      CHECK(z->offset(c->at) == c->after);
      CHECK(z->offset(c->at - Duration(1)) == c->before);
    }
    CHECK(n > 3);
  }
}

TEST_CASE("the ends of time are answered without overflow") {
  for (const char* name : {"UTC", "Europe/Berlin", "America/New_York"}) {
    const auto z = zone_named(name);
    CHECK(z->civil(Time::max()) > z->civil(at(9999, 1, 1)));
    CHECK(z->civil(Time::min()) < z->civil(at(1, 1, 1)));
    CHECK(z->meaning(z->civil(Time::max())).first <= Time::max());
    (void)z->next_change(Time::min());
    (void)z->next_change(Time::max());
  }
}

TEST_CASE("a zone is loaded once and shared") {
  const auto zones = zone::system_zones();
  CHECK(*zones->find("Europe/Berlin") == *zones->find("Europe/Berlin"));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (const char* name : {"Europe/Paris", "Asia/Tokyo", "UTC", "Nowhere/Else"}) {
        (void)zones->find(name);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_CASE("an unknown zone names the one that was probably meant") {
  CHECK(refusal("Europe/Berln").find("did you mean Europe/Berlin?") != std::string::npos);
  CHECK(refusal("europe/berlin").find("did you mean Europe/Berlin?") != std::string::npos);
  CHECK(refusal("Berlin").find("did you mean Europe/Berlin?") != std::string::npos);
  CHECK(refusal("new york").find("did you mean America/New_York?") != std::string::npos);
  CHECK(refusal("utc").find("did you mean UTC?") != std::string::npos);
  CHECK(refusal("Nowhere/Whatsoever").find("Europe/Berlin, or UTC") != std::string::npos);
  CHECK(refusal("Europe").find("time zone") != std::string::npos);
}

TEST_CASE("names that are no zone's are refused before any file is opened") {
  for (const std::string& name : {std::string(),
                                  std::string("/etc/passwd"),
                                  std::string("/usr/share/zoneinfo/UTC"),
                                  std::string("../../../etc/passwd"),
                                  std::string("Europe/../Europe/Berlin"),
                                  std::string("localtime"),
                                  std::string("posixrules"),
                                  std::string(":UTC"),
                                  std::string("libc:localtime"),
                                  std::string("Fixed/UTC+01:00:00"),
                                  std::string("UTC\n"),
                                  std::string("UTC\0", 4),
                                  std::string("right/Europe/Berlin"),
                                  std::string("posix/UTC"),
                                  std::string("zone.tab"),
                                  std::string("tzdata.zi"),
                                  std::string("leapseconds"),
                                  std::string("+01:00"),
                                  std::string("CET-1CEST,M3.5.0,M10.5.0/3"),
                                  std::string(1 << 20, 'A')}) {
    const std::string message = refusal(name);
    CHECK(message.size() < 500);
    CHECK(message.find('\n') == std::string::npos);
  }
}

TEST_CASE("a machine without a tz database still knows UTC") {
  const Variable tzdir("TZDIR", "/nonexistent");
  CHECK(zone::system_zones()->find("UTC").has_value());
  CHECK(refusal("Antarctica/Vostok").find("install the package tzdata") != std::string::npos);
}

TEST_CASE("the host's zone is TZ if that is one") {
  {
    const Variable tz("TZ", "Asia/Tokyo");
    CHECK(zone::host_zone_name() == "Asia/Tokyo");
  }
  {
    const Variable tz("TZ", ":Asia/Tokyo");
    CHECK(zone::host_zone_name() == "Asia/Tokyo");
  }
  {
    const Variable tz("TZ", "/usr/share/zoneinfo/Asia/Tokyo");
    CHECK(zone::host_zone_name() == "Asia/Tokyo");
  }
  for (const char* bad : {"", "CET-1CEST", "../etc/passwd", "Nowhere/Else"}) {
    const Variable tz("TZ", bad);
    CHECK(zone::system_zones()->find(zone::host_zone_name()).has_value());
  }
}
