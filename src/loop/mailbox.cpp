#include "schedctl/loop/mailbox.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace schedctl::loop {

Result<Bell> Bell::create() {
  Bell bell;
  bell.fd_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!bell.fd_) return fail(error_from_errno("eventfd", errno));
  return bell;
}

void Bell::ring() const {
  const std::uint64_t one = 1;
  // EAGAIN means the counter is full: it is readable already, which is all that is wanted.
  [[maybe_unused]] const ssize_t n = ::write(fd_.get(), &one, sizeof one);
}

void Bell::drain() const {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t n = ::read(fd_.get(), &count, sizeof count);
}

}  // namespace schedctl::loop
