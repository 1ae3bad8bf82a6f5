#include "schedctl/base/time.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "schedctl/base/limits.hpp"
#include "schedctl/base/text.hpp"

namespace schedctl {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t us;
};

// Largest first: format_duration takes them in this order.
constexpr std::array<Unit, 7> kUnits{{{"w", 604'800'000'000},
                                      {"d", 86'400'000'000},
                                      {"h", 3'600'000'000},
                                      {"m", 60'000'000},
                                      {"s", 1'000'000},
                                      {"ms", 1'000},
                                      {"us", 1}}};

const Unit* find_unit(std::string_view name) {
  for (const Unit& unit : kUnits) {
    if (unit.name == name) return &unit;
  }
  return nullptr;
}

// What was asked for, as far as it helps and cannot do anything to a terminal.
std::string quoted(std::string_view text) {
  return "\"" + escape_control(utf8_prefix(text, 64)) + "\"";
}

tl::unexpected<Error> bad_duration(std::string_view text, std::string_view why) {
  return fail(ErrorKind::usage, quoted(text) + " is not a duration: " + std::string(why) +
                                    "; write it like 250ms, 90s, 1h30m or 2d");
}

// RFC 3339 has years of four digits.
constexpr Time kFirstInstant{std::chrono::sys_days{std::chrono::year{0} / 1 / 1}};
constexpr Time kLastInstant{std::chrono::sys_days{std::chrono::year{10000} / 1 / 1} - Duration(1)};

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Overwrites `width` characters from `at` on with a number, zeros in front.
void put_digits(std::string& text, std::size_t at, std::size_t width, std::int64_t number) {
  for (std::size_t i = at + width; i-- > at; number /= 10) {
    text[i] = static_cast<char>('0' + number % 10);
  }
}

}  // namespace

std::string format_date(std::chrono::local_days date) {
  const Time midnight{std::chrono::sys_days{date.time_since_epoch()}};
  return format_rfc3339(midnight).substr(0, 10);
}

std::string format_rfc3339(Time t) {
  t = std::clamp(t, kFirstInstant, kLastInstant);
  const auto day = std::chrono::floor<std::chrono::days>(t);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{t - day};
  std::string text = "0000-00-00T00:00:00.000000Z";
  put_digits(text, 0, 4, static_cast<int>(date.year()));
  put_digits(text, 5, 2, static_cast<unsigned>(date.month()));
  put_digits(text, 8, 2, static_cast<unsigned>(date.day()));
  put_digits(text, 11, 2, clock.hours().count());
  put_digits(text, 14, 2, clock.minutes().count());
  put_digits(text, 17, 2, clock.seconds().count());
  put_digits(text, 20, 6, clock.subseconds().count());
  if (clock.subseconds().count() == 0) text.erase(19, 7);
  return text;
}

std::string format_duration(Duration d) {
  std::int64_t rest = d.count();
  if (rest == 0) return "0s";
  std::string result;
  if (rest < 0) {
    result = "-";
    // The most negative value has no positive twin; a microsecond less does no harm here.
    rest = rest == INT64_MIN ? INT64_MAX : -rest;
  }
  for (const Unit& unit : kUnits) {
    if (rest < unit.us) continue;
    result += std::to_string(rest / unit.us);
    result += unit.name;
    rest %= unit.us;
  }
  return result;
}

Result<Duration> parse_duration(std::string_view text) {
  if (text.empty()) return bad_duration(text, "it is empty");
  std::int64_t total = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t number_begin = at;
    while (at < text.size() && is_digit(text[at])) ++at;
    if (at == number_begin) return bad_duration(text, "a number is expected before each unit");
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data() + number_begin, text.data() + at, number);
    const bool number_fits = error == std::errc{} && end == text.data() + at;
    const std::size_t unit_begin = at;
    while (at < text.size() && text[at] >= 'a' && text[at] <= 'z') ++at;
    const std::string_view name = text.substr(unit_begin, at - unit_begin);
    if (name.empty()) {
      return bad_duration(text, at == text.size() ? "a unit is missing (us ms s m h d w)"
                                                  : "only whole numbers and units can stand in it");
    }
    const Unit* unit = find_unit(name);
    if (unit == nullptr) {
      return bad_duration(
          text, "\"" + std::string(name.substr(0, 16)) + "\" is not a unit (us ms s m h d w)");
    }
    std::int64_t part = 0;
    if (!number_fits || __builtin_mul_overflow(number, unit->us, &part) ||
        __builtin_add_overflow(total, part, &total) || total > to_us(limits::kLongestDuration)) {
      return fail(ErrorKind::usage,
                  quoted(text) + " is too long a duration: the limit is 100 years");
    }
  }
  return Duration(total);
}

}  // namespace schedctl
