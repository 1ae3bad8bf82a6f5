#pragma once

#include <string>
#include <vector>

#include "schedctl/ops/ops.hpp"

/// From what somebody wrote to a definition, and from a definition to its fires.
namespace schedctl::ops {

/// A draft that stands alone; see Ops::compile.
Result<job::Definition> compile_draft(const Context& context, const job::JobDraft& draft,
                                      const job::Job* existing, Time now);

/// The definition of `existing` with what the draft says changed and `unset` forgotten.
Result<job::Definition> amend(const Context& context, const job::Job& existing,
                              const job::JobDraft& draft, const std::vector<std::string>& unset,
                              Time now);

/// Whether the draft changes details of a schedule that it does not replace.
bool adjusts_schedule(const job::JobDraft& draft);

/// The zone a schedule counts in.
Result<job::ZonePtr> zone_of(const Context& context, const job::Schedule& schedule);
/// The fires of a schedule, of which `seed` is the job's.
Result<job::FireSeries> series_of(const Context& context, const job::Schedule& schedule,
                                  std::uint64_t seed);

}  // namespace schedctl::ops
