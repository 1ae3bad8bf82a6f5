#include "schedctl/base/text.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace schedctl;

namespace {

std::string hex(unsigned char c) {
  constexpr const char* kDigits = "0123456789abcdef";
  return std::string("\\x") + kDigits[c >> 4] + kDigits[c & 15];
}

}  // namespace

TEST_CASE("letters are lowered and blanks trimmed, and nothing else is touched") {
  CHECK(lowered("MON-Fri @Daily \xC3\x84") == "mon-fri @daily \xC3\x84");
  CHECK(trimmed(" \t a b \r\n") == "a b");
  CHECK(trimmed("") == "");
  CHECK(trimmed(" \n ") == "");
}

TEST_CASE("every single byte is shown so that a terminal does nothing but print it") {
  for (int i = 0; i < 256; ++i) {
    const auto c = static_cast<unsigned char>(i);
    std::string expected = hex(c);
    if (c == '\n') expected = "\\n";
    if (c == '\t') expected = "\\t";
    if (c == '\\') expected = "\\\\";
    if (c >= 0x20 && c < 0x7F && c != '\\') expected = std::string(1, static_cast<char>(c));
    CAPTURE(i);
    CHECK(escape_control(std::string(1, static_cast<char>(c))) == expected);
  }
}

TEST_CASE("whole UTF-8 characters stay as they are") {
  for (const char* text : {"é", "ß", "日本語", "€", "😀", "\u00A0", "\uFFFD", "\U0010FFFF"}) {
    CHECK(escape_control(text) == text);
  }
}

TEST_CASE("C1 controls are escaped, which move a cursor as ESC does") {
  for (int low = 0x80; low < 0xA0; ++low) {
    const auto c = static_cast<unsigned char>(low);
    CHECK(escape_control(std::string("\xC2") + static_cast<char>(c)) == "\\xc2" + hex(c));
  }
}

TEST_CASE("signs that turn the direction of writing are escaped") {
  CHECK(escape_control("rm \u202E fdp.x") == "rm \\xe2\\x80\\xae fdp.x");
  CHECK(escape_control("\u2028") == "\\xe2\\x80\\xa8");
  CHECK(escape_control("\u2066") == "\\xe2\\x81\\xa6");
  CHECK(escape_control("\u2069") == "\\xe2\\x81\\xa9");
  CHECK(escape_control("\u206A") == "\u206A");
  CHECK(escape_control("\u2027\u202F") == "\u2027\u202F");
}

TEST_CASE("broken UTF-8 is escaped byte by byte") {
  CHECK(escape_control("\xC3") == "\\xc3");
  CHECK(escape_control("a\xC3(") == "a\\xc3(");
  CHECK(escape_control("\xE2\x82") == "\\xe2\\x82");
  CHECK(escape_control("\xC0\x80") == "\\xc0\\x80");                             // overlong NUL
  CHECK(escape_control("\xE0\x80\xAF") == "\\xe0\\x80\\xaf");                    // overlong slash
  CHECK(escape_control("\xED\xA0\x80") == "\\xed\\xa0\\x80");                    // a surrogate
  CHECK(escape_control("\xF4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80");           // over U+10FFFF
  CHECK(escape_control("\xF8\x88\x80\x80\x80") == "\\xf8\\x88\\x80\\x80\\x80");  // five bytes
  CHECK(escape_control(std::string("a\0b", 3)) == "a\\x00b");
}

TEST_CASE("a likely typo has a nearest word") {
  const std::vector<std::string> words{"list", "logs", "backup", "pause", "nightly-backup"};
  CHECK(nearest("lsit", words) == "list");
  CHECK(nearest("bakup", words) == "backup");
  CHECK(nearest("nightly-bakup", words) == "nightly-backup");
  CHECK(nearest("list", words) == "list");
}

TEST_CASE("what is far from every word has none") {
  const std::vector<std::string> words{"list", "logs", "a", "backup"};
  CHECK_FALSE(nearest("restore", words));
  CHECK_FALSE(nearest("", words));
  CHECK_FALSE(nearest("z", words));
  CHECK_FALSE(nearest(std::string(300, 'x'), words));
  CHECK_FALSE(nearest("list", {}));
}

TEST_CASE("of two words as near, the first is taken") {
  CHECK(nearest("jobx", {"joba", "jobb"}) == "joba");
}

TEST_CASE("a prefix ends between two characters") {
  CHECK(utf8_prefix("abc", 5) == "abc");
  CHECK(utf8_prefix("abc", 2) == "ab");
  CHECK(utf8_prefix("aé", 2) == "a");
  CHECK(utf8_prefix("aé", 3) == "aé");
  CHECK(utf8_prefix("😀x", 3) == "");
  CHECK(utf8_prefix("😀x", 4) == "😀");
  CHECK(utf8_prefix("abc", 0) == "");
  CHECK(utf8_prefix("", 0) == "");
}

TEST_CASE("a prefix of what is no UTF-8 is cut anywhere, but not emptied") {
  CHECK(utf8_prefix(std::string(100, '\x80'), 50).size() == 50);
}

TEST_CASE("stable_hash gives what it has always given") {
  // Jitter and H fields of stored jobs hang on these numbers. If this test fails, the code is
  // wrong.
  CHECK(stable_hash("") == 0xefd01f60ba992926ULL);
  CHECK(stable_hash("a") == 0x82a2a958a9bece5bULL);
  CHECK(stable_hash("backup") == 0x1b092ac59cb39a76ULL);
  CHECK(stable_hash("backup|1774749600000000") == 0xfa56a01a0d71f9e8ULL);
  CHECK(stable_hash(std::string("\xff\x00\x80", 3)) == 0x7b5cbebc9388e00ULL);
}

TEST_CASE("stable_hash spreads names that differ in one character over a small range") {
  int seen[60] = {};
  for (int i = 0; i < 6000; ++i) ++seen[stable_hash("job-" + std::to_string(i)) % 60];
  for (const int count : seen) CHECK((count > 50 && count < 150));
}

TEST_CASE("parse_int takes a whole number and nothing else") {
  CHECK(parse_int("0") == 0);
  CHECK(parse_int("-42") == -42);
  CHECK(parse_int("007") == 7);
  CHECK(parse_int("9223372036854775807") == INT64_MAX);
  CHECK(parse_int("-9223372036854775808") == INT64_MIN);
  for (const char* text : {"", "-", "+1", " 1", "1 ", "1x", "0x10", "1.0", "1e3",
                           "9223372036854775808", "-9223372036854775809"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_int(text));
  }
}
