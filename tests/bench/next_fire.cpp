// How long FireSeries::next_after takes: for plain expressions, one fire after the other; for
// expressions that are hard to answer, the hardest question found. Prints one JSON document.
//
// What another process does meanwhile must not count, so each hard question is asked several times
// and its fastest answer is its price.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "schedctl/job/schedule.hpp"
#include "schedctl/zone/system_zones.hpp"

using namespace schedctl;
using namespace schedctl::job;
using std::chrono::steady_clock;

namespace {

constexpr int kRepeats = 5;
constexpr int kMoments = 400;
constexpr Duration kTick{1};

const char* const kPlain[] = {"* * * * *",         "*/5 * * * *", "30 2 * * *",
                              "0 9-17 * * 1-5",    "0 0 1 * *",   "0 4 * * sun",
                              "15,45 */2 * * mon", "@hourly",     "*/10 * * * * *"};
const char* const kHard[] = {
    // In gaps only, year after year.
    "30 2 ? 3 0L",
    "*/20 2 ? mar sunL",
    "15 2 ? 10 0#1",
    "* * 2 * mar,oct 0L,0#1",
    "0 0 29 2 1#5",
    "0 0 29 2 *",
    "30 2 29 2 0#5",
    "59 59 23 29 feb satL",
    "0 0 31W * *",
    "30 2 LW 2 *",
    "0 0 L-30 * ?",
    "0 0 L-28 2 *",
    "0 0 LW,15W,L-3 * ?",
    "30 2 */31 * sun#1",
    "30 1 1-31/30 * 1#5",
    "0 0 1 1 *",
    "0 0 * 2 1#5",
    "* * 29W 2 5#5",
    "30 2 * * *",
    "*/7 2 * * *",
    "30 0-5 25-31 3,10 ?",
    "0,30 2,3 * * 0L",
    "* * * * * *",
    "17 2 * * * *",
    "0 0 1W,2W,3W,4W,5W,6W,7W,8W,9W,28W,29W,30W,31W,LW,L,L-1,L-2,L-3,L-4,L-5 2 1#5"};
const char* const kZones[] = {"Europe/Berlin", "Africa/Casablanca", "Australia/Lord_Howe",
                              "Pacific/Apia", "UTC"};

double ns_since(steady_clock::time_point begin) {
  return std::chrono::duration<double, std::nano>(steady_clock::now() - begin).count();
}

[[noreturn]] void give_up(const std::string& message) {
  std::fprintf(stderr, "next_fire: %s\n", message.c_str());
  std::exit(1);
}

template <class T>
T value_of(Result<T> result) {
  if (!result) give_up(result.error().message);
  return std::move(*result);
}

Schedule cron(const std::string& expression) {
  Schedule schedule;
  schedule.kind = ScheduleKind::cron;
  schedule.cron = expression;
  return schedule;
}

/// Fires found in a second, one after the other from 2026 on.
double rate(const std::string& expression, const ZonePtr& zone, int fires) {
  const FireSeries series = value_of(FireSeries::make(cron(expression), zone, 0));
  const Time start = std::chrono::sys_days{std::chrono::year{2026} / 1 / 1};
  double best = 0;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    Time at = start;
    const auto begin = steady_clock::now();
    for (int n = 0; n < fires; ++n) {
      const std::optional<Time> next = series.next_after(at);
      at = next && *next < start + std::chrono::years{60} ? *next : start;
    }
    best = std::max(best, fires * 1e9 / ns_since(begin));
  }
  return best;
}

/// Moments to ask from: around changes of the clock, and anywhere.
std::vector<Time> moments(const Zone& zone, std::mt19937_64& random) {
  using std::chrono::hours;
  const Time begin = std::chrono::sys_days{std::chrono::year{2009} / 1 / 1};
  std::vector<Time> out;
  std::optional<ZoneChange> change = zone.next_change(begin);
  for (int n = 0; change && n < 60; ++n, change = zone.next_change(change->at)) {
    for (const Duration distance : {Duration{hours{-26}}, Duration{hours{-1}}, -kTick, Duration{0},
                                    Duration{std::chrono::minutes{20}}}) {
      out.push_back(change->at + distance);
    }
  }
  std::uniform_int_distribution<std::int64_t> days(0, 365 * 200);
  for (int n = 0; n < kMoments; ++n) out.push_back(begin + std::chrono::days{days(random)} + kTick);
  return out;
}

/// What the hardest of these questions costs, in nanoseconds.
double dearest(const FireSeries& series, const std::vector<Time>& from) {
  double most = 0;
  for (const Time t : from) {
    double least = 1e12;
    for (int repeat = 0; repeat < kRepeats; ++repeat) {
      const auto begin = steady_clock::now();
      const std::optional<Time> fire = series.next_after(t);
      least = std::min(least, ns_since(begin));
      if (fire && *fire <= t) give_up("a fire that is not after its question");
    }
    most = std::max(most, least);
  }
  return most;
}

/// The variants of a schedule that may make it harder to answer.
std::vector<std::pair<std::string, Schedule>> variants(const std::string& expression) {
  const Schedule plain = cron(expression);
  std::vector<std::pair<std::string, Schedule>> out{{"", plain}};
  Schedule second = plain;
  second.dst_fold = DstFold::second;
  second.dst_gap = DstGap::skip;
  out.emplace_back(", --dst-fold second --dst-gap skip", second);
  Schedule both = plain;
  both.dst_fold = DstFold::both;
  out.emplace_back(", --dst-fold both", both);
  Schedule later = plain;
  later.not_before = std::chrono::sys_days{std::chrono::year{2150} / 3 / 1};
  out.emplace_back(", --not-before 2150", later);
  Schedule weekly = plain;
  weekly.weeks = 52;
  out.emplace_back(", --weeks 52", weekly);
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  const int fires = argc > 1 ? std::atoi(argv[1]) : 200'000;
  const auto zones = zone::system_zones();
  std::mt19937_64 random(1);
  const ZonePtr berlin = value_of(zones->find("Europe/Berlin"));
  std::printf("{\"plain\": [");
  const char* separator = "";
  for (const char* expression : kPlain) {
    std::printf("%s\n  {\"expression\": \"%s\", \"per_s\": %.0f}", separator, expression,
                rate(expression, berlin, fires));
    separator = ",";
  }
  std::printf("],\n\"hard\": [");
  separator = "";
  for (const char* name : kZones) {
    const ZonePtr zone = value_of(zones->find(name));
    const std::vector<Time> from = moments(*zone, random);
    for (const char* expression : kHard) {
      for (const auto& [words, schedule] : variants(expression)) {
        const FireSeries series = value_of(FireSeries::make(schedule, zone, 0));
        std::printf("%s\n  {\"expression\": \"%s%s\", \"zone\": \"%s\", \"most_us\": %.2f}",
                    separator, expression, words.c_str(), name, dearest(series, from) / 1e3);
        separator = ",";
      }
    }
  }
  std::printf("]}\n");
  return 0;
}
