#include "schedctl/base/log.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <cstdio>
#include <set>
#include <string_view>
#include <thread>
#include <vector>

#include "schedctl/base/unique_fd.hpp"
#include "tests/base/scratch.hpp"

using namespace schedctl;
using test::read_file;
using test::Scratch;

namespace {

/// The log in a file of the test's own; back to stderr at the end.
struct LogFile {
  explicit LogFile(log::Level level = log::Level::info) { REQUIRE(log::open(path, level, false)); }
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;
  ~LogFile() { (void)log::open("", log::Level::info, false); }
  std::string text() const {
    log::flush();
    return read_file(path);
  }
  Scratch scratch;
  std::string path = scratch / "info.log";
};

/// What is behind a time such as "2026-03-29T02:30:00.012+02:00 ".
std::string without_time(const std::string& line) {
  constexpr std::string_view kShape = "0000-00-00T00:00:00.000+00:00 ";
  REQUIRE(line.size() > kShape.size());
  for (std::size_t i = 0; i < kShape.size(); ++i) {
    CAPTURE(line);
    const char c = line[i];
    if (kShape[i] == '0') {
      REQUIRE((c >= '0' && c <= '9'));
    } else {
      REQUIRE((c == kShape[i] || (kShape[i] == '+' && c == '-')));
    }
  }
  return line.substr(kShape.size());
}

std::string logged(std::string_view value) {
  const LogFile log;
  log::info("event", {{"key", value}});
  const std::string line = without_time(log.text());
  const std::string head = "info  event key=";
  REQUIRE(line.starts_with(head));
  return line.substr(head.size(), line.size() - head.size() - 1);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

}  // namespace

TEST_CASE("a line has a local time with its offset, a level, an event and its fields") {
  const LogFile log;
  log::warning("run-failed", {{"job", "backup"}, {"exit", 3}, {"late", 2.5}});
  CHECK(without_time(log.text()) == "warn  run-failed job=backup exit=3 late=2.500000\n");
}

TEST_CASE("the time of a line is this machine's, in its zone") {
  const LogFile log;
  const char* before = std::getenv("TZ");
  const std::string kept = before != nullptr ? before : "";
  ::setenv("TZ", "XXX3:30", 1);  // POSIX: west of Greenwich is positive
  ::tzset();
  log::info("event");
  before != nullptr ? ::setenv("TZ", kept.c_str(), 1) : ::unsetenv("TZ");
  ::tzset();
  CHECK(log.text().substr(23, 6) == "-03:30");
}

TEST_CASE("no value can forge a line, a field or a terminal's doings") {
  CHECK(logged("plain") == "plain");
  CHECK(logged("two words") == "\"two words\"");
  CHECK(logged("") == "\"\"");
  CHECK(logged("a=b") == "\"a=b\"");
  CHECK(logged("say \"hi\"") == R"("say \"hi\"")");
  CHECK(logged("back\\slash") == R"("back\\slash")");
  CHECK(logged("x\n2026-01-01 info  run-started") == R"("x\n2026-01-01 info  run-started")");
  CHECK(logged("\x1b[31mred\x1b[0m") == R"("\x1b[31mred\x1b[0m")");
  CHECK(logged("\r\x07\x7f") == R"("\x0d\x07\x7f")");
  CHECK(logged(std::string_view("a\0b", 3)) == R"("a\x00b")");
  CHECK(logged("\xff\xfe") == R"("\xff\xfe")");
  CHECK(logged("grün") == "grün");
}

TEST_CASE("lines below the level are left out, until it is changed") {
  const LogFile log(log::Level::warning);
  log::debug("one");
  log::info("two");
  log::warning("three");
  log::set_level(log::Level::debug);
  log::debug("four");
  const std::string text = log.text();
  CHECK(text.find("one") == std::string::npos);
  CHECK(text.find("two") == std::string::npos);
  CHECK(text.find("three") != std::string::npos);
  CHECK(text.find("debug four") != std::string::npos);
}

TEST_CASE("lines wait for the flush, an error does not") {
  const LogFile log;
  log::info("patient");
  CHECK(read_file(log.path).empty());
  log::error("urgent");
  const auto lines = lines_of(read_file(log.path));
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].ends_with("patient"));
  CHECK(lines[1].ends_with("urgent"));
}

TEST_CASE("a storm of lines is written out before the flush") {
  const LogFile log;
  for (int i = 0; i < 3000; ++i) log::info("storm", {{"number", i}});
  CHECK(read_file(log.path).size() > 64 * 1024);
  CHECK(lines_of(log.text()).size() == 3000);
}

TEST_CASE("levels are read from their words") {
  CHECK(log::parse_level("debug") == log::Level::debug);
  CHECK(log::parse_level("info") == log::Level::info);
  CHECK(log::parse_level("warning") == log::Level::warning);
  CHECK(log::parse_level("warn") == log::Level::warning);
  CHECK(log::parse_level("error") == log::Level::error);
  REQUIRE_FALSE(log::parse_level("loud"));
  CHECK(log::parse_level("loud").error().kind == ErrorKind::config);
}

TEST_CASE("a new log file is nobody's to write but its owner's") {
  const LogFile log;
  struct stat status {};
  REQUIRE(::stat(log.path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0137) == 0);
}

TEST_CASE("a log file that cannot be opened is an error, and the old one stays") {
  const LogFile log;
  const Scratch other;
  CHECK_FALSE(log::open(other / "missing/info.log", log::Level::info, false));
  CHECK_FALSE(log::open(other.path(), log::Level::info, false));
  REQUIRE(::mkfifo((other / "fifo").c_str(), 0600) == 0);
  CHECK_FALSE(log::open(other / "fifo", log::Level::info, false));  // and does not hang
  log::info("still-here");
  CHECK(log.text().find("still-here") != std::string::npos);
}

TEST_CASE("reopening after a rename loses no line, whatever other threads are writing") {
  const LogFile log;
  constexpr int kThreads = 4;
  constexpr int kLines = 3000;
  std::vector<std::thread> writers;
  for (int t = 0; t < kThreads; ++t) {
    writers.emplace_back([t] {
      for (int i = 0; i < kLines; ++i) {
        log::info("line", {{"id", t * kLines + i}});
        if (i % 50 == 0) log::flush();
      }
    });
  }
  std::vector<std::string> files{log.path};
  for (int i = 0; i < 20; ++i) {
    files.push_back(log.path + "." + std::to_string(i));
    REQUIRE(std::rename(log.path.c_str(), files.back().c_str()) == 0);
    REQUIRE(log::reopen());
  }
  for (std::thread& writer : writers) writer.join();
  log::flush();
  std::set<std::string> seen;
  std::size_t total = 0;
  for (const std::string& file : files) {
    for (const std::string& line : lines_of(read_file(file))) {
      ++total;
      seen.insert(line.substr(line.rfind('=') + 1));
    }
  }
  CHECK(total == kThreads * kLines);
  CHECK(seen.size() == kThreads * kLines);
}

TEST_CASE("opening another log while threads write loses no line") {
  const LogFile log;
  constexpr int kLines = 20'000;
  std::thread writer([] {
    for (int i = 0; i < kLines; ++i) log::info("line", {{"id", i}});
  });
  std::vector<std::string> files{log.path};
  for (int i = 0; i < 20; ++i) {
    files.push_back(log.path + "." + std::to_string(i));
    REQUIRE(log::open(files.back(), log::Level::info, false));
  }
  writer.join();
  log::flush();
  std::size_t total = 0;
  for (const std::string& file : files) total += lines_of(read_file(file)).size();
  CHECK(total == kLines);
}

TEST_CASE("reopening where the file cannot be made leaves the old one in use") {
  const LogFile log;
  const std::string elsewhere = log.path + ".1";
  REQUIRE(std::rename(log.path.c_str(), elsewhere.c_str()) == 0);
  REQUIRE(::mkdir(log.path.c_str(), 0700) == 0);
  CHECK_FALSE(log::reopen());
  log::info("still-here");
  log::flush();
  CHECK(read_file(elsewhere).find("still-here") != std::string::npos);
}

TEST_CASE("on a full disk lines are lost, nothing hangs, and afterwards the log says how many") {
  const LogFile log;
  log::info("before");
  log::flush();
  const auto size = static_cast<rlim_t>(read_file(log.path).size());
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
  const auto old_handler = ::signal(SIGXFSZ, SIG_IGN);
  // Room for a piece of the next line only.
  const rlimit tight{size + 10, limit.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &tight) == 0);
  for (int i = 0; i < 3; ++i) log::info("lost");
  log::flush();
  log::info("lost");
  log::flush();
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  ::signal(SIGXFSZ, old_handler);
  log::info("after");
  const auto lines = lines_of(log.text());
  REQUIRE(lines.size() == 4);
  CHECK(lines[0].ends_with("before"));
  CHECK(lines[1].size() == 10);
  CHECK(without_time(lines[2] + "\n") == "warn  log-lines-lost lines=4\n");
  CHECK(lines[3].ends_with("after"));
}

TEST_CASE("a device that takes nothing costs lines, not the process") {
  REQUIRE(log::open("/dev/full", log::Level::info, false));
  for (int i = 0; i < 1000; ++i) log::error("lost");
  CHECK(log::open("", log::Level::info, false));
}

TEST_CASE("a pipe that nobody reads costs lines and holds nobody up, and says so when it is read") {
  const Scratch scratch;
  const UniqueFd kept(::dup(STDERR_FILENO));
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd reading(ends[0]);
  {
    const UniqueFd writing(ends[1]);
    REQUIRE(::dup2(writing.get(), STDERR_FILENO) >= 0);
  }
  // More than a pipe holds.
  constexpr int kLines = 5000;
  REQUIRE(log::open(scratch / "info.log", log::Level::info, true));
  for (int i = 0; i < kLines; ++i) log::info("line", {{"number", i}});
  log::flush();
  std::string told(1'000'000, '\0');
  told.resize(static_cast<std::size_t>(::read(reading.get(), told.data(), told.size())));
  log::info("after");
  log::flush();
  std::string rest(1'000'000, '\0');
  rest.resize(static_cast<std::size_t>(::read(reading.get(), rest.data(), rest.size())));
  REQUIRE(::dup2(kept.get(), STDERR_FILENO) >= 0);
  REQUIRE(log::open("", log::Level::info, false));
  CHECK(lines_of(read_file(scratch / "info.log")).size() == kLines + 1);
  const std::vector<std::string> lines = lines_of(told + rest);
  REQUIRE(lines.size() > 2);
  CHECK(lines.back().ends_with("after"));
  const std::string& notice = lines[lines.size() - 2];
  const std::size_t number = notice.find("log-lines-lost lines=");
  REQUIRE(number != std::string::npos);
  // Each line is there, or counted; one may be torn.
  const int lost = std::stoi(notice.substr(number + 21));
  const int seen = static_cast<int>(lines.size()) - 2;
  CHECK(seen + lost >= kLines);
  CHECK(seen + lost <= kLines + 1);
}

TEST_CASE("without a file, and in the foreground, lines go to stderr") {
  const Scratch scratch;
  const UniqueFd kept(::dup(STDERR_FILENO));
  const UniqueFd caught(::open((scratch / "stderr").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  REQUIRE(::dup2(caught.get(), STDERR_FILENO) >= 0);
  const bool opened = log::open("", log::Level::info, false).has_value();
  log::info("no-file");
  const bool both = log::open(scratch / "log", log::Level::info, true).has_value();
  log::info("both");
  log::flush();
  (void)log::open("", log::Level::info, false);
  REQUIRE(::dup2(kept.get(), STDERR_FILENO) >= 0);
  CHECK((opened && both));
  const auto lines = lines_of(read_file(scratch / "stderr"));
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].ends_with("no-file"));
  CHECK(lines[1].ends_with("both"));
  CHECK(lines_of(read_file(scratch / "log")).size() == 1);
}
