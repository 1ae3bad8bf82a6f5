#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace schedctl {

/// A database id that cannot be mixed up with another kind's. 0 means "none yet".
template <class Tag>
struct Id {
  std::int64_t value = 0;
  constexpr Id() = default;
  constexpr explicit Id(std::int64_t v) : value(v) {}
  constexpr auto operator<=>(const Id&) const = default;
  constexpr explicit operator bool() const { return value != 0; }
};

using JobId = Id<struct JobTag>;
using RunId = Id<struct RunTag>;
using AlertId = Id<struct AlertTag>;
using MessageId = Id<struct MessageTag>;
using BackfillId = Id<struct BackfillTag>;

}  // namespace schedctl

template <class Tag>
struct std::hash<schedctl::Id<Tag>> {
  std::size_t operator()(schedctl::Id<Tag> id) const noexcept {
    return std::hash<std::int64_t>{}(id.value);
  }
};
