#include "schedctl/base/clock.hpp"

#include <ctime>

namespace schedctl {
namespace {

Duration read_clock(clockid_t id) {
  timespec now{};
  ::clock_gettime(id, &now);
  return std::chrono::seconds(now.tv_sec) + Duration(now.tv_nsec / 1000);
}

}  // namespace

Time SystemClock::wall() const {
  return Time{read_clock(CLOCK_REALTIME)};
}
Duration SystemClock::elapsed() const {
  return read_clock(CLOCK_BOOTTIME);
}
Duration SystemClock::awake() const {
  return read_clock(CLOCK_MONOTONIC);
}

}  // namespace schedctl
