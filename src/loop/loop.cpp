#include "schedctl/loop/loop.hpp"

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
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  const int op = watches_.contains(fd) ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (::epoll_ctl(epoll_.get(), op, fd, &event) != 0) {
    return fail(error_from_errno("epoll_ctl", errno));
  }
  watches_[fd] = std::make_shared<Watch>(Watch{std::move(handler)});
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
    wait_ms = static_cast<int>(
        std::min<std::int64_t>((timeout->count() + 999) / 1000, 24LL * 3600 * 1000));
    if (wait_ms < 0) wait_ms = 0;
  }
  const int n = ::epoll_wait(epoll_.get(), ready.data(), kBatch, wait_ms);
  if (n < 0) {
    if (errno == EINTR) return {};
    return fail(error_from_errno("epoll_wait", errno));
  }
  for (int i = 0; i < n; ++i) {
    const epoll_event& event = ready[static_cast<std::size_t>(i)];
    const auto found = watches_.find(event.data.fd);
    // Gone: an earlier handler of this round has unwatched it.
    if (found == watches_.end()) continue;
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
