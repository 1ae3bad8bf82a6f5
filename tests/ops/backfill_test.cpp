#include "schedctl/store/backfill_fires.hpp"
#include "tests/ops/world.hpp"

using namespace schedctl;
using namespace schedctl::ops;

namespace {

constexpr Time kStart = World::kStart;

/// A day later; `x` fires each hour.
struct DayLater : World {
  DayLater() {
    add("x", cron("0 * * * *"));
    clock.advance(hours(24));
  }
  std::vector<store::Backfill> backfills() const { return must(store->list_backfills({})); }

  /// A scheduled row of `x`.
  void row(Time fire, job::RunState state, job::Reason reason = job::Reason::none,
           std::optional<Time> last = std::nullopt) {
    job::Run run;
    run.job_id = stored("x").id;
    run.job_name = "x";
    run.fire_time = fire;
    run.last_fire_time = last;
    run.state = state;
    run.reason = reason;
    REQUIRE(must(store->insert_run(run)));
  }
};

}  // namespace

TEST_CASE("a backfill is one row, its audit and a poke; the daemon does the rest") {
  DayLater w;
  const int pokes = w.pokes;
  const Backfilled asked = World::must(
      w.ops.backfill("x", {.from = kStart + hours(3), .to = kStart + hours(6), .max_parallel = 2}));
  CHECK(asked.fires_in_range == 3);
  CHECK(asked.first == kStart + hours(3));
  CHECK(asked.last == kStart + hours(5));
  CHECK_FALSE(asked.resumed);
  REQUIRE(w.backfills().size() == 1);
  const store::Backfill row = w.backfills()[0];
  CHECK(row.id == asked.backfill.id);
  CHECK(row.fires == 3);
  CHECK(row.max_parallel == 2);
  CHECK(row.who == "alice");
  CHECK(row.through < row.from);
  CHECK_FALSE(row.ended_at);
  CHECK(w.runs("x").empty());
  CHECK(w.last_audit().action == "backfill");
  CHECK(contains(w.last_audit().detail, "3 fires"));
  CHECK(w.pokes == pokes + 1);
}

TEST_CASE("the range is half-open and ends now where nothing else is said") {
  DayLater w;
  const Backfilled asked = World::must(w.ops.backfill("x", {.from = kStart + hours(20)}));
  // 20:00 to 23:00; the fire of this very moment, 24:00, is not before now.
  CHECK(asked.fires_in_range == 4);
  CHECK(asked.backfill.to == w.now());
}

TEST_CASE("a dry run counts and writes nothing") {
  DayLater w;
  const std::string before = w.contents();
  const Backfilled asked =
      World::must(w.ops.backfill("x", {.from = kStart, .to = w.now(), .dry_run = true}));
  CHECK(asked.backfill.fires == 24);
  CHECK_FALSE(asked.backfill.id);
  CHECK(w.backfills().empty());
  CHECK(w.contents() == before);
}

TEST_CASE("the same range again is the same backfill, and may be given more room") {
  DayLater w;
  const BackfillRequest request{.from = kStart, .to = kStart + hours(5)};
  const Backfilled first = World::must(w.ops.backfill("x", request));
  w.clock.advance(hours(1));
  Backfilled again = World::must(w.ops.backfill("x", request));
  CHECK(again.resumed);
  CHECK(again.backfill.id == first.backfill.id);
  // Up to now, as of then.
  again = World::must(w.ops.backfill("x", {.from = kStart, .max_parallel = 3}));
  CHECK(again.backfill.id == first.backfill.id);
  REQUIRE(w.backfills().size() == 1);
  CHECK(w.backfills()[0].max_parallel == 3);
}

TEST_CASE("another range while one is open is refused and names that one") {
  DayLater w;
  World::must(w.ops.backfill("x", {.from = kStart, .to = kStart + hours(5)}));
  const Error error =
      w.refused([&] { return w.ops.backfill("x", {.from = kStart, .to = kStart + hours(6)}); });
  CHECK(error.kind == ErrorKind::conflict);
  CHECK(contains(error.message, "to 2026-03-02T05:00:00+00:00"));
  CHECK(contains(error.message, "schedctl cancel x"));
  CHECK(w.backfills().size() == 1);
}

TEST_CASE("what lies in the future, the wrong way round or is far too much is refused") {
  DayLater w;
  const auto refusal = [&w](BackfillRequest request, const std::string& name = "x") {
    return w.refused([&] { return w.ops.backfill(name, request); });
  };
  Error error = refusal({.from = kStart, .to = w.now() + seconds(1)});
  CHECK(error.where == "to");
  CHECK(contains(error.message, "future"));
  CHECK(refusal({.from = w.now() + hours(1)}).where == "from");
  CHECK(refusal({.from = w.now(), .to = kStart}).where == "from");
  CHECK(refusal({.from = kStart, .to = kStart}).kind == ErrorKind::usage);
  CHECK(refusal({.from = kStart, .max_parallel = 0}).where == "max_parallel");
  CHECK(refusal({.from = kStart}, "y").kind == ErrorKind::not_found);

  error = refusal({.from = kStart - days(420)});
  CHECK(error.kind == ErrorKind::usage);
  CHECK(contains(error.message, "10104 fires"));
  CHECK(contains(error.message, "narrow the range"));
}

TEST_CASE("a range without fires says why there are none") {
  DayLater w;
  w.add("grid", every("1h"));
  const Error error = w.refused([&] { return w.ops.backfill("grid", {.from = kStart}); });
  CHECK(error.kind == ErrorKind::usage);
  CHECK(contains(error.message, "its grid begins at 2026-03-03T00:00:00+00:00"));
}

TEST_CASE("what is said of a range is said by the clock of the job") {
  DayLater w;
  job::JobDraft draft = cron("0 6 * * *");
  draft.timezone = "America/New_York";
  w.add("ny", draft);
  const Time eight = kStart + hours(13);  // 08:00 in New York
  CHECK(contains(w.refused([&] {
                    return w.ops.backfill("ny", {.from = eight, .to = eight + hours(1)});
                  }).message,
                 "no fires from 2026-03-02T08:00:00-05:00 to 2026-03-02T09:00:00-05:00"));
  CHECK(contains(
      w.refused([&] { return w.ops.backfill("ny", {.from = eight, .to = eight}); }).message,
      "2026-03-02T08:00:00-05:00 is not before"));
  CHECK(contains(
      w.refused([&] { return w.ops.backfill("ny", {.from = w.now() + hours(1)}); }).message,
      "2026-03-02T20:00:00-05:00 lies in the future (it is 2026-03-02T19:00:00-05:00)"));
  World::must(w.ops.backfill("ny", {.from = eight - hours(10), .to = eight}));
  CHECK(
      contains(w.refused([&] { return w.ops.backfill("ny", {.from = eight - hours(9)}); }).message,
               "backfilled already, from 2026-03-01T22:00:00-05:00 to 2026-03-02T08:00:00-05:00"));
}

TEST_CASE("a job that fires by no clock cannot be backfilled") {
  DayLater w;
  w.add("hand", manual());
  const Error error = w.refused([&] { return w.ops.backfill("hand", {.from = kStart}); });
  CHECK(error.kind == ErrorKind::conflict);
  CHECK(contains(error.message, "schedctl trigger hand"));
}

TEST_CASE("missing are fires without a success, whatever their rows say, and those without one") {
  DayLater w;
  using job::Reason;
  using job::RunState;
  w.row(kStart + hours(1), RunState::succeeded);
  w.row(kStart + hours(2), RunState::failed, Reason::exit_status);
  w.row(kStart + hours(3), RunState::missed, Reason::misfire, kStart + hours(5));
  w.row(kStart + hours(6), RunState::skipped, Reason::overlap);
  w.row(kStart + hours(7), RunState::lost, Reason::keeper_died);
  w.row(kStart + hours(8), RunState::pending);
  w.row(kStart + hours(9), RunState::running);
  w.row(kStart + hours(10), RunState::cancelled, Reason::operator_);
  BackfillRequest request{.from = kStart, .to = kStart + hours(12), .missing = true};
  request.dry_run = true;
  const Backfilled asked = World::must(w.ops.backfill("x", request));
  // 00, 02, 03 to 05, 06, 07, 10 and 11 o'clock.
  CHECK(asked.backfill.fires == 9);
  CHECK(asked.fires_in_range == 12);
  CHECK(asked.first == kStart);
  CHECK(asked.last == kStart + hours(11));
}

TEST_CASE("where nothing is missing nothing is written") {
  DayLater w;
  w.row(kStart + hours(1), job::RunState::succeeded);
  const Backfilled asked = World::must(
      w.ops.backfill("x", {.from = kStart + hours(1), .to = kStart + hours(2), .missing = true}));
  CHECK(asked.backfill.fires == 0);
  CHECK_FALSE(asked.backfill.id);
  CHECK(w.backfills().empty());
}

TEST_CASE("cancel ends the backfill of a job even while no run of it lives") {
  DayLater w;
  World::must(w.ops.backfill("x", {.from = kStart}));
  CHECK(World::must(w.ops.cancel("x")).empty());
  REQUIRE(w.backfills().size() == 1);
  CHECK(w.backfills()[0].cancelled);
  CHECK(w.backfills()[0].ended_at == w.now());
  CHECK(w.refused([&] { return w.ops.cancel("x"); }).kind == ErrorKind::conflict);
  // And another range may be asked for.
  CHECK_FALSE(World::must(w.ops.backfill("x", {.from = kStart + hours(1)})).resumed);
}

TEST_CASE("cancel of one run leaves the backfill open") {
  DayLater w;
  World::must(w.ops.backfill("x", {.from = kStart}));
  const job::Run run = World::must(w.ops.trigger("x", false));
  World::must(w.ops.cancel("#" + std::to_string(run.id.value)));
  CHECK_FALSE(w.backfills()[0].ended_at);
}

TEST_CASE("removing a job ends its backfill") {
  DayLater w;
  World::must(w.ops.backfill("x", {.from = kStart}));
  World::must(w.ops.remove({"x"}, false));
  CHECK(w.backfills()[0].ended_at);
  CHECK(w.backfills()[0].cancelled);
}
