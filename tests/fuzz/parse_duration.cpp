// Durations as anybody may type them: refused, or within the limit and read back as printed.

#include "schedctl/base/limits.hpp"
#include "schedctl/base/time.hpp"
#include "target.hpp"

namespace schedctl::fuzz {

std::vector<std::string> seeds() {
  return {"250ms",
          "90s",
          "1h30m",
          "2d",
          "1w2d3h4m5s6ms7us",
          "0s",
          "100000w",
          "1.5h",
          "5",
          "-1s",
          "9223372036854775807us",
          "s",
          "1s1s",
          "99999999999999999999s"};
}

}  // namespace schedctl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace schedctl;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const Result<Duration> duration = parse_duration(text);
  if (!duration) {
    fuzz::require(duration.error().kind == ErrorKind::usage, "an error of use");
    return 0;
  }
  fuzz::require(*duration >= Duration::zero() && *duration <= limits::kLongestDuration,
                "a duration is within its limits");
  const Result<Duration> again = parse_duration(format_duration(*duration));
  fuzz::require(again && *again == *duration, "a duration reads back as it is printed");
  return 0;
}
