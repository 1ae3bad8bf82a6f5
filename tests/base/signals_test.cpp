#include "schedctl/base/signals.hpp"

#include <doctest/doctest.h>

#include <csignal>

namespace schedctl {
namespace {

TEST_CASE("every signal has a name that reads back") {
  for (int number = 1; number <= SIGRTMAX; ++number) {
    if (number > SIGSYS && number < SIGRTMIN) continue;  // the C library's own
    CAPTURE(number);
    CHECK(parse_signal(signal_name(number)) == number);
    CHECK(parse_signal(signal_name(number).substr(3)) == number);
  }
  CHECK(signal_name(SIGTERM) == "SIGTERM");
}

TEST_CASE("what is no signal is none") {
  for (const char* text :
       {"", "0", "-9", "65", "32", "33", "99999999999", "SIG", "TERMINATE", "15 ", "RTMIN+99"})
    CHECK_FALSE(parse_signal(text));
}

}  // namespace
}  // namespace schedctl
