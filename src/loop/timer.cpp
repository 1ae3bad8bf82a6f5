#include "schedctl/loop/timer.hpp"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

namespace schedctl::loop {
namespace {

itimerspec one_shot(std::int64_t us) {
  itimerspec spec{};
  spec.it_value.tv_sec = static_cast<time_t>(us / 1'000'000);
  spec.it_value.tv_nsec = static_cast<long>(us % 1'000'000 * 1000);
  return spec;
}

}  // namespace

Result<WallTimer> WallTimer::create() {
  WallTimer timer;
  timer.fd_.reset(::timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer.fd_) return fail(error_from_errno("timerfd_create", errno));
  return timer;
}

void WallTimer::arm(std::optional<Time> at) {
  // Without a deadline it is armed far ahead: only an armed timer is cancelled by a set clock. A
  // value of zero would disarm it, so that an instant at or before the epoch becomes the first
  // microsecond after it, which is over just as much.
  constexpr std::int64_t kFarAhead = 253'402'300'799LL * 1'000'000;  // 9999-12-31T23:59:59Z
  const std::int64_t us = at ? std::clamp<std::int64_t>(to_us(*at), 1, kFarAhead) : kFarAhead;
  constexpr int kFlags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET;
  const itimerspec spec = one_shot(us);
  if (::timerfd_settime(fd_.get(), kFlags, &spec, nullptr) == 0 || errno != ECANCELED) return;
  // The clock was set since the timer was armed before, and nobody has read of it; the kernel tells
  // it here and never again. It expires at once, so that drain() can pass it on.
  clock_was_set_ = true;
  const itimerspec now = one_shot(1);
  ::timerfd_settime(fd_.get(), kFlags, &now, nullptr);
}

bool WallTimer::drain() {
  std::uint64_t expirations = 0;
  const bool cancelled =
      ::read(fd_.get(), &expirations, sizeof expirations) < 0 && errno == ECANCELED;
  return std::exchange(clock_was_set_, false) || cancelled;
}

Result<MonotonicTimer> MonotonicTimer::create() {
  MonotonicTimer timer;
  timer.fd_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer.fd_) return fail(error_from_errno("timerfd_create", errno));
  return timer;
}

void MonotonicTimer::arm(Duration from_now) {
  const itimerspec spec = one_shot(std::max<std::int64_t>(from_now.count(), 1));
  ::timerfd_settime(fd_.get(), 0, &spec, nullptr);
}

void MonotonicTimer::disarm() {
  const itimerspec spec{};
  ::timerfd_settime(fd_.get(), 0, &spec, nullptr);
}

void MonotonicTimer::drain() {
  std::uint64_t expirations = 0;
  [[maybe_unused]] const ssize_t n = ::read(fd_.get(), &expirations, sizeof expirations);
}

}  // namespace schedctl::loop
