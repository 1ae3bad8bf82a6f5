#include "schedctl/config/job_writer.hpp"

#include <doctest/doctest.h>

#include "schedctl/config/job_file.hpp"
#include "tests/config/scratch.hpp"

using namespace schedctl;
using config::JobKey;
using config::test::Scratch;

namespace {

/// A clock that is two hours ahead.
class TwoAhead final : public job::Zone {
 public:
  const std::string& name() const override { return name_; }
  std::chrono::seconds offset(Time) const override { return kOffset; }
  CivilTime civil(Time t) const override {
    return CivilTime{std::chrono::floor<std::chrono::seconds>(t.time_since_epoch()) + kOffset};
  }
  job::CivilMeaning meaning(CivilTime civil) const override {
    return {.first = Time{civil.time_since_epoch() - kOffset}, .second = {}, .transition = {}};
  }
  std::optional<job::ZoneChange> next_change(Time) const override { return std::nullopt; }

 private:
  static constexpr std::chrono::seconds kOffset{7200};
  std::string name_ = "Etc/GMT-2";
};

constexpr Time kMoment{std::chrono::sys_days{std::chrono::year{2026} / 3 / 29}};

job::Definition shell_job(std::string line) {
  job::Definition definition;
  definition.action.shell = std::move(line);
  return definition;
}

std::string written(const job::Definition& definition, const std::string& name = "x") {
  const auto text = config::job_text(name, definition, TwoAhead());
  if (!text) FAIL(text.error().message);
  return *text;
}

/// What read_job_files() makes of the text.
config::FileJob reread(const std::string& text) {
  const Scratch scratch;
  const config::JobFiles files = config::read_job_files({scratch.write("jobs.toml", text)}, true);
  for (const Error& error : files.errors)
    FAIL(error.where << ": " << error.message << "\n" << text);
  REQUIRE(files.jobs.size() == 1);
  return files.jobs[0];
}

std::string reread_shell(const std::string& line) {
  return reread(written(shell_job(line))).draft.shell.value_or("(none)");
}

}  // namespace

TEST_CASE("a job is written as a person would write it") {
  job::Definition definition;
  definition.schedule.kind = job::ScheduleKind::cron;
  definition.schedule.cron = "30 2 * * 1-5";
  definition.schedule.timezone = "Europe/Amsterdam";
  definition.schedule.dst_gap = job::DstGap::skip;
  definition.schedule.until = kMoment + std::chrono::milliseconds(250);
  definition.schedule.exclude = {"holidays"};
  definition.schedule.on_excluded = job::OnExcluded::next;
  definition.schedule.weeks = 2;
  definition.schedule.week_anchor = std::chrono::local_days{std::chrono::year{2026} / 1 / 5};
  definition.action.command = {"/usr/bin/mail", "-s", "it's \"done\"", R"(C:\x)"};
  definition.policy.timeout = std::chrono::hours(2);
  definition.policy.max_attempts = 3;
  definition.policy.backoff = std::chrono::seconds(30);
  definition.cwd = "/srv";
  definition.tags = {"db", "night"};
  definition.env = {{"ZONE", "1"}, {"A", ""}};
  CHECK(written(definition, "a.b") == R"([job."a.b"]
cron = "30 2 * * 1-5"
weeks = 2
anchor = "2026-01-05"
timezone = "Europe/Amsterdam"
dst_gap = "skip"
until = "2026-03-29T02:00:00.250000+02:00"
exclude = ["holidays"]
on_excluded = "next"
command = ["/usr/bin/mail", "-s", "it's \"done\"", 'C:\x']
cwd = "/srv"
tags = ["db", "night"]
timeout = "2h"
retry = { max_attempts = 3, backoff = "30s" }
env = { ZONE = "1", A = "" }
)");
}

TEST_CASE("each kind of schedule has its key, and a grid its anchor") {
  const auto first_lines = [](job::Schedule schedule) {
    job::Definition definition = shell_job("true");
    definition.schedule = std::move(schedule);
    const std::string text = written(definition);
    return text.substr(8, text.find("shell") - 8);
  };
  job::Schedule schedule;
  CHECK(first_lines(schedule) == "manual = true\n");
  schedule.kind = job::ScheduleKind::every;
  schedule.every = std::chrono::minutes(90);
  schedule.anchor = schedule.at = kMoment;
  CHECK(first_lines(schedule) == "every = \"1h30m\"\nanchor = \"2026-03-29T02:00:00+02:00\"\n");
  schedule.kind = job::ScheduleKind::at;
  CHECK(first_lines(schedule) == "at = \"2026-03-29T02:00:00+02:00\"\n");
  schedule.kind = job::ScheduleKind::reboot;
  CHECK(first_lines(schedule) == "on_reboot = true\n");
}

TEST_CASE("a script keeps its lines, and every string comes back as it was") {
  CHECK(written(shell_job("cd /srv\n\tmake 'all'\n"))
            .ends_with("shell = '''\ncd /srv\n\tmake 'all'\n'''\n"));
  for (const std::string line : {"plain",
                                 "\nbegins with a line",
                                 "a\nb'",
                                 "a'''b\nc",
                                 "tab\tand \"quotes\" and 'quotes'",
                                 "back\\slash\\n",
                                 "'",
                                 "''",
                                 "'''",
                                 "\"\"\"",
                                 "\x1b[31mred\x7f",
                                 "a\r\nb",
                                 "a\rb",
                                 "\xC2\x85\xC2\xA0 grüße 日本 🕰",
                                 "\xE2\x80\xAE"
                                 "turned",
                                 "\xEF\xBB\xBF"
                                 "bom",
                                 " ",
                                 "# no comment",
                                 "${HOME} %d {x}",
                                 "\xEF\xBF\xBE\xEF\xBF\xBF \xF4\x8F\xBF\xBF",
                                 "\\u0041",
                                 "x = \"1\""}) {
    CAPTURE(line);
    CHECK(reread_shell(line) == line);
  }
}

TEST_CASE("what would do something to a terminal is escaped") {
  CHECK(written(shell_job("\x1b[2J\xC2\x9B"
                          "2J\xE2\x80\xAE"))
            .find_first_of("\x1b\x9B\xAE") == std::string::npos);
  CHECK(config::toml_value({.key = "shell", .text = "a\x1b\n"}) == R"("a\u001B\n")");
}

TEST_CASE("long lists and environments go over several lines") {
  job::Definition definition;
  definition.schedule.kind = job::ScheduleKind::manual;
  for (int i = 0; i < 30; ++i) {
    definition.action.command.push_back("--word=" + std::to_string(i));
    definition.env.emplace_back("V" + std::to_string(29 - i), "value " + std::to_string(i));
  }
  const std::string text = written(definition, "a.b");
  CHECK(text.find("command = [\n  \"--word=0\",\n") != std::string::npos);
  CHECK(text.find("[job.\"a.b\".env]\nV29 = \"value 0\"\n") != std::string::npos);
  const config::FileJob job = reread(text);
  CHECK(job.draft.command == definition.action.command);
  CHECK(job.draft.env == definition.env);
}

TEST_CASE("what is no UTF-8 cannot be written, and the key is named") {
  for (const std::string bytes : {"\xFF", "a\x80", "\xC0\x80", "\xED\xA0\x80", "\xF5\x80\x80\x80",
                                  "\xE2\x82", "\xF0\x9F\x95"}) {
    job::Definition definition;
    definition.action.command = {"echo", bytes};
    const auto text = config::job_text("x", definition, TwoAhead());
    REQUIRE_FALSE(text.has_value());
    CHECK(text.error().kind == ErrorKind::failed);
    CHECK(text.error().where == "command");
    CHECK(config::toml_value({.key = "cwd", .text = bytes}).find("\xEF\xBF\xBD") ==
          (bytes[0] == 'a' ? 2 : 1));
  }
  job::Definition definition = shell_job("true");
  definition.env = {{"A", "\xFF"}};
  CHECK(config::job_text("x", definition, TwoAhead()).error().where == "env.A");
}

TEST_CASE("instants that have no local form of the usual kind are written in UTC") {
  job::Definition definition = shell_job("true");
  definition.schedule.kind = job::ScheduleKind::every;
  definition.schedule.every = std::chrono::seconds(1);
  // Two hours ahead of it, the year is 10000.
  definition.schedule.anchor =
      Time{std::chrono::sys_days{std::chrono::year{10000} / 1 / 1}} - std::chrono::seconds(1);
  CHECK(written(definition).find("anchor = \"9999-12-31T23:59:59Z\"") != std::string::npos);
}
