#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "schedctl/base/ids.hpp"
#include "schedctl/base/limits.hpp"
#include "schedctl/base/time.hpp"

/// Fields as bytes. A struct that travels says once which fields it has, in which order,
///
///     static void fields(auto& io, auto& m) { io(m.store_id, m.run, m.fence); }
///
/// where `io` is a FieldWriter or a FieldReader. Numbers are little endian and as wide as their
/// type; a string or a list is its length or count as a varint (7 bits a byte, lowest first), then
/// its bytes or elements; what need not be there is a byte that says whether it is, then itself. Of
/// an enumeration, `last_of(E)` beside it gives the last value that a reader accepts.
namespace schedctl {

template <class T>
concept plain_number = std::integral<T> || std::is_enum_v<T>;

/// Appends to a string.
class FieldWriter {
 public:
  explicit FieldWriter(std::string& out) : out_(out) {}
  void operator()(const auto&... values) { (put(values), ...); }

 private:
  void put(plain_number auto v) {
    char bytes[sizeof v];
    for (std::size_t i = 0; i < sizeof v; ++i) {
      bytes[i] = static_cast<char>(static_cast<std::uint64_t>(v) >> (8 * i));
    }
    out_.append(bytes, sizeof v);
  }
  void put(RunId id) { put(id.value); }
  void put(Time t) { put(to_us(t)); }
  /// Brought into the range that a reader accepts.
  void put(Duration d) { put(to_us(std::clamp(d, Duration::zero(), limits::kLongestDuration))); }
  void put_count(std::size_t n) {
    for (; n >= 0x80; n >>= 7) out_.push_back(static_cast<char>((n & 0x7f) | 0x80));
    out_.push_back(static_cast<char>(n));
  }
  void put(const std::string& s) {
    put_count(s.size());
    out_ += s;
  }
  template <class T>
  void put(const std::vector<T>& list) {
    put_count(list.size());
    for (const T& element : list) put(element);
  }
  template <class T>
  void put(const std::optional<T>& v) {
    put(v.has_value());
    if (v) put(*v);
  }
  template <class A, class B>
  void put(const std::pair<A, B>& v) {
    put(v.first), put(v.second);
  }
  template <class M>
  requires std::is_class_v<M>
  void put(const M& m) { M::fields(*this, m); }

  std::string& out_;
};

/// Takes fields off the front. What it reads may come from anybody: after the first thing that does
/// not fit ok() is false, and nothing more is read, so that it is enough to ask once, at the end.
class FieldReader {
 public:
  explicit FieldReader(std::string_view bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }
  void operator()(auto&... values) { (get(values), ...); }

 private:
  /// The next bytes; none: there are not so many.
  std::string_view take(std::size_t n) {
    if (!ok_ || rest_.size() < n) return refuse(), std::string_view();
    const std::string_view taken = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return taken;
  }
  void refuse() {
    ok_ = false;
    rest_ = {};
  }
  template <std::integral T>
  void get(T& v) {
    std::uint64_t number = 0;
    int shift = 0;
    for (const char byte : take(sizeof v)) {
      number |= static_cast<std::uint64_t>(static_cast<unsigned char>(byte)) << shift;
      shift += 8;
    }
    v = static_cast<T>(number);
  }
  void get(bool& v) {
    std::uint8_t byte = 0;
    get(byte);
    if (byte > 1) refuse();
    v = byte == 1;
  }
  /// One of those up to the last.
  template <class E>
  requires std::is_enum_v<E>
  void get(E& v) {
    std::underlying_type_t<E> number = 0;
    get(number);
    if (number > static_cast<std::underlying_type_t<E>>(last_of(E{}))) refuse();
    v = ok_ ? static_cast<E>(number) : E{};
  }
  void get(RunId& id) { get(id.value); }
  void get(Time& t) {
    std::int64_t us = 0;
    get(us);
    t = time_from_us(us);
  }
  /// Not negative and not so long that adding it to an instant could overflow.
  void get(Duration& d) {
    std::int64_t us = 0;
    get(us);
    d = Duration(us);
    if (d >= Duration::zero() && d <= limits::kLongestDuration) return;
    refuse();
    d = Duration::zero();
  }
  /// How many things follow; each takes a byte at least, so more than there are bytes is a lie.
  std::size_t get_count() {
    std::uint64_t n = 0;
    for (int shift = 0; shift < 35; shift += 7) {
      std::uint8_t byte = 0;
      get(byte);
      n |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) != 0) continue;
      if (n <= rest_.size()) return static_cast<std::size_t>(n);
      break;
    }
    return refuse(), 0;
  }
  void get(std::string& s) { s = std::string(take(get_count())); }  // to assign takes longer
  template <class T>
  void get(std::vector<T>& list) {
    for (std::size_t n = get_count(); n > 0 && ok_; --n) get(list.emplace_back());
  }
  template <class T>
  void get(std::optional<T>& v) {
    bool there = false;
    get(there);
    if (there) get(v.emplace());
  }
  template <class A, class B>
  void get(std::pair<A, B>& v) {
    get(v.first), get(v.second);
  }
  template <class M>
  requires std::is_class_v<M>
  void get(M& m) { M::fields(*this, m); }

  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace schedctl
