#include "schedctl/base/fd_io.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "schedctl/base/unique_fd.hpp"
#include "tests/base/scratch.hpp"

namespace schedctl {
namespace {

using test::Scratch;

TEST_CASE("what was written is read back to the end, and no further than was asked for") {
  Scratch scratch;
  const std::string path = scratch / "file";
  const std::string text(300'000, 'x');
  const UniqueFd out(::open(path.c_str(), O_WRONLY | O_CREAT, 0600));
  REQUIRE(write_all(out.get(), text));
  std::string bytes = "before";
  const UniqueFd in(::open(path.c_str(), O_RDONLY));
  CHECK(read_to_end(in.get(), 200'001, bytes) == 0);
  CHECK(bytes == text.substr(0, 200'001));
  CHECK(read_to_end(in.get(), 1 << 20, bytes) == 0);
  CHECK(bytes == text.substr(200'001));
  CHECK(read_to_end(out.get(), 10, bytes) == EBADF);
  CHECK(bytes.empty());
  CHECK_FALSE(write_all(in.get(), "x"));
}

TEST_CASE("names in a directory are those with the prefix, and of no directory there are none") {
  Scratch scratch;
  for (const char* name : {"a-1", "a-2", "b-1"}) {
    const UniqueFd made(::open((scratch / name).c_str(), O_WRONLY | O_CREAT, 0600));
  }
  const UniqueFd dir(::open((scratch / "").c_str(), O_RDONLY | O_DIRECTORY));
  std::vector<std::string> names = names_in(dir.get(), "a-");
  std::sort(names.begin(), names.end());
  CHECK(names == std::vector<std::string>{"a-1", "a-2"});
  CHECK(names_in(dir.get(), "a-").size() == 2);
  CHECK(names_in(-1, "").empty());
}

TEST_CASE("a pipe is read until it is closed, and of what is too long the beginning is kept") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  std::string said;
  CHECK_FALSE(read_to_hangup(read_end.get(), 10, said));
  REQUIRE(write_all(write_end.get(), "abc"));
  CHECK_FALSE(read_to_hangup(read_end.get(), 10, said));
  CHECK(said == "abc");
  REQUIRE(write_all(write_end.get(), std::string(5000, 'x')));
  write_end.reset();
  CHECK(read_to_hangup(read_end.get(), 10, said));
  CHECK(said == "abc" + std::string(1024, 'x'));
}

TEST_CASE("a sealed file has its text from the beginning on, and nobody can change it") {
  const std::string text(100'000, 'x');
  const UniqueFd file = sealed_file(text);
  REQUIRE(file);
  std::string bytes;
  CHECK(read_to_end(file.get(), text.size() + 1, bytes) == 0);
  CHECK(bytes == text);
  const std::string self = "/proc/self/fd/" + std::to_string(file.get());
  const UniqueFd writer(::open(self.c_str(), O_WRONLY));
  CHECK_FALSE(write_all(writer.get(), "y"));
  CHECK(::ftruncate(writer.get(), 0) != 0);
}

}  // namespace
}  // namespace schedctl
