// "7~" means from Sunday to the end of the week; the week was taken to end at 6, and an empty range
// was divided by: the program ended with SIGFPE.

#include <doctest/doctest.h>

#include "src/job/cron.hpp"

namespace schedctl::job {

TEST_CASE("the range 7~ of weekdays is the Sunday") {
  for (const std::uint64_t seed : {0U, 1U, 6U, 12345U}) {
    const auto tilde = parse_cron("0 0 * * 7~", seed);
    const auto sunday = parse_cron("0 0 * * 7", seed);
    REQUIRE(tilde.has_value());
    REQUIRE(sunday.has_value());
    CHECK(tilde->weekday_set == sunday->weekday_set);
  }
  CHECK(parse_cron("0 0 * * sun~", 3).has_value());
}

}  // namespace schedctl::job
