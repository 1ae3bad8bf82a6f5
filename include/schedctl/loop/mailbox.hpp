#pragma once

#include <mutex>
#include <utility>
#include <vector>

#include "schedctl/base/result.hpp"
#include "schedctl/base/unique_fd.hpp"

namespace schedctl::loop {

/// An eventfd: readable after ring(), until drain(). Thread safe.
class Bell {
 public:
  static Result<Bell> create();
  int fd() const { return fd_.get(); }
  void ring() const;
  void drain() const;

 private:
  UniqueFd fd_;
};

/// Messages from any thread to the one that owns the loop: post() anywhere, watch fd() and take()
/// there. What piled up is taken in one go, in the order of posting. What can wait is left without
/// a ring: it is taken with whatever comes next.
template <class T>
class Mailbox {
 public:
  static Result<Mailbox> create() {
    TRY(Bell bell, Bell::create());
    return Mailbox(std::move(bell));
  }
  Mailbox(Mailbox&& other) noexcept
      : bell_(std::move(other.bell_)), queue_(std::move(other.queue_)) {}

  int fd() const { return bell_.fd(); }

  void post(T message) {
    leave(std::move(message));
    ring();
  }
  /// Posts without making fd() readable.
  void leave(T message) {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(message));
  }
  /// Once is enough until the next take().
  void ring() {
    {
      std::lock_guard lock(mutex_);
      if (std::exchange(rung_, true)) return;
    }
    bell_.ring();
  }

  std::vector<T> take() {
    bell_.drain();
    std::lock_guard lock(mutex_);
    rung_ = false;
    return std::exchange(queue_, {});
  }

 private:
  explicit Mailbox(Bell bell) : bell_(std::move(bell)) {}
  Bell bell_;
  std::mutex mutex_;
  std::vector<T> queue_;
  bool rung_ = false;
};

}  // namespace schedctl::loop
