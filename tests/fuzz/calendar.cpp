// Dates and weekly windows as anybody may write them: refused, or a calendar whose borders are
// where what it holds changes.

#include "schedctl/job/calendar.hpp"

#include "target.hpp"

namespace schedctl::fuzz {
namespace {

constexpr std::uint64_t kNow = 1'774'746'000;  // 2026-03-29T01:00:00
/// Readings up to the year 9999 or so, in seconds.
constexpr std::int64_t kReadings = 253'402'300'800;

}  // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> all;
  for (const std::string text :
       {"2026-12-25", "12-25", "2026-12-24..2027-01-02", "12-24..01-02", "02-29", "2026-02-30",
        "mon-fri 09:00-17:00", "sat,sun", "22:00-06:00", "fri-mon", "sun 22:00-06:00",
        "mon-fri 9:00-12:00,13:00-17:00:30", "00:00-24:00", "monday,Thursday 23:59:59-24:00",
        "01-01..12-31", "mon-sun", "mon 09:00-25:00"}) {
    all.push_back(Recipe().number(kNow).rest(text));
  }
  all.push_back(Recipe().number(kNow).rest("12-25\n2026-04-03\nmon-fri 09:00-17:00\nsat"));
  return all;
}

}  // namespace schedctl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace schedctl;
  using fuzz::require;
  fuzz::Input input(data, size);
  CivilTime reading{
      std::chrono::seconds{static_cast<std::int64_t>(input.number()) % fuzz::kReadings}};
  const std::string text = input.rest();
  std::vector<job::DateSpan> dates;
  std::vector<job::WeeklyWindow> windows;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    const auto span = job::parse_date_span(line);
    const auto more = job::parse_weekly_windows(line);
    require(!span || !more, "no text is a date and a window");
    for (const Error* error : {span ? nullptr : &span.error(), more ? nullptr : &more.error()}) {
      if (error == nullptr) continue;
      require(error->kind == ErrorKind::usage && !error->message.empty(), "an error of use");
      require(fuzz::is_utf8(error->message), "that can be shown");
    }
    if (span) dates.push_back(*span);
    if (more) windows.insert(windows.end(), more->begin(), more->end());
  }
  const job::Calendar calendar(dates, windows);
  require(calendar == job::Calendar(dates, windows), "the same makes the same");
  for (int i = 0; i < 20; ++i) {
    const bool inside = calendar.contains(reading);
    const std::optional<CivilTime> border = calendar.next_border(reading);
    if (!border) break;
    require(*border > reading, "a border comes after the reading that was asked from");
    require(calendar.contains(*border) != inside, "at a border it changes");
    require(calendar.contains(*border - std::chrono::seconds{1}) == inside, "and not before");
    const auto middle = reading + (*border - reading) / 2;
    require(calendar.contains(middle) == inside, "nor in between");
    reading = *border;
  }
  return 0;
}
