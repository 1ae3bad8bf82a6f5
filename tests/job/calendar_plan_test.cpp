#include "schedctl/job/calendar.hpp"
#include "schedctl/job/plan.hpp"
#include "tests/job/real_zones.hpp"

using namespace schedctl;
using namespace schedctl::job;
using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;

namespace {

/// Every hour, from 09:00 to before 12:00 only (UTC).
FireSeries mornings(OnExcluded mode = OnExcluded::skip) {
  static const std::unique_ptr<ZoneSource> kZones = zone::system_zones();
  const Calendars calendars{
      {"mornings",
       std::make_shared<Calendar>(std::vector<DateSpan>{}, *parse_weekly_windows("09:00-12:00"))}};
  Schedule schedule = cron_schedule("0 * * * *");
  schedule.only = {"mornings"};
  schedule.on_excluded = mode;
  auto series =
      FireSeries::make(schedule, zone_named("UTC"), 0, CalendarSource(calendars, *kZones));
  REQUIRE(series.has_value());
  return std::move(*series);
}

/// "skipped excluded 12:00..08:00 x21"
std::string words(const Planned& row) {
  const auto clock = [](Time t) { return format_rfc3339(t).substr(5, 11); };
  std::string text = std::string(to_string(row.state));
  if (row.reason != Reason::none) text += " " + std::string(to_string(row.reason));
  text += " " + clock(row.fire_time);
  if (row.last_fire_time) text += ".." + clock(*row.last_fire_time);
  if (row.count > 1) text += " x" + std::to_string(row.count);
  return text;
}

std::vector<std::string> rows(const Plan& plan) {
  std::vector<std::string> texts;
  for (const Planned& row : plan.rows) texts.push_back(words(row));
  return texts;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("excluded fires cost no beat: their row comes with the next fire that is allowed") {
  const FireSeries fires = mornings();
  const Plan evening = plan(fires, Policy{}, 1, utc("2026-03-02 10:30"), utc("2026-03-02 11:00"));
  CHECK(rows(evening) == Texts{"pending 03-02T11:00"});
  CHECK(*evening.next_fire == utc("2026-03-03 09:00"));
  const Plan morning = plan(fires, Policy{}, 1, evening.planned_through, *evening.next_fire);
  CHECK(rows(morning) ==
        Texts{"skipped excluded 03-02T12:00..03-03T08:00 x21", "pending 03-03T09:00"});
}

TEST_CASE("a job that is planned while it is excluded gets its row up to now") {
  const Plan noon = plan(mornings(), Policy{}, 1, utc("2026-03-02 11:30"), utc("2026-03-02 13:30"));
  CHECK(rows(noon) == Texts{"skipped excluded 03-02T12:00..03-02T13:00 x2"});
  CHECK(noon.planned_through == utc("2026-03-02 13:30"));
  CHECK(*noon.next_fire == utc("2026-03-03 09:00"));
}

TEST_CASE("excluded fires within a missed stretch are covered by it, the others have their rows") {
  const Plan late = plan(mornings(), Policy{}, 1, utc("2026-03-01 20:00"), utc("2026-03-04 10:30"));
  CHECK(rows(late) == Texts{"skipped excluded 03-01T21:00..03-02T08:00 x12",
                            "missed misfire 03-02T09:00..03-04T09:00 x7", "pending 03-04T10:00"});
  const Plan later =
      plan(mornings(), Policy{}, 1, utc("2026-03-01 20:00"), utc("2026-03-04 18:30"));
  CHECK(rows(later) == Texts{"skipped excluded 03-01T21:00..03-02T08:00 x12",
                             "missed misfire 03-02T09:00..03-04T11:00 x9",
                             "skipped excluded 03-04T12:00..03-04T18:00 x7"});
}

TEST_CASE("between fires that catch up, excluded ones are a row a gap") {
  Policy policy;
  policy.coalesce = Coalesce::all;
  policy.misfire_grace = days(2);
  const Plan late = plan(mornings(), policy, 1, utc("2026-03-02 10:30"), utc("2026-03-03 09:30"));
  CHECK(rows(late) == Texts{"pending 03-02T11:00", "skipped excluded 03-02T12:00..03-03T08:00 x21",
                            "pending 03-03T09:00"});
}

TEST_CASE("a pause wins over calendars") {
  const Plan paused = plan_paused(mornings(), utc("2026-03-02 10:30"), utc("2026-03-03 09:30"));
  CHECK(rows(paused) == Texts{"skipped paused 03-02T11:00..03-03T09:00 x23"});
  const Plan night = plan_paused(mornings(), utc("2026-03-02 11:30"), utc("2026-03-02 13:30"));
  CHECK(rows(night) == Texts{"skipped paused 03-02T12:00..03-02T13:00 x2"});
  CHECK(*night.next_fire == utc("2026-03-03 09:00"));
}

TEST_CASE("fires that move leave no row of their own") {
  const FireSeries fires = mornings(OnExcluded::next);
  const Plan p = plan(fires, Policy{}, 1, utc("2026-03-02 11:30"), utc("2026-03-03 09:00"));
  CHECK(rows(p) == Texts{"pending 03-03T09:00"});
  const Plan paused = plan_paused(fires, utc("2026-03-02 10:30"), utc("2026-03-03 09:30"));
  CHECK(rows(paused) == Texts{"skipped paused 03-02T11:00..03-03T09:00 x2"});
}

TEST_CASE("over any beats, each fire is in one row or covered by one, and no rows overlap") {
  const FireSeries fires = mornings();
  for (int step_minutes : {7, 60, 61, 333, 1440, 5000}) {
    for (const Coalesce coalesce : {Coalesce::latest, Coalesce::earliest, Coalesce::all}) {
      Policy policy;
      policy.coalesce = coalesce;
      policy.misfire_grace = minutes(step_minutes % 2 == 0 ? 30 : 3000);
      Time through = utc("2026-03-02 10:30"), covered = through;
      std::int64_t effective = 0, excluded = 0;
      for (int beat = 0; beat < 40; ++beat) {
        const Time now = through + minutes(step_minutes);
        const Plan p = plan(fires, policy, 1, through, now);
        for (const Planned& row : p.rows) {
          const Time last = row.last_fire_time.value_or(row.fire_time);
          REQUIRE(row.fire_time > covered);
          REQUIRE(last <= now);
          covered = last;
          (row.reason == Reason::excluded ? excluded : effective) += row.count;
          const auto inside = row.reason == Reason::excluded
                                  ? fires.count_excluded(row.fire_time - Duration(1), last)
                                  : fires.count(row.fire_time - Duration(1), last);
          REQUIRE(inside.count == row.count);
        }
        through = p.planned_through;
      }
      CHECK(effective == fires.count(utc("2026-03-02 10:30"), through).count);
      CHECK(excluded <= fires.count_excluded(utc("2026-03-02 10:30"), through).count);
      if (step_minutes < 60) {
        CHECK(excluded == fires.count_excluded(utc("2026-03-02 10:30"), through).count);
      }
    }
  }
}
