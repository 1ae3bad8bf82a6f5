#include <map>

#include "schedctl/base/text.hpp"
#include "schedctl/ops/ops.hpp"
#include "src/ops/change.hpp"

namespace schedctl::ops {
namespace {

constexpr std::size_t kEveryAlert = 100'000;

Error nothing_open(const std::string& what) {
  return Error{ErrorKind::conflict, "nothing to acknowledge: " + what + " has no open alert"};
}

/// "#7" is one alert, anything else a job with all its open ones.
Result<std::vector<job::Alert>> alerts_of(const Context& context, const std::string& target) {
  if (target.starts_with('#')) {
    const std::optional<std::int64_t> id = parse_int(std::string_view(target).substr(1));
    if (!id || *id < 1) {
      return fail(ErrorKind::usage,
                  "'" + escape_control(target) + "' is not the number of an alert, such as #7");
    }
    TRY(const std::vector<job::Alert> all, context.store.list_alerts({.limit = kEveryAlert}));
    for (const job::Alert& alert : all) {
      if (alert.id != AlertId(*id)) continue;
      if (alert.open()) return std::vector<job::Alert>{alert};
      return fail(ErrorKind::conflict, "alert " + target + " is over already");
    }
    return fail(ErrorKind::not_found, "there is no alert " + target);
  }
  TRY(const job::Job job, find_job(context, target));
  TRY(std::vector<job::Alert> open,
      context.store.list_alerts({.open_only = true, .job_id = job.id, .limit = kEveryAlert}));
  if (open.empty()) return fail(nothing_open(target));
  return open;
}

}  // namespace

Result<std::vector<job::Alert>> Ops::ack(const std::vector<std::string>& targets,
                                         std::optional<Duration> silence) {
  const Time now = context_.clock.wall();
  TRY(store::Transaction transaction, store::Transaction::begin(context_.store));
  // All are looked up before the first is ended, so that one may be named twice.
  std::map<AlertId, job::Alert> open;
  for (const std::string& target : targets) {
    TRY(const std::vector<job::Alert> alerts, alerts_of(context_, target));
    for (const job::Alert& alert : alerts) open.emplace(alert.id, alert);
    const bool is_job = !target.starts_with('#');
    TRY_VOID(audit(context_, "ack", is_job ? target : "",
                   (is_job ? "" : target) + (silence ? " for " + format_duration(*silence) : ""),
                   now));
  }
  std::vector<job::Alert> acked;
  for (auto& [id, alert] : open) {
    alert.ended_at = now;
    alert.ended_by = job::AlertEnd::acked;
    alert.ended_who = context_.who;
    alert.over_untold = true;
    if (alert.told_at) alert.tell_at.reset();
    if (silence) alert.silenced_until = now + *silence;
    TRY_VOID(context_.store.update_alert(alert));
    acked.push_back(std::move(alert));
  }
  TRY_VOID(transaction.commit());
  context_.poke();
  return acked;
}

}  // namespace schedctl::ops
