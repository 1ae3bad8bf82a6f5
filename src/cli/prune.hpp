#pragma once

#include "src/cli/command.hpp"
#include "src/cli/session.hpp"

namespace schedctl::cli {

/// `db prune`.
Result<Outcome> run_prune(const Invocation& call, Session& session);

/// Where older runs than those in the store have been there: ": retention has removed older runs,
/// last on ...". Else "".
std::string pruned_words(Session& session);

}  // namespace schedctl::cli
