#pragma once

#include "schedctl/job/draft.hpp"
#include "schedctl/job/job.hpp"
#include "src/cli/command.hpp"

namespace schedctl::cli {

/// The flags of add, set and next as a draft. Errors are of kind usage and name the flag.
Result<job::JobDraft> draft_of(const Invocation& call);

/// What a person sees when the command of a job cannot be found as the daemon will look for it:
/// "no file /x/y", "" if all is well. Never more than a warning: the file may come later.
std::string command_trouble(const job::Definition& definition);

/// "every 5m", "cron 30 2 * * *", "at 2026-...", "manual": a table's cell.
std::string short_schedule(const job::Schedule& schedule);
/// What is executed, as a shell would be told it.
std::string short_action(const job::Action& action);

}  // namespace schedctl::cli
