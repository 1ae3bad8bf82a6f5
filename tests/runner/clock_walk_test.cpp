// Random walks of the clock: whatever it does, nothing runs twice, nothing runs early, nobody
// stalls, and whoever is silent is named by an alert. SEED=n repeats one walk.

#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "tests/base/scratch.hpp"
#include "world.hpp"

namespace schedctl::runner {
namespace {

using job::Happening;
using job::RunState;
using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::size_t kMostBeats = 400;

/// A daemon that wakes when it asked to, and when somebody sets its clock.
struct WithScratch {
  test::Scratch scratch;  ///< outlives the store
};
struct Walker : WithScratch, World {
  explicit Walker(unsigned seed) : random(seed) {
    // One in four walks on a database.
    if (seed % 4 == 0) {
      auto opened = store::open_sqlite({.path = scratch / "walk.db"});
      REQUIRE(opened.has_value());
      runner.reset();
      store = std::move(*opened);
      start_runner();
      adopt("keeper-1", {});
    }
    add("often", seconds(10));
    add("each-minute", minutes(1));
    add("hourly", hours(1));
    job::PolicyDraft all;
    all.coalesce = job::Coalesce::all;
    all.misfire_grace = days(10);
    all.max_catchup = 20;
    add("all", minutes(10), all);
    job::PolicyDraft earliest;
    earliest.coalesce = job::Coalesce::earliest;
    earliest.jitter = seconds(30);
    add("earliest", minutes(7), earliest);
    add_cron("berlin", "*/5 * * * *");
    add_cron("at-night", "30 2 * * *");
    settle();
  }

  void add_cron(const std::string& name, const std::string& cron) {
    job::Job job = add(name, hours(1));
    job.definition.schedule = {};
    job.definition.schedule.kind = job::ScheduleKind::cron;
    job.definition.schedule.cron = cron;
    job.definition.schedule.timezone = "Europe/Berlin";
    const auto fires =
        job::FireSeries::make(job.definition.schedule, *zones->find("Europe/Berlin"), job.seed());
    job.next_fire = fires->next_after(clock.wall());
    REQUIRE(store->update_job(job).has_value());
  }

  void settle() {
    for (std::size_t i = 0; i < kMostBeats; ++i) {
      const Runner::Beat done = beat();
      wake = done.wake;
      bool more = done.again;
      for (; looked_at < executor.started.size(); ++looked_at) {
        const executor::StartRequest& request = executor.started[looked_at];
        CHECK_MESSAGE(request.fire_time <= clock.wall(), trace << request.job);
        CHECK_MESSAGE(keys.insert(request.key).second,
                      trace << request.job << " twice at " << format_rfc3339(request.fire_time));
        runner->take(report(request, Happening::exited_zero));
        more = true;
      }
      if (!more) return;
    }
    FAIL_CHECK(trace << "no rest after " << kMostBeats << " beats");
  }

  /// Sleeps as the daemon would, so long in all.
  void pass(Duration whole) {
    const Duration end = clock.elapsed() + whole;
    while (clock.elapsed() < end) {
      const Duration left = end - clock.elapsed();
      const Duration until = wake ? std::max(*wake - clock.wall(), Duration(1)) : left;
      clock.advance(std::min(left, until));
      settle();
    }
  }

  Duration pick(std::initializer_list<Duration> from) {
    return *(from.begin() + std::uniform_int_distribution<std::size_t>(0, from.size() - 1)(random));
  }

  void one_event() {
    const Duration size =
        pick({seconds(1), seconds(90), hours(1), hours(2), hours(4), days(1), days(30), days(365)});
    switch (std::uniform_int_distribution<int>(0, 4)(random)) {
      case 0:
        note("forward", size);
        clock.set_wall(clock.wall() + size);
        break;
      case 1:
        note("back", size);
        clock.set_wall(clock.wall() - size);
        break;
      case 2:
        note("sleep", size);
        clock.sleep(size);
        break;
      case 3:
        note("off, then on after a step of", size);
        clock.set_wall(clock.wall() + (random() % 2 == 0 ? size : -size));
        start_runner();
        adopt("keeper-1", {});
        break;
      default:
        note("off for", size);
        clock.advance(size);
        start_runner();
        adopt("keeper-1", {});
        break;
    }
    settle();
  }
  void note(const std::string& what, Duration size) {
    trace += what + " " + format_duration(size) + "; ";
  }

  /// Each fire has one row, as far as rows tell it.
  void check_rows() {
    for (const char* name : {"often", "hourly", "all", "berlin"}) {
      std::map<Time, Time> spans;
      for (const job::Run& run : runs(name)) {
        if (run.cause != job::Cause::schedule) continue;
        const Time end = run.last_fire_time.value_or(run.fire_time);
        CHECK_MESSAGE(end >= run.fire_time, trace);
        CHECK_MESSAGE((run.count == 1) == !run.last_fire_time, trace << name);
        CHECK_MESSAGE(spans.emplace(run.fire_time, end).second, trace << name);
      }
      std::optional<Time> before;
      for (const auto& [first, last] : spans) {
        if (before) CHECK_MESSAGE(first > *before, trace << name << " overlaps itself");
        before = last;
      }
    }
  }

  /// A job that does not run although time passes is one that an alert speaks of.
  void check_alive() {
    const std::size_t before = executor.started.size();
    pass(minutes(3));
    const bool ran = std::any_of(
        executor.started.begin() + static_cast<std::ptrdiff_t>(before), executor.started.end(),
        [](const executor::StartRequest& request) { return request.job == "each-minute"; });
    bool told = false;
    const auto open = store->list_alerts({.open_only = true}).value();
    for (const job::Alert& alert : open) {
      told = told || alert.kind == job::AlertKind::clock_jump;
    }
    CHECK_MESSAGE((ran || told), trace << "silent at " << format_rfc3339(clock.wall()));
  }

  std::mt19937 random;
  std::optional<Time> wake;
  std::size_t looked_at = 0;
  std::set<std::string> keys;
  std::string trace;
};

TEST_CASE("over random walks of the clock nothing runs twice or early, and silence is told of") {
  const char* fixed = std::getenv("SEED");
  const unsigned first = fixed != nullptr ? static_cast<unsigned>(std::atoi(fixed)) : 1;
  const unsigned last = fixed != nullptr ? first : 12;
  for (unsigned seed = first; seed <= last; ++seed) {
    Walker w(seed);
    w.trace = "SEED=" + std::to_string(seed) + ": ";
    for (int i = 0; i < 8; ++i) {
      w.pass(w.pick({seconds(1), seconds(20), minutes(3), minutes(11)}));
      w.one_event();
      w.check_alive();
    }
    w.check_rows();
  }
}

}  // namespace
}  // namespace schedctl::runner
