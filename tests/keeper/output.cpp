#include "living_keeper.hpp"

#include <fcntl.h>

#include <set>

namespace schedctl::keeper {
namespace {

using namespace test;

std::size_t files_in(const std::string& directory) {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator(directory), {}));
}

TEST_CASE("output is kept under the name it was announced with") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  const Ended ended = daemon.run(shell(1, "echo out; echo err >&2; echo more >>/dev/stderr"));
  CHECK(ended.output_path == daemon.started[0].output_path);
  CHECK(read_file(ended.output_path) == "out\nerr\nmore\n");
  CHECK(ended.output_bytes == 13);
  struct stat st {};
  REQUIRE(::stat(ended.output_path.c_str(), &st) == 0);
  CHECK((st.st_mode & 07777) == 0600);
  const Ended next = daemon.run(shell(2, "echo next"));
  CHECK(next.output_path != ended.output_path);
}

TEST_CASE("a silent run's file goes to the next run") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  for (int run = 1; run <= 5; ++run) {
    const Ended ended = daemon.run(order_of(run, {"true"}));
    CHECK(ended.output_path.empty());
    CHECK(ended.output_bytes == 0);
  }
  CHECK(files_in(scratch / "output") == 1);
  const Ended loud = daemon.run(shell(6, "echo hello"));
  CHECK(loud.output_path == daemon.started[0].output_path);
  CHECK(read_file(loud.output_path) == "hello\n");
}

TEST_CASE("commands that run at once have files of their own") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  for (int run = 1; run <= 10; ++run) daemon.client->start(shell(run, "sleep 0.2; echo $$"));
  daemon.until([&] { return daemon.ended.size() == 10; });
  std::set<std::string> paths;
  for (const Ended& ended : daemon.ended) {
    paths.insert(ended.output_path);
    CHECK(read_file(ended.output_path) == std::to_string(ended.pid) + "\n");
  }
  CHECK(paths.size() == 10);
}

TEST_CASE("a background process that holds the output delays no end, and its file is not reused") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  const std::string go = scratch / "go";
  StartOrder order =
      shell(1, "(setsid sh -c 'while [ ! -e " + go + " ]; do sleep 0.01; done; echo late') & :");
  order.terms.keep_children = true;
  const Ended ended = daemon.run(order);
  CHECK(ended.wait_status == 0);
  CHECK(ended.output_bytes == 0);
  REQUIRE(ended.output_path == daemon.started[0].output_path);
  const Ended next = daemon.run(shell(2, "echo mine"));
  CHECK(next.output_path != ended.output_path);
  std::ofstream(go) << "go";
  CHECK(comes_true([&] { return read_file(ended.output_path) == "late\n"; }));
  CHECK(read_file(next.output_path) == "mine\n");
}

TEST_CASE("a silent run's file that somebody reads, linked or removed is not reused") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  daemon.run(order_of(1, {"true"}));
  const std::string pooled = daemon.started[0].output_path;
  std::filesystem::create_hard_link(pooled, scratch / "link");
  daemon.run(order_of(2, {"true"}));
  CHECK(daemon.started[1].output_path != pooled);
  std::filesystem::remove(daemon.started[1].output_path);
  daemon.run(order_of(3, {"true"}));
  CHECK(daemon.started[2].output_path != daemon.started[1].output_path);
  std::ifstream reader(daemon.started[2].output_path);
  daemon.run(order_of(4, {"true"}));  // opened before: had the file already
  CHECK(daemon.ended[3].output_path == daemon.started[3].output_path);
  daemon.run(order_of(5, {"true"}));
  CHECK(daemon.started[4].output_path != daemon.started[3].output_path);
}

TEST_CASE("an output directory that cannot take files fails the start, not the keeper") {
  if (::geteuid() == 0 && ::getenv("SCHEDCTL_TEST_AS_USER") == nullptr) {
    // Root writes into read-only directories: one that cannot be made again stops it too.
    Scratch scratch;
    KeeperProcess keeper(scratch.paths());
    Daemon daemon(scratch.paths());
    std::filesystem::remove(scratch / "output");
    std::ofstream(scratch / "output") << "in the way";
    daemon.client->start(order_of(1, {"true"}));
    daemon.until([&] { return daemon.failed.size() == 1; });
    CHECK(daemon.failed[0].stage == Stage::output);
    CHECK(daemon.failed[0].error_number == ENOENT);
  }
}

TEST_CASE("an output directory that was removed is made again") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  daemon.run(shell(1, "true"));
  std::filesystem::remove_all(scratch / "output");
  CHECK(read_file(daemon.run(shell(2, "echo hello")).output_path) == "hello\n");
}

TEST_CASE("the empty files of a keeper that was killed go with the next one") {
  Scratch scratch;
  std::string loud;
  {
    KeeperProcess keeper(scratch.paths());
    Daemon daemon(scratch.paths());
    for (int run = 1; run <= 4; ++run) daemon.client->start(shell(run, "sleep 0.1"));
    daemon.until([&] { return daemon.ended.size() == 4; });
    loud = daemon.run(shell(5, "echo hello")).output_path;
    keeper.kill();
  }
  KeeperProcess keeper(scratch.paths());
  REQUIRE(keeper.said() == "R");
  CHECK(files_in(scratch / "output") == 1);
  CHECK(read_file(loud) == "hello\n");
}

TEST_CASE("a keeper that ends takes its empty files along, and leaves the others") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  std::string loud;
  {
    Daemon daemon(scratch.paths());
    for (int run = 1; run <= 4; ++run) daemon.client->start(shell(run, "sleep 0.1"));
    daemon.until([&] { return daemon.ended.size() == 4; });
    loud = daemon.run(shell(5, "echo hello")).output_path;
    CHECK(files_in(scratch / "output") == 4);
    daemon.client->quit_if_idle();
    daemon.client->on_ready(POLLOUT);
    CHECK(keeper.wait() == 0);
  }
  CHECK(files_in(scratch / "output") == 1);
  CHECK(read_file(loud) == "hello\n");
}

TEST_CASE("of too much output the first and the last half are kept, and the cut is told") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  StartOrder order = shell(1, "echo first; head -c 1000000 /dev/zero | tr '\\0' x; echo last");
  order.terms.max_output = 64 * 1024;
  const Ended ended = daemon.run(order);
  const std::string text = read_file(ended.output_path);
  CHECK(ended.output_bytes == 1'000'000 + 11);
  CHECK(text.size() == 1'000'000 + 11);
  const auto head = static_cast<std::size_t>(order.terms.max_output / 2);
  const auto cut = static_cast<std::size_t>(ended.output_cut);
  CHECK(text.starts_with("first\n"));
  CHECK(text.ends_with("xlast\n"));
  CHECK(text.find('\0') == head);
  CHECK(text.find_last_of('\0') == head + cut - 1);
  CHECK(text.size() - head - cut >= head);
  CHECK(text.size() - head - cut < head + 4096);
  struct stat st {};
  REQUIRE(::stat(ended.output_path.c_str(), &st) == 0);
  CHECK(st.st_blocks * 512 < 128 * 1024);
  // The way in which a reader finds it.
  const int fd = ::open(ended.output_path.c_str(), O_RDONLY);
  CHECK(::lseek(fd, 0, SEEK_HOLE) == static_cast<off_t>(head));
  CHECK(::lseek(fd, static_cast<off_t>(head), SEEK_DATA) == static_cast<off_t>(head + cut));
  ::close(fd);
}

TEST_CASE("output is cut while its run lives, and goes on being written at its end") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  const std::string go = scratch / "go";
  StartOrder order =
      shell(1, "yes | head -c 3000000; while [ ! -e " + go + " ]; do sleep 0.01; done; echo last");
  order.terms.max_output = 32 * 1024;
  daemon.client->start(order);
  daemon.until([&] { return daemon.started.size() == 1; });
  const std::string path = daemon.started[0].output_path;
  CHECK(comes_true([&] {
    struct stat st {};
    return ::stat(path.c_str(), &st) == 0 && st.st_size == 3'000'000 &&
           st.st_blocks * 512 < 64 * 1024;
  }));
  std::ofstream(go) << "go";
  daemon.until([&] { return daemon.ended.size() == 1; });
  CHECK(daemon.ended[0].output_bytes == 3'000'005);
  CHECK(read_file(path).ends_with("y\nlast\n"));
}

TEST_CASE("output within its bound, or without one, is left as it is") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  StartOrder order = shell(1, "head -c 65536 /dev/zero | tr '\\0' x");
  order.terms.max_output = 64 * 1024;
  CHECK(daemon.run(order).output_cut == 0);
  order = shell(2, "head -c 20000000 /dev/zero | tr '\\0' x");
  order.terms.max_output = 0;
  const Ended ended = daemon.run(order);
  CHECK(ended.output_cut == 0);
  CHECK(read_file(ended.output_path) == std::string(20'000'000, 'x'));
}

TEST_CASE("output that is not wanted goes nowhere and costs no file") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  StartOrder order = shell(1, "echo lost; readlink /proc/self/fd/1 >&2; echo more >/dev/stderr");
  order.terms.output = Output::discard;
  const Ended ended = daemon.run(order);
  CHECK(ended.wait_status == 0);
  CHECK(daemon.started[0].output_path.empty());
  CHECK(ended.output_path.empty());
  CHECK(ended.output_bytes == 0);
  CHECK(files_in(scratch / "output") == 0);
}

TEST_CASE("of very many runs the output of each is cut while it lives") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  Daemon daemon(scratch.paths());
  constexpr int kRuns = 600;
  constexpr std::int64_t kWritten = 40'960;
  for (int run = 1; run <= kRuns; ++run) {
    StartOrder order = shell(run, "head -c 40960 /dev/zero; exec sleep 1000");
    order.terms.max_output = 8192;
    daemon.client->start(order);
  }
  daemon.until([&] { return daemon.started.size() == kRuns; });
  for (const Started& started : daemon.started) {
    CHECK(comes_true([&] {
      struct stat st {};
      return ::stat(started.output_path.c_str(), &st) == 0 && st.st_size == kWritten &&
             st.st_blocks * 512 < kWritten / 2;
    }));
  }
}

}  // namespace
}  // namespace schedctl::keeper
