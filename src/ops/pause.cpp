#include "schedctl/ops/ops.hpp"
#include "src/ops/change.hpp"
#include "src/ops/compile.hpp"

namespace schedctl::ops {
namespace {

/// A sentence or two; list and show print it.
constexpr std::size_t kReasonBytes = 500;

std::string pause_words(const std::string& reason, std::optional<Time> until) {
  if (!until) return reason;
  return "until " + format_rfc3339(*until) + (reason.empty() ? "" : ": " + reason);
}

Result<bool> pause_one(const Context& context, const std::string& name, const std::string& reason,
                       std::optional<Time> until, Time now) {
  TRY(job::Job job, find_job(context, name));
  if (job.paused && (!until || job.paused_until == until)) return false;
  if (!job.paused) {
    job.paused = true;
    job.paused_at = now;
    job.paused_reason = reason;
  } else if (!reason.empty()) {
    job.paused_reason = reason;
  }
  job.paused_until = until;
  job.next_fire = until;
  TRY_VOID(context.store.update_job(job));
  TRY_VOID(context.store.end_alerts(job.id, {}, job::AlertEnd::paused, context.who, now));
  TRY_VOID(audit(context, "pause", name, pause_words(reason, until), now));
  return true;
}

Result<bool> resume_one(const Context& context, const std::string& name, Time now) {
  TRY(job::Job job, find_job(context, name));
  if (!job.paused) return false;
  TRY(const job::FireSeries fires, series_of(context, job.definition.schedule, job.seed()));
  TRY_VOID(settle(context, job, fires, now));
  job.paused = false;
  job.paused_at = {};
  job.paused_reason.clear();
  job.paused_until.reset();
  job.next_fire = next_of(context, job, fires);
  TRY_VOID(context.store.update_job(job));
  TRY_VOID(audit(context, "resume", name, "", now));
  return true;
}

/// Does it to each of the names in one transaction; returns those that changed.
template <class One>
Result<std::vector<std::string>> each(const Context& context, const std::vector<std::string>& names,
                                      const One& one) {
  TRY(store::Transaction transaction, store::Transaction::begin(context.store));
  std::vector<std::string> changed;
  for (const std::string& name : names) {
    TRY(const bool did, one(name));
    if (did) changed.push_back(name);
  }
  TRY_VOID(transaction.commit());
  if (!changed.empty()) context.poke();
  return changed;
}

}  // namespace

Result<std::vector<std::string>> Ops::pause(const std::vector<std::string>& names,
                                            const std::string& reason, std::optional<Time> until) {
  if (reason.size() > kReasonBytes) {
    return fail(ErrorKind::usage,
                "the reason has " + std::to_string(reason.size()) + " bytes; at most " +
                    std::to_string(kReasonBytes) + " are kept",
                "reason");
  }
  const Time now = context_.clock.wall();
  if (until && *until <= now) {
    return fail(ErrorKind::usage, "that is in the past: the pause would be over at once", "until");
  }
  return each(context_, names, [&](const std::string& name) {
    return pause_one(context_, name, reason, until, now);
  });
}

Result<std::vector<std::string>> Ops::resume(const std::vector<std::string>& names) {
  const Time now = context_.clock.wall();
  return each(context_, names,
              [&](const std::string& name) { return resume_one(context_, name, now); });
}

}  // namespace schedctl::ops
