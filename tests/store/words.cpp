#include "src/store/sqlite/words.hpp"

#include <doctest/doctest.h>

namespace schedctl::store::sqlite {
namespace {

std::optional<Words> decoded(std::string_view text) {
  Words words;
  return decode_words(text, words) ? std::optional(words) : std::nullopt;
}

std::optional<WordPairs> decoded_pairs(std::string_view text) {
  WordPairs pairs;
  return decode_pairs(text, pairs) ? std::optional(pairs) : std::nullopt;
}

}  // namespace

TEST_CASE("words are JSON, and come back byte for byte") {
  CHECK(encode_words({"a", "b c"}) == R"(["a","b c"])");
  CHECK(encode_words({"\"\\\n\x01\x7f"}) == "[\"\\\"\\\\\\u000a\\u0001\x7f\"]");
  CHECK(encode_pairs({{"K", "v"}, {"E", ""}}) == R"({"K":"v","E":""})");
  std::string every_byte;
  for (int i = 0; i < 256; ++i) every_byte += static_cast<char>(i);
  Words words = {every_byte, "", every_byte + every_byte};
  CHECK((decoded(*encode_words(words)) == words));
  WordPairs pairs = {{every_byte, ""}, {"", every_byte}};
  CHECK((decoded_pairs(*encode_pairs(pairs)) == pairs));
}

TEST_CASE("no words are no text") {
  CHECK_FALSE(encode_words({}));
  CHECK_FALSE(encode_pairs({}));
}

TEST_CASE("JSON that a person wrote is understood") {
  CHECK(decoded(" [ \"a\" ,\n\"b\" ] ") == Words{"a", "b"});
  CHECK(decoded("[]") == Words{});
  CHECK(decoded_pairs("{}") == WordPairs{});
  CHECK(decoded(R"(["\/\b\f\n\r\t"])") == Words{"/\b\f\n\r\t"});
  CHECK(decoded(R"(["\u00e9\u20AC\ud83d\ude00"])") ==
        Words{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"});
}

TEST_CASE("anything else is refused") {
  for (const char* text : {"", " ", "x", "[", "]", "[\"a\"", "[\"a", "[\"a\",]", "[\"a\" \"b\"]",
                           "[1]", "[\"\\x\"]", "[\"\\u12\"]", "[\"\\u12g4\"]", "[\"\\ud83d\"]",
                           "[\"\\ud83d\\u0041\"]", "[\"\\", "[]x", "[[]]", "{}"})
    CHECK_FALSE(decoded(text));
  for (const char* text :
       {"", "{\"a\"}", "{\"a\":}", "{\"a\":1}", "{\"a\":\"b\",}", "{\"a\":\"b\"", "[]"})
    CHECK_FALSE(decoded_pairs(text));
}

}  // namespace schedctl::store::sqlite
