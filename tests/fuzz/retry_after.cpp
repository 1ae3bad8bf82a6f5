// A server's wish to be asked again later, as any server may send it: unreadable, or a wait within
// a day.

#include "schedctl/alert/courier.hpp"
#include "target.hpp"

namespace schedctl::fuzz {
namespace {

constexpr std::uint64_t kYear2400 = 13'569'465'600'000'000;
constexpr std::uint64_t kNow = 1'774'746'000'000'000;  // 2026-03-29T01:00:00Z

}  // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> all;
  for (const std::string text : {"5", "0", "-1", "86400", "99999999999999999999", " 7 ", "1.5", "",
                                 "Sun, 29 Mar 2026 01:00:30 GMT", "Sunday, 29-Mar-26 01:00:30 GMT",
                                 "Sun Mar 29 01:00:30 2026", "Sun, 29 Mar 9999 01:00:30 GMT",
                                 "Thu, 01 Jan 1970 00:00:00 GMT", "29 Mar 2026 25:61:61 +9999"}) {
    all.push_back(Recipe().number(kNow).rest(text));
  }
  return all;
}

}  // namespace schedctl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace schedctl;
  fuzz::Input input(data, size);
  const Time now = time_from_us(static_cast<std::int64_t>(input.number() % fuzz::kYear2400));
  const std::optional<Duration> wait = alert::parse_retry_after(input.rest(), now);
  fuzz::require(!wait || (*wait >= Duration::zero() && *wait <= std::chrono::hours(24)),
                "a wait lies between now and tomorrow");
  return 0;
}
