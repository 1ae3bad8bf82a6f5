#include <doctest/doctest.h>

#include "tests/ops/world.hpp"

using namespace schedctl;
using namespace schedctl::ops;

namespace {

struct Alarmed : World {
  /// An open episode of a job that exists.
  job::Alert alarm(const std::string& name, job::AlertKind kind = job::AlertKind::failed) {
    job::Alert alert;
    alert.kind = kind;
    alert.job_id = stored(name).id;
    alert.subject = name;
    alert.began_at = now();
    alert.told_at = now();
    alert.tell_at = now() + hours(24);
    must(store->insert_alert(alert));
    return alert;
  }
  job::Alert alert(AlertId id) const {
    for (const job::Alert& one : must(store->list_alerts({}))) {
      if (one.id == id) return one;
    }
    FAIL("no such alert");
    return {};
  }
  void add_manual(const std::string& name) { add(name, manual()); }
};

}  // namespace

TEST_CASE("acknowledging a job ends all its open alerts, says who, and wakes the daemon") {
  Alarmed w;
  w.add_manual("a");
  w.add_manual("b");
  const job::Alert failed = w.alarm("a"), late = w.alarm("a", job::AlertKind::delayed);
  const job::Alert other = w.alarm("b");
  const int pokes = w.pokes;
  CHECK(World::must(w.ops.ack({"a"}, std::nullopt)).size() == 2);
  CHECK(w.pokes == pokes + 1);
  for (const job::Alert& one : {w.alert(failed.id), w.alert(late.id)}) {
    CHECK(one.ended_by == job::AlertEnd::acked);
    CHECK(one.ended_who == "alice");
    CHECK(one.over_untold);
    CHECK_FALSE(one.tell_at.has_value());
    CHECK_FALSE(one.silenced_until.has_value());
  }
  CHECK(w.alert(other.id).open());
  CHECK(w.last_audit().action == "ack");
  CHECK(w.last_audit().job == "a");
}

TEST_CASE("acknowledging by number ends that one, for as long as is said") {
  Alarmed w;
  w.add_manual("a");
  const job::Alert failed = w.alarm("a"), late = w.alarm("a", job::AlertKind::delayed);
  const std::string number = "#" + std::to_string(late.id.value);
  CHECK(World::must(w.ops.ack({number, number}, hours(8))).size() == 1);
  CHECK(w.alert(failed.id).open());
  CHECK(w.alert(late.id).silenced_until == w.now() + hours(8));
  CHECK(w.ops.ack({number}, std::nullopt).error().kind == ErrorKind::conflict);
}

TEST_CASE("one target that cannot be acknowledged, and none is") {
  Alarmed w;
  w.add_manual("a");
  w.add_manual("quiet");
  const job::Alert failed = w.alarm("a");
  const int pokes = w.pokes;
  for (const auto& [target, kind] :
       {std::pair("nope", ErrorKind::not_found), std::pair("#99", ErrorKind::not_found),
        std::pair("quiet", ErrorKind::conflict), std::pair("#", ErrorKind::usage),
        std::pair("#-1", ErrorKind::usage), std::pair("#1x", ErrorKind::usage)}) {
    CAPTURE(target);
    const auto acked = w.ops.ack({"a", target}, std::nullopt);
    REQUIRE_FALSE(acked.has_value());
    CHECK(acked.error().kind == kind);
    CHECK(w.alert(failed.id).open());
  }
  CHECK(w.pokes == pokes);
}

TEST_CASE("a pause and a removal end what is open, a resume brings nothing back") {
  Alarmed w;
  w.add_manual("a");
  w.add_manual("b");
  const job::Alert paused = w.alarm("a"), removed = w.alarm("b");
  World::must(w.ops.pause({"a"}, "night"));
  World::must(w.ops.remove({"b"}, false));
  CHECK(w.alert(paused.id).ended_by == job::AlertEnd::paused);
  CHECK(w.alert(removed.id).ended_by == job::AlertEnd::removed);
  CHECK(w.alert(removed.id).ended_who == "alice");
  World::must(w.ops.resume({"a"}));
  CHECK_FALSE(w.alert(paused.id).open());
}
