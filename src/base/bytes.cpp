#include "schedctl/base/bytes.hpp"

#include <array>
#include <charconv>
#include <cstdio>

#include "schedctl/base/limits.hpp"
#include "schedctl/base/text.hpp"

namespace schedctl {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t bytes;
};

// Largest first, and of two that say an amount equally shortly the one of 1024 first: format_bytes
// takes the first of the shortest.
constexpr std::array<Unit, 9> kUnits{{{"TiB", 1LL << 40},
                                      {"TB", 1'000'000'000'000},
                                      {"GiB", 1LL << 30},
                                      {"GB", 1'000'000'000},
                                      {"MiB", 1LL << 20},
                                      {"MB", 1'000'000},
                                      {"KiB", 1LL << 10},
                                      {"KB", 1'000},
                                      {"B", 1}}};

std::int64_t unit_bytes(std::string_view name) {
  const std::string low = lowered(name);
  if (low.empty()) return 1;
  for (const Unit& unit : kUnits) {
    const std::string known = lowered(unit.name);
    if (known == low) return unit.bytes;
    // "K" is short for "KiB".
    if (known.size() == 3 && low.size() == 1 && known[0] == low[0]) return unit.bytes;
  }
  return 0;
}

std::string quoted(std::string_view text) {
  return "\"" + escape_control(utf8_prefix(text, 64)) + "\"";
}

tl::unexpected<Error> bad(std::string_view text, const std::string& why) {
  return fail(ErrorKind::usage, quoted(text) + " is not an amount of data: " + why +
                                    "; write it like 512KiB, 16MiB or 10GiB");
}

}  // namespace

std::string format_bytes(std::int64_t bytes) {
  if (bytes == 0) return "0B";
  std::string best;
  std::size_t digits = SIZE_MAX;
  for (const Unit& unit : kUnits) {
    if (bytes % unit.bytes != 0) continue;
    const std::string number = std::to_string(bytes / unit.bytes);
    if (number.size() >= digits) continue;
    digits = number.size();
    best = number + std::string(unit.name);
  }
  return best;
}

std::string about_bytes(std::int64_t bytes) {
  for (const Unit& unit : kUnits) {
    if (unit.name.size() != 3 || bytes < unit.bytes) continue;
    std::array<char, 32> text{};
    const double size = static_cast<double>(bytes) / static_cast<double>(unit.bytes);
    std::snprintf(text.data(), text.size(), size < 10 ? "%.1f %s" : "%.0f %s", size,
                  unit.name.data());
    return text.data();
  }
  return std::to_string(bytes) + " B";
}

Result<std::int64_t> parse_bytes(std::string_view text) {
  if (text.empty()) return bad(text, "it is empty");
  std::int64_t number = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number);
  if (error == std::errc::invalid_argument || text.front() == '-') {
    return bad(text, "it must begin with a whole number");
  }
  const std::string_view name(end, static_cast<std::size_t>(last - end));
  const std::int64_t unit = unit_bytes(name);
  if (unit == 0) {
    if (name.starts_with('.') || name.starts_with(',')) {
      return bad(text, "only a whole number and one unit can stand in it");
    }
    return bad(text, quoted(utf8_prefix(name, 16)) + " is not a unit (B KiB MiB GiB TiB)");
  }
  std::int64_t bytes = 0;
  if (error != std::errc{} || __builtin_mul_overflow(number, unit, &bytes) ||
      bytes > limits::kMostBytes) {
    return fail(ErrorKind::usage, quoted(text) + " is too much: the limit is 1024TiB");
  }
  return bytes;
}

}  // namespace schedctl
