#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "schedctl/base/result.hpp"
#include "schedctl/job/policy.hpp"

/// How each kind of policy is read and written: parse(text), whose errors are of kind usage without
/// a place, and its inverse format(value).
namespace schedctl::job::kinds {

inline constexpr std::string_view kNone = "none";

struct Length {
  static Result<Duration> parse(std::string_view text);
  static std::string format(Duration value);
};

/// A length that no fire is missed by.
struct Grace : Length {
  static Result<Duration> parse(std::string_view text);
};

Result<std::int64_t> parse_number(std::string_view text, std::int64_t low, std::int64_t high,
                                  std::string_view meaning_of_lowest);

/// A number from `low` to `high`; `lowest` says what the lowest means.
struct Nothing {
  static constexpr std::string_view text = "";
};
template <int low, int high, class Lowest = Nothing>
struct Number {
  static Result<int> parse(std::string_view text) {
    TRY(const std::int64_t value, parse_number(text, low, high, Lowest::text));
    return static_cast<int>(value);
  }
  static std::string format(int value) { return std::to_string(value); }
};

struct OverlapWord {
  static Result<Overlap> parse(std::string_view text);
  static std::string format(Overlap value) { return std::string(to_string(value)); }
};
struct CoalesceWord {
  static Result<Coalesce> parse(std::string_view text);
  static std::string format(Coalesce value) { return std::string(to_string(value)); }
};
struct OnLostWord {
  static Result<OnLost> parse(std::string_view text);
  static std::string format(OnLost value) { return std::string(to_string(value)); }
};
struct OutputWord {
  static Result<Output> parse(std::string_view text);
  static std::string format(Output value) { return std::string(to_string(value)); }
};
struct Flag {
  static Result<bool> parse(std::string_view text);
  static std::string format(bool value) { return value ? "true" : "false"; }
};

struct ExitCodes {
  static Result<std::vector<int>> parse(std::string_view text);
  static std::string format(const std::vector<int>& value);
};
struct JobNames {
  static Result<std::vector<std::string>> parse(std::string_view text);
  static std::string format(const std::vector<std::string>& value);
};

/// Amounts of data.
struct Bytes {
  static Result<std::int64_t> parse(std::string_view text);
  static std::string format(std::int64_t value);
};
/// Limits: kNoLimit is "none".
struct ByteLimit {
  static Result<std::int64_t> parse(std::string_view text);
  static std::string format(std::int64_t value);
};
struct CountLimit {
  static Result<std::int64_t> parse(std::string_view text);
  static std::string format(std::int64_t value);
};
/// Whole seconds, written as a length of time.
struct SecondsLimit {
  static Result<std::int64_t> parse(std::string_view text);
  static std::string format(std::int64_t value);
};
/// "50%", "2.5" processors; written in percent.
struct CpuLimit {
  static Result<std::int64_t> parse(std::string_view text);
  static std::string format(std::int64_t value);
};

/// Words; all of them may be empty, which is "none of it" over a default.
struct Word {
  static std::string format(const std::string& value) { return value; }
};
struct GroupName : Word {
  static Result<std::string> parse(std::string_view text);
};
struct UserName : Word {
  static Result<std::string> parse(std::string_view text);
};
struct FilePath : Word {
  static Result<std::string> parse(std::string_view text);
};
struct InputText : Word {
  static Result<std::string> parse(std::string_view text);
};
struct IoClass : Word {
  static Result<std::string> parse(std::string_view text);
};
struct Expression : Word {
  static Result<std::string> parse(std::string_view text);
};

struct FileMode {
  static Result<int> parse(std::string_view text);
  static std::string format(int value);
};
/// "SIGTERM"
struct Signal {
  static Result<int> parse(std::string_view text);
  static std::string format(int value);
};

}  // namespace schedctl::job::kinds
