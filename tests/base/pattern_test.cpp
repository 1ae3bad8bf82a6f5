#include "schedctl/base/pattern.hpp"

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "schedctl/base/limits.hpp"
#include "schedctl/base/unique_fd.hpp"

namespace schedctl {
namespace {

Pattern compiled(const std::string& expression) {
  Result<Pattern> pattern = Pattern::compile(expression);
  REQUIRE(pattern);
  return *std::move(pattern);
}

UniqueFd file_of(const std::string& text) {
  UniqueFd file(::memfd_create("text", MFD_CLOEXEC));
  REQUIRE(file);
  REQUIRE(::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  return file;
}

bool in_file(const std::string& expression, const std::string& text) {
  const UniqueFd file = file_of(text);
  const Result<bool> found =
      compiled(expression).is_in_file(file.get(), 0, static_cast<std::int64_t>(text.size()));
  REQUIRE(found);
  return *found;
}

TEST_CASE("an expression is found in any line") {
  CHECK(compiled("^ERROR").is_in("all\nERROR: no\n"));
  CHECK_FALSE(compiled("^ERROR").is_in("no ERROR here"));
  CHECK(compiled("done$").is_in("done\nmore"));
  CHECK_FALSE(compiled("a.b").is_in("a\nb"));
  CHECK(compiled("\xc3\xa9t\xc3\xa9").is_in("en \xc3\xa9t\xc3\xa9\xff"));
  CHECK(compiled("").is_in(""));
}

TEST_CASE("what is no expression, or takes too much, is refused and says why") {
  for (const char* bad : {"(", "a**", "[z-a]", "\\", "(?<=a)b", "(a)\\1", "((a{100}){100}){100}"}) {
    CAPTURE(bad);
    const Result<Pattern> pattern = Pattern::compile(bad);
    REQUIRE_FALSE(pattern);
    CHECK(pattern.error().kind == ErrorKind::usage);
    CHECK(pattern.error().message.find("is not a regular expression") != std::string::npos);
  }
  CHECK_FALSE(Pattern::compile(std::string(limits::kPatternBytes + 1, 'a')));
}

TEST_CASE("a file is searched as a whole, whatever the pieces it is read in") {
  CHECK(in_file("^x$", "x"));
  CHECK(in_file("^$", ""));
  CHECK_FALSE(in_file("x", ""));
  const std::string filler(limits::kPatternWindow, 'a');
  // Around the borders of the pieces, which are 256 KiB long.
  for (int shift = -3; shift <= 3; ++shift) {
    CAPTURE(shift);
    const std::string front((std::size_t{256} * 1024) + static_cast<std::size_t>(shift + 3) - 3,
                            '.');
    CHECK(in_file("needle", front + "needle" + filler));
    CHECK(in_file("^needle$", front + "\nneedle\n" + filler));
    CHECK_FALSE(in_file("^needle", front + "needle" + filler + "\n"));
    CHECK_FALSE(in_file("needle$", front + "needle" + filler));
    CHECK_FALSE(in_file("\\bneedle\\b", front + "xneedley" + filler));
    CHECK(in_file("a\nneedle\nb", front + "a\nneedle\nb" + filler + filler));
  }
}

TEST_CASE("only so much of a file is searched as is asked for") {
  const UniqueFd file = file_of("abc");
  CHECK_FALSE(*compiled("c").is_in_file(file.get(), 0, 2));
  CHECK(*compiled("c").is_in_file(file.get(), 1, 99));
}

TEST_CASE("no text takes long") {
  CHECK_FALSE(compiled("(a*)*(a*)*b").is_in(std::string(100'000, 'a')));
}

}  // namespace
}  // namespace schedctl
