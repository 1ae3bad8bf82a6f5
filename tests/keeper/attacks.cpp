// What stands in the keeper's directory may be anything: no hang, no crash, nothing followed.

#include <fcntl.h>
#include <sys/file.h>

#include <random>

#include "living_keeper.hpp"
#include "schedctl/base/unique_fd.hpp"
#include "src/keeper/journal.hpp"

namespace schedctl::keeper {
namespace {

using namespace test;

constexpr uid_t kNobody = 65534;
const std::string kPrecious = "nobody but its owner writes this";

enum class Thing { link, dangling_link, fifo, directory, foreign_file };
constexpr Thing kThings[] = {Thing::link, Thing::dangling_link, Thing::fifo, Thing::directory,
                             Thing::foreign_file};

void place(Thing thing, const Scratch& scratch, const std::string& path) {
  switch (thing) {
    case Thing::link:
      std::filesystem::create_symlink(scratch / "precious", path);
      return;
    case Thing::dangling_link:
      std::filesystem::create_symlink(scratch / "made", path);
      return;
    case Thing::fifo:
      REQUIRE(::mkfifo(path.c_str(), 0666) == 0);
      return;
    case Thing::directory:
      std::filesystem::create_directory(path);
      std::ofstream(path + "/file") << "text";
      return;
    case Thing::foreign_file:
      std::ofstream(path) << "text";
      std::filesystem::permissions(path, std::filesystem::perms::all);
      if (::geteuid() == 0) REQUIRE(::chown(path.c_str(), kNobody, kNobody) == 0);
      return;
  }
}

/// A keeper's directory in which something is amiss.
class Crime {
 public:
  Crime() {
    std::filesystem::create_directory(scratch / "keeper");
    REQUIRE(::chmod((scratch / "keeper").c_str(), 0700) == 0);
    std::ofstream(scratch / "precious") << kPrecious;
  }
  ~Crime() {
    CHECK(read_file(scratch / "precious") == kPrecious);
    CHECK_FALSE(std::filesystem::exists(scratch / "made"));
  }
  Crime(const Crime&) = delete;
  Crime& operator=(const Crime&) = delete;

  /// The keeper lives, or says what is wrong.
  void expect(bool alive) {
    KeeperProcess keeper(scratch.paths());
    CAPTURE(keeper.said());
    CHECK((keeper.said() == "R") == alive);
    CHECK(keeper.said().size() > 0);
    if (keeper.said() != "R") return;
    Daemon daemon(scratch.paths());
    CHECK(daemon.client->inventory().ended.empty());
    CHECK(daemon.run(shell(1, "exit 3")).wait_status == 3 << 8);
  }

  Scratch scratch;
};

TEST_CASE("a lock that is no plain file of the keeper's own is refused in words") {
  for (const Thing thing : kThings) {
    CAPTURE(int(thing));
    Crime crime;
    place(thing, crime.scratch, crime.scratch / "keeper/lock");
    CHECK(living_keeper(crime.scratch / "keeper") == 0);
    crime.expect(thing == Thing::foreign_file && ::geteuid() != 0);
  }
}

TEST_CASE("whatever stands in the socket's place is replaced, or refused in words") {
  for (const Thing thing : kThings) {
    CAPTURE(int(thing));
    Crime crime;
    place(thing, crime.scratch, crime.scratch / "keeper/socket");
    crime.expect(thing != Thing::directory);
  }
}

TEST_CASE("what has a journal's name and is none is not believed") {
  for (const char* name : {"keeper/journal-0123456789abcdef", "keeper/journal-0.new"}) {
    for (const Thing thing : kThings) {
      CAPTURE(int(thing));
      Crime crime;
      place(thing, crime.scratch, crime.scratch / name);
      crime.expect(true);
    }
  }
}

TEST_CASE("a journal of another user is not believed") {
  if (::geteuid() != 0) return;
  for (const bool foreign : {false, true}) {
    Scratch scratch;
    std::filesystem::create_directory(scratch / "keeper");
    const std::string path = scratch / "keeper/journal-0123456789abcdef";
    UniqueFd dir(::open((scratch / "keeper").c_str(), O_RDONLY | O_DIRECTORY));
    auto journal = create_journal(dir.get(), {1, "0123456789abcdef", "boot"});
    REQUIRE(journal);
    Ended ended;
    ended.key = {"store", RunId(1), 1};
    journal->add(encoded(ended));
    REQUIRE(journal->write());
    if (foreign) REQUIRE(::chown(path.c_str(), kNobody, kNobody) == 0);
    KeeperProcess keeper(scratch.paths());
    Daemon daemon(scratch.paths());
    CHECK(daemon.client->inventory().ended.size() == (foreign ? 0 : 1));
  }
}

TEST_CASE("a directory that others can write to is closed; a link or another user's is refused") {
  {
    Crime crime;
    const std::string dir = crime.scratch / "keeper";
    REQUIRE(::chmod(dir.c_str(), 0777) == 0);
    crime.expect(true);
    CHECK((std::filesystem::status(dir).permissions() & std::filesystem::perms::all) ==
          std::filesystem::perms::owner_all);
  }
  {
    Crime crime;
    std::filesystem::rename(crime.scratch / "keeper", crime.scratch / "elsewhere");
    std::filesystem::create_symlink(crime.scratch / "elsewhere", crime.scratch / "keeper");
    crime.expect(false);
    CHECK(std::filesystem::is_empty(crime.scratch / "elsewhere"));
  }
  if (::geteuid() == 0) {
    Crime crime;
    REQUIRE(::chown((crime.scratch / "keeper").c_str(), kNobody, kNobody) == 0);
    crime.expect(false);
  }
}

TEST_CASE("a daemon speaks to nobody but the holder of the lock") {
  Scratch other;
  KeeperProcess stranger(other.paths());
  for (const Thing thing : kThings) {
    CAPTURE(int(thing));
    Crime crime;
    const std::string socket = crime.scratch / "keeper/socket";
    KeeperProcess keeper(crime.scratch.paths());
    REQUIRE(keeper.said() == "R");
    std::filesystem::remove(socket);
    place(thing, crime.scratch, socket);
    CHECK_FALSE(connect(crime.scratch.paths(), std::chrono::seconds(1)));
    // Another keeper's socket, by a link and under its own name.
    std::filesystem::remove_all(socket);
    std::filesystem::create_symlink(other / "keeper/socket", socket);
    CHECK_FALSE(connect(crime.scratch.paths(), std::chrono::seconds(1)));
    std::filesystem::remove(socket);
    REQUIRE(::link((other / "keeper/socket").c_str(), socket.c_str()) == 0);
    const auto connected = connect(crime.scratch.paths(), std::chrono::seconds(1));
    REQUIRE_FALSE(connected);
    CHECK(connected.error().message.find(std::to_string(stranger.pid())) != std::string::npos);
  }
}

TEST_CASE("garbage in journals costs what it covers and nothing else") {
  Scratch scratch;
  std::string good;
  {
    KeeperProcess keeper(scratch.paths());
    Daemon daemon(scratch.paths());
    for (int run = 1; run <= 5; ++run) daemon.run(shell(run, "exit 3"));
    for (const auto& entry : std::filesystem::directory_iterator(scratch / "keeper")) {
      if (entry.path().filename().string().starts_with("journal-")) good = read_file(entry.path());
    }
  }
  REQUIRE(parse_journal(good).ended.size() == 5);
  std::mt19937 random(20261121);
  const auto below = [&](std::size_t n) { return random() % n; };
  for (int round = 0; round < 2000; ++round) {
    std::string bad = good;
    for (std::size_t flips = 1 + below(4); flips > 0; --flips) {
      bad[below(bad.size())] = static_cast<char>(random());
    }
    if (round % 3 == 0) bad.resize(below(bad.size()));
    if (round % 7 == 0) bad.insert(below(bad.size() + 1), std::string(below(200), '\xff'));
    const JournalContents contents = parse_journal(bad);
    CHECK(contents.ended.size() + contents.launched.size() <= 5);
    for (const Ended& ended : contents.ended) CHECK(ended.wait_status == 3 << 8);
  }
  for (int round = 0; round < 20; ++round) {
    std::string noise(below(5000), '\0');
    for (char& c : noise) c = static_cast<char>(random());
    std::ofstream(scratch / ("keeper/journal-" + std::to_string(round)), std::ios::binary)
        << (round % 2 == 0 ? noise : good.substr(0, below(good.size())) + noise);
  }
  // Longer than any memory, and all of it a hole.
  std::ofstream(scratch / "keeper/journal-long") << "x";
  std::filesystem::resize_file(scratch / "keeper/journal-long", std::uintmax_t{1} << 40);
  KeeperProcess keeper(scratch.paths());
  REQUIRE(keeper.said() == "R");
  Daemon daemon(scratch.paths());
  CHECK(daemon.client->inventory().ended.size() == 5);
  CHECK(daemon.run(shell(6, "exit 4")).wait_status == 4 << 8);
}

}  // namespace
}  // namespace schedctl::keeper
