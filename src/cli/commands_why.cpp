// Rows of the table of commands: what explains.

#include "src/cli/command_rows.hpp"
#include "src/cli/families.hpp"

namespace schedctl::cli {

std::vector<Command> explaining_commands() {
  return {
      {.name = "why",
       .group = "jobs",
       .synopsis = "NAME [--at T|DATE]",
       .summary = "say why a job ran, did not run, ran late, or is waiting",
       .examples = {"schedctl why backup", "schedctl why backup --at 02:30",
                    "schedctl why backup --at \"2026-11-20 02:30\"",
                    "schedctl why backup --at yesterday"},
       .options = {{"at", "T|DATE",
                    "then, or on that day: 02:30 (the latest one that is over), \"2026-11-20 "
                    "02:30\", 2h (ago), 2026-11-20, yesterday"}},
       .min_words = 1,
       .max_words = 1,
       .missing = "the job's name is missing",
       .extra = "one job at a time",
       .function = run_why},
      {.name = "simulate",
       .group = "jobs",
       .synopsis = "[--from T] [--to T]",
       .summary = "lay all jobs over the next day: busy hours, overlaps to expect",
       .examples = {"schedctl simulate", "schedctl simulate --to 7d",
                    "schedctl simulate --from \"2026-12-24 00:00\" --to \"2026-12-27 00:00\""},
       .options = {{"from", "T", "from that moment on (default: now)"},
                   {"to", "T|D", "up to that moment, or that long after --from (24h)"}},
       .extra = "it looks at all jobs",
       .function = run_simulate},
  };
}

}  // namespace schedctl::cli
