// The grammar, for each field:
//   field  = item *("," item)
//   item   = "*" [step] | "?" | "H" ["(" n "-" n ")"] [step] | [n] "~" [n] [step] | n ["-" n]
//   [step] step   = "/" number n      = a number, or in the month and weekday fields the first
//   three letters of a name day of month, too:  "L" | "L-k" | "LW" | nW day of week, too:   nL |
//   n#k
// Whatever does not fit is an error that points at the first wrong character.
#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "schedctl/base/text.hpp"
#include "src/job/cron.hpp"

namespace schedctl::job {
namespace {

struct FieldKind {
  std::string_view name;
  int low = 0;
  int high = 59;
  int hash_high = 59;  ///< `H` and a bare `~` stay at or below: day 28 is in every month
  std::span<const std::string_view> names = {};  ///< of the values from `low` on
};

constexpr std::string_view kMonthNames[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                            "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::string_view kWeekdayNames[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

enum Field { kSecond, kMinute, kHour, kDay, kMonth, kWeekday };
constexpr FieldKind kKinds[] = {
    {"second", 0, 59, 59},
    {"minute", 0, 59, 59},
    {"hour", 0, 23, 23},
    {"day of month", 1, 31, 28},
    {"month", 1, 12, 12, kMonthNames},
    {"day of week", 0, 7, 6, kWeekdayNames},
};

/// Worst is one choice in three that will do: so many are wrong once in 10^11 jobs.
constexpr int kChoices = 64;

struct Macro {
  std::string_view name;
  std::string_view meaning;
};
constexpr Macro kMacros[] = {
    {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
    {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
    {"@hourly", "0 * * * *"},
};

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}
constexpr bool is_letter(char c) {
  return lower(c) >= 'a' && lower(c) <= 'z';
}
constexpr bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

/// Spreads a seed evenly; each field gets another number from it.
std::uint64_t mixed(std::uint64_t seed, Field field) {
  std::uint64_t z = seed + 0x9e3779b97f4a7c15ULL * (static_cast<std::uint64_t>(field) + 1);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

/// The message, the expression and a caret under byte `at` of it.
tl::unexpected<Error> pointed(std::string_view text, std::size_t at, const std::string& message) {
  const std::string before = escape_control(text.substr(0, at));
  const auto columns = std::count_if(before.begin(), before.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  });
  return fail(ErrorKind::usage,
              message + "\n  " + escape_control(text) + "\n  " +
                  std::string(static_cast<std::size_t>(columns), ' ') + "^",
              "cron");
}

/// What is pasted from a page or a letter, and looks like what was meant.
std::string lookalike(std::string_view character) {
  if (character == "\u00a0") return " (a no-break space)";
  if (character == "\u2013" || character == "\u2014" || character == "\u2212")
    return " (a dash that is no '-')";
  return "";
}

/// An inclusive range of values with a step.
struct Range {
  int low = 0;
  int high = 0;
  int step = 1;
};

/// Reads one field, text[at, end), into the expression.
class FieldParser {
 public:
  FieldParser(std::string_view text, std::size_t at, std::size_t end, Field field,
              std::uint64_t seed, CronExpr& expr)
      : text_(text),
        start_(at),
        at_(at),
        end_(end),
        field_(field),
        kind_(kKinds[field]),
        seed_(mixed(seed, field)),
        expr_(expr) {}

  Result<void> parse() {
    while (true) {
      TRY_VOID(item());
      if (at_ == end_) break;
      if (peek() != ',') {
        return error("unexpected " + here() + long_name() + "; expected " +
                     std::string(may_follow_) + " or the end of the " + std::string(kind_.name) +
                     " field");
      }
      ++at_;
    }
    store();
    return {};
  }

 private:
  char peek() const { return at_ < end_ ? text_[at_] : '\0'; }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  /// The character at hand, whole, for a message.
  std::string here() const {
    if (at_ == end_) return "end of field";
    std::size_t next = at_ + 1;
    while (next < end_ && (static_cast<unsigned char>(text_[next]) & 0xc0) == 0x80) ++next;
    const std::string_view character = text_.substr(at_, next - at_);
    return "'" + escape_control(character) + "'" + lookalike(character);
  }
  /// After a name that is written out, such as "monday".
  std::string long_name() const {
    if (kind_.names.empty() || !is_letter(peek()) || at_ < start_ + 3) return "";
    const std::string_view name = text_.substr(at_ - 3, 3);
    if (!is_letter(name[0]) || !is_letter(name[2])) return "";
    return " after '" + std::string(name) + "': names have three letters";
  }
  std::string legal() const {
    std::string out = std::string(kind_.name) + " " + std::to_string(kind_.low) + "-" +
                      std::to_string(kind_.high);
    if (!kind_.names.empty()) {
      out += " or " + std::string(kind_.names.front()) + "-" + std::string(kind_.names.back());
    }
    return out;
  }
  tl::unexpected<Error> error(const std::string& message) const { return error(at_, message); }
  tl::unexpected<Error> error(std::size_t at, const std::string& message) const {
    return pointed(text_, at, message);
  }

  Result<void> item() {
    if (at_ == end_ || peek() == ',') {
      return error("nothing before " + std::string(at_ == end_ ? "the end of" : "this ',' in") +
                   " the " + std::string(kind_.name) + " field; expected " + legal());
    }
    may_follow_ = "','";
    if (take('*')) return stepped({kind_.low, top(), 1}, false);
    if (peek() == '?') return question_mark();
    if (lower(peek()) == 'h') return hashed();
    if (peek() == '~') return random_in(kind_.low, at_);
    if (lower(peek()) == 'l') return last();
    return valued();
  }

  /// The highest value that is no synonym of another: 7 is 0 among weekdays.
  int top() const { return field_ == kWeekday ? 6 : kind_.high; }

  Result<void> question_mark() {
    if (field_ != kDay && field_ != kWeekday) {
      return error("'?' is for the day of month and day of week fields only; expected " + legal());
    }
    if (end_ - start_ != 1) return error("'?' must be alone in its field");
    ++at_;
    add({kind_.low, top(), 1});
    return {};
  }

  Result<void> hashed() {
    expr_.seeded = true;
    ++at_;
    Range range{kind_.low, kind_.hash_high, 1};
    if (take('(')) {
      TRY(range.low, value());
      if (!take('-')) return error("expected '-' and the end of the range of H");
      const std::size_t high_at = at_;
      TRY(range.high, end_of_range(range.low));
      if (range.high < range.low) return backwards(high_at, range, true);
      if (!take(')')) return error("expected ')'");
    }
    return stepped(range, true);
  }

  Result<void> random_in(int low, std::size_t low_at) {
    expr_.seeded = true;
    const bool bare = low_at == at_;
    ++at_;
    Range range{low, bare ? kind_.hash_high : std::max(low, top()), 1};
    if (is_digit(peek()) || is_letter(peek())) {
      const std::size_t high_at = at_;
      TRY(range.high, end_of_range(range.low));
      if (range.high < range.low) return backwards(high_at, range, true);
    }
    return stepped(range, true);
  }

  Result<void> last() {
    if (field_ == kWeekday) {
      return error("L needs a weekday before it here, as in 5L or friL (the month's last Friday)");
    }
    if (field_ != kDay) return error("L is for the day fields only; expected " + legal());
    ++at_;
    if (lower(peek()) == 'w') {
      ++at_;
      expr_.last_working_day = true;
      return {};
    }
    int back = 0;
    if (take('-')) {
      const std::size_t number_at = at_;
      TRY(back, number("a number of days before the month's last"));
      if (back > 30) return error(number_at, "L-" + std::to_string(back) + " is out of range 0-30");
    }
    expr_.from_end |= 1U << back;
    if (back == 0 && text_[at_ - 1] != '0') may_follow_ = "',', '-'";
    return {};
  }

  Result<void> valued() {
    const std::size_t low_at = at_;
    TRY(const int low, value());
    if (peek() == '~') return random_in(low, low_at);
    if (field_ == kDay && lower(peek()) == 'w') {
      ++at_;
      expr_.weekday_near |= 1U << (low - 1);
      return {};
    }
    if (field_ == kWeekday && lower(peek()) == 'l') {
      ++at_;
      expr_.last_weekday_set = static_cast<std::uint8_t>(expr_.last_weekday_set | 1U << low % 7);
      return {};
    }
    if (field_ == kWeekday && take('#')) {
      const std::size_t number_at = at_;
      TRY(const int nth, number("its number in the month, 1-5"));
      if (nth < 1 || nth > 5) {
        return error(number_at,
                     "a month has no weekday number " + std::to_string(nth) + "; expected 1-5");
      }
      std::uint8_t& set = expr_.nth_weekday_set[static_cast<std::size_t>(nth - 1)];
      set = static_cast<std::uint8_t>(set | 1U << low % 7);
      return {};
    }
    Range range{low, low, 1};
    if (take('-')) {
      const std::size_t high_at = at_;
      TRY(range.high, end_of_range(low));
      if (range.high < range.low) return backwards(high_at, range, false);
    } else if (peek() == '/') {
      range.high = std::max(low, top());
    } else {
      TRY_VOID(stepped(range, false));
      may_follow_ = "',', '-', '/'";
      return {};
    }
    return stepped(range, false);
  }

  /// "fri-sun" means up to the Sunday that follows; with digits that is 5-7. "sun-sun" is one day.
  Result<int> end_of_range(int low) {
    const bool named = is_letter(peek());
    TRY(const int high, value());
    return field_ == kWeekday && named && high == 0 && low > 0 ? 7 : high;
  }

  tl::unexpected<Error> backwards(std::size_t at, Range range, bool hash) const {
    const auto word = [&](int value) {
      if (!is_letter(text_[at])) return std::to_string(value);
      const auto nth = static_cast<std::size_t>(value - kind_.low) % kind_.names.size();
      return std::string(kind_.names[nth]);
    };
    const auto span = [&](int low, int high) {
      return low == high ? word(low) : word(low) + "-" + word(high);
    };
    const int first = field_ == kWeekday ? 1 : kind_.low;
    std::string hint =
        "; write it as two: " + span(range.low, kind_.high) + "," + span(first, range.high);
    if (hash) hint = "; its lower end comes first";
    if (field_ == kWeekday && range.high == 0) hint = "; write 7 for the Sunday at its end";
    return error(at, std::string(kind_.name) + " range " + word(range.low) + "-" +
                         word(range.high) + " runs backwards" + hint);
  }

  /// An optional "/step", then the values. A hashed range without step is one value of it, with a
  /// step it is the grid's offset that is hashed.
  Result<void> stepped(Range range, bool hash) {
    const int size = range.high - range.low + 1;
    int step = 0;
    may_follow_ = "',', '/'";
    if (take('/')) {
      may_follow_ = "','";
      const std::size_t number_at = at_;
      TRY(step, number("a step, 1 or more"));
      if (step == 0) return error(number_at, "a step of 0 never moves; expected 1 or more");
      if (step > size) {
        return error(number_at, "step " + std::string(text_.substr(number_at, at_ - number_at)) +
                                    " is larger than the range " + std::to_string(range.low) + "-" +
                                    std::to_string(range.high) + "; expected at most " +
                                    std::to_string(size));
      }
    }
    if (hash) {
      const auto choices = static_cast<std::uint64_t>(step == 0 ? size : step);
      range.low += static_cast<int>(seed_ % choices);
      if (step == 0) range.high = range.low;
    }
    range.step = std::max(step, 1);
    add(range);
    return {};
  }

  /// A number or a name, within the field's limits.
  Result<int> value() {
    const std::size_t value_at = at_;
    if (is_letter(peek())) return name();
    TRY(const int n, number(legal()));
    if (n < kind_.low || n > kind_.high) {
      return error(value_at, std::string(kind_.name) + " " +
                                 std::string(text_.substr(value_at, at_ - value_at)) +
                                 " is out of range " + std::to_string(kind_.low) + "-" +
                                 std::to_string(kind_.high));
    }
    return n;
  }

  Result<int> name() {
    const std::string letters = lowered(text_.substr(at_, std::min<std::size_t>(3, end_ - at_)));
    const auto found = std::find(kind_.names.begin(), kind_.names.end(), letters);
    if (found == kind_.names.end()) {
      return error("unexpected " + here() + "; expected " + legal());
    }
    at_ += 3;
    return kind_.low + static_cast<int>(found - kind_.names.begin());
  }

  Result<int> number(const std::string& expected) {
    if (!is_digit(peek())) return error("unexpected " + here() + "; expected " + expected);
    int n = 0;
    for (; is_digit(peek()); ++at_) n = std::min(n * 10 + (peek() - '0'), 1'000'000);
    return n;
  }

  void add(Range range) {
    for (int v = range.low; v <= range.high; v += range.step) values_ |= std::uint64_t{1} << v;
  }

  void store() {
    switch (field_) {
      case kSecond:
        expr_.second_set = values_;
        break;
      case kMinute:
        expr_.minute_set = values_;
        break;
      case kHour:
        expr_.hour_set = static_cast<std::uint32_t>(values_);
        break;
      case kDay:
        expr_.day_set = static_cast<std::uint32_t>(values_ >> 1);
        break;
      case kMonth:
        expr_.month_set = static_cast<std::uint16_t>(values_);
        break;
      case kWeekday:
        expr_.weekday_set = static_cast<std::uint8_t>((values_ | values_ >> 7) & 0x7f);
        break;
    }
    const char first = text_[start_];
    if (field_ == kMinute || field_ == kHour) expr_.wildcard |= first == '*';
    if (field_ == kDay || field_ == kWeekday) expr_.both_days |= first == '*' || first == '?';
  }

  std::string_view text_;
  std::size_t start_;
  std::size_t at_;
  std::size_t end_;
  Field field_;
  const FieldKind& kind_;
  /// What could go on after the item that was read last.
  std::string_view may_follow_;
  std::uint64_t seed_;
  CronExpr& expr_;
  std::uint64_t values_ = 0;
};

struct Word {
  std::size_t begin = 0;
  std::size_t end = 0;
};

std::vector<Word> words_of(std::string_view text) {
  std::vector<Word> out;
  for (std::size_t at = 0; at < text.size();) {
    if (is_blank(text[at])) {
      ++at;
      continue;
    }
    const std::size_t begin = at;
    while (at < text.size() && !is_blank(text[at])) ++at;
    out.push_back({begin, at});
  }
  return out;
}

tl::unexpected<Error> wrong_count(std::string_view text, const std::vector<Word>& words) {
  const std::size_t n = words.size();
  const std::string found =
      n == 0 ? "no fields" : std::to_string(n) + (n == 1 ? " field" : " fields");
  return pointed(text, n > 6 ? words[6].begin : text.size(),
                 found +
                     " found; expected 5 (minute, hour, day of month, month, day of week), or 6 "
                     "with seconds first");
}

Result<std::string_view> expand_macro(std::string_view text, Word word) {
  const std::string name = lowered(text.substr(word.begin, word.end - word.begin));
  for (const Macro& macro : kMacros) {
    if (macro.name == name) return macro.meaning;
  }
  if (name == "@every") {
    return pointed(text, word.begin, "@every is no cron expression; use --every (every = \"5m\")");
  }
  if (name == "@reboot") {
    return pointed(text, word.begin,
                   "@reboot is no cron expression; use --on-reboot (on_reboot = true)");
  }
  return pointed(text, word.begin,
                 "unknown macro; expected @yearly, @monthly, @weekly, @daily or @hourly");
}

/// What can be said before the fields are looked at.
Result<void> check_text(std::string_view text) {
  if (text.size() > kCronBytes) {
    return fail(ErrorKind::usage,
                "the cron expression has " + std::to_string(text.size()) + " bytes; at most " +
                    std::to_string(kCronBytes) + " are read",
                "cron");
  }
  const std::size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  const std::string_view rest = text.substr(begin);
  if (rest.starts_with("CRON_TZ=") || rest.starts_with("TZ=")) {
    return pointed(text, begin, "a zone inside the expression is not read; use --timezone");
  }
  const auto control = std::find_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
  });
  if (control != text.end()) {
    return pointed(text, static_cast<std::size_t>(control - text.begin()),
                   "unexpected '" + escape_control(std::string_view(&*control, 1)) +
                       "'; expected one line, with blanks between its fields");
  }
  return {};
}

Result<CronExpr> parse_fields(std::string_view text, const std::vector<Word>& words,
                              std::uint64_t seed) {
  if (words.size() != 5 && words.size() != 6) return wrong_count(text, words);
  CronExpr expr;
  expr.second_set = 1;
  int field = words.size() == 6 ? kSecond : kMinute;
  for (const Word& word : words) {
    FieldParser parser(text, word.begin, word.end, static_cast<Field>(field++), seed, expr);
    TRY_VOID(parser.parse());
  }
  return expr;
}

struct Parsed {
  CronExpr expr;
  bool possible = true;
  std::size_t day_at = 0;  ///< where the day of month field begins
};

Result<Parsed> parse_seeded(std::string_view text, std::uint64_t seed) {
  TRY_VOID(check_text(text));
  const std::vector<Word> words = words_of(text);
  Parsed out;
  if (!words.empty() && text[words[0].begin] == '@') {
    TRY(const std::string_view meaning, expand_macro(text, words[0]));
    if (words.size() > 1) {
      return pointed(text, words[1].begin, "nothing may follow a macro");
    }
    TRY(out.expr, parse_fields(meaning, words_of(meaning), seed));
    return out;
  }
  TRY(out.expr, parse_fields(text, words, seed));
  out.day_at = words[words.size() - 3].begin;
  out.possible = out.expr.can_fire();
  return out;
}

/// What `H` and `~` choose may be a day that never comes, as in `29~31` of February, for one job
/// and not for another. Then the choice is made again.
Result<Parsed> parse(std::string_view text, std::uint64_t seed) {
  TRY(Parsed parsed, parse_seeded(text, seed));
  for (int again = 1; parsed.expr.seeded && !parsed.possible && again < kChoices; ++again) {
    TRY(parsed, parse_seeded(text, seed + static_cast<std::uint64_t>(again)));
  }
  return parsed;
}

}  // namespace

Result<CronExpr> parse_cron(std::string_view text, std::uint64_t seed) {
  TRY(const Parsed parsed, parse(text, seed));
  if (!parsed.possible) {
    return pointed(text, parsed.day_at, "this never fires: no date of the calendar has such a day");
  }
  return parsed.expr;
}

Result<void> check_cron(std::string_view text) {
  TRY_VOID(parse_cron(text, 0));
  return {};
}

}  // namespace schedctl::job
