#include "src/keeper/journal.hpp"

#include <fcntl.h>

#include "living_keeper.hpp"

namespace schedctl::keeper {
namespace {

using namespace test;

RunKey key(std::int64_t run) {
  return {"store", RunId(run), 1};
}

Launched launched(std::int64_t run) {
  return {{key(run), 100 + run, time_from_us(run), "/out/" + std::to_string(run)}, Duration(run)};
}

Ended ended(std::int64_t run) {
  Ended e;
  e.key = key(run);
  e.pid = 100 + run;
  e.wait_status = static_cast<int>(run) << 8;
  return e;
}

struct Directory {
  Directory() : fd(::open((scratch / "").c_str(), O_RDONLY | O_DIRECTORY)) {}
  Scratch scratch;
  UniqueFd fd;
};

TEST_CASE("a journal says who runs, who failed and who ended") {
  Directory dir;
  auto journal = create_journal(dir.fd.get(), {kProtocolVersion, "me", "boot"});
  REQUIRE(journal);
  journal->add(encoded(launched(1)));
  journal->add(encoded(launched(2)));
  journal->add(encoded(StartFailed{key(3), Stage::exec, ENOENT, {}}));
  journal->add(encoded(ended(2)));
  journal->add(encoded(launched(4)));
  journal->add(encoded(ended(4)));
  journal->add(encoded(Acknowledge{{key(4), key(99)}}));
  CHECK(journal->write());
  CHECK(other_journals(dir.fd.get(), "me").empty());
  CHECK(other_journals(dir.fd.get(), "you") == std::vector<std::string>{"journal-me"});
  const JournalContents contents = read_journal(dir.fd.get(), "journal-me");
  CHECK(contents.head.instance == "me");
  CHECK(contents.head.boot_id == "boot");
  REQUIRE(contents.launched.size() == 1);
  CHECK(contents.launched[0].started.key == key(1));
  CHECK(contents.launched[0].since_boot == Duration(1));
  REQUIRE(contents.failed.size() == 1);
  CHECK(contents.failed[0].error_number == ENOENT);
  REQUIRE(contents.ended.size() == 1);
  CHECK(contents.ended[0].wait_status == 2 << 8);
}

TEST_CASE("a journal says who was to be started until it says how that ended") {
  Directory dir;
  auto journal = create_journal(dir.fd.get(), {kJournalVersion, "me", "boot"});
  REQUIRE(journal);
  for (std::int64_t run = 1; run <= 5; ++run)
    journal->add(encoded(Intended{key(run), Duration(run), "A=B"}));
  journal->add(encoded(launched(2)));
  journal->add(encoded(StartFailed{key(3), Stage::exec, ENOENT, {}}));
  journal->add(encoded(ended(4)));
  journal->add(encoded(Acknowledge{{key(5)}}));
  // Ordered once more over a new connection: what is known of it stands.
  journal->add(encoded(Intended{key(4), Duration(9), "A=B"}));
  CHECK(journal->write());
  const JournalContents contents = read_journal(dir.fd.get(), "journal-me");
  // Of one that was started it tells what may have left its session.
  REQUIRE(contents.intended.size() == 2);
  CHECK(contents.intended[0].key == key(1));
  CHECK(contents.intended[0].since_boot == Duration(1));
  CHECK(contents.intended[0].mark == "A=B");
  CHECK(contents.intended[1].key == key(2));
  CHECK(contents.launched.size() == 1);
  CHECK(contents.failed.size() == 1);
  CHECK(contents.ended.size() == 1);
}

TEST_CASE("a torn tail is ignored, wherever it is torn, and so is what follows a damaged record") {
  Directory dir;
  auto journal = create_journal(dir.fd.get(), {kProtocolVersion, "me", "boot"});
  REQUIRE(journal);
  std::vector<std::size_t> ends;
  const std::string path = dir.scratch / "journal-me";
  for (int run = 1; run <= 3; ++run) {
    journal->add(encoded(ended(run)));
    CHECK(journal->write());
    ends.push_back(std::filesystem::file_size(path));
  }
  const std::string bytes = read_file(path);
  for (std::size_t length = 0; length <= bytes.size(); ++length) {
    const std::string torn = bytes.substr(0, length);
    std::size_t whole = 0;
    for (const std::size_t end : ends) whole += end <= length ? 1 : 0;
    CHECK(parse_journal(torn).ended.size() == whole);
  }
  for (std::size_t at = ends[0]; at < ends[1]; ++at) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    CHECK(parse_journal(damaged).ended.size() == 1);
  }
}

TEST_CASE("a rewrite keeps what is live, and records go on behind it") {
  Directory dir;
  auto journal = create_journal(dir.fd.get(), {kProtocolVersion, "me", "boot"});
  REQUIRE(journal);
  int run = 0;
  const auto fill = [&] {
    while (!journal->is_long()) {
      journal->add(encoded(ended(++run)));
      CHECK(journal->write());
    }
  };
  fill();
  CHECK(journal->rewrite([](const RecordFile::Sink& sink) {
    sink(encoded(launched(1)));
    sink(encoded(ended(2)));
  }));
  CHECK_FALSE(journal->is_long());
  journal->add(encoded(ended(1)));
  CHECK(journal->write());
  CHECK(std::filesystem::file_size(dir.scratch / "journal-me") < 1000);
  CHECK(read_journal(dir.fd.get(), "journal-me").ended.size() == 2);
  fill();
  journal->clear();
  const JournalContents contents = read_journal(dir.fd.get(), "journal-me");
  CHECK(contents.head.instance == "me");
  CHECK(contents.ended.empty());
  journal->remove();
  CHECK(other_journals(dir.fd.get(), "").empty());
}

TEST_CASE("a journal that another program goes on with stands until it is rewritten") {
  Directory dir;
  const JournalHead head{kJournalVersion, "me", "boot"};
  {
    auto journal = create_journal(dir.fd.get(), head);
    REQUIRE(journal);
    journal->add(encoded(ended(1)));
    CHECK(journal->write());
  }
  RecordFile journal = reopen_journal(dir.fd.get(), head);
  CHECK(journal.is_long());
  journal.add(encoded(ended(2)));
  CHECK_FALSE(journal.write());
  journal.clear();
  CHECK(read_journal(dir.fd.get(), "journal-me").ended.size() == 1);
  CHECK(journal.rewrite([](const RecordFile::Sink& sink) { sink(encoded(ended(3))); }));
  for (int run = 4; run < 1000; ++run) journal.add(encoded(ended(run)));
  CHECK(journal.write());
  CHECK(read_journal(dir.fd.get(), "journal-me").ended.size() == 997);
  journal.clear();
  journal.add(encoded(ended(5)));
  CHECK(journal.write());
  const JournalContents contents = read_journal(dir.fd.get(), "journal-me");
  CHECK(contents.head.instance == "me");
  CHECK(contents.ended.size() == 1);
}

TEST_CASE("a journal that is no plain file reads as empty") {
  Directory dir;
  REQUIRE(::mkfifo((dir.scratch / "journal-fifo").c_str(), 0600) == 0);
  REQUIRE(::symlink("/etc/passwd", (dir.scratch / "journal-link").c_str()) == 0);
  CHECK(read_journal(dir.fd.get(), "journal-fifo").head.instance.empty());
  CHECK(read_journal(dir.fd.get(), "journal-link").head.instance.empty());
  CHECK(read_journal(dir.fd.get(), "journal-none").head.instance.empty());
}

}  // namespace
}  // namespace schedctl::keeper
