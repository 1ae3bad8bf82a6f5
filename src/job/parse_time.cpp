// Three kinds of text: relative to now ("now+5m"), an instant (a date, a time and an offset), and a
// reading of the wall clock, which the zone has to turn into an instant.
#include <algorithm>
#include <string>

#include "schedctl/base/text.hpp"
#include "schedctl/job/schedule.hpp"
#include "src/job/instant.hpp"

namespace schedctl::job {
namespace {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using LocalDate = std::chrono::local_days;

constexpr std::string_view kExpected =
    "; expected for example 2026-03-29 02:30, 2026-03-29T02:30:00+02:00, 02:30, tomorrow 03:00 or "
    "now+5m";
/// No such text is longer.
constexpr std::size_t kTextBytes = 64;

tl::unexpected<Error> refuse(std::string_view text, std::string_view why) {
  return fail(ErrorKind::usage, "'" + escape_control(utf8_prefix(text, kTextBytes)) +
                                    "' is no time: " + std::string(why) + std::string(kExpected));
}

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Takes the text apart from its front.
struct Scanner {
  std::string_view rest;

  bool done() const { return rest.empty(); }
  bool take(char c) {
    if (rest.empty() || rest.front() != c) return false;
    rest.remove_prefix(1);
    return true;
  }
  bool take_word(std::string_view word) {
    if (!rest.starts_with(word)) return false;
    rest.remove_prefix(word.size());
    return true;
  }
  /// Exactly `width` digits.
  std::optional<int> digits(std::size_t width) {
    if (rest.size() < width || !std::all_of(rest.begin(), rest.begin() + width, is_digit)) {
      return std::nullopt;
    }
    int n = 0;
    for (const char c : rest.substr(0, width)) n = n * 10 + (c - '0');
    rest.remove_prefix(width);
    return n;
  }
};

/// "2026-03-29"
std::optional<LocalDate> read_date(Scanner& in) {
  Scanner at = in;
  const auto y = at.digits(4);
  if (!y || !at.take('-')) return std::nullopt;
  const auto m = at.digits(2);
  if (!m || !at.take('-')) return std::nullopt;
  const auto d = at.digits(2);
  if (!d) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{*y},
                                         std::chrono::month{static_cast<unsigned>(*m)},
                                         std::chrono::day{static_cast<unsigned>(*d)}};
  if (!date.ok()) return std::nullopt;
  in = at;
  return LocalDate{date};
}

/// Why there is no date where text looks like one: "2026-1-1", "2026-02-30".
std::string fault_of_date(Scanner in) {
  constexpr const char* kNone = "there is no such date";
  const auto one_or_two_digits = [&in] {
    const std::optional<int> two = in.digits(2);
    return two ? two : in.digits(1);
  };
  const auto two_digits = [](int n) { return (n < 10 ? "0" : "") + std::to_string(n); };
  const std::string year(in.rest.substr(0, 4));
  if (!in.digits(4) || !in.take('-')) return kNone;
  const std::optional<int> month = one_or_two_digits();
  if (!month || !in.take('-')) return kNone;
  const std::optional<int> day = one_or_two_digits();
  if (!day || (!in.done() && is_digit(in.rest.front()))) return kNone;
  const std::string meant = year + "-" + two_digits(*month) + "-" + two_digits(*day);
  Scanner again{meant};
  if (!read_date(again)) return kNone;
  return "month and day need two digits (" + meant + ")";
}

/// "02:30", "02:30:15", "02:30:15.250"
std::optional<Duration> read_time_of_day(Scanner& in) {
  Scanner at = in;
  const auto h = at.digits(2);
  if (!h || *h > 23 || !at.take(':')) return std::nullopt;
  const auto m = at.digits(2);
  if (!m || *m > 59) return std::nullopt;
  Duration sum = hours{*h} + minutes{*m};
  if (at.take(':')) {
    const auto s = at.digits(2);
    if (!s || *s > 59) return std::nullopt;
    sum += seconds{*s};
    if (at.take('.')) {
      Duration unit = seconds{1};
      if (at.done() || !is_digit(at.rest.front())) return std::nullopt;
      while (const auto digit = at.digits(1)) {
        unit /= 10;
        sum += *digit * unit;
      }
    }
  }
  in = at;
  return sum;
}

/// "Z", "+02:00", "+0200", "+02"
std::optional<seconds> read_offset(Scanner& in) {
  Scanner at = in;
  seconds offset{0};
  if (!at.take('Z') && !at.take('z')) {
    const bool west = at.take('-');
    if (!west && !at.take('+')) return std::nullopt;
    const auto h = at.digits(2);
    if (!h || *h > 23) return std::nullopt;
    const bool colon = at.take(':');
    const auto m = at.digits(2);
    if ((colon && !m) || m.value_or(0) > 59) return std::nullopt;
    offset = hours{*h} + minutes{m.value_or(0)};
    if (west) offset = -offset;
  }
  in = at;
  return offset;
}

/// The instant of a reading, as gap and fold say.
Result<Time> resolve(std::string_view text, LocalDate date, Duration time_of_day, const Zone& zone,
                     DstGap gap, DstFold fold) {
  const seconds whole = floor<seconds>(time_of_day);
  const CivilMeaning meaning = zone.meaning(CivilTime{date} + whole);
  switch (meaning.kind) {
    case CivilMeaning::Kind::unique:
      return meaning.first + (time_of_day - whole);
    case CivilMeaning::Kind::repeated:
      return (fold == DstFold::second ? meaning.second : meaning.first) + (time_of_day - whole);
    case CivilMeaning::Kind::skipped:
      break;
  }
  const CivilTime gap_begin = zone.civil(meaning.transition - seconds{1}) + seconds{1};
  const CivilTime gap_end = zone.civil(meaning.transition);
  if (gap_begin <= date && gap_end >= date + days{1}) {
    return refuse(text, "this date does not exist in " + zone.name());
  }
  if (gap == DstGap::skip) {
    return refuse(text, "the clock of " + zone.name() + " is put forward over it, to " +
                            format_local(meaning.transition, zone));
  }
  return meaning.transition;
}

/// What follows "now": nothing, or a sign and a duration.
Result<Time> relative(std::string_view text, Scanner in, Time now) {
  if (in.done()) return now;
  const bool back = in.take('-');
  if (!back && !in.take('+')) return refuse(text, "after 'now' comes + or - and a duration");
  TRY(const Duration distance, parse_duration(in.rest));
  return back ? subtract_saturated(now, distance) : add_saturated(now, distance);
}

/// A time of day alone: the next one.
Result<Time> next_time_of_day(std::string_view text, Duration time_of_day, const Zone& zone,
                              Time now, DstGap gap, DstFold fold) {
  LocalDate date = floor<days>(zone.civil(now));
  // A third day, since a gap may swallow one.
  for (int i = 0; i < 2; ++i, date += days{1}) {
    Result<Time> found = resolve(text, date, time_of_day, zone, gap, fold);
    if (found && *found > now) return found;
  }
  return resolve(text, date, time_of_day, zone, gap, fold);
}

}  // namespace

Result<Time> parse_time(std::string_view text, const Zone& zone, Time now, DstGap gap,
                        DstFold fold) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return refuse(text, "it is empty");
  Scanner in{text.substr(begin, text.find_last_not_of(" \t") + 1 - begin)};
  if (in.rest.size() > kTextBytes) return refuse(text, "it is too long");
  if (in.take_word("now")) return relative(text, in, now);

  std::optional<LocalDate> date;
  if (in.take_word("today")) {
    date = floor<days>(zone.civil(now));
  } else if (in.take_word("tomorrow")) {
    date = floor<days>(zone.civil(now)) + days{1};
  } else if (in.take_word("yesterday")) {
    date = floor<days>(zone.civil(now)) - days{1};
  } else {
    date = read_date(in);
  }
  if (date && in.done()) return resolve(text, *date, Duration::zero(), zone, gap, fold);
  if (date && !in.take(' ') && !in.take('T') && !in.take('t')) {
    return refuse(text, "after the date comes a space and a time");
  }
  const std::optional<Duration> time_of_day = read_time_of_day(in);
  if (!time_of_day) {
    if (date) return refuse(text, "the time after the date is not HH:MM or HH:MM:SS");
    const bool like_a_date = in.rest.find('-') == 4;
    return refuse(text,
                  like_a_date ? fault_of_date(in) : "it begins with no date and no time of day");
  }
  if (in.done()) {
    if (!date) return next_time_of_day(text, *time_of_day, zone, now, gap, fold);
    return resolve(text, *date, *time_of_day, zone, gap, fold);
  }
  const std::optional<seconds> offset = read_offset(in);
  if (!date || !offset || !in.done()) return refuse(text, "its end is not understood");
  return Time{std::chrono::sys_days{date->time_since_epoch()} + *time_of_day - *offset};
}

}  // namespace schedctl::job
