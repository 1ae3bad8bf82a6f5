// Random calendars over random schedules, against a walk over every minute that shares no code with
// them but the zone and the fires before calendars are asked.

#include <random>

#include "schedctl/job/calendar.hpp"
#include "tests/job/real_zones.hpp"

using namespace schedctl;
using namespace schedctl::job;
using std::chrono::days;
using std::chrono::floor;
using std::chrono::hours;
using std::chrono::local_days;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

using Random = std::mt19937_64;

int pick(Random& random, int from, int to) {
  return std::uniform_int_distribution<int>(from, to)(random);
}

/// What a calendar says, asked in the plainest way.
struct Naive {
  std::vector<DateSpan> dates;
  std::vector<WeeklyWindow> windows;
  ZonePtr zone;

  bool contains(Time t) const {
    const CivilTime civil = zone->civil(t);
    const local_days day = floor<days>(civil);
    const std::chrono::year_month_day date{day};
    const std::pair month_day{static_cast<unsigned>(date.month()),
                              static_cast<unsigned>(date.day())};
    for (const DateSpan& span : dates) {
      if (span.once && span.once->first <= day && day <= span.once->last) return true;
      if (!span.yearly) continue;
      const auto pair_of = [](std::chrono::month_day end) {
        return std::pair{static_cast<unsigned>(end.month()), static_cast<unsigned>(end.day())};
      };
      const auto first = pair_of(span.yearly->first), last = pair_of(span.yearly->last);
      if (first <= last ? first <= month_day && month_day <= last
                        : first <= month_day || month_day <= last) {
        return true;
      }
    }
    for (const WeeklyWindow& window : windows) {
      for (const days back : {days{0}, days{1}}) {
        const std::size_t weekday = std::chrono::weekday(day - back).iso_encoding() - 1;
        const seconds at = civil - day + back;
        if (window.days[weekday] && window.from <= at && at < window.to) return true;
      }
    }
    return false;
  }
};

Naive random_calendar(Random& random, Time begin, ZonePtr zone) {
  Naive calendar{{}, {}, std::move(zone)};
  const local_days first{floor<days>(begin).time_since_epoch()};
  for (int n = pick(random, 0, 3); n > 0; --n) {
    const local_days from = first + days{pick(random, -2, 25)};
    const local_days to = from + days{pick(random, 0, 4)};
    if (pick(random, 0, 1) == 0) {
      calendar.dates.push_back({.once = DateSpan::Once{from, to}});
    } else {
      const std::chrono::year_month_day a{from}, b{to};
      calendar.dates.push_back(
          {.yearly = DateSpan::Yearly{{a.month(), a.day()}, {b.month(), b.day()}}});
    }
  }
  for (int n = pick(random, 0, 3); n > 0; --n) {
    WeeklyWindow window;
    for (bool& day : window.days) day = pick(random, 0, 2) > 0;
    window.from = minutes{pick(random, 0, 24 * 6 - 1) * 10};
    window.to = minutes{pick(random, 1, 24 * 6) * 10};
    if (window.to <= window.from) window.to += days{1};
    calendar.windows.push_back(window);
  }
  return calendar;
}

/// One schedule with calendars, and every minute of a span as the plain rules have it.
struct Trial {
  Schedule schedule;
  Calendars calendars;
  ZonePtr zone;
  Time begin, end;
  std::vector<Time> effective, excluded;
};

const std::vector<std::pair<const char*, const char*>>& places() {
  static const std::vector<std::pair<const char*, const char*>> kPlaces{
      {"Europe/Berlin", "2026-03-15"},       {"Europe/Berlin", "2026-10-10"},
      {"America/New_York", "2026-10-20"},    {"Australia/Lord_Howe", "2026-03-25"},
      {"Australia/Lord_Howe", "2026-09-20"}, {"Pacific/Apia", "2011-12-15"},
      {"America/Sao_Paulo", "2018-10-20"},   {"America/Sao_Paulo", "2018-02-05"},
      {"Africa/Casablanca", "2026-02-05"},   {"Europe/Dublin", "2027-10-15"},
      {"Antarctica/Troll", "2026-03-10"},    {"Asia/Kathmandu", "2028-02-15"},
      {"Pacific/Kiritimati", "2026-12-15"},  {"UTC", "2026-12-20"}};
  return kPlaces;
}

Trial random_trial(Random& random) {
  Trial trial;
  const auto& [name, from] = places()[random() % places().size()];
  trial.zone = zone_named(name);
  trial.begin = utc(from);
  trial.end = trial.begin + days{28};
  static const std::vector<const char*> kCrons{"* * * * *",    "*/17 * * * *", "30 2 * * *",
                                               "0 */3 * * *",  "0 9 * * mon",  "5,35 0-6 * * *",
                                               "0 0 1,15 * *", "20 20 * * sat"};
  if (pick(random, 0, 3) == 0) {
    trial.schedule.kind = ScheduleKind::every;
    trial.schedule.every = minutes{pick(random, 1, 500)};
    trial.schedule.anchor = trial.begin + minutes{pick(random, 0, 500)};
  } else {
    trial.schedule = cron_schedule(kCrons[random() % kCrons.size()]);
  }
  trial.schedule.not_before = trial.begin;
  if (pick(random, 0, 4) == 0) trial.schedule.until = trial.begin + days{pick(random, 1, 28)};
  trial.schedule.on_excluded = pick(random, 0, 1) == 0 ? OnExcluded::skip : OnExcluded::next;

  std::vector<Naive> only, exclude;
  for (int n = pick(random, 1, 3); n > 0; --n) {
    const bool elsewhere = pick(random, 0, 4) == 0;
    const std::string other = places()[random() % places().size()].first;
    const Naive naive =
        random_calendar(random, trial.begin, elsewhere ? zone_named(other) : trial.zone);
    const std::string key = "c" + std::to_string(n);
    trial.calendars[key] =
        std::make_shared<Calendar>(naive.dates, naive.windows, elsewhere ? other : "");
    const bool inside = pick(random, 0, 1) == 0;
    (inside ? trial.schedule.only : trial.schedule.exclude).push_back(key);
    (inside ? only : exclude).push_back(naive);
  }

  Schedule plain = trial.schedule;
  plain.only.clear();
  plain.exclude.clear();
  const auto series = FireSeries::make(plain, trial.zone, 0);
  REQUIRE(series.has_value());
  std::optional<Time> fire = series->next_after(trial.begin - Duration(1));
  bool owed = false;
  for (Time t = trial.begin; t < trial.end; t += minutes(1)) {
    const auto inside = [t](const Naive& one) { return one.contains(t); };
    const bool open = (only.empty() || std::any_of(only.begin(), only.end(), inside)) &&
                      std::none_of(exclude.begin(), exclude.end(), inside);
    const bool fires = fire == t;
    if (fires) fire = series->next_after(t);
    if (open && trial.schedule.until && t > *trial.schedule.until) owed = false;
    if (open && (fires || owed)) trial.effective.push_back(t);
    if (!open && fires && trial.schedule.on_excluded == OnExcluded::skip)
      trial.excluded.push_back(t);
    if (!open && fires && trial.schedule.on_excluded == OnExcluded::next) owed = true;
    if (open) owed = false;
  }
  return trial;
}

FireSeries::Stretch counted(const std::vector<Time>& fires, Time after, Time through) {
  FireSeries::Stretch stretch;
  for (const Time t : fires) {
    if (t <= after || t > through) continue;
    if (stretch.count++ == 0) stretch.first = t;
    stretch.last = t;
  }
  return stretch;
}

bool same(const FireSeries::Stretch& a, const FireSeries::Stretch& b) {
  return a.count == b.count && (a.count == 0 || (a.first == b.first && a.last == b.last));
}

}  // namespace

TEST_CASE("random calendars leave the fires that a walk over every minute leaves") {
  static const std::unique_ptr<ZoneSource> kZones = zone::system_zones();
  std::size_t looked_at = 0;
  for (std::uint64_t seed = 0; seed < 250; ++seed) {
    Random random(seed);
    const Trial trial = random_trial(random);
    const auto series =
        FireSeries::make(trial.schedule, trial.zone, 0, CalendarSource(trial.calendars, *kZones));
    REQUIRE(series.has_value());
    CAPTURE(seed);
    CAPTURE(trial.zone->name());
    Time t = trial.begin - Duration(1);
    std::size_t step = trial.effective.size() > 500 ? trial.effective.size() / 250 : 1;
    for (std::size_t i = 0; i < trial.effective.size(); i += step) {
      if (i > 0) t = trial.effective[i - 1];
      const auto next = series->next_after(t);
      REQUIRE(next.has_value());
      REQUIRE(format_rfc3339(*next) == format_rfc3339(trial.effective[i]));
      ++looked_at;
    }
    for (int i = 0; i < 20; ++i) {
      const Time a = trial.begin + seconds(pick(random, -10, 28 * 86400));
      const Time b = std::min(a + seconds(pick(random, 0, 10 * 86400)), trial.end - minutes(1));
      CAPTURE(format_rfc3339(a));
      CAPTURE(format_rfc3339(b));
      const auto kept = series->count(a, b);
      const auto lost = series->count_excluded(a, b);
      const auto kept_by_walk = counted(trial.effective, a, b);
      REQUIRE(kept.count == kept_by_walk.count);
      REQUIRE(same(kept, kept_by_walk));
      REQUIRE(same(lost, counted(trial.excluded, a, b)));
      // From anywhere, not only from one fire to the next.
      const auto after = std::upper_bound(trial.effective.begin(), trial.effective.end(), a);
      if (after != trial.effective.end()) {
        const auto next = series->next_after(a);
        REQUIRE(next.has_value());
        REQUIRE(format_rfc3339(*next) == format_rfc3339(*after));
      }
    }
  }
  CHECK(looked_at > 10'000);
}
