// Moments as anybody may type them, in any zone, at any time: refused, or an instant that reads
// back as it is printed.

#include "schedctl/job/schedule.hpp"
#include "zones.hpp"

namespace schedctl::fuzz {
namespace {

constexpr std::uint64_t kNow = 1'774'746'000'000'000;  // 2026-03-29T01:00:00Z

}  // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> all;
  for (const std::string text :
       {"2026-03-29 02:30", "2026-03-29T02:30:00Z", "2026-03-29T02:30:00.250000+02:00",
        "2026-03-29", "02:30", "tomorrow 03:00", "now+5m", "now", "2026-02-30", "9999-12-31 23:59",
        "0000-01-01", "2011-12-30", "today 00:00", "2026-10-25 02:30:59", "now+100000w"}) {
    all.push_back(Recipe().byte(1).byte(0).number(kNow).rest(text));
    all.push_back(Recipe().byte(4).byte(5).number(kNow).rest(text));
  }
  return all;
}

}  // namespace schedctl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace schedctl;
  fuzz::Input input(data, size);
  const job::ZonePtr zone = fuzz::any_zone(input.byte());
  const std::uint8_t how = input.byte();
  const auto gap = static_cast<job::DstGap>(how % 2);
  const auto fold = static_cast<job::DstFold>(how / 2 % 3);
  const Time now = time_from_us(static_cast<std::int64_t>(input.number()));
  const Result<Time> read = job::parse_time(input.rest(), *zone, now, gap, fold);
  if (!read) {
    fuzz::require(read.error().kind == ErrorKind::usage, "an error of use");
    return 0;
  }
  constexpr std::int64_t kYear1 = -62'135'596'800'000'000;
  constexpr std::int64_t kYear9999 = 253'370'764'800'000'000;
  if (to_us(*read) < kYear1 || to_us(*read) > kYear9999) return 0;
  const Result<Time> again = job::parse_time(format_rfc3339(*read), *zone, now);
  fuzz::require(again && *again == *read, "a moment reads back as it is printed");
  static_cast<void>(job::format_local(*read, *zone));
  return 0;
}
