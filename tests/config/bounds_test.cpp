#include "src/config/bounds.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include "src/config/document.hpp"
#include "tests/config/scratch.hpp"

using namespace schedctl;
using namespace schedctl::config;
using config::test::Scratch;

namespace {

std::string times(std::size_t n, const std::string& text) {
  std::string all;
  for (std::size_t i = 0; i < n; ++i) all += text;
  return all;
}

/// "" or "LINE:COLUMN message" of reading a file with this text.
std::string complaint(const std::string& text) {
  const Scratch scratch;
  const std::string file = scratch.write("a.toml", text);
  const Result<Value> document = read_document(file, ::geteuid());
  if (document) return "";
  CHECK(document.error().kind == ErrorKind::config);
  REQUIRE(document.error().where.starts_with(file + ":"));
  return document.error().where.substr(file.size() + 1) + " " + document.error().message;
}

const std::string kTooDeep = " tables and lists are nested more than 32 levels deep";

}  // namespace

TEST_CASE("a document that nests too deeply is an error at its place, however it does so") {
  for (const std::size_t depth : {100, 10'000, 100'000, 1'000'000}) {
    CAPTURE(depth);
    CHECK(complaint("job" + times(depth, ".a") + "=1\n") == "1:66" + kTooDeep);
    CHECK(complaint("x = 1\n[job" + times(depth, ".a") + "]\n") == "2:67" + kTooDeep);
    CHECK(complaint("[[job" + times(depth, " . \"a\"") + "]]\n") == "1:193" + kTooDeep);
    CHECK(complaint("job" + times(depth, ".'a'") + "=1\n") == "1:128" + kTooDeep);
    CHECK(complaint("x=" + times(depth, "[") + times(depth, "]") + "\n") == "1:35" + kTooDeep);
    CHECK(complaint("x=" + times(depth, "[") + "\n") == "1:35" + kTooDeep);
    CHECK(complaint("x=" + times(depth, "{x=") + "1" + times(depth, "}") + "\n") ==
          "1:99" + kTooDeep);
    CHECK(complaint("x=" + times(depth, "[{x.y.z=") + "1" + times(depth, "}]") + "\n")
              .ends_with(kTooDeep));
    CHECK(complaint("\"\xC3\xA4\"" + times(depth, ".a") + "=1\n") == "1:66" + kTooDeep);
  }
}

TEST_CASE("levels count together, by headers, keys, lists and inline tables") {
  const std::string most = "[a" + times(30, ".a") + "]\n";
  CHECK(complaint(most + "b = 1\n").empty());
  CHECK(complaint(most + "b.c = 1\n").ends_with(kTooDeep));
  CHECK(complaint(most + "b = [1]\n").ends_with(kTooDeep));
  CHECK(complaint(most + "b = { c = 1 }\n").ends_with(kTooDeep));
  CHECK(complaint("a" + times(31, ".a") + " = 1\n").empty());
  CHECK(complaint("x=" + times(31, "[") + "1" + times(31, "]") + "\n").empty());
  // As deep as a text may go before it is parsed: that tree must still be destroyed.
  const std::string key = "a" + times(31, ".a") + " = ";
  CHECK(complaint(most + times(31, key + "{") + key + "1" + times(31, "}") + "\n")
            .ends_with(kTooDeep));
}

TEST_CASE("what only looks deep, in strings and comments, is not") {
  const std::string deep = times(1000, ".[{");
  CHECK(complaint("# " + deep + "\nx = 1 # \"" + deep + "\n") == "");
  CHECK(complaint("x = \"\\\"" + deep + "\\\\\" # '" + deep + "\n") == "");
  CHECK(complaint("x = '\\" + deep + "'\n\"" + deep + "\" = 1\n") == "");
  CHECK(complaint("x = \"\"\"\n" + deep + "\"\" \\\"\"\" \n" + deep + "\"\"\"\"\"\ny = 1\n") == "");
  CHECK(complaint("x = '''\n" + deep + "'' \\" + deep + "'''''\ny = ''\nz = \"\"\n") == "");
  CHECK(complaint("x = [" + times(1000, "1.5, 1979-05-27T07:32:00.5Z,\n") + "]\n") == "");
  CHECK(complaint(times(1000, "[[a.b.c]]\nx = [[1], [2]]\n")) == "");
}

TEST_CASE("a text that is no TOML is told as what it is") {
  const std::string deep = times(1000, ".a");
  for (const std::string& text :
       {"x = \"" + deep, "x = \"\n" + deep, "x = 12\"a\" " + deep, std::string("x = \"\\"),
        std::string("'"), "\"\"\"" + deep, std::string("x = \"\"\"\\"), "x = ]]]]" + deep}) {
    CAPTURE(text);
    CHECK(complaint(text) != "");
  }
}

TEST_CASE("a document of a million values is the largest") {
  const auto ones = [](std::size_t n) { return "x=[" + times(n - 2, "1,") + "1]\n"; };
  CHECK(check_bounds(ones(kDocumentParts), "F").has_value());
  const Result<void> more = check_bounds(ones(kDocumentParts + 1), "F");
  REQUIRE_FALSE(more);
  CHECK(more.error().message == "it has more than 1000000 values");
  CHECK(more.error().where.starts_with("F:1:"));
  CHECK_FALSE(check_bounds(times(kDocumentParts / 2, "[[a]]\n") + "x=1\n", "F"));
}
