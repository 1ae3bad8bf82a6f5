#include "schedctl/runner/judge.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <future>
#include <string>
#include <vector>

using namespace schedctl;
using namespace schedctl::runner;

TEST_CASE("each case gets its verdict, in order, on another thread") {
  constexpr int kCases = 100;
  std::vector<std::pair<std::int64_t, std::string>> told;
  std::promise<std::thread::id> done;
  OutputJudge judge([&](const Judge::Verdict& verdict) {
    told.emplace_back(verdict.report.run.value, verdict.fault);
    if (told.size() == kCases) done.set_value(std::this_thread::get_id());
  });
  for (int i = 1; i <= kCases; ++i) {
    Judge::Case one;
    one.report.run = RunId(i);
    // Without any output.
    (i % 2 == 0 ? one.policy.success_match : one.policy.fail_match) = "x";
    judge.judge(std::move(one));
  }
  CHECK(done.get_future().get() != std::this_thread::get_id());
  for (int i = 1; i <= kCases; ++i) {
    const auto& [run, fault] = told[static_cast<std::size_t>(i - 1)];
    CHECK(run == i);
    CHECK(fault.empty() == (i % 2 != 0));
  }
}

TEST_CASE("where the machine has no thread to give, a case gets its verdict at once") {
  const pid_t pid = ::fork();
  if (pid == 0) {
    // Root may have as many as it likes.
    constexpr uid_t kNobody = 65534;
    if (::geteuid() == 0 && ::setresuid(kNobody, kNobody, kNobody) != 0) ::_exit(2);
    const rlimit none{0, 0};
    if (::setrlimit(RLIMIT_NPROC, &none) != 0) ::_exit(3);
    std::string fault;
    OutputJudge judge([&fault](const Judge::Verdict& verdict) { fault = verdict.fault; });
    Judge::Case one;
    one.policy.success_match = "x";
    judge.judge(std::move(one));
    ::_exit(fault.empty() ? 1 : 0);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  CHECK(status == 0);
}

TEST_CASE("a judge without a case ends at once") {
  OutputJudge judge([](const Judge::Verdict&) {});
}
