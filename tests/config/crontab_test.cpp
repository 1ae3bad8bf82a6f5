#include "schedctl/config/crontab.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>

#include "schedctl/job/job.hpp"
#include "scratch.hpp"
#include "src/config/shell_words.hpp"

namespace schedctl::config {
namespace {

using namespace std::string_literals;

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// The one entry of a user's crontab.
CrontabEntry only_entry(const std::string& text, bool system = false) {
  const Crontab crontab = read_crontab(text, system);
  for (const CrontabNote& note : crontab.unread) FAIL(note.message);
  REQUIRE(crontab.entries.size() == 1);
  return crontab.entries[0];
}

/// "7:3 message" of the one line that is not read.
std::string only_unread(const std::string& text, bool system = false) {
  const Crontab crontab = read_crontab(text, system);
  REQUIRE(crontab.entries.empty());
  REQUIRE(crontab.unread.size() == 1);
  const CrontabNote& note = crontab.unread[0];
  return std::to_string(note.line) + ":" + std::to_string(note.column) + " " + note.message;
}

Pairs variables(const std::string& lines) {
  return only_entry(lines + "\n* * * * * x\n").variables;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

CrontabJob must_job(const CrontabEntry& entry) {
  Result<CrontabJob> job = crontab_job(entry, "Europe/Berlin");
  if (!job) FAIL(job.error().message);
  return std::move(*job);
}

std::string name_of(const std::string& command) {
  return crontab_job_name(only_entry("* * * * * " + command + "\n"));
}

/// What a line for /bin/sh writes, and how it ends.
std::pair<std::string, int> run_shell(const std::string& line) {
  test::Scratch scratch;
  const std::string script = scratch.write("script", line + "\n");
  std::FILE* pipe = ::popen(("/bin/sh " + script + " 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string out;
  std::array<char, 4096> buffer{};
  std::size_t n = 0;
  while ((n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0) out.append(buffer.data(), n);
  const int status = ::pclose(pipe);
  return {out, WEXITSTATUS(status)};
}

}  // namespace

TEST_CASE("an entry has its five fields, single-spaced, its command and its place") {
  const CrontabEntry entry = only_entry("# comment\n\n \t 5 \t 0 * *  mon-fri\t  do  it  \n");
  CHECK(entry.schedule == "5 0 * * mon-fri");
  CHECK(entry.command == "do  it  ");
  CHECK(entry.line == 3);
  CHECK(entry.column == 4);
  CHECK(entry.user.empty());
  CHECK(entry.input.empty());
}

TEST_CASE("macros are a schedule of one word") {
  CHECK(only_entry("@daily /x y\n").schedule == "@daily");
  CHECK(only_entry("@daily /x y\n").command == "/x y");
  CHECK(only_entry("@reboot root /x\n", true).user == "root");
}

TEST_CASE("in a system crontab a user's name stands before the command") {
  const CrontabEntry entry = only_entry("17 *\t* * *\troot    cd / && run-parts x\n", true);
  CHECK(entry.schedule == "17 * * * *");
  CHECK(entry.user == "root");
  CHECK(entry.command == "cd / && run-parts x");
}

TEST_CASE("the last line needs no newline, and lines may end in CR LF, which is said once") {
  CHECK(only_entry("@daily x").command == "x");
  const Crontab crontab = read_crontab("A=b\r\n\r\n# c\r\n@daily x\r\n@daily y\r\n", false);
  REQUIRE(crontab.entries.size() == 2);
  CHECK(crontab.entries[0].command == "x");
  CHECK(crontab.entries[0].variables == Pairs{{"A", "b"}});
  CHECK(crontab.notes.size() == 1);
  CHECK(crontab.unread.empty());
}

TEST_CASE("a byte order mark before the first line is no part of it, which is said") {
  const Crontab crontab = read_crontab(
      "\xef\xbb\xbf"
      "0 5 * * * x\n0 6 * * * y\n",
      false);
  CHECK(crontab.unread.empty());
  REQUIRE(crontab.entries.size() == 2);
  CHECK(crontab.entries[0].schedule == "0 5 * * *");
  CHECK(crontab.entries[0].line == 1);
  CHECK(crontab.entries[0].column == 1);
  REQUIRE(crontab.notes.size() == 1);
  CHECK(crontab.notes[0].line == 1);
  CHECK(crontab.notes[0].message.find("byte order mark") != std::string::npos);
  CHECK(read_crontab("\xef\xbb\xbf", false).entries.empty());
}

TEST_CASE("variables follow cron's quoting, nothing is expanded, and hold from their line on") {
  CHECK(variables("A=b") == Pairs{{"A", "b"}});
  CHECK(variables("  A  =  b c  ") == Pairs{{"A", "b c"}});
  CHECK(variables("A=\"  b c  \"") == Pairs{{"A", "  b c  "}});
  CHECK(variables("A='b\"c'") == Pairs{{"A", "b\"c"}});
  CHECK(variables("\"A\"=b") == Pairs{{"A", "b"}});
  CHECK(variables("A=") == Pairs{{"A", ""}});
  CHECK(variables("A=\"\"") == Pairs{{"A", ""}});
  CHECK(variables("A=b=c") == Pairs{{"A", "b=c"}});
  CHECK(variables("A=b # no comment") == Pairs{{"A", "b # no comment"}});
  CHECK(variables("P=$HOME/bin:$P") == Pairs{{"P", "$HOME/bin:$P"}});
  CHECK(variables("A=\\n\\\\") == Pairs{{"A", "\\n\\\\"}});
  CHECK(variables("A=1\nB=2\nA=3") == Pairs{{"A", "3"}, {"B", "2"}});

  const Crontab crontab = read_crontab("@daily x\nA=b\n@daily y\n", false);
  REQUIRE(crontab.entries.size() == 2);
  CHECK(crontab.entries[0].variables.empty());
  CHECK(crontab.entries[1].variables == Pairs{{"A", "b"}});
}

TEST_CASE("an assignment in a command is no variable of the crontab") {
  CHECK(only_entry("@daily A=b c\n").command == "A=b c");
  CHECK(only_entry("0 0 * * * A=b c\n").command == "A=b c");
}

TEST_CASE("LOGNAME cannot be changed, as under cron, and that is said") {
  const Crontab crontab = read_crontab("LOGNAME=bob\n@daily x\n", false);
  CHECK(crontab.entries[0].variables.empty());
  REQUIRE(crontab.notes.size() == 1);
  CHECK(contains(crontab.notes[0].message, "LOGNAME"));
}

TEST_CASE("the first % that is not escaped ends the command, the rest is its input") {
  struct Case {
    const char* text;
    const char* command;
    const char* input;
  };
  for (const Case& one : std::initializer_list<Case>{
           {"mail -s \"It's 10pm\" joe%Joe,%%Where are your kids?%", "mail -s \"It's 10pm\" joe",
            "Joe,\n\nWhere are your kids?\n"},
           {"date +\\%Y", "date +%Y", ""},
           {"cat%a\\%b", "cat", "a%b\n"},
           {"cat%a\\\\%b", "cat", "a\\%b\n"},
           {"cat%a\\nb\\", "cat", "a\\nb\\\n"},
           {"cat%", "cat", ""},
           {"cat%%", "cat", "\n"},
           {"a\\\\b", "a\\b", ""},
           {"a\\\\%b", "a\\", "b\n"},
           {"a\\b\\", "a\\b\\", ""},
           {"a\\\\\\%b", "a\\%b", ""},
       }) {
    CAPTURE(one.text);
    const CrontabEntry entry = only_entry(std::string("* * * * * ") + one.text + "\n");
    CHECK(entry.command == one.command);
    CHECK(entry.input == one.input);
  }
}

TEST_CASE("two backslashes, which crons read differently, are pointed out") {
  CHECK(only_entry("@daily sed 's/\\\\/x/'\n").notes.size() == 1);
  CHECK(only_entry("@daily sed 's/\\./x/'\n").notes.empty());
}

TEST_CASE("a leading minus is read and explained") {
  const CrontabEntry entry = only_entry("-*/5 * * * * x\n");
  CHECK(entry.schedule == "*/5 * * * *");
  CHECK(entry.column == 2);
  CHECK(entry.notes.size() == 1);
}

TEST_CASE("what is no entry is refused with its place and the reason") {
  CHECK(contains(only_unread("\nfoo bar\n"), "2:8 \"foo bar\" is neither"));
  CHECK(contains(only_unread("* * * *\n"), "4 of the five fields"));
  CHECK(contains(only_unread("* * * * *\n"), "1:10 there is no command after the schedule"));
  CHECK(contains(only_unread("* * * * *  \n"), "there is no command"));
  CHECK(contains(only_unread("@daily\n"), "there is no command"));
  CHECK(contains(only_unread("@daily  %x\n"), "no command before the %"));
  CHECK(contains(only_unread("*/10 * * * * * x\n"), "one field too many"));
  CHECK(contains(only_unread("*/10 * * * * * root x\n", true), "one field too many"));
  CHECK(contains(only_unread("A=\"b\" c\n"), "sets no variable"));
  CHECK(contains(only_unread("A='b\n"), "sets no variable"));
  CHECK(contains(only_unread("=b\n"), "no name"));
  CHECK(contains(only_unread("@daily x\0y\n"s), "1:9 there is a NUL"));
  CHECK(contains(only_unread("-\n"), "0 of the five fields"));
}

TEST_CASE("a crontab that is read the wrong way says so") {
  CHECK(contains(only_unread("17 * * * * root cd / && x\n"), "--system"));
  CHECK(contains(only_unread("17 * * * * /usr/bin/x\n", true), "without --system"));
  CHECK(contains(only_unread("17 * * * *\n", true), "user and command are missing"));
  CHECK(contains(only_unread("17 * * * * root\n", true), "no command after the user's name"));
}

TEST_CASE("lines and crontabs have limits, and what is beyond is named") {
  const std::string longest = "@daily " + std::string(kCrontabLineBytes - 7, 'x');
  CHECK(only_entry(longest).command.size() == kCrontabLineBytes - 7);
  CHECK(contains(only_unread(longest + "y"), "4097 bytes"));

  std::string many;
  for (std::size_t i = 0; i < kCrontabLines; ++i) many += "@daily x\n";
  CHECK(read_crontab(many, false).unread.empty());
  const Crontab crontab = read_crontab(many + "@daily y\n@daily z\n", false);
  CHECK(crontab.entries.size() == kCrontabLines);
  REQUIRE(crontab.unread.size() == 1);
  CHECK(crontab.unread[0].line == kCrontabLines + 1);
}

TEST_CASE("an entry is a job with the host's zone, a shell line and the crontab's variables") {
  const CrontabJob job = must_job(only_entry(
      "PATH=/usr/bin:/bin\nMAILTO=anna\nSHELL=/bin/sh\nHOME=/srv\n5 4 * * sun cd x && y\n"));
  CHECK(job.draft.cron == "5 4 * * sun");
  CHECK(job.draft.timezone == "Europe/Berlin");
  CHECK(job.draft.shell == "cd x && y");
  CHECK_FALSE(job.draft.command.has_value());
  CHECK(job.draft.cwd == "/srv");
  CHECK(job.draft.env == Pairs{{"PATH", "/usr/bin:/bin"}, {"SHELL", "/bin/sh"}, {"HOME", "/srv"}});
  CHECK(job.mailto == "anna");
  CHECK(job.notes.empty());
}

TEST_CASE("another SHELL is given the line, CRON_TZ is the zone and RANDOM_DELAY the jitter") {
  const CrontabJob job = must_job(only_entry(
      "SHELL=/bin/bash\nCRON_TZ=America/New_York\nRANDOM_DELAY=30\nTZ=UTC\n@weekly [[ -e x ]]\n"));
  CHECK(job.draft.command == std::vector<std::string>{"/bin/bash", "-c", "[[ -e x ]]"});
  CHECK(job.draft.timezone == "America/New_York");
  CHECK(job.draft.policy.jitter == std::chrono::minutes(30));
  CHECK(job.draft.env == Pairs{{"SHELL", "/bin/bash"}, {"TZ", "UTC"}});
  CHECK(job.notes.size() == 1);
}

TEST_CASE("@reboot fires on reboot") {
  const CrontabJob job = must_job(only_entry("@reboot x\n"));
  CHECK(job.draft.on_reboot);
  CHECK_FALSE(job.draft.cron.has_value());
}

TEST_CASE("a RANDOM_DELAY that is no number of minutes is refused; 0 is none") {
  for (const char* bad : {"x", "-1", "1h", "1441", "99999999999999999999"}) {
    CAPTURE(bad);
    const auto entry = only_entry("RANDOM_DELAY=" + std::string(bad) + "\n@daily x\n");
    CHECK_FALSE(crontab_job(entry, "UTC").has_value());
  }
  CHECK_FALSE(must_job(only_entry("RANDOM_DELAY=0\n@daily x\n")).draft.policy.jitter.has_value());
}

TEST_CASE("a job is named after the program that its line is about") {
  CHECK(name_of("/usr/local/bin/backup --full") == "backup");
  CHECK(name_of("cd / && run-parts --report /etc/cron.hourly") == "run-parts-cron.hourly");
  CHECK(name_of("test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }") ==
        "run-parts-cron.daily");
  CHECK(name_of("command -v debian-sa1 > /dev/null && debian-sa1 1 1") == "debian-sa1");
  CHECK(name_of("[ -x /usr/lib/php/sessionclean ] && if [ ! -d /run/systemd/system ]; then "
                "/usr/lib/php/sessionclean; fi") == "sessionclean");
  CHECK(name_of("if [ -x /usr/share/mdadm/checkarray ] && [ $(date +\\%d) -le 7 ]; then "
                "/usr/share/mdadm/checkarray --cron --all; fi") == "checkarray");
  CHECK(name_of("test -x /usr/bin/certbot -a \\! -d /run/systemd/system && "
                "perl -e 'sleep int(rand(43200))' && certbot -q renew") == "certbot");
  CHECK(name_of("test -e /run/systemd/system || SERVICE_MODE=1 "
                "/usr/lib/x86_64-linux-gnu/e2fsprogs/e2scrub_all_cron") == "e2scrub_all_cron");
  CHECK(name_of("$HOME/bin/daily.job >> $HOME/tmp/out 2>&1") == "daily.job");
  CHECK(name_of("/usr/bin/python3 -u /opt/app/manage.py mail") == "manage.py");
  CHECK(name_of("python3 -m http.server") == "http.server");
  CHECK(name_of("nice -n 10 ionice -c3 flock -n /run/x.lock timeout 1h /srv/sync.sh -v") ==
        "sync.sh");
  CHECK(name_of("FOO=bar BAZ='x y' rsync -a a b") == "rsync");
  CHECK(name_of("2>/dev/null >out prog") == "prog");
  CHECK(name_of("echo hello") == "echo");
  CHECK(name_of("\"/opt/my app/run it\" now") == "run-it");
  CHECK(name_of("((((") == "job");
  CHECK(name_of("\xff\xfe") == "job");
  CHECK(job::check_name(name_of(std::string(3000, 'x'))).has_value());
  CHECK(job::check_name(name_of("'$(x \"y\" `z`" + std::string(300, '-'))).has_value());
}

TEST_CASE("input goes to the command as it is, whatever stands in it, and the exit status is its") {
  std::string every_byte;
  for (int c = 1; c < 256; ++c) every_byte += static_cast<char>(c);
  for (const std::string& input :
       {std::string("hi\n"), std::string("\n"), std::string("a\n\n\nb\n\n"),
        std::string("it's '\\'' $(touch x) `y` \\n %s %% \"\n"), every_byte + "\n",
        std::string("EOF\n-n\n")}) {
    CAPTURE(input);
    const std::string line = shell_line_with_input("/bin/sh", "cat; exit 7", input);
    const auto [out, status] = run_shell(line);
    CHECK(out == input);
    CHECK(status == 7);
    const auto parts = parse_line_with_input(line);
    REQUIRE(parts.has_value());
    CHECK(parts->input == input);
    CHECK(parts->line == "cat; exit 7");
    CHECK(parts->shell == "/bin/sh");
  }
  CHECK(
      run_shell(shell_line_with_input("/bin/sh", "echo ') | (' 'it'\"'\"'s'; cat", "x\n")).first ==
      ") | ( it's\nx\n");
  // Also by a shell with a strange name.
  test::Scratch scratch;
  const std::string shell = scratch.write("my 'sh", "#!/bin/sh\necho \"$1 $2\"; cat\n", 0755);
  const std::string line = shell_line_with_input(shell, "line", "in\n");
  CHECK(run_shell(line).first == "-c line\nin\n");
  REQUIRE(parse_line_with_input(line).has_value());
  CHECK(parse_line_with_input(line)->shell == shell);
}

TEST_CASE("a line that somebody else wrote is not taken for one with input") {
  for (const char* line :
       {"printf '%s\\n' hi | /bin/sh -c 'cat'", "printf '%s\\n' 'hi' | sh -c 'cat' x",
        "printf '%s\\n' 'hi", "printf '%s\\n' 'a' | 'b", "x", ""}) {
    CAPTURE(line);
    CHECK_FALSE(parse_line_with_input(line).has_value());
  }
}

TEST_CASE("the simple commands of a shell line are told apart") {
  using Commands = std::vector<std::vector<std::string>>;
  CHECK(simple_commands("a 'b c' | d >x 2>&1; A=1 e < f && (g)") ==
        Commands{{"a", "b c"}, {"d"}, {"e"}, {"g"}});
  CHECK(simple_commands("a \"$(b; c)\" $(d; e) # f; g") == Commands{{"a", "$(b; c)", "$(d; e)"}});
  CHECK(simple_commands("").empty());
  CHECK(simple_commands("'").size() == 1);
  CHECK(simple_commands("a\\ b c\\") == Commands{{"a b", "c"}});
}

}  // namespace schedctl::config
