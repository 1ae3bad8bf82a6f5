// Answers questions about fires, one a line, for the oracles in this directory, which have no other
// way into the program that would not cost a process a question.
//
// A question is nine fields with tabs between them:
//   zone  gap  fold  seed  weeks  week_anchor  after_us  through_us  expression
// The answer is "count first last;" as FireSeries::count gives it, then every fire in (after,
// through] as FireSeries::next_after does, in UTC microseconds; or "error " and the first line of
// the message.
#include <charconv>
#include <chrono>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "schedctl/job/schedule.hpp"
#include "schedctl/zone/system_zones.hpp"

using namespace schedctl;
using namespace schedctl::job;

namespace {

enum Field { kZone, kGap, kFold, kSeed, kWeeks, kAnchor, kAfter, kThrough, kExpression, kFields };

/// Far more than any question of the oracles yields: a series that never ends is found out.
constexpr int kMostFires = 1'000'000;

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> fields;
  std::size_t at = 0;
  for (std::size_t tab = line.find('\t'); tab != std::string::npos; tab = line.find('\t', at)) {
    fields.push_back(line.substr(at, tab - at));
    at = tab + 1;
  }
  fields.push_back(line.substr(at));
  return fields;
}

template <class Number>
Result<Number> number(const std::string& text) {
  Number n{};
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, n);
  if (read.ec != std::errc{} || read.ptr != end) {
    return fail(ErrorKind::usage, "'" + text + "' is no number");
  }
  return n;
}

/// "2027-03-29"; the epoch, which is a Thursday, if it is empty.
Result<std::chrono::local_days> date(const std::string& text, const Zone& utc) {
  if (text.empty()) return std::chrono::local_days{};
  TRY(const Time midnight, parse_time(text, utc, Time{}));
  return std::chrono::local_days{
      std::chrono::floor<std::chrono::days>(midnight.time_since_epoch())};
}

Result<std::string> answer(const std::string& line, const ZoneSource& zones) {
  const std::vector<std::string> fields = split(line);
  if (fields.size() != kFields) return fail(ErrorKind::usage, "expected nine fields");
  TRY(const ZonePtr zone, zones.find(fields[kZone]));
  TRY(const ZonePtr utc, zones.find("UTC"));
  Schedule schedule;
  schedule.kind = ScheduleKind::cron;
  schedule.cron = fields[kExpression];
  const auto gap = parse_dst_gap(fields[kGap]);
  const auto fold = parse_dst_fold(fields[kFold]);
  if (!gap || !fold) return fail(ErrorKind::usage, "unknown word for gap or fold");
  schedule.dst_gap = *gap;
  schedule.dst_fold = *fold;
  TRY(schedule.weeks, number<int>(fields[kWeeks]));
  TRY(schedule.week_anchor, date(fields[kAnchor], *utc));
  TRY(const auto seed, number<std::uint64_t>(fields[kSeed]));
  TRY(const auto after, number<std::int64_t>(fields[kAfter]));
  TRY(const auto through, number<std::int64_t>(fields[kThrough]));
  TRY(const FireSeries series, FireSeries::make(schedule, zone, seed));

  const FireSeries::Stretch counted = series.count(time_from_us(after), time_from_us(through));
  std::string out = std::to_string(counted.count) + " " + std::to_string(to_us(counted.first)) +
                    " " + std::to_string(to_us(counted.last)) + ";";
  std::optional<Time> fire = series.next_after(time_from_us(after));
  for (int n = 0; fire && to_us(*fire) <= through; ++n) {
    if (n == kMostFires) return fail(ErrorKind::failed, "over a million fires");
    out += " " + std::to_string(to_us(*fire));
    fire = series.next_after(*fire);
  }
  return out;
}

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  const auto zones = zone::system_zones();
  for (std::string line; std::getline(std::cin, line);) {
    const Result<std::string> found = answer(line, *zones);
    if (found) {
      std::cout << *found << '\n';
    } else {
      const std::string& message = found.error().message;
      std::cout << "error " << message.substr(0, message.find('\n')) << '\n';
    }
  }
  return std::cout.flush() ? 0 : 1;
}
