#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "schedctl/base/result.hpp"

/// The info log: one line an event, made for `tail -f`:
///   2026-03-29T02:30:00.012+02:00 info  run-started job=backup run=#42 attempt=1 pid=811
/// A value with spaces, quotes or control characters is quoted and escaped, so that nothing a job
/// or a user wrote can forge a line. Lines are buffered; flush() at the end of each beat writes
/// them out, and an error goes out at once. All functions are thread safe. Until open() succeeds,
/// lines go to stderr.
namespace schedctl::log {

enum class Level { debug, info, warning, error };

/// A key and its value; numbers are turned to text by the constructor.
struct Field {
  std::string_view key;
  std::string value;
  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const std::string& v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v) {}
  template <class Number>
  requires std::is_arithmetic_v<Number> Field(std::string_view k, Number v)
      : key(k), value(std::to_string(v)) {}
};
using Fields = std::initializer_list<Field>;

/// Opens (creating it 0640) the log file; empty means stderr only. `also_stderr` copies each line
/// there too (a daemon in the foreground).
Result<void> open(const std::string& path, Level level, bool also_stderr);
/// Opens the same path again: what logrotate needs. Errors leave the old file in use.
Result<void> reopen();
void set_level(Level level);
Result<Level> parse_level(std::string_view text);

void write(Level level, std::string_view event, std::span<const Field> fields);
inline void debug(std::string_view event, Fields fields = {}) {
  write(Level::debug, event, {fields.begin(), fields.size()});
}
inline void info(std::string_view event, Fields fields = {}) {
  write(Level::info, event, {fields.begin(), fields.size()});
}
inline void warning(std::string_view event, Fields fields = {}) {
  write(Level::warning, event, {fields.begin(), fields.size()});
}
inline void error(std::string_view event, Fields fields = {}) {
  write(Level::error, event, {fields.begin(), fields.size()});
}
/// Writes what is buffered to the file. Cheap when there is nothing.
void flush();

}  // namespace schedctl::log
