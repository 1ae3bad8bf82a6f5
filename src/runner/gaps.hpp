#pragma once

#include <deque>
#include <string>

#include "schedctl/base/time.hpp"

namespace schedctl::runner {

/// Stretches of time in which nothing could be started, and why: what lies behind an occurrence
/// that was late or missed. Only the latest few are remembered.
class Gaps {
 public:
  void add(Time from, Time to, std::string words) {
    gaps_.push_front({from, to, std::move(words)});
    if (gaps_.size() > kMost) gaps_.pop_back();
  }
  /// Why nothing started at `t`; "" where that is not known.
  std::string why(Time t) const {
    for (const Gap& gap : gaps_) {
      if (t >= gap.from && t <= gap.to) return gap.words;
    }
    return {};
  }

 private:
  static constexpr std::size_t kMost = 16;
  struct Gap {
    Time from{};
    Time to{};
    std::string words;
  };
  std::deque<Gap> gaps_;
};

}  // namespace schedctl::runner
