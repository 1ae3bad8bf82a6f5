#include "schedctl/job/job.hpp"

#include <doctest/doctest.h>

#include <set>

#include "schedctl/base/limits.hpp"
#include "schedctl/job/transition.hpp"

using namespace schedctl;
using namespace schedctl::job;
using std::chrono::seconds;

namespace {

Definition good() {
  Definition d;
  d.schedule.kind = ScheduleKind::every;
  d.schedule.every = seconds(60);
  d.action.command = {"/bin/true"};
  return d;
}

std::string refused_where(const Definition& d) {
  const auto checked = check_definition(d);
  if (checked) return "accepted";
  CHECK(checked.error().kind == ErrorKind::usage);
  CHECK_FALSE(checked.error().message.empty());
  return checked.error().where;
}

}  // namespace

TEST_CASE("job names are letters, digits, dots, underscores and hyphens") {
  for (const char* name : {"a", "0", "backup", "nightly-backup", "a.b_c-D9"}) {
    CHECK(check_name(name).has_value());
  }
  CHECK(check_name(std::string(limits::kJobName, 'a')).has_value());
  for (const std::string& name :
       {std::string(), std::string(limits::kJobName + 1, 'a'), std::string(1 << 20, 'a'),
        std::string("-a"), std::string(".a"), std::string("_a"), std::string("a b"),
        std::string("a/b"), std::string("a\n"), std::string("\xc3\xa4"), std::string("a\0b", 3),
        std::string("#42")}) {
    const auto checked = check_name(name);
    REQUIRE_FALSE(checked.has_value());
    CHECK(checked.error().kind == ErrorKind::usage);
    CHECK(checked.error().message.size() < 500);
    CHECK(checked.error().message.find('\n') == std::string::npos);
  }
}

TEST_CASE("a definition needs something to run") {
  CHECK(refused_where(good()) == "accepted");
  Definition d = good();
  d.action.command.clear();
  CHECK(refused_where(d) == "command");
  d.action.shell = " \t";
  CHECK(refused_where(d) == "command");
  d.action.shell = "echo hello";
  CHECK(refused_where(d) == "accepted");
  CHECK(d.action.argv() == std::vector<std::string>{"/bin/sh", "-c", "echo hello"});
  d.action.command = {"/bin/true"};
  CHECK(refused_where(d) == "command");
  d.action.shell.clear();
  d.action.command = {""};
  CHECK(refused_where(d) == "command");
  d.action.command = {"/bin/echo", std::string("a\0b", 3)};
  CHECK(refused_where(d) == "command");
  d.action.command = {"/bin/echo", ""};
  CHECK(refused_where(d) == "accepted");
  CHECK(d.action.argv() == d.action.command);
}

TEST_CASE("command and environment have a common limit") {
  Definition d = good();
  d.action.command = {"/bin/echo", std::string(limits::kCommandBytes - 11, 'x')};
  CHECK(refused_where(d) == "accepted");
  d.action.command[1] += "x";
  CHECK(refused_where(d) == "command");
  d.action.command = {"/bin/true"};
  d.env = {{"A", std::string(limits::kCommandBytes, 'x')}};
  CHECK(refused_where(d) == "env");
}

TEST_CASE("environment variables have names that shells can read") {
  for (const char* name : {"A", "_", "a1_B"}) {
    Definition d = good();
    d.env = {{name, "v"}};
    CHECK(refused_where(d) == "accepted");
  }
  for (const std::string& name :
       {std::string(), std::string("1A"), std::string("A=B"), std::string("A B"),
        std::string("A\0B", 3), std::string("SCHEDCTL_RUN_ID"), std::string("SCHEDCTL_X")}) {
    Definition d = good();
    d.env = {{name, "v"}};
    CHECK(refused_where(d) == "env");
  }
  Definition d = good();
  d.env = {{"A", std::string("x\0y", 3)}};
  CHECK(refused_where(d) == "env");
  d.env = {{"A", "1"}, {"A", "2"}};
  CHECK(refused_where(d) == "env");
}

TEST_CASE("schedules, directories, tags and policies are checked by their field") {
  Definition d = good();
  d.schedule.every = Duration(999'999);
  CHECK(refused_where(d) == "every");
  d.schedule.every = Duration::max();
  CHECK(refused_where(d) == "every");
  d = good();
  d.schedule.kind = ScheduleKind::cron;
  d.schedule.cron = "61 * * * *";
  CHECK(refused_where(d) == "cron");
  d.schedule.cron = "0 0 30 2 *";
  CHECK(refused_where(d) == "cron");
  d.schedule.cron = "H H * * *";
  CHECK(refused_where(d) == "accepted");
  d = good();
  d.cwd = "relative/path";
  CHECK(refused_where(d) == "cwd");
  d.cwd = std::string("/a\0b", 4);
  CHECK(refused_where(d) == "cwd");
  d.cwd = "/srv";
  CHECK(refused_where(d) == "accepted");
  d.tags = {"good", "not good"};
  CHECK(refused_where(d) == "tags");
  d = good();
  d.policy.backoff = Duration(-1);
  CHECK(refused_where(d) == "retry.backoff");
  d = good();
  d.policy.timeout = Duration::max();
  CHECK(refused_where(d) == "timeout");
  d = good();
  d.policy.max_attempts = 0;
  CHECK(refused_where(d) == "retry.max_attempts");
}

TEST_CASE("a job's seed survives a new name and differs between jobs") {
  Job job;
  job.id = JobId(7);
  job.name = "old";
  job.created_at = time_from_us(1'800'000'000'000'000);
  const std::uint64_t seed = job.seed();
  job.name = "new";
  job.version = 9;
  CHECK(job.seed() == seed);
  std::set<std::uint64_t> seeds;
  for (int id = 1; id <= 1000; ++id) {
    job.id = JobId(id);
    seeds.insert(job.seed());
  }
  CHECK(seeds.size() == 1000);
}

TEST_CASE("names of states, reasons and causes read back") {
  for (int i = 0; i <= static_cast<int>(RunState::missed); ++i) {
    const auto v = static_cast<RunState>(i);
    CHECK_FALSE(to_string(v).empty());
    CHECK(parse_run_state(to_string(v)) == v);
  }
  for (int i = 0; i <= static_cast<int>(Reason::shutdown); ++i) {
    const auto v = static_cast<Reason>(i);
    CHECK(to_string(v).empty() == (v == Reason::none));
    CHECK(parse_reason(to_string(v)) == v);
  }
  CHECK(to_string(Reason::operator_) == "operator");
  for (const auto v : {Cause::schedule, Cause::manual}) CHECK(parse_cause(to_string(v)) == v);
  CHECK_FALSE(parse_run_state("ended").has_value());
}
