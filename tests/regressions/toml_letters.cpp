// toml++ 3.3 took it for impossible that a letter from U+00A1 to U+049E stands outside of strings
// and comments, and that `[` is followed by something that begins no key. Built with assertions or
// UBSan the process ended; built without, what happened was the compiler's choice.

#include <doctest/doctest.h>

#include <unistd.h>

#include <string>

#include "src/config/document.hpp"
#include "tests/config/scratch.hpp"

namespace schedctl::config {

TEST_CASE("a letter or sign where TOML has none is an error with its place") {
  const test::Scratch scratch;
  for (const auto& [text, column] :
       {std::pair("caf\xc3\xa9 = 1\n", "1:4"), std::pair("x = \xc3\xa9\n", "1:5"),
        std::pair("x = \"y\" \xcb\x8c\n", "1:9"), std::pair("[=]\n", "1:2"),
        std::pair("[\xc3\xa9]\n", "1:2"), std::pair("[[%]]\n", "1:3")}) {
    CAPTURE(text);
    const std::string path = scratch.write("letters.toml", text);
    const Result<Value> document = read_document(path, ::geteuid());
    REQUIRE_FALSE(document);
    CHECK(document.error().kind == ErrorKind::config);
    CHECK(document.error().where == path + ":" + column);
  }
}

}  // namespace schedctl::config
