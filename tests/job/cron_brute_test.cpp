// Every expression here is judged twice: by FireSeries, and by walking a span second by second or
// minute by minute, asking the zone what the clock shows and a naive reader of the expression's
// text whether that matches. The two share no code but Zone::civil.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "tests/job/real_zones.hpp"

using namespace schedctl;
using namespace schedctl::job;
using std::chrono::days;
using std::chrono::seconds;

namespace {

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);) out.push_back(part);
  return out;
}

struct Naive {
  std::vector<std::string> fields;  ///< always six
  std::vector<std::vector<bool>> time_sets;
  std::map<int, bool> days_known;

  explicit Naive(const std::string& cron) : fields(split(cron, ' ')) {
    if (fields.size() == 5) fields.insert(fields.begin(), "0");
    for (std::size_t i = 0; i < 3; ++i) {
      time_sets.emplace_back();
      for (int v = 0; v < 60; ++v) time_sets[i].push_back(plain(fields[i], v, i == 2 ? 23 : 59));
    }
  }

  static bool plain(const std::string& field, int v, int high) {
    for (const std::string& item : split(field, ',')) {
      const auto slash = item.find('/');
      const int step = slash == std::string::npos ? 1 : std::atoi(item.c_str() + slash + 1);
      const std::string range = item.substr(0, slash);
      int a = 0, b = high;
      if (range[0] != '*' && range[0] != '?') {
        a = std::atoi(range.c_str());
        const auto dash = range.find('-');
        b = dash != std::string::npos    ? std::atoi(range.c_str() + dash + 1)
            : slash != std::string::npos ? high
                                         : a;
      } else if (high == 31 || high == 12) {
        a = 1;
      }
      if (v >= a && v <= b && (v - a) % step == 0) return true;
    }
    return false;
  }

  bool date_of_month(int d, int length, int weekday_of_first) const {
    for (const std::string& item : split(fields[3], ',')) {
      const auto weekday = [&](int day) { return (weekday_of_first + day - 1) % 7; };
      const auto working_day_near = [&](int day) {
        // By trying: the day itself, one before, one after, two after, two before.
        for (const int candidate : {day, day - 1, day + 1, day + 2, day - 2}) {
          if (candidate < 1 || candidate > length) continue;
          if (weekday(candidate) != 0 && weekday(candidate) != 6) return candidate;
        }
        return -1;
      };
      if (item == "LW") {
        if (d == working_day_near(length)) return true;
      } else if (item[0] == 'L') {
        if (d == length - (item.size() > 1 ? std::atoi(item.c_str() + 2) : 0)) return true;
      } else if (item.back() == 'W') {
        const int wanted = std::atoi(item.c_str());
        if (wanted <= length && d == working_day_near(wanted)) return true;
      } else if (plain(item, d, 31)) {
        return true;
      }
    }
    return false;
  }

  bool weekday_matches(int d, int length, int weekday) const {
    for (const std::string& item : split(fields[5], ',')) {
      if (const auto hash = item.find('#'); hash != std::string::npos) {
        const int nth = std::atoi(item.c_str() + hash + 1);
        if (std::atoi(item.c_str()) % 7 == weekday && (d - 1) / 7 + 1 == nth) return true;
      } else if (item.back() == 'L') {
        if (std::atoi(item.c_str()) % 7 == weekday && d + 7 > length) return true;
      } else if (plain(item, weekday, 6) ||
                 (weekday == 0 && item[0] != '*' && item[0] != '?' &&
                  item.find('/') == std::string::npos && plain(item, 7, 7))) {
        return true;
      }
    }
    return false;
  }

  bool date(std::chrono::local_days date) {
    const int key = static_cast<int>(date.time_since_epoch().count());
    if (const auto known = days_known.find(key); known != days_known.end()) return known->second;
    const std::chrono::year_month_day ymd{date};
    const int d = static_cast<int>(static_cast<unsigned>(ymd.day()));
    const int length = static_cast<int>(static_cast<unsigned>(std::chrono::year_month_day_last{
        ymd.year(), std::chrono::month_day_last{ymd.month()}}.day()));
    const int weekday = static_cast<int>(std::chrono::weekday{date}.c_encoding());
    const int first = ((weekday - (d - 1)) % 7 + 7) % 7;
    const bool by_date = date_of_month(d, length, first);
    const bool by_weekday = weekday_matches(d, length, weekday);
    const auto starry = [](const std::string& f) { return f[0] == '*' || f[0] == '?'; };
    const bool both = starry(fields[3]) || starry(fields[5]);
    const bool month = plain(fields[4], static_cast<int>(static_cast<unsigned>(ymd.month())), 12);
    return days_known[key] = month && (both ? by_date && by_weekday : by_date || by_weekday);
  }

  bool matches(CivilTime t) {
    const auto day = std::chrono::floor<days>(t);
    const auto s = static_cast<std::size_t>((t - day).count());
    return time_sets[2][s / 3600] && time_sets[1][s / 60 % 60] && time_sets[0][s % 60] && date(day);
  }
  bool wildcard() const { return fields[1][0] == '*' || fields[2][0] == '*'; }
};

/// What the clocks of a zone showed, instant by instant.
struct Span {
  std::string zone;
  seconds step;
  std::vector<Time> instants;
  std::vector<CivilTime> shown;
  std::vector<bool> shown_before;  ///< second pass of a fold
  std::vector<bool> shown_again;   ///< first pass
};

Span span_of(const std::string& zone, Time begin, Time end, seconds step) {
  Span span{zone, step, {}, {}, {}, {}};
  const ZonePtr z = zone_named(zone);
  for (Time t = begin; t <= end; t += step) {
    span.instants.push_back(t);
    span.shown.push_back(z->civil(t));
  }
  CivilTime latest = span.shown.front() - step;
  for (const CivilTime c : span.shown) {
    span.shown_before.push_back(c <= latest);
    latest = std::max(latest, c);
  }
  CivilTime soonest = span.shown.back() + step;
  for (auto c = span.shown.rbegin(); c != span.shown.rend(); ++c) {
    span.shown_again.push_back(*c >= soonest);
    soonest = std::min(soonest, *c);
  }
  std::reverse(span.shown_again.begin(), span.shown_again.end());
  return span;
}

/// Whether any reading of the date was shown; the span's zone is asked, not its samples.
bool date_was_shown(const Span& span, std::chrono::local_days date) {
  return std::any_of(span.shown.begin(), span.shown.end(),
                     [&](CivilTime c) { return std::chrono::floor<days>(c) == date; });
}

std::vector<Time> expected_fires(const Span& span, Naive& naive, DstGap gap, DstFold fold) {
  std::vector<Time> out;
  for (std::size_t i = 0; i < span.instants.size(); ++i) {
    bool fires = naive.matches(span.shown[i]);
    if (fires && !naive.wildcard()) {
      if (fold == DstFold::first && span.shown_before[i]) fires = false;
      if (fold == DstFold::second && span.shown_again[i]) fires = false;
    }
    if (i > 0 && !naive.wildcard() && gap == DstGap::shift && !fires) {
      for (CivilTime c = span.shown[i - 1] + span.step; c < span.shown[i] && !fires;
           c += span.step) {
        fires = naive.matches(c) && date_was_shown(span, std::chrono::floor<days>(c));
      }
    }
    if (fires) out.push_back(span.instants[i]);
  }
  return out;
}

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  int roll(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine_); }
  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[static_cast<std::size_t>(roll(0, static_cast<int>(from.size()) - 1))];
  }

  std::string item(int low, int high) {
    const int a = roll(low, high), b = roll(a, high), size = b - a + 1;
    switch (roll(0, 6)) {
      case 0:
        return "*/" + std::to_string(roll(1, high - low + 1));
      case 1:
        return std::to_string(a) + "-" + std::to_string(b);
      case 2:
        return std::to_string(a) + "-" + std::to_string(b) + "/" + std::to_string(roll(1, size));
      case 3:
        return std::to_string(a) + "/" + std::to_string(roll(1, high - a + 1));
      default:
        return std::to_string(a);
    }
  }
  std::string field(int low, int high, int star_chance) {
    if (roll(1, 100) <= star_chance) return "*";
    std::string out = item(low, high);
    for (int more = roll(0, 4); more > 2; --more) out += "," + item(low, high);
    return out;
  }
  std::string day_field() {
    switch (roll(0, 11)) {
      case 0:
        return "L";
      case 1:
        return "L-" + std::to_string(roll(0, 5));
      case 2:
        return "LW";
      case 3:
        return std::to_string(roll(1, 31)) + "W";
      case 4:
        return "?";
      case 5:
        return "1,L";
      default:
        return field(1, 31, 50);
    }
  }
  std::string weekday_field() {
    switch (roll(0, 9)) {
      case 0:
        return std::to_string(roll(0, 7)) + "L";
      case 1:
        return std::to_string(roll(0, 7)) + "#" + std::to_string(roll(1, 5));
      case 2:
        return "?";
      case 3:
        return std::to_string(roll(0, 6)) + "-7";
      default:
        return field(0, 6, 60);
    }
  }
  std::string expression(bool with_seconds) {
    std::string out = with_seconds ? field(0, 59, 20) + " " : "";
    out += field(0, 59, 25) + " ";
    // Changes of offset happen at night.
    out += roll(0, 2) == 0 ? std::to_string(roll(0, 3)) : field(0, 23, 30);
    return out + " " + day_field() + " " + field(1, 12, 75) + " " + weekday_field();
  }

 private:
  std::mt19937_64 engine_;
};

std::uint64_t seed_of_this_run() {
  if (const char* fixed = std::getenv("SCHEDCTL_TEST_SEED"))
    return std::strtoull(fixed, nullptr, 10);
  return std::random_device{}();
}

/// Compares over one span; returns whether the expression could be used at all.
bool compare(const Span& span, const std::string& cron, DstGap gap, DstFold fold, Dice& dice) {
  Schedule schedule = cron_schedule(cron);
  schedule.dst_gap = gap;
  schedule.dst_fold = fold;
  const Result<FireSeries> made = FireSeries::make(schedule, zone_named(span.zone), 0);
  if (!made) {
    CHECK_MESSAGE(made.error().message.starts_with("this never fires"), made.error().message);
    return false;
  }
  const FireSeries& series = *made;
  Naive naive(cron);
  // The ends of the span cut folds and gaps in two: what they show is not judged.
  const Time begin = span.instants.front() + std::chrono::hours(27);
  const Time end = span.instants.back() - std::chrono::hours(27);
  std::vector<Time> expected;
  for (const Time t : expected_fires(span, naive, gap, fold)) {
    if (t > begin && t <= end) expected.push_back(t);
  }
  std::vector<Time> found;
  for (auto t = series.next_after(begin); t && *t <= end; t = series.next_after(*t)) {
    found.push_back(*t);
    if (found.size() > expected.size()) break;
  }
  INFO(cron, " in ", span.zone, " gap ", to_string(gap), " fold ", to_string(fold), " from ",
       format_rfc3339(begin));
  CHECK(found == expected);
  for (int i = 0; i < 4; ++i) {
    const int whole = static_cast<int>((end - begin) / span.step);
    // Not before `begin`: a fire at that very moment is not among what is expected.
    const auto any = [&] {
      return std::max(begin, begin + dice.roll(0, whole) * span.step + Duration(dice.roll(-1, 1)));
    };
    const Time a = any();
    const Time b = any();
    const auto from = std::upper_bound(expected.begin(), expected.end(), a);
    const auto to = std::upper_bound(expected.begin(), expected.end(), b);
    const FireSeries::Stretch stretch = series.count(a, b);
    INFO("count from ", format_rfc3339(a), " through ", format_rfc3339(b));
    CHECK(stretch.count == std::max<std::ptrdiff_t>(0, to - from));
    if (to > from && stretch.count > 0) {
      CHECK(stretch.first == *from);
      CHECK(stretch.last == *(to - 1));
    }
    if (from != expected.end()) CHECK(series.next_after(a) == *from);
  }
  return true;
}

const std::vector<DstGap> kGaps = {DstGap::shift, DstGap::shift, DstGap::skip};
const std::vector<DstFold> kFolds = {DstFold::first, DstFold::first, DstFold::second,
                                     DstFold::both};

struct Change {
  const char* zone;
  const char* at;  ///< UTC, near a change of offset
};
const std::vector<Change> kChanges = {
    {"Europe/Berlin", "2026-03-29 01:00"},
    {"Europe/Berlin", "2026-10-25 01:00"},
    {"America/New_York", "2026-03-08 07:00"},
    {"America/New_York", "2050-11-06 06:00"},
    {"Australia/Lord_Howe", "2026-10-03 15:30"},
    {"Australia/Lord_Howe", "2026-04-04 15:00"},
    {"Pacific/Apia", "2011-12-30 10:00"},
    {"America/Sao_Paulo", "2018-11-04 03:00"},
    {"America/Sao_Paulo", "2018-02-18 02:00"},
    {"Africa/Casablanca", "2026-02-15 02:00"},
    {"Africa/Casablanca", "2026-03-22 02:00"},
    {"Europe/Dublin", "2026-03-29 01:00"},
    {"Europe/Dublin", "2026-10-25 01:00"},
    {"Antarctica/Troll", "2026-03-29 01:00"},
    {"Antarctica/Troll", "2026-10-25 01:00"},
    {"Asia/Kathmandu", "1985-12-31 18:30"},
    {"Pacific/Kiritimati", "1994-12-31 10:40"},
    {"Pacific/Kwajalein", "1993-08-21 12:00"},
    {"Asia/Pyongyang", "2018-05-04 15:00"},
    {"Europe/Berlin", "1945-05-24 00:00"},
    {"UTC", "2024-02-29 00:00"},
};

}  // namespace

TEST_CASE("random expressions fire around changes of offset as a naive walk says") {
  const std::uint64_t seed = seed_of_this_run();
  MESSAGE("SCHEDCTL_TEST_SEED=", seed);
  Dice dice(seed);
  int compared = 0;
  for (const Change& change : kChanges) {
    const Time at = utc(change.at);
    const Span minutes = span_of(change.zone, at - days(3), at + days(3), std::chrono::minutes(1));
    for (int i = 0; i < 120; ++i) {
      compared +=
          compare(minutes, dice.expression(false), dice.pick(kGaps), dice.pick(kFolds), dice);
    }
  }
  CHECK(compared > 1500);
}

TEST_CASE("random expressions with seconds fire as a naive walk says") {
  const std::uint64_t seed = seed_of_this_run();
  MESSAGE("SCHEDCTL_TEST_SEED=", seed);
  Dice dice(seed);
  int compared = 0;
  for (const Change& change : kChanges) {
    const Time at = utc(change.at);
    const Span span =
        span_of(change.zone, at - std::chrono::hours(36), at + std::chrono::hours(36), seconds(1));
    for (int i = 0; i < 4; ++i) {
      compared += compare(span, dice.expression(true), dice.pick(kGaps), dice.pick(kFolds), dice);
    }
  }
  CHECK(compared > 40);
}

TEST_CASE("random expressions fire through a whole year as a naive walk says") {
  const std::uint64_t seed = seed_of_this_run();
  MESSAGE("SCHEDCTL_TEST_SEED=", seed);
  Dice dice(seed);
  const std::vector<std::string> zones = {"Europe/Berlin", "Africa/Casablanca", "America/New_York",
                                          "Australia/Lord_Howe"};
  const std::string zone = dice.pick(zones);
  const std::string year = std::to_string(dice.roll(1950, 2080));
  const Span span =
      span_of(zone, utc(year + "-01-01"), utc(year + "-12-31") + days(1), std::chrono::minutes(1));
  for (int i = 0; i < 25; ++i) {
    compare(span, dice.expression(false), dice.pick(kGaps), dice.pick(kFolds), dice);
  }
}
