// Cron expressions, and every and at, as anybody may write them, in any zone, asked from any
// instant: refused, or fires that rise, that are counted as they are walked, within bounded time.

#include <time.h>

#include "schedctl/base/limits.hpp"
#include "schedctl/job/schedule.hpp"
#include "zones.hpp"

namespace schedctl::fuzz {
namespace {

constexpr std::uint64_t kNow = 1'774'746'000'000'000;  // 2026-03-29T01:00:00Z
constexpr std::int64_t kYear2400 = 13'569'465'600'000'000;
/// Of processor time, under the sanitizers, for one question.
constexpr double kPatienceS = 0.5;

double processor_s() {
  timespec ts{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
  return static_cast<double>(ts.tv_sec) + static_cast<double>(ts.tv_nsec) / 1e9;
}

template <class Question>
auto timed(const Question& question) {
  const double began = processor_s();
  const auto answer = question();
  require(processor_s() - began < kPatienceS, "an answer comes within bounded time");
  return answer;
}

job::Schedule read_schedule(Input& input, const job::ZonePtr& zone) {
  job::Schedule schedule;
  schedule.timezone = zone->name();
  const std::uint8_t how = input.byte();
  schedule.dst_gap = static_cast<job::DstGap>(how % 2);
  schedule.dst_fold = static_cast<job::DstFold>(how / 2 % 3);
  schedule.kind = static_cast<job::ScheduleKind>(how / 8 % 4);
  switch (schedule.kind) {
    case job::ScheduleKind::every:
      // What ops lets through.
      schedule.every = std::clamp(Duration(static_cast<std::int64_t>(input.number() >> 1)),
                                  limits::kShortestEvery, limits::kLongestDuration);
      schedule.anchor = time_from_us(static_cast<std::int64_t>(input.number()));
      break;
    case job::ScheduleKind::at:
      schedule.at = time_from_us(static_cast<std::int64_t>(input.number()));
      break;
    case job::ScheduleKind::cron:
      schedule.weeks = 1 + how / 32 % 4;
      break;
    case job::ScheduleKind::reboot:
    case job::ScheduleKind::manual:
      break;
  }
  return schedule;
}

std::string seed(unsigned zone, const std::string& expression) {
  return Recipe().byte(zone).byte(8).number(kNow).number(12345).rest(expression);
}

}  // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> all;
  for (const std::string expression :
       {"* * * * *",     "30 2 * * *",        "*/15 0-6,22 1,15 * MON-FRI",
        "0 0 L * *",     "0 0 LW * *",        "0 0 15W * *",
        "0 9 * * 5#2",   "0 9 * * 5L",        "H H(0-7) * * *",
        "~ ~ * * *",     "5~20 3 * * 0",      "*/10 * * * * *",
        "0 0 29 2 *",    "0 0 30 2 *",        "@hourly",
        "@yearly",       "0 0 ? * MON",       "0 0 31 */2 *",
        "0 0 */2 * */3", "0 0 1 JAN,jul sun", "59 59 23 31 12 7"}) {
    for (unsigned zone = 0; zone < 5; zone += 2) all.push_back(seed(zone, expression));
  }
  all.push_back(Recipe().byte(1).byte(0).number(90'000'000).number(kNow).number(kNow).number(1));
  all.push_back(Recipe().byte(1).byte(16).number(kNow).number(kNow - 5).number(1));
  return all;
}

}  // namespace schedctl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace schedctl;
  using fuzz::require;
  using fuzz::timed;
  fuzz::Input input(data, size);
  const job::ZonePtr zone = fuzz::any_zone(input.byte());
  job::Schedule schedule = fuzz::read_schedule(input, zone);
  Time at = time_from_us(static_cast<std::int64_t>(input.number()));
  const std::uint64_t seed = input.number();
  schedule.cron = input.rest();
  Result<job::FireSeries> series = job::FireSeries::make(schedule, zone, seed);
  if (!series) {
    require(series.error().kind == ErrorKind::usage, "an error of use");
    return 0;
  }
  static_cast<void>(timed([&] { return job::describe(schedule, *zone); }));
  const Time from = at;
  std::int64_t walked = 0;
  for (; walked < 20; ++walked) {
    const std::optional<Time> next = timed([&] { return series->next_after(at); });
    if (!next) break;
    require(*next > at, "a fire comes after the instant that was asked from");
    at = *next;
  }
  const auto stretch = timed([&] { return series->count(from, at); });
  // A zone tells its changes of offset until then, and those beyond are not counted with.
  if (to_us(at) > fuzz::kYear2400) return 0;
  require(stretch.count == walked, "as many fires are counted as were walked");
  if (walked > 0) require(stretch.last == at, "and the last one is the same");
  return 0;
}
