#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace schedctl::job {

/// The value whose to_string() is `text`. Names have one home, to_string(); reading looks them up.
template <class Enum, std::size_t N>
std::optional<Enum> find_by_name(std::string_view text, const Enum (&all)[N]) {
  for (const Enum value : all) {
    if (to_string(value) == text) return value;
  }
  return std::nullopt;
}

}  // namespace schedctl::job
