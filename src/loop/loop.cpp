#include "schedctl/loop/loop.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

namespace schedctl::loop {

Result<std::unique_ptr<Loop>> Loop::create() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail(error_from_errno("epoll_create1", errno));
  auto loop = std::make_unique<Loop>();
  loop->epoll_ = std::move(epoll);
  return loop;
}

Result<void> Loop::watch(int fd, std::uint32_t events, Handler handler) {
  const auto found = watches_.find(fd);
  const bool is_new = found == watches_.end();
  const std::uint32_t serial = is_new ? ++last_serial_ : found->second->serial;
  epoll_event event{};
  event.events = events;
  event.data.u64 = std::uint64_t{serial} << 32 | static_cast<std::uint32_t>(fd);
  if (::epoll_ctl(epoll_.get(), is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event) != 0) {
    return fail(error_from_errno("epoll_ctl", errno));
  }
  watches_[fd] = std::make_shared<Watch>(Watch{std::move(handler), serial});
  return {};
}

void Loop::unwatch(int fd) {
  if (watches_.erase(fd) == 0) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

Result<void> Loop::run_once(std::optional<Duration> timeout) {
  constexpr int kBatch = 64;
  std::array<epoll_event, kBatch> ready{};
  int wait_ms = -1;
  if (timeout) {
    // Rounded up: waking a little early would make the caller spin until the instant is there.
    const Duration wait = std::clamp<Duration>(*timeout, Duration::zero(), std::chrono::hours(24));
    wait_ms = static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(wait).count());
  }
  const int n = ::epoll_wait(epoll_.get(), ready.data(), kBatch, wait_ms);
  if (n < 0) {
    if (errno == EINTR) return {};
    return fail(error_from_errno("epoll_wait", errno));
  }
  for (int i = 0; i < n; ++i) {
    const epoll_event& event = ready[static_cast<std::size_t>(i)];
    const auto found = watches_.find(static_cast<int>(event.data.u64 & 0xFFFFFFFF));
    // Gone: an earlier handler of this round has unwatched it. If it was closed too, the number may
    // be another descriptor's by now, whose handler must not be told of the old one's events.
    if (found == watches_.end() || found->second->serial != event.data.u64 >> 32) continue;
    const std::shared_ptr<Watch> watch = found->second;
    watch->handler(event.events);
  }
  return {};
}

Result<void> Loop::run() {
  stopped_ = false;
  while (!stopped_) TRY_VOID(run_once());
  return {};
}

}  // namespace schedctl::loop
