#include "src/cli/times.hpp"

#include <algorithm>
#include <cstdlib>

namespace schedctl::cli {
namespace {

// Tables of ten thousand rows are made of these, so digits are put down by hand.
void two(std::string& out, unsigned value) {
  out += static_cast<char>('0' + value / 10 % 10);
  out += static_cast<char>('0' + value % 10);
}

std::string pair_of(std::int64_t large, char large_unit, std::int64_t small, char small_unit) {
  std::string text = std::to_string(large) + large_unit;
  // Two units while the second still matters.
  if (large < 10 && small > 0) text += std::to_string(small) + small_unit;
  return text;
}

/// At least a second.
std::string rough_seconds(std::int64_t s) {
  if (s < 60) return std::to_string(s) + "s";
  if (s < 3600) return pair_of(s / 60, 'm', s % 60, 's');
  if (s < 86400) return pair_of(s / 3600, 'h', s % 3600 / 60, 'm');
  return pair_of(s / 86400, 'd', s % 86400 / 3600, 'h');
}

}  // namespace

std::string absolute(Time t, const job::Zone& zone) {
  using namespace std::chrono;
  const seconds offset = zone.offset(t);
  const auto local = floor<seconds>(t) + offset;
  const auto day = floor<days>(local);
  const year_month_day date{day};
  const hh_mm_ss clock{local - day};
  std::string out;
  out.reserve(26);
  const int year = static_cast<int>(date.year());
  if (year >= 0 && year <= 9999) {
    two(out, static_cast<unsigned>(year) / 100);
    two(out, static_cast<unsigned>(year) % 100);
  } else {
    out += std::to_string(year);
  }
  out += '-';
  two(out, static_cast<unsigned>(date.month()));
  out += '-';
  two(out, static_cast<unsigned>(date.day()));
  out += ' ';
  two(out, static_cast<unsigned>(clock.hours().count()));
  out += ':';
  two(out, static_cast<unsigned>(clock.minutes().count()));
  out += ':';
  two(out, static_cast<unsigned>(clock.seconds().count()));
  const auto east = static_cast<unsigned>(std::abs(offset.count()));
  out += offset.count() < 0 ? "-" : "+";
  two(out, east / 3600);
  out += ':';
  two(out, east % 3600 / 60);
  return out;
}

std::string relative(Time t, Time now) {
  using namespace std::chrono;
  const std::int64_t s = round<seconds>(since(now, t)).count();
  if (s == 0) return "now";
  return s > 0 ? "in " + rough_seconds(s) : rough_seconds(-s) + " ago";
}

std::string absolute_and_relative(Time t, const job::Zone& zone, Time now) {
  return absolute(t, zone) + " (" + relative(t, now) + ")";
}

Duration since(Time then, Time now) {
  constexpr Duration kMost = Duration::max() / 4;
  std::int64_t us = 0;
  if (__builtin_sub_overflow(to_us(now), to_us(then), &us)) return now > then ? kMost : -kMost;
  return std::clamp(Duration(us), -kMost, kMost);
}

std::string rough(Duration d) {
  const std::int64_t us = d.count();
  if (us < 0) return "-" + rough(-d);
  if (us < 1000) return std::to_string(us) + "us";
  if (us < 1'000'000) return std::to_string(us / 1000) + "ms";
  if (us < 10'000'000)
    return std::to_string(us / 1'000'000) + "." + std::to_string(us / 100'000 % 10) + "s";
  return rough_seconds(us / 1'000'000);
}

}  // namespace schedctl::cli
