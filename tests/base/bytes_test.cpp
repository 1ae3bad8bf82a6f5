#include "schedctl/base/bytes.hpp"

#include <doctest/doctest.h>

#include <string>

#include "schedctl/base/limits.hpp"

using namespace schedctl;

namespace {

std::string complaint(std::string_view text) {
  const auto parsed = parse_bytes(text);
  REQUIRE_FALSE(parsed);
  CHECK(parsed.error().kind == ErrorKind::usage);
  return parsed.error().message;
}

bool mentions(const std::string& text, const std::string& word) {
  return text.find(word) != std::string::npos;
}

}  // namespace

TEST_CASE("an amount of data is a number and a unit, or a bare number of bytes") {
  CHECK(parse_bytes("0") == 0);
  CHECK(parse_bytes("1500") == 1500);
  CHECK(parse_bytes("1500B") == 1500);
  CHECK(parse_bytes("16KiB") == 16'384);
  CHECK(parse_bytes("16MiB") == 16 * 1'048'576);
  CHECK(parse_bytes("10GiB") == 10 * (1LL << 30));
  CHECK(parse_bytes("2TiB") == 2 * (1LL << 40));
}

TEST_CASE("a letter alone counts in powers of 1024, KB and its like in powers of 1000") {
  CHECK(parse_bytes("1K") == 1024);
  CHECK(parse_bytes("1M") == 1'048'576);
  CHECK(parse_bytes("1G") == 1LL << 30);
  CHECK(parse_bytes("1T") == 1LL << 40);
  CHECK(parse_bytes("1KB") == 1000);
  CHECK(parse_bytes("1MB") == 1'000'000);
  CHECK(parse_bytes("1GB") == 1'000'000'000);
  CHECK(parse_bytes("1TB") == 1'000'000'000'000);
}

TEST_CASE("the case of a unit does not matter") {
  CHECK(parse_bytes("1kb") == 1000);
  CHECK(parse_bytes("1kib") == 1024);
  CHECK(parse_bytes("3mIb") == 3 * 1'048'576);
  CHECK(parse_bytes("1k") == 1024);
}

TEST_CASE("what is no amount of data is refused with what to write instead") {
  for (const char* text : {"", "MiB", "-1", "+1", "1.5GiB", "1 GiB", "1XiB", "1KiBB", "1i", "10%",
                           " 1", "1 ", "0x10", "1KiB2MiB", "1bytes"}) {
    CAPTURE(text);
    CHECK(mentions(complaint(text), "16MiB"));
  }
  CHECK(mentions(complaint("1XiB"), "\"XiB\" is not a unit"));
  CHECK(mentions(complaint("1.5GiB"), "whole number"));
  CHECK(mentions(complaint("-1"), "whole number"));
  CHECK_FALSE(mentions(complaint("1\x1b[31m"), "\x1b"));
}

TEST_CASE("the highest amount is 1 PiB, and more does not wrap around") {
  CHECK(parse_bytes("1024TiB") == limits::kMostBytes);
  for (const char* text : {"1025TiB", "1125899906842625", "9223372036854775807TiB",
                           "99999999999999999999999", "16777216TiB"}) {
    CAPTURE(text);
    CHECK(mentions(complaint(text), "the limit is 1024TiB"));
  }
}

TEST_CASE("amounts are written exactly and shortly, and are read back as they were") {
  CHECK(format_bytes(0) == "0B");
  CHECK(format_bytes(1) == "1B");
  CHECK(format_bytes(1024) == "1KiB");
  CHECK(format_bytes(16 * 1'048'576) == "16MiB");
  CHECK(format_bytes(10 * (1LL << 30)) == "10GiB");
  CHECK(format_bytes(5'000'000) == "5MB");
  CHECK(format_bytes(1536) == "1536B");
  CHECK(format_bytes(1'536'000) == "1500KiB");
  CHECK(format_bytes(-2048) == "-2KiB");
  for (std::int64_t bytes = 1; bytes < limits::kMostBytes; bytes = bytes * 7 / 2 + 1) {
    CAPTURE(bytes);
    CHECK(parse_bytes(format_bytes(bytes)) == bytes);
  }
}

TEST_CASE("people are told about how much it is") {
  CHECK(about_bytes(0) == "0 B");
  CHECK(about_bytes(1023) == "1023 B");
  CHECK(about_bytes(1024) == "1.0 KiB");
  CHECK(about_bytes(1'500'000'000) == "1.4 GiB");
  CHECK(about_bytes(23 * 1'048'576) == "23 MiB");
  CHECK(about_bytes(3 * (1LL << 40)) == "3.0 TiB");
}
