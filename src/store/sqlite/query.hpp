#pragma once

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>
#include <sqlite3.h>

#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "schedctl/base/ids.hpp"
#include "schedctl/base/time.hpp"

namespace schedctl::store::sqlite {

/// Bytes that are no text: may hold NULs and anything else.
struct Blob {
  const std::string& bytes;
};

/// A prepared statement that can be read from without an object for each column, which is what a
/// row of sixty columns costs most for. Throws SQLite::Exception.
class Statement : public SQLite::Statement {
 public:
  Statement(SQLite::Database& database, const std::string& sql);
  sqlite3_stmt* handle() const { return handle_; }

 private:
  sqlite3_stmt* handle_;
};

/// One use of a prepared statement. Arguments are bound, and columns of the row read, one after the
/// other, in the order of the SQL text. Resets the statement at its end: one that is left standing
/// on a row keeps its read transaction open, and then no checkpoint can shorten the WAL.
/// Throws SQLite::Exception.
class Query {
 public:
  /// Strings that are not temporaries are bound without a copy: they must live until the last step.
  template <class... Args>
  explicit Query(Statement& statement, Args&&... args) : statement_(statement) {
    (bind(std::forward<Args>(args)), ...);
  }
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;
  ~Query() { statement_.tryReset(); }

  template <class... Args>
  Query& bind_all(Args&&... args) {
    (bind(std::forward<Args>(args)), ...);
    return *this;
  }

  /// The next row; false: there is none.
  bool next() {
    column_ = 0;
    return statement_.executeStep();
  }
  /// Runs a statement that yields no row; how many rows it changed.
  int run() {
    statement_.executeStep();
    return statement_.getChanges();
  }

  template <class... Values>
  void read(Values&... values) {
    (get(values), ...);
  }
  /// A text or blob ("" for NULL); valid until the next step.
  std::string_view text() {
    const int column = column_++;
    // In this order, says SQLite's manual.
    const void* bytes = sqlite3_column_blob(statement_.handle(), column);
    const int size = sqlite3_column_bytes(statement_.handle(), column);
    return bytes == nullptr
               ? std::string_view()
               : std::string_view(static_cast<const char*>(bytes), static_cast<std::size_t>(size));
  }
  /// A word of an enumeration; nothing for one that this program does not know, or NULL.
  template <class Enum>
  std::optional<Enum> word(std::optional<Enum> (*parse)(std::string_view)) {
    return parse(text());
  }

 private:
  template <std::integral Number>
  void bind(Number value) {
    // A limit of SIZE_MAX becomes -1, which SQLite takes as no limit.
    statement_.bind(++argument_, static_cast<std::int64_t>(value));
  }
  template <class Tag>
  void bind(Id<Tag> id) {
    bind(id.value);
  }
  void bind(Time t) { bind(to_us(t)); }
  void bind(Duration d) { bind(to_us(d)); }
  void bind(const std::string& text) { statement_.bindNoCopy(++argument_, text); }
  void bind(std::string& text) { statement_.bindNoCopy(++argument_, text); }
  void bind(std::string&& text) { statement_.bind(++argument_, text); }
  void bind(std::string_view text) { bind(std::string(text)); }
  void bind(Blob blob) {
    statement_.bindNoCopy(++argument_, blob.bytes.data(), static_cast<int>(blob.bytes.size()));
  }
  void bind(std::nullopt_t) { statement_.bind(++argument_); }
  template <class T>
  void bind(const std::optional<T>& value) {
    value ? bind(*value) : bind(std::nullopt);
  }
  template <class T>
  void bind(std::optional<T>&& value) {
    value ? bind(std::move(*value)) : bind(std::nullopt);
  }

  std::int64_t number() { return sqlite3_column_int64(statement_.handle(), column_++); }

  template <std::integral Number>
  void get(Number& value) {
    value = static_cast<Number>(number());
  }
  template <class Tag>
  void get(Id<Tag>& id) {
    get(id.value);
  }
  void get(Time& t) { t = time_from_us(number()); }
  void get(Duration& d) { d = Duration(number()); }
  void get(std::string& value) { value = text(); }
  template <class T>
  void get(std::optional<T>& value) {
    if (sqlite3_column_type(statement_.handle(), column_) == SQLITE_NULL) {
      ++column_;
      value.reset();
    } else {
      get(value.emplace());
    }
  }

  Statement& statement_;
  int argument_ = 0;
  int column_ = 0;
};

}  // namespace schedctl::store::sqlite
