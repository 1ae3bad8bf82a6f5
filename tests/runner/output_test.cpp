#include "src/runner/output.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>

#include "schedctl/base/unique_fd.hpp"
#include "world.hpp"

namespace schedctl::runner {
namespace {

using job::Happening;
using job::Reason;
using job::RunState;

struct File {
  std::string path;
  explicit File(const std::string& text) {
    std::string name = "/tmp/schedctl-output-XXXXXX";
    const UniqueFd fd(::mkstemp(name.data()));
    REQUIRE(fd);
    REQUIRE(::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    path = name;
  }
  ~File() { ::unlink(path.c_str()); }
  job::AttemptResult result() const {
    job::AttemptResult result;
    result.output_path = path;
    result.output_bytes = static_cast<std::int64_t>(std::filesystem::file_size(path));
    return result;
  }
};

TEST_CASE("an output is judged by what it must have, must not have, and its size") {
  const File file("starting\nERROR: disk\nall done\n");
  CHECK(output_fault(job::resolve({.success_match = "^all done$"}, {}), file.result()).empty());
  CHECK(output_fault(job::resolve({.success_match = "^finished"}, {}), file.result()) ==
        "its output has no match of success_match: ^finished");
  CHECK(output_fault(job::resolve({.fail_match = "^ERROR"}, {}), file.result()) ==
        "its output has a match of fail_match: ^ERROR");
  CHECK(output_fault(job::resolve({.fail_match = "panic"}, {}), file.result()).empty());
  CHECK(output_fault(job::resolve({.min_output = 5}, {}), file.result()).empty());
  CHECK(output_fault(job::resolve({.min_output = 1000}, {}), file.result()) ==
        "it wrote 30 B, and min_output is 1KB");
}

TEST_CASE("a run that wrote nothing has an empty output") {
  const job::AttemptResult nothing;
  CHECK(output_fault(job::resolve({.fail_match = "x"}, {}), nothing).empty());
  CHECK_FALSE(output_fault(job::resolve({.success_match = "x"}, {}), nothing).empty());
  CHECK_FALSE(output_fault(job::resolve({.min_output = 1}, {}), nothing).empty());
}

TEST_CASE("what cannot be looked at is not called good") {
  job::AttemptResult result;
  result.output_bytes = 10;
  for (const char* path : {"/nonexistent/output", "/dev/zero", "/proc"}) {
    result.output_path = path;
    CHECK_FALSE(output_fault(job::resolve({.fail_match = "x"}, {}), result).empty());
  }
}

TEST_CASE("both ends of an output whose middle was cut out are searched, and the hole is not") {
  const std::string part(1 << 20, 'a');
  const File file("head\n" + part + part + part + part + "\ntail\n");
  {
    const UniqueFd fd(::open(file.path.c_str(), O_RDWR | O_CLOEXEC));
    REQUIRE(::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1 << 20, 2 << 20) ==
            0);
  }
  job::AttemptResult result = file.result();
  result.output_cut = 2 << 20;
  CHECK(output_fault(job::resolve({.success_match = "^head$"}, {}), result).empty());
  CHECK(output_fault(job::resolve({.success_match = "^tail$"}, {}), result).empty());
  CHECK(output_fault(job::resolve({.fail_match = "\\x00"}, {}), result).empty());
}

TEST_CASE("the info log gets whole lines of an output's end") {
  const File small("one\ntwo\n\nlast");
  CHECK(output_for_log(small.result()).lines == std::vector<std::string>{"one", "two", "", "last"});
  CHECK(output_for_log(small.result()).before == 0);
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "line " + std::to_string(i) + "\n";
  const File large(text);
  const LoggedOutput logged = output_for_log(large.result());
  CHECK(logged.lines.back() == "line 19999");
  CHECK(logged.lines.front().starts_with("line "));
  CHECK(logged.before > 0);
}

TEST_CASE("a run whose output is wrong has failed, and is tried again like any other") {
  World w;
  const File file("ERROR\n");
  w.add("a", std::chrono::hours(1), {.max_attempts = 2, .fail_match = "ERROR"});
  for (int attempt = 1; attempt <= 2; ++attempt) {
    w.clock.advance(std::chrono::hours(1));
    w.beat();
    executor::Report report = w.report(w.executor.started.back(), Happening::exited_zero);
    report.result.output_path = file.path;
    report.result.output_bytes = 6;
    w.runner->take(report);
    w.beat();
  }
  const job::Run run = w.runs("a").at(0);
  CHECK(run.state == RunState::failed);
  CHECK(run.reason == Reason::output);
  CHECK(run.attempt == 2);
  CHECK(run.result.error.find("fail_match") != std::string::npos);
}

namespace {

/// "a" has ended with an output that says ERROR, and nobody has looked at it yet.
struct JudgingWorld : World {
  File file{"ERROR\n"};

  explicit JudgingWorld(Happening happening = Happening::exited_zero) {
    judge_answers = false;
    beat();
    add("a", std::chrono::hours(1), {.fail_match = "ERROR"});
    add("b", std::chrono::minutes(61));
    clock.advance(std::chrono::hours(1));
    beat();
    runner->take(end(happening));
    beat();
  }
  executor::Report end(Happening happening) {
    executor::Report ended = report(executor.started.front(), happening);
    ended.result.output_path = file.path;
    ended.result.output_bytes = 6;
    return ended;
  }
};

}  // namespace

TEST_CASE("while an output is searched its run lives, and what else is due goes on") {
  JudgingWorld w;
  REQUIRE(w.judge.cases.size() == 1);
  CHECK(w.judge.cases[0].policy.fail_match == "ERROR");
  CHECK(w.runs("a").at(0).state == RunState::running);
  CHECK(w.runner->live() == 1);
  CHECK(w.executor.acknowledged.empty());
  w.clock.advance(std::chrono::minutes(1));
  w.beat();
  CHECK(w.runs("b").at(0).state == RunState::running);
  CHECK(w.judge.cases.size() == 1);
  w.judge_all();
  w.beat();
  CHECK(w.runs("a").at(0).state == RunState::failed);
  CHECK(w.runs("a").at(0).reason == Reason::output);
  CHECK(w.runner->live() == 1);
  CHECK(w.executor.acknowledged.size() == 1);
}

TEST_CASE("an end that the keeper tells again is searched once, and by a new daemon anew") {
  JudgingWorld w;
  w.adopt("keeper-1", {w.end(Happening::exited_zero)});
  w.beat();
  CHECK(w.judge.cases.size() == 1);
  CHECK(w.runs("a").at(0).state == RunState::running);
  w.judge.cases.clear();
  w.start_runner();
  w.adopt("keeper-1", {w.end(Happening::exited_zero)});
  w.beat();
  CHECK(w.runs("a").at(0).state == RunState::running);
  CHECK(w.runner->live() == 1);
  REQUIRE(w.judge.cases.size() == 1);
  w.judge_all();
  w.beat();
  CHECK(w.runs("a").at(0).reason == Reason::output);
  CHECK(w.runner->live() == 0);
}

TEST_CASE("a run that is being judged is not lost with its keeper") {
  JudgingWorld w;
  w.runner->keeper_lost("it is gone");
  w.adopt("keeper-2", {});
  w.beat();
  CHECK(w.runs("a").at(0).state == RunState::running);
  w.judge_all();
  w.beat();
  CHECK(w.runs("a").at(0).reason == Reason::output);
}

TEST_CASE("the output of a run that has failed anyway is not searched") {
  const JudgingWorld w(Happening::exited_nonzero);
  CHECK(w.judge.cases.empty());
  CHECK(w.runner->live() == 0);
}

TEST_CASE("output that goes to the info log leaves no file, and no other file is touched") {
  std::string name = "/tmp/schedctl-outputs-XXXXXX";
  REQUIRE(::mkdtemp(name.data()) != nullptr);
  const std::filesystem::path directory = name;
  const File foreign("hello\n");
  const std::string ours = directory / "0123456789abcdef-1.log";
  std::filesystem::copy_file(foreign.path, ours);
  World w;
  w.settings.output_dir = directory;
  w.start_runner();
  w.adopt("keeper-1", {});
  w.add("a", std::chrono::hours(1), {.output = job::Output::log});
  for (const std::string& path : {ours, foreign.path}) {
    w.clock.advance(std::chrono::hours(1));
    w.beat();
    executor::Report report = w.report(w.executor.started.back(), Happening::exited_zero);
    report.result.output_path = path;
    report.result.output_bytes = 6;
    w.runner->take(report);
    w.beat();
    CHECK(w.runs("a").back().result.output_path.empty());
  }
  CHECK_FALSE(std::filesystem::exists(ours));
  CHECK(std::filesystem::exists(foreign.path));
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace schedctl::runner
