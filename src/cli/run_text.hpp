#pragma once

#include <string>
#include <vector>

#include "schedctl/job/run.hpp"
#include "schedctl/job/zone.hpp"
#include "schedctl/store/store.hpp"
#include "src/cli/output.hpp"

/// Runs and their outcomes in words.
namespace schedctl::cli {

Color state_color(job::RunState state);
/// "succeeded", "failed (exit 3)", "failed (SIGKILL)", "skipped (overlap) 12 times".
std::string outcome_text(const job::Run& run);
/// From when its delay is counted: its fire, but of a backfill, whose fires are long past, the
/// moment at which it was its turn.
Time awaited_since(const job::Run& run);
/// The table of `runs`, oldest ids last as they come.
std::string runs_table(const std::vector<job::Run>& runs, const job::Zone& zone, Time now);
/// The state part of `show`, which is also `status NAME`.
std::string state_text(const store::JobListing& listing, const job::Zone& zone, Time now);

}  // namespace schedctl::cli
