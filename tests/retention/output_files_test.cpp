#include "schedctl/retention/output_files.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "tests/base/scratch.hpp"

namespace schedctl::retention {
namespace {

using What = OutputFiles::Removed::What;

constexpr const char* kName = "0123456789abcdef-7.log";

void write(const std::string& path, std::size_t bytes) {
  test::write_file(path, std::string(bytes, 'x'));
}

bool is_there(const std::string& path) {
  struct stat st {};
  return ::lstat(path.c_str(), &st) == 0;
}

TEST_CASE("the names of output files are those that a keeper gives") {
  for (const char* name : {kName, "ffffffffffffffff-1.log", "0000000000000000-123456789.log"}) {
    CAPTURE(name);
    CHECK(OutputFiles::is_name(name));
  }
  for (const char* name :
       {"", ".", "..", "passwd", ".log", "0123456789abcdef-.log", "0123456789abcdef-7",
        "0123456789ABCDEF-7.log", "0123456789abcde-7.log", "0123456789abcdef0-7.log",
        "0123456789abcdef-7.logx", "0123456789abcdef-7/../../x.log", "../23456789abcdef-7.log",
        "0123456789abcdef-7a.log", "0123456789abcdef_7.log",
        "0123456789abcdef-123456789012345678901.log", "0123456789abcdef-/.log"}) {
    CAPTURE(name);
    CHECK_FALSE(OutputFiles::is_name(name));
  }
}

TEST_CASE("a file goes, and how much lay in it is told") {
  const test::Scratch scratch;
  const std::string path = scratch / kName;
  write(path, 5000);
  const OutputFiles files = OutputFiles::open(scratch.path()).value();
  auto removed = files.remove(path, true);
  REQUIRE(removed);
  CHECK(removed->what == What::removed);
  CHECK(is_there(path));
  removed = files.remove(path);
  REQUIRE(removed);
  CHECK(removed->what == What::removed);
  CHECK(removed->bytes == 5000);
  CHECK_FALSE(is_there(path));
  CHECK(files.remove(path)->what == What::absent);
}

TEST_CASE("what is cut out of a file does not count") {
  const test::Scratch scratch;
  const std::string path = scratch / kName;
  write(path, 10);
  REQUIRE(::truncate(path.c_str(), 50'000'000) == 0);
  const OutputFiles files = OutputFiles::open(scratch.path()).value();
  CHECK(files.remove(path)->bytes < 1'000'000);
}

TEST_CASE("whatever a row says, only output files in their own directory are touched") {
  const test::Scratch scratch;
  const std::string directory = scratch.path() + "/output";
  std::filesystem::create_directories(directory + "/sub");
  std::filesystem::create_directories(directory + "/" + "0123456789abcdef-8.log");
  const std::string outside = scratch / kName;
  for (const std::string& path :
       {outside, directory + "/sub/" + kName, directory + "/notes.txt", scratch.path() + "/secret"})
    write(path, 10);
  const OutputFiles files = OutputFiles::open(directory).value();
  for (const std::string& path :
       {std::string(), outside, directory + "/../" + kName, directory + "/sub/" + kName,
        directory + "/sub/../" + kName, directory + "//" + kName, directory + "/notes.txt",
        directory, directory + "/", directory + "/..", std::string("/etc/passwd"),
        std::string("../../etc/passwd"), std::string(kName), directory + "x/" + kName,
        directory + "/0123456789abcdef-8.log"}) {
    CAPTURE(path);
    const auto removed = files.remove(path);
    REQUIRE(removed);
    CHECK(removed->what == What::foreign);
  }
  for (const std::string& path : {outside, directory + "/sub/" + kName, directory + "/notes.txt",
                                  directory + "/0123456789abcdef-8.log"}) {
    CAPTURE(path);
    CHECK(is_there(path));
  }
}

TEST_CASE("a link in the place of an output file is neither followed nor removed") {
  const test::Scratch scratch;
  const std::string target = scratch.path() + "/precious";
  const std::string path = scratch / kName;
  write(target, 10);
  REQUIRE(::symlink(target.c_str(), path.c_str()) == 0);
  OutputFiles files = OutputFiles::open(scratch.path()).value();
  CHECK(files.remove(path)->what == What::foreign);
  CHECK(is_there(target));
  CHECK(is_there(path));
  CHECK(files.next(10).empty());
}

TEST_CASE("the files are walked in parts, each once, and others are passed over") {
  const test::Scratch scratch;
  for (int i = 1; i <= 7; ++i)
    write(scratch.path() + "/0123456789abcdef-" + std::to_string(i) + ".log", 100);
  write(scratch.path() + "/notes.txt", 100);
  OutputFiles files = OutputFiles::open(scratch.path()).value();
  std::vector<std::string> names;
  std::int64_t bytes = 0;
  while (true) {
    const auto part = files.next(3);
    if (part.empty()) break;
    CHECK(part.size() <= 3);
    for (const auto& entry : part) {
      names.push_back(entry.name);
      bytes += entry.bytes;
    }
  }
  std::ranges::sort(names);
  CHECK(names.size() == 7);
  CHECK(std::ranges::adjacent_find(names) == names.end());
  CHECK(bytes == 700);
}

TEST_CASE("where there is no directory there are no files") {
  const test::Scratch scratch;
  OutputFiles files = OutputFiles::open(scratch.path() + "/none").value();
  CHECK(files.next(10).empty());
  CHECK(files.remove(scratch.path() + "/none/" + kName)->what == What::absent);
}

TEST_CASE("a file that cannot be removed is an error") {
  const test::Scratch scratch;
  const std::string path = scratch / kName;
  test::write_file(path, "x");
  const OutputFiles files = OutputFiles::open(scratch.path()).value();
  const auto removed = [&] {
    const test::Locked locked(scratch.path());
    return files.remove(path);
  }();
  REQUIRE_FALSE(removed);
  CHECK(removed.error().message.find("cannot remove") != std::string::npos);
  CHECK(is_there(path));
}

}  // namespace
}  // namespace schedctl::retention
