// Rows of the table of commands: jobs.

#include "src/cli/command_rows.hpp"
#include "src/cli/families.hpp"

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
      {"anchor", "T", "a moment of the grid of --every, which itself fires; a date of --weeks"},
      {"weeks", "N", "with --cron: only in every Nth week, counted from the week of --anchor"},
      {"not-before", "T", "no fires before that moment"},
      {"until", "T", "no fires after that moment"},
      {"only", "CALENDAR", "fires only inside it (see schedctl-schedule(7)); may be repeated", 0,
       true},
      {"exclude", "CALENDAR", "fires only outside of it; may be repeated", 0, true},
      {"on-excluded", "HOW", "a fire that calendars rule out: skip (default), or next allowed one"},
      {"dst-gap", "HOW", "a fire that a clock change removes: shift (default) or skip"},
      {"dst-fold", "HOW", "a fire that a clock change repeats: first (default), second or both"},
  };
}

std::vector<Option> waiting_options() {
  return {
      {"overlap", "HOW", "due while it still runs: skip, queue, replace or allow"},
      {"max-instances", "N", "overlap = allow: so many at a time"},
      {"max-queued", "N", "overlap = queue: so many wait for their turn"},
      {"misfire-grace", "D", "how late an occurrence may be planned; later it is missed (1h)"},
      {"coalesce", "WHICH", "of several overdue ones run the latest (default), earliest, all"},
      {"max-catchup", "N", "with --coalesce all: at most the latest N of them (100)"},
      {"catchup-spread", "D", "overdue runs start spread over D, not all at once"},
      {"jitter", "D", "stable delay below D, different for each fire"},
      {"group", "NAME", "shares the slots of this group, of which [groups] says how many"},
      {"priority", "N", "of those that wait for a slot the lower first; a minute a step (0)"},
      {"after", "JOB", "waits until that job has succeeded, too; may be repeated", 0, true},
      {"max-wait", "D", "waits no longer for a free slot; then it is missed"},
      {"max-runs", "N", "the schedule ends after N runs"},
  };
}

std::vector<Option> ending_options() {
  return {
      {"timeout", "D", "ends a run that takes longer"},
      {"stop-signal", "SIG", "what a run gets first that is to end (TERM)"},
      {"kill-grace", "D", "between that and KILL (10s)"},
      {"keep-children", "", "what its processes leave behind is not ended with it"},
      {"max-attempts", "N", "tries of a run, the first included (1)"},
      {"backoff", "D", "before the second try, then doubled (10s)"},
      {"max-delay", "D", "longest wait between tries (1h)"},
      {"success-codes", "CODES", "exit codes that mean success, such as 0,2 (0)"},
      {"success-match", "REGEX", "fails unless its output has this"},
      {"fail-match", "REGEX", "fails if its output has this"},
      {"min-output", "SIZE", "fails if it writes less"},
      {"on-lost", "HOW", "a run whose process was lost: fail (default) or retry"},
      {"alert-grace", "D", "how late a start may be before it is told (60s)"},
      {"output", "WHERE", "what it writes goes to a file (default), discard, or the info log"},
      {"max-output", "SIZE", "of longer output the middle is cut out (16MiB)"},
  };
}

std::vector<Option> process_options() {
  return {
      {"user", "U", "runs as U or U:GROUP, one of allow_users (default: as the daemon)"},
      {"cwd", "DIR", "working directory (default: the user's home)"},
      {"umask", "MODE", "file mode creation mask (022)"},
      {"env", "K=V", "a variable of its environment; may be repeated", 0, true},
      {"env-file", "F", "more variables, NAME=VALUE lines, read by the user at each start"},
      {"stdin-file", "F", "its standard input, opened by the user (/dev/null)"},
      {"stdin", "TEXT", "its standard input"},
      {"nice", "N", "niceness, -20 to 19"},
      {"ionice", "CLASS", "idle, best-effort:0-7 or realtime:0-7"},
      {"limit-as", "SIZE", "address space of each process"},
      {"limit-core", "SIZE", "size of a core file"},
      {"limit-cpu", "D", "processor time of each process"},
      {"limit-fsize", "SIZE", "size of a file it writes"},
      {"limit-nofile", "N", "open files of each process"},
      {"limit-nproc", "N", "processes of the user"},
      {"oom-score-adj", "N", "whom the kernel kills first when memory is short, up to 1000"},
      {"memory-max", "SIZE", "memory of all its processes (control group v2)"},
      {"cpu-max", "SHARE", "their processor time: 50%, 1.5 (control group v2)"},
      {"pids-max", "N", "their number (control group v2)"},
  };
}

std::vector<Option> job_options() {
  return schedule_options() +
         std::vector<Option>{
             {"in", "D", "fires once, that long from now"},
             {"on-reboot", "", "fires once after each boot of the machine"},
             {"manual", "", "fires only by trigger"},
             {"immediately", "", "with --every: fires at once, too"},
             {"shell", "LINE", "runs /bin/sh -c LINE instead of a command after \"--\""},
         } +
         zone_options() + waiting_options() + ending_options() + process_options() +
         std::vector<Option>{
             {"tag", "T", "a word to find it by; may be repeated", 0, true},
         };
}

constexpr std::string_view kJobExits =
    "  0   done\n  1   it was tried and did not work (a full disk, say)\n";
}  // namespace

std::vector<Command> defining_commands() {
  return {
      {.name = "add",
       .group = "jobs",
       .synopsis =
           "NAME (--every D | --cron E | --at T | --in D | --on-reboot | --manual) [OPTION]... "
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
      {.name = "edit",
       .group = "jobs",
       .synopsis = "NAME",
       .summary = "change a job in your editor ($VISUAL, $EDITOR), as a job file",
       .examples = {"schedctl edit backup", "EDITOR=nano schedctl edit backup"},
       .min_words = 1,
       .max_words = 1,
       .missing = "the job's name is missing",
       .extra = "one job at a time",
       .exits = "  0   done, or left as it was\n  1   the editor failed\n"
                "  2   the text is wrong; it is kept, and the message says where\n"
                "  5   somebody else changed the job in the meantime; the text is kept\n",
       .function = run_edit},
      {.name = "rename",
       .group = "jobs",
       .synopsis = "OLD NEW",
       .summary = "give a job another name; what it ran before keeps the old one",
       .examples = {"schedctl rename backup nightly-backup"},
       .min_words = 2,
       .max_words = 2,
       .missing = "two names are needed: the job's, and its new one",
       .extra = "one job at a time",
       .exits = "  0   done\n  5   the new name is taken; the job runs, or is defined elsewhere\n",
       .function = run_rename},
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
       .synopsis = "(NAME... | --all | --tag T) [--until T] [--reason R]",
       .summary = "no new fires until resume",
       .examples = {"schedctl pause backup --reason \"disk is being replaced\"",
                    "schedctl pause --all"},
       .options = {{"all", "", "every job"},
                   {"tag", "T", "every job with this tag"},
                   {"until", "T", "resumes by itself then: \"tomorrow 08:00\", now+2h"},
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
       .synopsis = "NAME [--env]",
       .summary = "everything about a job: definition, policy, state, last runs",
       .examples = {"schedctl show backup", "schedctl show backup --env",
                    "schedctl show backup --json"},
       .options = {{"env", "", "only the environment that its command gets"}},
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

}  // namespace schedctl::cli
