#pragma once

#include <algorithm>
#include <optional>

#include "schedctl/base/time.hpp"

namespace schedctl::runner {

/// Whether the keeper lives and listens. One that is stopped keeps its socket open and takes orders
/// that it does not carry out, so whoever has not been heard of for a while is asked before it is
/// given work. All instants are Clock::elapsed. Nothing here polls: with nothing to start, a silent
/// keeper is not looked for.
class KeeperWatch {
 public:
  /// A sign of life holds for this long.
  static constexpr Duration kFresh = std::chrono::seconds(5);
  /// A keeper answers in microseconds; after this it is told that it does not.
  static constexpr Duration kPatience = std::chrono::seconds(5);
  /// For so long nothing need be written down of what waits for the answer.
  static constexpr Duration kMoment = std::chrono::milliseconds(100);

  explicit KeeperWatch(Duration now) : gone_since_(now) {}

  void connected(Duration now) {
    gone_since_.reset();
    given_up_ = false;
    heard(now);
  }
  void lost(Duration now) {
    if (!gone_since_) gone_since_ = now;
    asked_at_.reset();
    ordered_at_.reset();
  }
  /// It does not come back, so that waiting tells nothing more.
  void given_up(Duration now) {
    lost(now);
    given_up_ = true;
  }
  void heard(Duration now) {
    heard_at_ = now;
    asked_at_.reset();
    ordered_at_.reset();
  }
  /// Starts were handed over; an answer is expected.
  void ordered(Duration now) {
    if (!ordered_at_) ordered_at_ = now;
  }
  void asked(Duration now) { asked_at_ = now; }

  bool is_connected() const { return !gone_since_; }
  /// Work may be handed to it now.
  bool is_well(Duration now) const {
    return !gone_since_ && !asked_at_ && now - heard_at_ <= kFresh && !overdue(now);
  }
  /// It is to be asked first, or has just been, and may well answer in a moment.
  bool answers_soon(Duration now) const {
    if (gone_since_ || is_well(now) || overdue(now)) return false;
    return !asked_at_ || now - *asked_at_ < kMoment;
  }
  /// A ping is due: `wanted` says that there is work for it.
  bool should_ask(Duration now, bool wanted) const {
    if (gone_since_ || asked_at_) return false;
    return overdue(now) || (wanted && now - heard_at_ > kFresh);
  }
  /// It has not been there, or not answered, for so long that people must know.
  bool is_silent(Duration now) const {
    const std::optional<Duration> since = silent_since();
    return since && (given_up_ || now - *since >= kPatience);
  }
  std::optional<Duration> silent_since() const { return gone_since_ ? gone_since_ : asked_at_; }
  /// When to look again; nothing: not before something happens.
  std::optional<Duration> next(Duration now) const {
    if (const auto since = silent_since()) {
      if (is_silent(now)) return std::nullopt;
      return *since + kPatience;
    }
    if (ordered_at_) return *ordered_at_ + kFresh;
    return std::nullopt;
  }

 private:
  bool overdue(Duration now) const { return ordered_at_ && now - *ordered_at_ >= kFresh; }

  std::optional<Duration> gone_since_;
  bool given_up_ = false;
  Duration heard_at_{};
  std::optional<Duration> asked_at_;
  std::optional<Duration> ordered_at_;
};

}  // namespace schedctl::runner
