#include <algorithm>
#include <array>
#include <utility>

#include "schedctl/base/text.hpp"
#include "src/cli/command.hpp"
#include "src/cli/families.hpp"

// The table of commands.

namespace schedctl::cli {
namespace {

std::vector<Option> operator+(std::vector<Option> a, const std::vector<Option>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::vector<Option> schedule_options() {
  return {
      {"every", "D", "fires on a fixed grid: 90s, 5m, 1h30m, 2d"},
      {"cron", "E",
       "fires as cron does: \"30 2 * * *\", \"*/10 * * * * *\" (seconds first), @daily"},
      {"at", "T", "fires once: \"2026-03-29 02:30\", 02:30, \"tomorrow 03:00\", now+5m"},
  };
}

std::vector<Option> zone_options() {
  return {
      {"timezone", "Z", "zone of --cron and --at, such as Europe/Berlin (default: see config)"},
      {"anchor", "T", "a moment of the grid of --every, which itself fires"},
      {"dst-gap", "HOW", "a fire that a clock change removes: shift (default) or skip"},
      {"dst-fold", "HOW", "a fire that a clock change repeats: first (default), second or both"},
  };
}

std::vector<Option> job_options() {
  return schedule_options() +
         std::vector<Option>{
             {"in", "D", "fires once, that long from now"},
             {"manual", "", "fires only by trigger"},
             {"immediately", "", "with --every: fires at once, too"},
             {"shell", "LINE", "runs /bin/sh -c LINE instead of a command after \"--\""},
         } +
         zone_options() +
         std::vector<Option>{
             {"overlap", "HOW", "due while it still runs: skip"},
             {"misfire-grace", "D",
              "how late an occurrence may be planned; later it is missed (1h)"},
             {"coalesce", "WHICH",
              "of several overdue ones run the latest (default), earliest, all"},
             {"jitter", "D", "stable delay below D, different for each fire"},
             {"timeout", "D", "ends a run that takes longer"},
             {"kill-grace", "D", "between TERM and KILL (10s)"},
             {"max-attempts", "N", "tries of a run, the first included (1)"},
             {"backoff", "D", "before the second try, then doubled (10s)"},
             {"max-delay", "D", "longest wait between tries (1h)"},
             {"on-lost", "HOW", "a run whose process was lost: fail (default) or retry"},
             {"alert-grace", "D", "how late a start may be before it is told (60s)"},
             {"cwd", "DIR", "working directory (default: the user's home)"},
             {"env", "K=V", "a variable of its environment; may be repeated", 0, true},
             {"tag", "T", "a word to find it by; may be repeated", 0, true},
         };
}

constexpr std::string_view kJobExits =
    "  0   done\n  1   it was tried and did not work (a full disk, say)\n";

std::vector<Command> daemon_commands() {
  return {
      {.name = "start",
       .group = "daemon",
       .synopsis = "[--foreground]",
       .summary = "start the daemon, and return when it is ready",
       .examples = {"schedctl start", "schedctl start --own", "schedctl start --foreground"},
       .options = {{"foreground", "", "stay in the foreground, and log to stderr as well"}},
       .extra = "start starts the daemon and takes no job name; schedctl trigger NAME runs a job "
                "now, schedctl resume NAME ends its pause",
       .exits = "  0   it is ready, or ran already\n  1   it could not start\n",
       .function = run_start},
      {.name = "stop",
       .group = "daemon",
       .synopsis = "[--now | --keep-jobs] [--timeout D]",
       .summary = "stop the daemon, and return when it is gone",
       .examples = {"schedctl stop", "schedctl stop --now", "schedctl stop --keep-jobs"},
       .options = {{"now", "", "end what runs at once: TERM, kill grace, KILL"},
                   {"keep-jobs", "", "leave what runs to the next daemon"},
                   {"timeout", "D", "wait no longer than that; the stop goes on"}},
       .extra = "stop stops the daemon and takes no job name; schedctl cancel NAME ends a job's "
                "run, schedctl pause NAME holds its schedule",
       .exits = "  0   it is gone, or did not run\n  1   it still lives after --timeout\n",
       .function = run_stop},
      {.name = "restart",
       .group = "daemon",
       .summary = "start the daemon again in place; what runs goes on",
       .examples = {"schedctl restart"},
       .extra = "restart restarts the daemon and takes no job name; schedctl cancel NAME and "
                "schedctl trigger NAME run a job anew, schedctl pause NAME holds its schedule",
       .function = run_restart},
      {.name = "reload",
       .group = "daemon",
       .summary = "make the daemon read its configuration and job files again",
       .examples = {"schedctl reload"},
       .extra = "reload is about the daemon and takes no job name; changes of a job hold at once, "
                "schedctl pause NAME and schedctl cancel NAME stop it",
       .function = run_reload},
      {.name = "reopen-logs",
       .group = "daemon",
       .summary = "make the daemon open its log file again, as logrotate wants it",
       .examples = {"schedctl reopen-logs"},
       .function = run_reopen_logs},
      {.name = "status",
       .group = "daemon",
       .synopsis = "[NAME]",
       .summary = "whether the daemon runs, or how a job stands",
       .examples = {"schedctl status", "schedctl status backup", "schedctl status --json"},
       .max_words = 1,
       .exits = "  0   running (of a job: it exists)\n  1   dead, and its pidfile is left\n"
                "  3   stopped (of a job: it does not exist)\n  4   cannot be told\n",
       .function = run_status},
      {.name = "keeper",
       .synopsis = "--keeper-dir D --output-dir D [--ready-fd N]",
       .summary = "the process that keeps the commands; the daemon starts it",
       .options = {{"keeper-dir", "D", "lock, socket and journal"},
                   {"output-dir", "D", "output of runs"},
                   {"ready-fd", "N", "descriptor to report readiness on"}},
       .function = run_keeper},
  };
}

std::vector<Command> defining_commands() {
  return {
      {.name = "add",
       .group = "jobs",
       .synopsis = "NAME (--every D | --cron E | --at T | --in D | --manual) [OPTION]... "
                   "(-- COMMAND ARG... | --shell LINE)",
       .summary = "make a job",
       .examples =
           {"schedctl add hello --every 1m -- echo hello",
            "schedctl add backup --cron \"30 2 * * *\" --timezone Europe/Berlin "
            "--timeout 2h -- /usr/local/bin/backup --full",
            "schedctl add report --at \"2026-12-24 18:00\" --shell 'make report | mail boss'"},
       .options =
           job_options() + std::vector<Option>{{"replace", "", "change the job if the name exists"},
                                               {"paused", "", "begin paused"}},
       .min_words = 1,
       .max_words = 1,
       .missing = "the job's name is missing",
       .takes_argv = true,
       .exits = kJobExits,
       .function = run_add},
      {.name = "set",
       .group = "jobs",
       .synopsis = "NAME [OPTION]... [--unset KEY]... [-- COMMAND ARG...]",
       .summary = "change a job; what is not named stays",
       .examples = {"schedctl set hello --every 5m",
                    "schedctl set backup --timeout 3h --unset jitter",
                    "schedctl set hello -- echo good morning"},
       .options = job_options() + std::vector<Option>{{"unset", "KEY",
                                                       "forget a setting: timeout, cwd, tags, ...; "
                                                       "may be repeated",
                                                       0, true}},
       .min_words = 1,
       .max_words = 1,
       .missing = "the job's name is missing",
       .takes_argv = true,
       .exits = kJobExits,
       .function = run_set},
  };
}

std::vector<Command> holding_commands() {
  return {
      {.name = "remove",
       .group = "jobs",
       .synopsis = "NAME... [--force]",
       .summary = "remove jobs; their history stays",
       .examples = {"schedctl remove hello", "schedctl remove backup --force"},
       .options = {{"force", "", "even while a run lives: cancel it"}},
       .min_words = 1,
       .max_words = kAnyNumber,
       .missing = "the job's name is missing",
       .function = run_remove},
      {.name = "pause",
       .group = "jobs",
       .synopsis = "(NAME... | --all | --tag T) [--reason R]",
       .summary = "no new fires until resume",
       .examples = {"schedctl pause backup --reason \"disk is being replaced\"",
                    "schedctl pause --all"},
       .options = {{"all", "", "every job"},
                   {"tag", "T", "every job with this tag"},
                   {"reason", "R", "shown by list and show"}},
       .max_words = kAnyNumber,
       .function = run_pause},
      {.name = "resume",
       .group = "jobs",
       .synopsis = "NAME... | --all | --tag T",
       .summary = "fires again; what was due during the pause is not caught up",
       .examples = {"schedctl resume backup", "schedctl resume --all"},
       .options = {{"all", "", "every job"}, {"tag", "T", "every job with this tag"}},
       .max_words = kAnyNumber,
       .function = run_resume},
  };
}

std::vector<Command> looking_commands() {
  return {
      {.name = "show",
       .group = "jobs",
       .synopsis = "NAME",
       .summary = "everything about a job: definition, policy, state, last runs",
       .examples = {"schedctl show backup", "schedctl show backup --json"},
       .min_words = 1,
       .max_words = 1,
       .missing = "the job's name is missing",
       .function = run_show},
      {.name = "list",
       .group = "jobs",
       .synopsis = "[PATTERN] [--failed] [--paused] [--running] [--tag T]...",
       .summary = "the jobs, when they fire next and how they went last",
       .examples = {"schedctl list", "schedctl list 'backup-*' --failed", "schedctl list --json"},
       .options = {{"failed", "", "only those whose last run failed or was lost"},
                   {"paused", "", "only paused ones"},
                   {"running", "", "only those that run now"},
                   {"tag", "T", "only those with this tag; may be repeated", 0, true}},
       .max_words = 1,
       .extra = "one pattern at most; quote it, or the shell makes file names of it",
       .function = run_list},
      {.name = "next",
       .group = "jobs",
       .synopsis = "[NAME | --cron E | --every D | --at T] [--timezone Z] [--from T] [-n N]",
       .summary = "the fires to come: of a job, of a schedule to be tried, or of all jobs",
       .examples = {"schedctl next", "schedctl next backup -n 3",
                    "schedctl next --cron \"30 2 * * 1-5\" --timezone America/New_York"},
       .options = schedule_options() + zone_options() +
                  std::vector<Option>{{"from", "T", "from that moment on (default: now)"},
                                      {"count", "N", "how many (10)", 'n'}},
       .max_words = 1,
       .extra = "one job at most",
       .function = run_next},
      {.name = "validate",
       .group = "jobs",
       .synopsis = "FILE|DIR...",
       .summary = "check job files without touching anything",
       .examples = {"schedctl validate jobs.d/", "schedctl validate backup.toml --json"},
       .min_words = 1,
       .max_words = kAnyNumber,
       .missing = "the file or directory to check is missing",
       .exits = "  0   all are valid\n",
       .function = run_validate},
  };
}

std::vector<Command> run_commands() {
  return {
      {.name = "trigger",
       .group = "runs",
       .synopsis = "NAME [--wait [--timeout D] [--exit-code]] [--force]",
       .summary = "run a job now",
       .examples = {"schedctl trigger backup", "schedctl trigger backup --wait --exit-code"},
       .options = {{"wait", "", "return when the run has ended; Ctrl-C leaves it running"},
                   {"timeout", "D", "with --wait: wait no longer than that; the run goes on"},
                   {"exit-code", "", "with --wait: exit as the command did"},
                   {"force", "", "even beside a run that still lives"}},
       .min_words = 1,
       .max_words = 1,
       .missing = "the job's name is missing",
       .exits = "  0   it is queued; with --wait, it succeeded\n"
                "  1   it was skipped; with --wait, it did not succeed\n"
                "  with --exit-code the command's own, 128+N for signal N, 124 for a timeout,\n"
                "  126 or 127 for a command that cannot be executed or found\n",
       .function = run_trigger},
      {.name = "cancel",
       .group = "runs",
       .synopsis = "NAME | #RUN",
       .summary = "end the runs of a job, or one run; also a waiting retry",
       .examples = {"schedctl cancel backup", "schedctl cancel 42"},
       .min_words = 1,
       .max_words = 1,
       .missing = "the job's name or the run's number is missing (quote \"#42\", or write 42)",
       .function = run_cancel},
      {.name = "ps",
       .group = "runs",
       .summary = "what runs now, or waits for a retry",
       .examples = {"schedctl ps", "schedctl ps --json"},
       .function = run_ps},
      {.name = "runs",
       .group = "runs",
       .synopsis = "[NAME] [--state S]... [--since T] [--until T] [-n N]",
       .summary = "what became of every run, newest first",
       .examples = {"schedctl runs backup", "schedctl runs --state failed,lost --since 2d",
                    "schedctl runs --json -n 1"},
       .options = {{"state", "S", "only this state; may be repeated, or a list with commas", 0,
                    true},
                   {"since", "T", "fired at or after; 2h is two hours ago"},
                   {"until", "T", "fired before"},
                   {"count", "N", "at most so many (50; with --json 1000)", 'n'}},
       .max_words = 1,
       .extra = "one job at most",
       .function = run_runs},
      {.name = "logs",
       .group = "runs",
       .synopsis = "NAME | #RUN [-f] [-n LINES]",
       .summary = "the output of a run, or of a job's newest run that wrote something",
       .examples = {"schedctl logs backup", "schedctl logs backup -f", "schedctl logs 42 -n 20"},
       .options = {{"follow", "",
                    "go on while it runs; of a job that does not run, wait for the next run", 'f'},
                   {"lines", "LINES", "only the last so many lines", 'n'}},
       .min_words = 1,
       .max_words = 1,
       .missing = "the job's name or the run's number is missing (quote \"#42\", or write 42)",
       .function = run_logs},
  };
}

std::vector<Command> house_commands() {
  return {
      {.name = "alerts",
       .group = "alerts",
       .synopsis = "[--all] [-n N] | test NOTIFIER | ack (NAME | #ID)... [--for D]",
       .summary = "what is wrong now; try a notifier; say that you know",
       .examples = {"schedctl alerts", "schedctl alerts test slack",
                    "schedctl alerts ack backup --for 8h", "schedctl alerts ack '#7'"},
       .options = {{"all", "", "also what is over"},
                   {"count", "N", "at most so many (50; with --json 1000)", 'n'},
                   {"for", "D", "with ack: what begins again before then is not told"}},
       .max_words = kAnyNumber,
       .exits = "  0   done; with test, the message was taken\n"
                "  1   with test, it was not\n",
       .function = run_alerts},
      {.name = "check",
       .group = "alerts",
       .synopsis = "[NAME]",
       .summary = "whether all is well, or a job: one line, for monitoring systems",
       .examples = {"schedctl check", "schedctl check backup"},
       .max_words = 1,
       .extra = "one job at most",
       .exits = "  0   OK\n  1   WARNING\n  2   CRITICAL\n"
                "  3   UNKNOWN: it could not be told, whatever the reason\n",
       .function = run_check},
      {.name = "db",
       .group = "house",
       .synopsis = "check | backup FILE | restore FILE | migrate",
       .summary = "look the database over, copy it, put a copy back",
       .examples = {"schedctl db check", "schedctl db backup /backup/schedctl.db",
                    "schedctl stop && schedctl db restore /backup/schedctl.db"},
       .min_words = 1,
       .max_words = 2,
       .missing = "what? check, backup FILE, restore FILE or migrate",
       .extra = "one file at most",
       .exits = "  0   done; with check, all is well\n  1   with check, something is wrong\n"
                "  5   the backup exists already; or something uses the database: a daemon, jobs\n"
                "      that its keeper still runs, another program\n",
       .function = run_db},
      {.name = "doctor",
       .group = "house",
       .summary = "what is wrong with this installation, and what to do about it",
       .examples = {"schedctl doctor", "schedctl doctor --json"},
       .exits = "  0   no errors; there may be warnings\n  1   errors\n",
       .function = run_doctor},
      {.name = "config",
       .group = "house",
       .summary = "every setting, its value and where that comes from",
       .examples = {"schedctl config", "schedctl config --json"},
       .function = run_config},
      {.name = "help",
       .group = "house",
       .synopsis = "[COMMAND]",
       .summary = "this, or a command's help",
       .examples = {"schedctl help add"},
       .max_words = 1,
       .function = run_help},
  };
}

/// Words of the design that come with a later version.
constexpr auto kLaterCommands = std::to_array<std::string_view>(
    {"why", "backfill", "apply", "edit", "rename", "export", "import-crontab", "rerun", "signal",
     "nodes", "drain", "audit", "completion", "api", "message", "token"});

constexpr std::array<std::string_view, 23> kLaterOptions{
    "max-instances", "max-wait",    "priority", "user",      "env-file",   "http",
    "amqp",          "redis",       "celery",   "on-reboot", "dry-run",    "until",
    "prune",         "header",      "body",     "stdin",     "max-output", "umask",
    "nice",          "description", "after",    "notify",    "ping-url"};

/// What people who know other tools type.
constexpr std::array<std::pair<std::string_view, std::string_view>, 21> kSynonyms{{
    {"run", "trigger"},       {"enable", "resume"}, {"disable", "pause"}, {"rm", "remove"},
    {"delete", "remove"},     {"history", "runs"},  {"kill", "cancel"},   {"explain", "why"},
    {"ls", "list"},           {"log", "logs"},      {"create", "add"},    {"new", "add"},
    {"unpause", "resume"},    {"info", "show"},     {"describe", "show"}, {"daemon", "start"},
    {"version", "--version"}, {"update", "set"},    {"lint", "validate"}, {"jobs", "list"},
    {"tail", "logs"},
}};

bool is_later_command(std::string_view name) {
  return std::find(kLaterCommands.begin(), kLaterCommands.end(), name) != kLaterCommands.end();
}

}  // namespace

const std::vector<Command>& commands() {
  static const std::vector<Command> table = [] {
    std::vector<Command> all;
    for (std::vector<Command>& family :
         std::array{daemon_commands(), defining_commands(), holding_commands(), looking_commands(),
                    run_commands(), house_commands()})
      all.insert(all.end(), family.begin(), family.end());
    return all;
  }();
  return table;
}

const Command* find_command(std::string_view name) {
  for (const Command& command : commands())
    if (command.name == name) return &command;
  return nullptr;
}

const std::vector<Option>& global_options() {
  static const std::vector<Option> options{
      {"config", "F", "the configuration file to read"},
      {"store", "URL", "the store to use: sqlite:PATH"},
      {"own", "", "a daemon, store and jobs of your own, not the machine's"},
      {"set", "KEY=VALUE", "override a setting; may be repeated", 0, true},
      {"json", "", "print for programs"},
      {"quiet", "", "only data and errors", 'q'},
      {"verbose", "", "say more", 'v'},
      {"color", "WHEN", "auto, always or never"},
      {"help", "", "show help", 'h'},
      {"version", "", "show the version"},
  };
  return options;
}

Error unknown_command(const std::string& word) {
  const std::string quoted = "\"" + escape_control(word) + "\"";
  if (is_later_command(word))
    return {ErrorKind::usage, quoted + " is not available in this version"};
  std::string meant;
  for (const auto& [synonym, command] : kSynonyms)
    if (synonym == word) meant = command;
  if (meant.empty()) {
    std::vector<std::string> names;
    for (const Command& command : commands())
      if (!command.group.empty()) names.emplace_back(command.name);
    meant = nearest(word, names).value_or("");
  }
  if (meant.empty())
    return {ErrorKind::usage, quoted + " is no command; schedctl --help shows them all"};
  const std::string later = is_later_command(meant) ? " (not available in this version)" : "";
  return {ErrorKind::usage, quoted + " is no command; did you mean \"" + meant + "\"?" + later};
}

bool is_later_option(std::string_view name) {
  return std::find(kLaterOptions.begin(), kLaterOptions.end(), name) != kLaterOptions.end();
}

}  // namespace schedctl::cli
