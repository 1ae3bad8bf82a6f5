// [calendars.NAME]: dates and weekly windows that jobs name with `only` and `exclude`. Dates may
// also lie in a file of their own, one or a range a line, as people keep holidays.
#include "src/config/calendars.hpp"

#include <algorithm>

#include "schedctl/base/limits.hpp"
#include "schedctl/base/text.hpp"

namespace schedctl::config {
namespace {

const std::vector<std::string>& keys() {
  static const std::vector<std::string> kKeys{"dates", "weekly", "timezone", "file"};
  return kKeys;
}

/// `schedctl config` shows so many parts of a list.
constexpr std::size_t kPartsShown = 10;

tl::unexpected<Error> wrong(std::string message, const std::string& where) {
  return fail(ErrorKind::config, std::move(message), where);
}

bool has_control(const std::string& text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

/// A name with a dot in it is quoted.
std::string header_of(const std::string& name) {
  return "calendars." + (name.find('.') == std::string::npos ? name : "\"" + name + "\"");
}

std::string summary(const std::vector<std::string>& parts) {
  std::string text;
  for (std::size_t i = 0; i < std::min(parts.size(), kPartsShown); ++i) {
    text += (i == 0 ? "" : ", ") + parts[i];
  }
  if (parts.size() > kPartsShown) {
    text += " and " + std::to_string(parts.size() - kPartsShown) + " more";
  }
  return text;
}

std::string counted(std::size_t n, const std::string& what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

/// Reads one [calendars.NAME].
class CalendarReader {
 public:
  CalendarReader(const Entry& entry, uid_t uid, std::vector<Setting>& settings)
      : entry_(entry), header_(header_of(entry.key)), uid_(uid), settings_(settings) {}

  Result<job::CalendarPtr> read() {
    if (Result<void> name = job::check_calendar_name(entry_.key); !name) {
      return wrong(name.error().message, entry_.where);
    }
    if (entry_.value.kind != Value::Kind::table) {
      return wrong("a calendar is a table: [" + header_ +
                       "] with dates = [...], weekly = [...] or file = \"...\"",
                   entry_.where);
    }
    bool says_something = false;
    for (const Entry& part : entry_.value.table) {
      TRY_VOID(read_part(part));
      says_something = says_something || part.key != "timezone";
    }
    if (!says_something) {
      return wrong("calendar " + entry_.key + " says neither dates nor weekly nor file",
                   entry_.where);
    }
    return std::make_shared<const job::Calendar>(dates_, windows_, timezone_);
  }

 private:
  Result<void> read_part(const Entry& part) {
    if (part.key == "dates") return read_dates(part);
    if (part.key == "weekly") return read_weekly(part);
    if (part.key == "timezone") return read_timezone(part);
    if (part.key == "file") return read_file(part);
    return wrong(unknown_key(part.key, "a key of a calendar", keys()), part.where);
  }

  void show(const Entry& part, std::string value) {
    settings_.push_back({header_ + "." + part.key, std::move(value), part.where, ""});
  }

  /// Strings; dates may also be written as TOML's own.
  Result<std::vector<std::string>> texts(const Entry& part, bool dates) {
    const std::string example =
        dates ? "[\"2026-12-25\", \"12-24..01-02\"]" : "[\"mon-fri 09:00-17:00\", \"sat,sun\"]";
    if (part.value.kind != Value::Kind::list) {
      return wrong(part.key + " must be a list, such as " + example + ", not " +
                       std::string(kind_name(part.value.kind)),
                   part.value.where);
    }
    std::vector<std::string> all;
    for (const Value& item : part.value.list) {
      const bool fits =
          item.kind == Value::Kind::string || (dates && item.kind == Value::Kind::moment);
      if (!fits) {
        return wrong("each part of " + part.key + " must be a string, as in " + example + ", not " +
                         std::string(kind_name(item.kind)),
                     item.where);
      }
      all.push_back(item.text);
    }
    return all;
  }

  Result<void> check_size(const std::string& where) const {
    if (dates_.size() + windows_.size() <= limits::kMaxCalendarParts) return {};
    return wrong("calendar " + entry_.key + " has more than " +
                     std::to_string(limits::kMaxCalendarParts) + " dates and windows",
                 where);
  }

  Result<void> add_date(std::string_view text, const std::string& where) {
    Result<job::DateSpan> span = job::parse_date_span(text);
    if (!span) return wrong(span.error().message, where);
    dates_.push_back(*span);
    return check_size(where);
  }

  Result<void> read_dates(const Entry& part) {
    TRY(const std::vector<std::string> parts, texts(part, true));
    for (std::size_t i = 0; i < parts.size(); ++i) {
      TRY_VOID(add_date(parts[i], part.value.list[i].where));
    }
    show(part, summary(parts));
    return {};
  }

  Result<void> read_weekly(const Entry& part) {
    TRY(const std::vector<std::string> parts, texts(part, false));
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const std::string& where = part.value.list[i].where;
      Result<std::vector<job::WeeklyWindow>> windows = job::parse_weekly_windows(parts[i]);
      if (!windows) return wrong(windows.error().message, where);
      windows_.insert(windows_.end(), windows->begin(), windows->end());
      TRY_VOID(check_size(where));
    }
    show(part, summary(parts));
    return {};
  }

  Result<void> read_timezone(const Entry& part) {
    const bool good = part.value.kind == Value::Kind::string && !part.value.text.empty() &&
                      !has_control(part.value.text);
    if (!good) {
      return wrong("timezone must be the name of a zone, such as Europe/Berlin or UTC",
                   part.value.where);
    }
    timezone_ = part.value.text;
    show(part, timezone_);
    return {};
  }

  Result<void> read_file(const Entry& part) {
    const std::string& path = part.value.text;
    if (part.value.kind != Value::Kind::string || !path.starts_with('/') || has_control(path)) {
      return wrong("file must be an absolute path, such as \"/etc/schedctl/holidays.txt\"",
                   part.value.where);
    }
    Result<std::string> text = read_trusted_file(path, uid_);
    if (!text) {
      Error error = std::move(text).error();
      if (error.kind != ErrorKind::not_allowed) error.kind = ErrorKind::config;
      error.where = part.value.where;
      return fail(std::move(error));
    }
    const std::size_t before = dates_.size();
    TRY_VOID(read_lines(*text, path));
    show(part, path + " (" + counted(dates_.size() - before, "line") + ")");
    return {};
  }

  /// A date or range a line; # begins a comment.
  Result<void> read_lines(std::string_view text, const std::string& path) {
    // Some editors put a byte order mark before the text.
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    for (std::size_t number = 1; !text.empty(); ++number) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      std::string_view line = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      line = line.substr(0, line.find('#'));
      while (!line.empty() && (line.back() == ' ' || line.back() == '\t' || line.back() == '\r')) {
        line.remove_suffix(1);
      }
      const std::size_t column = line.find_first_not_of(" \t");
      if (column == std::string_view::npos) continue;
      TRY_VOID(add_date(line.substr(column),
                        path + ":" + std::to_string(number) + ":" + std::to_string(column + 1)));
    }
    return {};
  }

  const Entry& entry_;
  const std::string header_;
  const uid_t uid_;
  std::vector<Setting>& settings_;
  std::vector<job::DateSpan> dates_;
  std::vector<job::WeeklyWindow> windows_;
  std::string timezone_;
};

}  // namespace

Result<ReadCalendars> read_calendars(const Entry& calendars, uid_t uid) {
  if (calendars.value.kind != Value::Kind::table) {
    return wrong("calendars are tables: [calendars.NAME] with dates = [...] or weekly = [...]",
                 calendars.where);
  }
  ReadCalendars read;
  for (const Entry& entry : calendars.value.table) {
    const bool lost = entry.value.kind != Value::Kind::table &&
                      std::find(keys().begin(), keys().end(), entry.key) != keys().end();
    if (lost) {
      return wrong(entry.key + " belongs to a calendar with a name: [calendars.NAME]", entry.where);
    }
    TRY(job::CalendarPtr calendar, CalendarReader(entry, uid, read.settings).read());
    read.calendars.emplace(entry.key, std::move(calendar));
  }
  return read;
}

}  // namespace schedctl::config
