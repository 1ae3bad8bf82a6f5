// Rows of the table of commands: many jobs at once.

#include "src/cli/command_rows.hpp"
#include "src/cli/families.hpp"

namespace schedctl::cli {

std::vector<Command> bulk_commands() {
  return {
      {.name = "apply",
       .group = "files",
       .synopsis = "FILE|DIR... [--name S] [--prune] [--adopt] [--dry-run]",
       .summary = "make the jobs as job files say; shows the difference first",
       .examples = {"schedctl apply jobs.toml --dry-run", "schedctl apply jobs/ --prune",
                    "schedctl apply --name shop a.toml b.toml"},
       .options = {{"name", "S",
                    "the files are the set S; else each FILE or DIR is a set, by its path"},
                   {"prune", "", "remove jobs of the set that are no longer in the files"},
                   {"adopt", "", "take over jobs of the command line and of other sets"},
                   {"dry-run", "", "only show the difference"}},
       .min_words = 1,
       .max_words = kAnyNumber,
       .missing = "the job file or directory to apply is missing",
       .exits = "  0   the jobs are as the files say; with --dry-run, they could be\n"
                "  5   jobs that differ belong to the command line, to other files or sets\n"
                "  78  the files have errors\n",
       .function = run_apply},
      {.name = "export",
       .group = "files",
       .synopsis = "[NAME]... [--crontab]",
       .summary = "print jobs as a job file, which apply reads, or as a crontab",
       .examples = {"schedctl export > jobs.toml", "schedctl export backup",
                    "schedctl export --crontab"},
       .options = {{"crontab", "", "as a crontab; what cron cannot do becomes a comment"}},
       .max_words = kAnyNumber,
       .exits = "  0   done\n  1   a job could not be written; the others were\n",
       .function = run_export},
      {.name = "import-crontab",
       .group = "files",
       .synopsis = "(FILE | -) [--system] [--paused] [--dry-run]",
       .summary = "make jobs of the lines of a crontab",
       .examples = {"crontab -l | schedctl import-crontab - --dry-run",
                    "schedctl import-crontab /etc/cron.d/sysstat --paused"},
       .options = {{"system", "",
                    "a user's name stands before each command (as in /etc/crontab and /etc/cron.d, "
                    "which need not be told)"},
                   {"paused", "", "new jobs begin paused"},
                   {"dry-run", "", "only say what would be done"}},
       .min_words = 1,
       .max_words = 1,
       .missing = "the crontab is missing: a file, or - for standard input",
       .extra = "one crontab at a time",
       .exits = "  0   every line that runs something is a job now\n"
                "  1   some are not; each is named, with the reason\n",
       .function = run_import_crontab},
  };
}

}  // namespace schedctl::cli
