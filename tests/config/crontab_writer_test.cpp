#include <doctest/doctest.h>

#include <array>

#include "schedctl/config/crontab.hpp"
#include "src/config/crontab_fields.hpp"

namespace schedctl::config {
namespace {

constexpr const char* kHost = "Europe/Berlin";

job::Job cron_job(const std::string& name, const std::string& cron, const std::string& shell) {
  job::Job job;
  job.name = name;
  job.definition.schedule.kind = job::ScheduleKind::cron;
  job.definition.schedule.cron = cron;
  job.definition.schedule.timezone = kHost;
  job.definition.action.shell = shell;
  return job;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string written(const std::vector<job::Job>& jobs) {
  return crontab_text(jobs, kHost, {});
}

/// Lines that are neither comments nor blank.
std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    REQUIRE(end != std::string::npos);
    if (end > at && text[at] != '#') out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}
using Lines = std::vector<std::string>;

/// What is written of the jobs, read again.
std::vector<CrontabJob> again(const std::vector<job::Job>& jobs) {
  const std::string text = written(jobs);
  const Crontab crontab = read_crontab(text, false);
  CAPTURE(text);
  for (const CrontabNote& note : crontab.unread) FAIL(note.message);
  std::vector<CrontabJob> out;
  for (const CrontabEntry& entry : crontab.entries) {
    Result<CrontabJob> job = crontab_job(entry, kHost);
    REQUIRE(job.has_value());
    out.push_back(std::move(*job));
  }
  return out;
}

std::string fields(const std::string& expression) {
  const Result<std::string> result = debian_fields(expression);
  return result ? *result : "cron " + result.error().message;
}

}  // namespace

TEST_CASE("expressions are written with what every cron knows") {
  CHECK(fields("*/5 0-23/2 1,15 jan-MAR mon,fri") == "*/5 0-23/2 1,15 jan-mar mon,fri");
  CHECK(fields(" 0\t12  * * ?") == "0 12 * * *");
  CHECK(fields("5/15 * * * *") == "5-59/15 * * * *");
  CHECK(fields("0 0 * * mon/2") == "0 0 * * 1-6/2");
  CHECK(fields("0 0 * * fri-sun") == "0 0 * * 5-7");
  CHECK(fields("0 0 * * sun-tue") == "0 0 * * sun-tue");
  CHECK(fields("0 30 2 * * *") == "30 2 * * *");
  CHECK(fields("@Daily") == "@daily");
  CHECK(contains(fields("*/10 * * * * *"), "has no seconds"));
  for (const char* unknown : {"H * * * *", "0~30 * * * *", "0 0 L * *", "0 0 15W * *", "0 0 * * 5L",
                              "0 0 * * 5#2", "0 0 * * 5,6#3"}) {
    CAPTURE(unknown);
    CHECK(contains(fields(unknown), "does not know"));
  }
}

TEST_CASE("a job is a line under its name") {
  const std::string text = written({cron_job("backup", "30 2 * * *", "backup --full")});
  CHECK(contains(text, "# backup\n30 2 * * * backup --full\n"));
  CHECK_FALSE(contains(text, "CRON_TZ"));
  CHECK_FALSE(contains(text, "Not for cron"));
}

TEST_CASE(
    "what cron cannot do is a comment with all its reasons, and the line where there is one") {
  job::Job every = cron_job("a", "", "x");
  every.definition.schedule.kind = job::ScheduleKind::every;
  every.definition.schedule.every = std::chrono::seconds(90);
  job::Job limited = cron_job("b", "@daily", "y");
  limited.definition.policy.timeout = std::chrono::hours(2);
  limited.definition.policy.max_attempts = 3;
  limited.definition.schedule.only = {"business-hours"};
  job::Job paused = cron_job("c", "@daily", "z");
  paused.paused = true;
  job::Job seconds = cron_job("d", "*/10 * * * * *", "w");
  job::Job lines_of_it = cron_job("e", "@daily", "a\nb");
  job::Job at = cron_job("f", "", "x");
  at.definition.schedule.kind = job::ScheduleKind::at;
  const std::string text = written({every, limited, paused, seconds, lines_of_it, at});
  CAPTURE(text);
  CHECK(lines(text).empty());
  CHECK(contains(text, "# a: every 1m30s counts elapsed time"));
  CHECK(contains(text,
                 "# b: cron has no calendars; cron has no timeout (2h); cron has no retries "
                 "(3 attempts)\n#@daily y\n"));
  CHECK(contains(text, "# c: it is paused\n#@daily z\n"));
  CHECK(contains(text, "# d: cron has no seconds"));
  CHECK(contains(text, "# e: its command, environment or input has several lines"));
  CHECK(contains(text, "# f: it fires once"));
}

TEST_CASE("a limit from [defaults] counts, and what is merely lost is named") {
  job::PolicyDraft defaults;
  defaults.timeout = std::chrono::hours(1);
  CHECK(lines(crontab_text({cron_job("a", "@daily", "x")}, kHost, defaults)).empty());
  job::Job job = cron_job("a", "@daily", "x");
  job.definition.policy.misfire_grace = std::chrono::hours(6);
  job.definition.policy.jitter = std::chrono::seconds(90);
  job.definition.schedule.dst_fold = job::DstFold::both;
  CHECK(contains(written({job}), "# a (cron has no dst_fold, jitter, misfire_grace)\n@daily x\n"));
  job = cron_job("a", "@daily", "x");
  job.definition.policy.overlap = job::Overlap::allow;
  CHECK(contains(written({job}), "# a\n@daily x\n"));
  job.definition.policy.overlap = job::Overlap::queue;
  CHECK(contains(written({job}), "# a (cron has no overlap)\n@daily x\n"));
}

TEST_CASE("zones are groups under CRON_TZ, the host's first, and delays are set and reset") {
  job::Job far = cron_job("far", "@daily", "x");
  far.definition.schedule.timezone = "America/New_York";
  job::Job near = cron_job("near", "@hourly", "y");
  near.definition.policy.jitter = std::chrono::minutes(5);
  job::Job last = cron_job("last", "@weekly", "z");
  last.definition.schedule.timezone = "UTC";
  const std::string text = written({far, near, last, cron_job("here", "@daily", "w")});
  CHECK(lines(text) == Lines{"RANDOM_DELAY=5", "@hourly y", "RANDOM_DELAY=0", "@daily w",
                             "CRON_TZ=America/New_York", "@daily x", "CRON_TZ=UTC", "@weekly z"});
  CHECK(contains(text, "Debian's cron ignores it and goes by the host's zone, Europe/Berlin"));
}

TEST_CASE("a zone that is the host's under another name needs no CRON_TZ") {
  job::Job job = cron_job("a", "0 5 * * *", "x");
  for (const char* zone : {"UTC", "Etc/UTC", "Etc/UCT", "UCT", "Zulu", "Etc/Zulu", "Universal"}) {
    job.definition.schedule.timezone = zone;
    for (const char* host : {"UTC", "Etc/UTC", "Zulu"})
      CHECK(lines(crontab_text({job}, host, {})) == Lines{"0 5 * * * x"});
    CHECK(lines(crontab_text({job}, "Europe/London", {})).size() == 2);
  }
}

TEST_CASE("variables that all lines share stand at the top, the others in the lines") {
  job::Job a = cron_job("a", "@daily", "x");
  a.definition.env = {{"PATH", "/bin"}, {"A", "it's 100%"}, {"HOME", "/srv"}};
  a.definition.cwd = "/srv";
  job::Job b = cron_job("b", "@daily", "y");
  b.definition.env = {{"PATH", "/bin"}, {"HOME", "/srv"}};
  b.definition.cwd = "/tmp/a b";
  CHECK(lines(written({a, b})) ==
        Lines{"PATH=/bin", "@daily cd /srv || exit; export A='it'\\''s 100\\%' HOME='/srv'; x",
              "@daily cd '/tmp/a b' || exit; export HOME='/srv'; y"});
  b.definition.cwd = "/srv";
  CHECK(lines(written({a, b})) ==
        Lines{"PATH=/bin", "HOME=/srv", "@daily export A='it'\\''s 100\\%'; x", "@daily y"});
}

TEST_CASE("another shell is SHELL where the line needs nothing else") {
  job::Job bash = cron_job("a", "@daily", "");
  bash.definition.action.command = {"/bin/bash", "-c", "[[ -e x ]]"};
  bash.definition.env = {{"SHELL", "/bin/bash"}};
  const job::Job plain = cron_job("b", "@daily", "y");
  CHECK(lines(written({bash, plain})) ==
        Lines{"SHELL=/bin/bash", "@daily [[ -e x ]]", "SHELL=/bin/sh", "@daily y"});
  bash.definition.cwd = "/srv";
  CHECK(lines(written({bash})) ==
        Lines{"@daily cd /srv || exit; export SHELL='/bin/bash'; /bin/bash -c '[[ -e x ]]'"});
}

TEST_CASE("a command of words is one, whatever the words are to a shell") {
  job::Job job = cron_job("a", "@daily", "");
  const auto line = [&job](std::vector<std::string> argv) {
    job.definition.action.command = std::move(argv);
    return lines(written({job})).at(0);
  };
  CHECK(line({"/usr/bin/x", "a b", "it's", "", "50%"}) ==
        "@daily /usr/bin/x 'a b' 'it'\\''s' '' 50\\%");
  CHECK(line({"echo", "-n"}) == "@daily exec echo -n");
  CHECK(line({"A=b/c", "d"}) == "@daily exec A=b/c d");
}

TEST_CASE("what a crontab said reads back as it was") {
  constexpr auto kLines = std::to_array<const char*>(
      {"17 * * * * cd / && run-parts --report /etc/cron.hourly", "@daily date +\\%Y",
       "@daily mail -s x joe%Joe,%%Where?%", "@daily cat%a\\%b", "@reboot x", "@daily a\\\\\\%b\\",
       "@daily sed 's/\\\\\\\\/x/'", "@daily x #y", "@daily cat%%%", "@daily cat%end\\",
       "@daily 'it'\\''s'"});
  for (const char* const head :
       {"", "A=\"b c\"\nMAILTO=x\n", "SHELL=/bin/bash\n", "HOME=/srv\nSHELL=/usr/bin/fish\n",
        "CRON_TZ=America/New_York\nRANDOM_DELAY=7\n"}) {
    for (const char* const line : kLines) {
      CAPTURE(head);
      CAPTURE(line);
      const Crontab crontab = read_crontab(std::string(head) + line, false);
      REQUIRE(crontab.entries.size() == 1);
      const Result<CrontabJob> first = crontab_job(crontab.entries[0], kHost);
      REQUIRE(first.has_value());
      job::Job job = cron_job("a", first->draft.cron.value_or(""), first->draft.shell.value_or(""));
      if (first->draft.on_reboot) job.definition.schedule.kind = job::ScheduleKind::reboot;
      job.definition.action.command = first->draft.command.value_or(std::vector<std::string>{});
      job.definition.env = first->draft.env;
      job.definition.cwd = first->draft.cwd.value_or("");
      job.definition.policy = first->draft.policy;
      job.definition.schedule.timezone = *first->draft.timezone;
      const std::vector<CrontabJob> second = again({job});
      REQUIRE(second.size() == 1);
      CHECK(second[0].draft.cron == first->draft.cron);
      CHECK(second[0].draft.on_reboot == first->draft.on_reboot);
      CHECK(second[0].draft.shell == first->draft.shell);
      CHECK(second[0].draft.command == first->draft.command);
      CHECK(second[0].draft.env == first->draft.env);
      CHECK(second[0].draft.cwd == first->draft.cwd);
      CHECK(second[0].draft.policy == first->draft.policy);
      if (!first->draft.on_reboot) CHECK(second[0].draft.timezone == first->draft.timezone);
    }
  }
}

TEST_CASE("input that a crontab cannot hold stays out of it") {
  const std::string line = shell_line_with_input("/bin/sh", "cat", "a\\\nb\n");
  const std::string text = written({cron_job("a", "@daily", line)});
  CHECK(lines(text).empty());
  CHECK(contains(text, "# a: its command, environment or input has several lines"));
}

TEST_CASE("lines that Debian's cron would refuse are comments") {
  CHECK(contains(written({cron_job("a", "@daily", std::string(2000, 'x'))}), "reads 998"));
  CHECK(contains(written({cron_job("a", "@daily", "* x")}), "begins with *"));
  CHECK(contains(written({cron_job("a", "@daily", "=b")}), "begins with ="));
}

}  // namespace schedctl::config
