#include "schedctl/config/job_file.hpp"

#include <doctest/doctest.h>

#include "tests/config/scratch.hpp"

using namespace schedctl;
using config::test::Scratch;

namespace {

config::JobFiles read_one(const Scratch& scratch, const std::string& text) {
  return config::read_job_files({scratch.write("jobs.toml", text)}, true);
}

/// The only error of a file with this text; its place begins with "F:".
Error refused(const std::string& text) {
  const Scratch scratch;
  const config::JobFiles files = read_one(scratch, text);
  CHECK(files.jobs.empty());
  CHECK(files.files.empty());
  CHECK(files.bad_files == std::vector<std::string>{scratch.path("jobs.toml")});
  REQUIRE(files.errors.size() == 1);
  Error error = files.errors[0];
  const std::string prefix = scratch.path("jobs.toml");
  REQUIRE(error.where.starts_with(prefix));
  error.where = "F" + error.where.substr(prefix.size());
  return error;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("every key of a job is read, in the order of the file") {
  const Scratch scratch;
  const config::JobFiles files = read_one(scratch, R"(
[job.nightly]
cron = "30 2 * * *"
timezone = "Europe/Amsterdam"
dst_gap = "skip"
dst_fold = "both"
command = ["/usr/local/bin/backup", "--full"]
cwd = "/srv"
env = { ZONE = "1", A = "2" }
tags = ["db", "night"]
timeout = "2h"
retry = { max_attempts = 3, backoff = "30s", max_delay = "10m" }
overlap = "skip"
misfire_grace = "15m"
coalesce = "all"
jitter = "5s"
kill_grace = "20s"
on_lost = "retry"
success_codes = [2, 0]

[job."a.b"]
every = "5m"
anchor = 2026-03-29T02:30:00Z
shell = "echo hi"
max_attempts = 2

[job.now]
every = "1h"
immediately = true
shell = "true"

[job.once]
at = "2030-01-01 12:00"
shell = "true"

[job.by-hand]
manual = true
shell = "true"
)");
  REQUIRE(files.errors.empty());
  CHECK(files.files == std::vector<std::string>{scratch.path("jobs.toml")});
  REQUIRE(files.jobs.size() == 5);
  const config::FileJob& nightly = files.jobs[0];
  CHECK(nightly.name == "nightly");
  CHECK(nightly.file == scratch.path("jobs.toml"));
  CHECK(nightly.position == scratch.path("jobs.toml") + ":2:6");
  CHECK(nightly.draft.cron == "30 2 * * *");
  CHECK(nightly.draft.timezone == "Europe/Amsterdam");
  CHECK(nightly.draft.dst_gap == "skip");
  CHECK(nightly.draft.dst_fold == "both");
  CHECK(nightly.draft.command == std::vector<std::string>{"/usr/local/bin/backup", "--full"});
  CHECK(nightly.draft.cwd == "/srv");
  CHECK(nightly.draft.env ==
        std::vector<std::pair<std::string, std::string>>{{"ZONE", "1"}, {"A", "2"}});
  CHECK(nightly.draft.tags == std::vector<std::string>{"db", "night"});
  CHECK(nightly.draft.policy.timeout == std::chrono::hours(2));
  CHECK(nightly.draft.policy.max_attempts == 3);
  CHECK(nightly.draft.policy.backoff == std::chrono::seconds(30));
  CHECK(nightly.draft.policy.max_delay == std::chrono::minutes(10));
  CHECK(nightly.draft.policy.misfire_grace == std::chrono::minutes(15));
  CHECK(nightly.draft.policy.coalesce == job::Coalesce::all);
  CHECK(nightly.draft.policy.jitter == std::chrono::seconds(5));
  CHECK(nightly.draft.policy.kill_grace == std::chrono::seconds(20));
  CHECK(nightly.draft.policy.on_lost == job::OnLost::retry);
  CHECK(nightly.draft.policy.success_codes == std::vector<int>{0, 2});
  CHECK(nightly.positions.at("cron") == scratch.path("jobs.toml") + ":3:1");
  CHECK(nightly.positions.at("retry.backoff") == scratch.path("jobs.toml") + ":12:29");
  CHECK(nightly.positions.at("backoff") == nightly.positions.at("retry.backoff"));
  CHECK(nightly.positions.at("env.A") == scratch.path("jobs.toml") + ":9:21");

  CHECK(files.jobs[1].name == "a.b");
  CHECK(files.jobs[1].draft.every == "5m");
  CHECK(files.jobs[1].draft.anchor == "2026-03-29T02:30:00Z");
  CHECK(files.jobs[1].draft.shell == "echo hi");
  CHECK(files.jobs[1].draft.policy.max_attempts == 2);
  CHECK(files.jobs[2].draft.immediately);
  CHECK(files.jobs[3].draft.at == "2030-01-01 12:00");
  CHECK(files.jobs[4].draft.manual);
}

TEST_CASE(
    "the *.toml files of a directory are read in byte order, hidden and other files are not") {
  const Scratch scratch;
  scratch.write("d/b.toml", "[job.b]\nmanual = true\n");
  scratch.write("d/B.toml", "[job.B]\nmanual = true\n");
  scratch.write("d/a.toml", "[job.a]\nmanual = true\n");
  scratch.write("d/.hidden.toml", "nonsense");
  scratch.write("d/a.toml~", "nonsense");
  scratch.write("d/sub/c.toml", "[job.c]\nmanual = true\n");
  const config::JobFiles files =
      config::read_job_files({scratch.path("d"), scratch.path("d/a.toml")}, false);
  CHECK(files.errors.empty());
  CHECK(files.files == std::vector<std::string>{scratch.path("d/B.toml"), scratch.path("d/a.toml"),
                                                scratch.path("d/b.toml")});
  REQUIRE(files.jobs.size() == 3);
  CHECK(files.jobs[0].name == "B");
}

TEST_CASE("a path that does not exist yields nothing, or an error where it must exist") {
  const Scratch scratch;
  const config::JobFiles none = config::read_job_files({scratch.path("missing")}, false);
  CHECK(none.errors.empty());
  CHECK(none.bad_files.empty());
  CHECK(none.missing == std::vector<std::string>{scratch.path("missing")});
  const config::JobFiles missing = config::read_job_files({scratch.path("missing")}, true);
  REQUIRE(missing.errors.size() == 1);
  CHECK(missing.errors[0].kind == ErrorKind::not_found);
  CHECK(missing.errors[0].where == scratch.path("missing"));
}

TEST_CASE("a bad file does not hold back the good ones, and all its errors are told") {
  const Scratch scratch;
  scratch.write("a.toml",
                "[job.a]\nevry = \"5m\"\ntimeout = \"2 hours\"\n[job.fine]\nmanual=true\n");
  scratch.write("b.toml", "[job.b]\nmanual = true\n");
  const config::JobFiles files = config::read_job_files({scratch.root()}, false);
  REQUIRE(files.jobs.size() == 1);
  CHECK(files.jobs[0].name == "b");
  CHECK(files.bad_files == std::vector<std::string>{scratch.path("a.toml")});
  REQUIRE(files.errors.size() == 2);
  CHECK(files.errors[0].where == scratch.path("a.toml") + ":2:1");
  CHECK(contains(files.errors[0].message, "every"));
  CHECK(files.errors[1].where == scratch.path("a.toml") + ":3:11");
}

TEST_CASE("the same name in two files is an error that names both places") {
  const Scratch scratch;
  scratch.write("a.toml", "[job.x]\nmanual = true\n");
  scratch.write("b.toml", "\n[job.x]\nmanual = true\n");
  const config::JobFiles files = config::read_job_files({scratch.root()}, false);
  CHECK(files.jobs.size() == 1);
  CHECK(files.bad_files == std::vector<std::string>{scratch.path("b.toml")});
  REQUIRE(files.errors.size() == 1);
  CHECK(files.errors[0].where == scratch.path("b.toml") + ":2:6");
  CHECK(contains(files.errors[0].message, scratch.path("a.toml") + ":1:6"));
}

TEST_CASE("the same name twice in one file is an error") {
  CHECK(refused("[job.x]\nmanual = true\n[job.x]\nmanual = true\n").where.starts_with("F:3:"));
}

TEST_CASE("names are checked at their place") {
  const Error error = refused("\n[job.\"no spaces\"]\nmanual = true\n");
  CHECK(error.where == "F:2:6");
  CHECK(error.kind == ErrorKind::config);
}

TEST_CASE("keys that a job does not have are refused with what was meant") {
  const Error misspelt = refused("[job.x]\nmanual = true\ncomand = [\"/bin/true\"]\n");
  CHECK(misspelt.where == "F:3:1");
  CHECK(contains(misspelt.message, "command"));
  CHECK(contains(refused("[job.x]\nin = \"5m\"\n").message, "at ="));
  CHECK(contains(refused("[job.x]\npaused = true\n").message, "schedctl pause"));
  CHECK(contains(refused("[job.a.b]\nmanual = true\n").message, "[job.\"a.b\"]"));
  CHECK(contains(refused("[jobs.a]\nmanual = true\n").message, "did you mean job?"));
  CHECK(refused("job = 3\n").where == "F:1:1");
  CHECK(refused("[job]\nx = 3\n").where == "F:2:1");
}

TEST_CASE("values of the wrong kind are refused at their place") {
  CHECK(contains(refused("[job.x]\nevery = 90\n").message, "\"90s\""));
  CHECK(refused("[job.x]\ncron = [\"x\"]\n").where == "F:2:8");
  CHECK(refused("[job.x]\nmanual = \"yes\"\n").where == "F:2:10");
  CHECK(refused("[job.x]\ncommand = \"/bin/true\"\n").where == "F:2:11");
  CHECK(refused("[job.x]\ncommand = [\"/bin/true\", 3]\n").where == "F:2:25");
  CHECK(refused("[job.x]\nenv = { A = 1 }\n").where == "F:2:13");
  CHECK(refused("[job.x]\nenv = [\"A=1\"]\n").where == "F:2:7");
  CHECK(refused("[job.x]\nretry = 3\n").where == "F:2:9");
  CHECK(refused("[job.x]\nretry = { timeout = \"3s\" }\n").where == "F:2:11");
  CHECK(refused("[job.x]\nretry = { backoff = \"3\" }\n").where == "F:2:21");
  CHECK(refused("[job.x]\nbackoff = \"1s\"\nretry = { backoff = \"3s\" }\n").where == "F:3:11");
}

TEST_CASE("a moment that depends on when the file is read is refused") {
  for (const char* text : {"02:30", "tomorrow 03:00", "now+5m", ""}) {
    CAPTURE(text);
    CHECK(refused("[job.x]\nat = \"" + std::string(text) + "\"\n").where == "F:2:6");
  }
  CHECK(refused("[job.x]\nat = 02:30:00\n").where == "F:2:6");
  CHECK(refused("[job.x]\nevery = \"5m\"\nanchor = \"now+1h\"\n").where == "F:3:10");
}

TEST_CASE("broken TOML is an error at its place") {
  CHECK(refused("[job.x]\nevery = \n").where.starts_with("F:2:"));
  CHECK(refused("[job.x]\nshell = \"\xff\"\n").where.starts_with("F:2:"));
}

TEST_CASE("files that others could have written are refused") {
  const Scratch scratch;
  const std::string file = scratch.write("a.toml", "[job.a]\nmanual = true\n", 0664);
  const config::JobFiles files = config::read_job_files({file}, true);
  CHECK(files.jobs.empty());
  REQUIRE(files.errors.size() == 1);
  CHECK(files.errors[0].where == file);
  CHECK(contains(files.errors[0].message, "chmod"));
}

TEST_CASE("a directory that may not be read is an error, and counts as bad") {
  if (::geteuid() == 0) return;  // root reads everything
  const Scratch scratch;
  scratch.write("d/a.toml", "[job.a]\nmanual = true\n");
  ::chmod(scratch.path("d").c_str(), 0000);
  const config::JobFiles files = config::read_job_files({scratch.path("d")}, false);
  ::chmod(scratch.path("d").c_str(), 0700);
  REQUIRE(files.errors.size() == 1);
  CHECK(files.errors[0].kind == ErrorKind::not_allowed);
  CHECK(files.bad_files == std::vector<std::string>{scratch.path("d")});
}
