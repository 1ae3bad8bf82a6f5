#include "schedctl/base/record_file.hpp"

#include <fcntl.h>

#include <doctest/doctest.h>

#include <vector>

#include "scratch.hpp"

namespace schedctl {
namespace {

using Texts = std::vector<std::string>;

/// A frame around a text.
std::string frame(const std::string& text) {
  return std::string("\1", 1) + static_cast<char>(text.size()) + std::string(3, '\0') + text;
}

Texts texts_in(std::string_view bytes) {
  Texts texts;
  read_records(bytes, [&](std::string_view record) {
    texts.emplace_back(record.substr(5));
    return true;
  });
  return texts;
}

struct Place {
  Place() : dir(::open(scratch.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {}
  Texts texts() const { return texts_in(test::read_file(scratch / "records")); }
  test::Scratch scratch;
  UniqueFd dir;
};

TEST_CASE("records are read back up to the first that is torn or damaged") {
  Place place;
  auto file = RecordFile::create(place.dir.get(), "records", frame("head"));
  REQUIRE(file);
  CHECK_FALSE(RecordFile::create(place.dir.get(), "records", frame("head")));
  file->add(frame("one"));
  file->add(frame("two"));
  CHECK(place.texts() == Texts{"head"});
  CHECK(file->write());
  CHECK(place.texts() == Texts{"head", "one", "two"});
  std::string bytes = test::read_file(place.scratch / "records");
  CHECK(texts_in(bytes.substr(0, bytes.size() - 1)) == Texts{"head", "one"});
  bytes.back() = 'x';
  CHECK(texts_in(bytes) == Texts{"head", "one"});
  int taken = 0;
  read_records(bytes, [&](std::string_view) { return ++taken < 1; });
  CHECK(taken == 1);
}

TEST_CASE("a rewritten file has its head and what counts, and goes on behind it") {
  Place place;
  auto file = RecordFile::create(place.dir.get(), "records", frame("head"));
  REQUIRE(file);
  while (!file->is_long()) {
    for (int i = 0; i < 1000; ++i) file->add(frame("old"));
    REQUIRE(file->write());
  }
  REQUIRE(file->rewrite([](const RecordFile::Sink& sink) { sink(frame("counts")); }));
  CHECK_FALSE(file->is_long());
  file->add(frame("new"));
  CHECK(file->write());
  CHECK(place.texts() == Texts{"head", "counts", "new"});
  file->remove();
  CHECK_FALSE(std::filesystem::exists(place.scratch / "records"));
}

TEST_CASE("an earlier program's records stand until they are rewritten") {
  Place place;
  {
    auto file = RecordFile::create(place.dir.get(), "records", frame("head"));
    REQUIRE(file);
    file->add(frame("one"));
    REQUIRE(file->write());
  }
  RecordFile file = RecordFile::reopen(place.dir.get(), "records", frame("head"));
  CHECK(file.is_long());
  file.add(frame("lost"));
  CHECK_FALSE(file.write());
  file.clear();
  CHECK(place.texts() == Texts{"head", "one"});
  REQUIRE(file.rewrite([](const RecordFile::Sink&) {}));
  for (int i = 0; i < 2000; ++i) file.add(frame("past"));
  CHECK(file.write());
  file.clear();
  CHECK(place.texts() == Texts{"head"});
}

TEST_CASE("what could not be rewritten stands as it was") {
  Place place;
  auto file = RecordFile::create(place.dir.get(), "records", frame("head"));
  REQUIRE(file);
  {
    const test::Locked locked(place.scratch.path());
    CHECK_FALSE(file->rewrite([](const RecordFile::Sink& sink) { sink(frame("new")); }));
  }
  file->add(frame("one"));
  CHECK(file->write());
  CHECK(place.texts() == Texts{"head", "one"});
}

}  // namespace
}  // namespace schedctl
