// Rows of the table of commands: many jobs at once.

#include "src/cli/families.hpp"
#include "src/cli/command_rows.hpp"

namespace schedctl::cli {

std::vector<Command> bulk_commands() {
  return {
      {.name = "import-crontab",
       .group = "jobs",
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
