#include "schedctl/job/zone.hpp"

#include <array>
#include <cstdio>

namespace schedctl::job {

std::string format_local(Time t, const Zone& zone) {
  using std::chrono::days;
  constexpr std::int64_t kEraDays = 146'097;  // the calendar repeats every 400 years
  constexpr std::int64_t kEraYears = 400;

  const CivilTime civil = zone.civil(t);
  const auto date = std::chrono::floor<days>(civil);
  // chrono's years end at 32767, a Time's do not.
  std::int64_t era = date.time_since_epoch().count() / kEraDays;
  if (date.time_since_epoch().count() % kEraDays < 0) --era;
  const std::chrono::year_month_day ymd{date - days{era * kEraDays}};
  const std::int64_t year = static_cast<int>(ymd.year()) + era * kEraYears;
  const std::chrono::hh_mm_ss time{civil - date};

  const std::int64_t offset = zone.offset(t).count();
  const std::int64_t east = offset < 0 ? -offset : offset;
  std::array<char, 80> text{};
  int size = std::snprintf(text.data(), text.size(), "%04lld-%02u-%02uT%02d:%02d:%02d%c%02d:%02d",
                           static_cast<long long>(year), static_cast<unsigned>(ymd.month()),
                           static_cast<unsigned>(ymd.day()), static_cast<int>(time.hours().count()),
                           static_cast<int>(time.minutes().count()),
                           static_cast<int>(time.seconds().count()), offset < 0 ? '-' : '+',
                           static_cast<int>(east / 3600), static_cast<int>(east / 60 % 60));
  std::string out(text.data(), static_cast<std::size_t>(size));
  // Local mean times of the nineteenth century.
  if (east % 60 != 0) {
    size = std::snprintf(text.data(), text.size(), ":%02d", static_cast<int>(east % 60));
    out.append(text.data(), static_cast<std::size_t>(size));
  }
  return out;
}

}  // namespace schedctl::job
