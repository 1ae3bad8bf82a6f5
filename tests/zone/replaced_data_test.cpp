// The zone database is replaced while the process lives. The zones are made by copying the files of
// others, so that a zone's rules change and nothing needs zic.

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "schedctl/zone/system_zones.hpp"
#include "tests/base/scratch.hpp"

namespace schedctl::zone {
namespace {

namespace fs = std::filesystem;
using std::chrono::hours;

constexpr Time kWinter{std::chrono::sys_days{std::chrono::year{2026} / 1 / 15}};

/// A database of its own under $TZDIR, with links to zones of the real one.
struct Database {
  test::Scratch scratch;
  fs::path root = fs::path(scratch.path()) / "zoneinfo";

  Database() {
    fs::create_directories(root / "Europe");
    put("Europe/Berlin", "Europe/Berlin");
    put("Asia-Tokyo", "Asia/Tokyo");
    ::setenv("TZDIR", root.c_str(), 1);
  }
  ~Database() { ::unsetenv("TZDIR"); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  /// As packages do it: written beside it, then renamed over it.
  void put(const std::string& name, const std::string& real) const {
    const fs::path fresh = root / "fresh";
    fs::copy_file("/usr/share/zoneinfo/" + real, fresh);
    fs::rename(fresh, root / name);
  }
};

hours offset_of(const job::ZoneSource& zones, const std::string& name) {
  const auto zone = zones.find(name);
  REQUIRE(zone.has_value());
  return std::chrono::duration_cast<hours>((*zone)->offset(kWinter));
}

TEST_CASE("a zone whose file was replaced is read afresh after a refresh, again and again") {
  const Database database;
  const auto zones = system_zones();
  const std::string first = zones->refresh();
  CHECK(offset_of(*zones, "Europe/Berlin") == hours(1));
  const job::ZonePtr held = *zones->find("Europe/Berlin");
  std::string before = first;
  // More often than an alias of a fixed length would allow.
  for (int i = 0; i < 40; ++i) {
    database.put("Europe/Berlin", i % 2 == 0 ? "Asia/Tokyo" : "Europe/Berlin");
    CHECK(offset_of(*zones, "Europe/Berlin") == hours(i % 2 == 0 ? 1 : 9));
    const std::string after = zones->refresh();
    CHECK(after != before);
    before = after;
    CHECK(offset_of(*zones, "Europe/Berlin") == hours(i % 2 == 0 ? 9 : 1));
    CHECK((*zones->find("Europe/Berlin"))->name() == "Europe/Berlin");
  }
  CHECK(before == first);
  CHECK(held->offset(kWinter) == hours(1));
}

TEST_CASE("a file that is written anew with the same content changes nothing") {
  const Database database;
  const auto zones = system_zones();
  const std::string before = zones->refresh();
  const job::ZonePtr held = *zones->find("Europe/Berlin");
  database.put("Europe/Berlin", "Europe/Berlin");
  CHECK(zones->refresh() == before);
  CHECK(*zones->find("Europe/Berlin") == held);
}

TEST_CASE("the words for the data are the same in another process, and name the release") {
  const Database database;
  std::ofstream(database.root / "tzdata.zi") << "# version 2031c\n";
  const std::string words = system_zones()->refresh();
  CHECK(words.starts_with("2031c "));
  CHECK(system_zones()->refresh() == words);
  fs::remove(database.root / "tzdata.zi");
  CHECK(system_zones()->refresh().starts_with("unknown "));
}

TEST_CASE("a zone that was unknown is found once the data has it") {
  const Database database;
  const auto zones = system_zones();
  zones->refresh();
  CHECK(!zones->find("Europe/Moscow"));
  database.put("Europe/Moscow", "Europe/Moscow");
  zones->refresh();
  CHECK(offset_of(*zones, "Europe/Moscow") == hours(3));
}

TEST_CASE("a zone that has gone from the data, or is damaged there, stays as it was") {
  const Database database;
  const auto zones = system_zones();
  zones->refresh();
  CHECK(offset_of(*zones, "Europe/Berlin") == hours(1));
  fs::remove(database.root / "Europe/Berlin");
  zones->refresh();
  CHECK(offset_of(*zones, "Europe/Berlin") == hours(1));
  std::ofstream(database.root / "Europe/Berlin") << "TZif2, and then the disk was full";
  zones->refresh();
  CHECK(offset_of(*zones, "Europe/Berlin") == hours(1));
  database.put("Europe/Berlin", "Asia/Tokyo");
  zones->refresh();
  CHECK(offset_of(*zones, "Europe/Berlin") == hours(9));
}

TEST_CASE("a database that is a link to another one is followed when the link is turned") {
  const Database old_data;
  const test::Scratch scratch;
  const fs::path link = fs::path(scratch.path()) / "current";
  fs::create_directory_symlink(old_data.root, link);
  const fs::path next = fs::path(scratch.path()) / "next";
  fs::create_directories(next / "Europe");
  fs::copy_file("/usr/share/zoneinfo/Asia/Tokyo", next / "Europe/Berlin");
  ::setenv("TZDIR", link.c_str(), 1);
  const auto zones = system_zones();
  zones->refresh();
  CHECK(offset_of(*zones, "Europe/Berlin") == hours(1));
  fs::remove(link);
  fs::create_directory_symlink(next, link);
  zones->refresh();
  CHECK(offset_of(*zones, "Europe/Berlin") == hours(9));
}

TEST_CASE("the places to watch are the database, its regions and where it is an entry") {
  const Database database;
  const test::Scratch scratch;
  const fs::path link = fs::path(scratch.path()) / "current";
  fs::create_directory_symlink(database.root, link);
  ::setenv("TZDIR", (link.string() + "/").c_str(), 1);
  std::vector<std::string> words;
  for (const DataPlace& place : data_places()) words.push_back(place.directory + ":" + place.entry);
  CHECK(words == std::vector<std::string>{scratch.path() + ":current", link.string() + ":",
                                          database.scratch.path() + ":zoneinfo",
                                          link.string() + "/Europe:"});
}

TEST_CASE("without a database UTC is there, before and after a refresh") {
  const test::Scratch scratch;
  ::setenv("TZDIR", (scratch.path() + "/none").c_str(), 1);
  const auto zones = system_zones();
  CHECK(zones->refresh() == "none");
  CHECK(offset_of(*zones, "UTC") == hours(0));
  fs::create_directories(scratch.path() + "/none/Europe");
  fs::copy_file("/usr/share/zoneinfo/Europe/Berlin", scratch.path() + "/none/Europe/Berlin");
  CHECK(zones->refresh() != "none");
  CHECK(offset_of(*zones, "UTC") == hours(0));
  CHECK(offset_of(*zones, "Europe/Berlin") == hours(1));
  ::unsetenv("TZDIR");
}

}  // namespace
}  // namespace schedctl::zone
