#include <unistd.h>

#include <doctest/doctest.h>

#include <cstdlib>
#include <map>

#include "schedctl/executor/command.hpp"

using namespace schedctl;
using namespace schedctl::executor;

namespace {

const Accounts::Account kAnna{{"anna", "/home/anna", "/bin/zsh"}, false, "/home/anna"};

StartRequest request_of() {
  StartRequest request;
  request.run = RunId(42);
  request.job = "backup";
  request.key = "3f9d7c1e-0000-5000-8000-000000000000";
  request.fire_time = time_from_us(1'774'746'000'000'000);
  request.attempt = 2;
  request.timezone = "Europe/Amsterdam";
  return request;
}

std::string value_of(const std::vector<std::string>& environment, const std::string& name) {
  std::string found = "none";
  int times = 0;
  for (const std::string& entry : environment) {
    if (entry.starts_with(name + "=")) found = entry.substr(name.size() + 1), ++times;
  }
  CHECK(times <= 1);
  return found;
}

}  // namespace

TEST_CASE("a command's environment is exactly this, and nothing of the daemon's") {
  ::setenv("SCHEDCTL_STORE", "postgresql://secret", 1);
  ::setenv("LD_PRELOAD_OF_THE_DAEMON", "x", 1);
  const auto environment = build_environment(request_of(), kAnna);
  ::unsetenv("SCHEDCTL_STORE");
  ::unsetenv("LD_PRELOAD_OF_THE_DAEMON");
  CHECK(environment ==
        std::vector<std::string>{
            "HOME=/home/anna", "LANG=C.UTF-8", "LOGNAME=anna", "PATH=/usr/local/bin:/usr/bin:/bin",
            "SCHEDCTL_ATTEMPT=2", "SCHEDCTL_FIRE_TIME=2026-03-29T01:00:00Z", "SCHEDCTL_JOB=backup",
            "SCHEDCTL_KEY=3f9d7c1e-0000-5000-8000-000000000000", "SCHEDCTL_RUN_ID=42",
            "SHELL=/bin/zsh", "TZ=Europe/Amsterdam", "USER=anna"});
}

TEST_CASE("root finds the programs of an administrator, too") {
  Accounts::Account root = kAnna;
  root.is_root = true;
  CHECK(value_of(build_environment(request_of(), root), "PATH") ==
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
}

TEST_CASE("the job's own variables come in, and over the defaults") {
  StartRequest request = request_of();
  request.env = {{"PATH", "/opt/bin"}, {"TZ", "UTC"},    {"EMPTY", ""},
                 {"HOME", "/srv"},     {"A", "b=c d\n"}, {"LANG", "nl_NL.UTF-8"}};
  const auto environment = build_environment(request, kAnna);
  CHECK(environment.size() == 14);
  CHECK(value_of(environment, "PATH") == "/opt/bin");
  CHECK(value_of(environment, "TZ") == "UTC");
  CHECK(value_of(environment, "HOME") == "/srv");
  CHECK(value_of(environment, "LANG") == "nl_NL.UTF-8");
  CHECK(value_of(environment, "EMPTY").empty());
  CHECK(value_of(environment, "A") == "b=c d\n");
  CHECK(value_of(environment, "USER") == "anna");
}

TEST_CASE("no job can change what tells it which run it is") {
  StartRequest request = request_of();
  for (const char* name : {"SCHEDCTL_RUN_ID", "SCHEDCTL_JOB", "SCHEDCTL_FIRE_TIME",
                           "SCHEDCTL_ATTEMPT", "SCHEDCTL_KEY"}) {
    request.env.emplace_back(name, "forged");
  }
  CHECK(build_environment(request, kAnna) == build_environment(request_of(), kAnna));
}

TEST_CASE("of a name that is given twice the last counts") {
  StartRequest request = request_of();
  request.env = {{"A", "1"}, {"A", "2"}, {"AA", "3"}};
  const auto environment = build_environment(request, kAnna);
  CHECK(value_of(environment, "A") == "2");
  CHECK(value_of(environment, "AA") == "3");
}

TEST_CASE("a job without a zone has no TZ, which would mean UTC if it were empty") {
  StartRequest request = request_of();
  request.timezone.clear();
  CHECK(value_of(build_environment(request, kAnna), "TZ") == "none");
}

TEST_CASE("thousands of variables cost no more than sorting them") {
  StartRequest request = request_of();
  for (int i = 0; i < 20'000; ++i) request.env.emplace_back("V" + std::to_string(i), "x");
  CHECK(build_environment(request, kAnna).size() == 20'012);
}
