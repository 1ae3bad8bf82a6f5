#include "schedctl/base/wire.hpp"

#include <doctest/doctest.h>

namespace schedctl {
namespace {

enum class Colour : std::uint8_t { red, green };
constexpr Colour last_of(Colour) {
  return Colour::green;
}

struct Parcel {
  std::int32_t number = 0;
  std::string name;
  std::vector<std::pair<bool, Colour>> parts;
  std::optional<Duration> wait;
  static void fields(auto& io, auto& m) { io(m.number, m.name, m.parts, m.wait); }
};

std::string written(const auto&... values) {
  std::string bytes;
  FieldWriter io(bytes);
  io(values...);
  return bytes;
}

template <class T>
bool is_read(const std::string& bytes, T&& value) {
  FieldReader in(bytes);
  in(value);
  return in.ok() && in.at_end();
}

TEST_CASE("fields are written little endian, lengths as varints, and what is absent as a zero") {
  CHECK(written(std::uint32_t{0x01020304}) == std::string("\4\3\2\1"));
  CHECK(written(std::string("ab")) == std::string("\2ab"));
  CHECK(written(std::string(300, 'x')).substr(0, 2) == std::string("\xac\2"));
  CHECK(written(std::optional<bool>()) == std::string("\0", 1));
  CHECK(written(std::optional<bool>(true)) == std::string("\1\1"));
}

TEST_CASE("a struct reads back as it was written, and cut off anywhere it is refused") {
  const Parcel sent{-7, std::string("a\0b", 3), {{true, Colour::green}}, Duration(5)};
  const std::string bytes = written(sent);
  Parcel got;
  CHECK(is_read(bytes, got));
  CHECK(got.number == sent.number);
  CHECK(got.name == sent.name);
  CHECK(got.parts == sent.parts);
  CHECK(got.wait == sent.wait);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    CHECK_FALSE(is_read(bytes.substr(0, length), Parcel()));
  }
}

TEST_CASE("values and counts that cannot be are refused") {
  CHECK_FALSE(is_read("\2", bool()));
  CHECK_FALSE(is_read("\2", Colour()));
  CHECK_FALSE(is_read("\3ab", std::string()));
  CHECK_FALSE(is_read("\xff\xff\xff\xff\x0f", std::vector<std::int32_t>()));
  CHECK_FALSE(is_read(std::string(9, '\xff'), std::string()));
  CHECK_FALSE(is_read(written(std::int64_t{-1}), Duration()));
  CHECK(is_read(written(Duration(-1)), Duration()));  // brought into range by the writer
}

}  // namespace
}  // namespace schedctl
