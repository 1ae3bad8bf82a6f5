#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "schedctl/base/result.hpp"

/// A TOML document as plain data, in the order in which it was written, each part with its place.
/// Only document.cpp knows toml++, whose header takes four seconds to compile.
namespace schedctl::config {

struct Entry;

struct Value {
  enum class Kind { string, integer, boolean, number, moment, list, table };
  Kind kind = Kind::table;
  std::string text;  ///< string; moment, as it reads in the file
  std::int64_t integer = 0;
  bool boolean = false;
  std::vector<Value> list;
  std::vector<Entry> table;
  std::string where;  ///< "FILE:LINE:COLUMN"
};

struct Entry {
  std::string key;
  std::string where;  ///< of the key
  Value value;
};

/// "a string", "a list": for messages.
std::string_view kind_name(Value::Kind kind);

/// The value as the setter of a setting takes it: a string, or the digits of an integer. Kind
/// config for everything else, with a hint for durations written without quotes.
Result<std::string> scalar_text(const Value& value, std::string_view key);
Result<std::vector<std::string>> string_list(const Value& value, std::string_view key);

/// "'overlp' is not a setting; did you mean overlap?"
std::string unknown_key(std::string_view key, std::string_view what,
                        const std::vector<std::string>& known);

/// Kind config if a `retry` table holds anything but the policy keys that speak of retries.
Result<void> check_retry_table(const Value& table);

/// Reads a regular file of at most 16 MiB that nobody but root and `uid` can have written. Kind
/// not_found if it does not exist, not_allowed if it may not be read, config for everything else
/// (`where` is then the file, or FILE:LINE:COLUMN).
Result<Value> read_document(const std::string& path, uid_t uid);
/// The same file as it is, without reading TOML in it.
Result<std::string> read_trusted_file(const std::string& path, uid_t uid);

}  // namespace schedctl::config
