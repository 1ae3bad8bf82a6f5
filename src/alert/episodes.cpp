#include "schedctl/alert/episodes.hpp"

#include <algorithm>
#include <utility>

namespace schedctl::alert {
namespace {

/// Far more than there are job files.
constexpr std::size_t kEvery = 100'000;

/// What has happened now, in an episode that is open, or is again.
void take_news(job::Alert& alert, const Beginning& beginning) {
  alert.events += beginning.events;
  alert.subject = beginning.subject;
  if (beginning.run) alert.run = beginning.run;
  alert.detail = beginning.detail;
  if (!beginning.cause.empty()) alert.cause = beginning.cause;
}

void begin_again(job::Alert& alert, const Beginning& beginning, const Rules& rules, Time now) {
  take_news(alert, beginning);
  alert.ended_at.reset();
  alert.ended_by = job::AlertEnd::none;
  alert.ended_who.clear();
  ++alert.count;
  // Nobody has heard of its end: for whoever listens it has been open all the time.
  if (std::exchange(alert.over_untold, false)) {
    if (alert.told_at) alert.tell_at = rules.next_reminder(now);
    return;
  }
  alert.began_at = now;
  alert.expected_at = beginning.expected_at;
  alert.cause = beginning.cause;
  alert.tell_at = now + rules.flap_window;
}

bool is_back(const job::Alert& old, const Rules& rules, Time now) {
  if (old.silenced_until && *old.silenced_until > now) return true;
  return *old.ended_at + rules.flap_window > now;
}

}  // namespace

Episodes::Episodes(store::Store& store, std::string node) : store_(store), node_(std::move(node)) {}

Result<void> Episodes::load() {
  TRY(const std::vector<JobId> jobs, store_.alerted_jobs());
  alerted_.insert(jobs.begin(), jobs.end());
  return {};
}

Result<void> Episodes::begin(const Beginning& beginning, const Rules& rules, Time now) {
  TRY(std::optional<job::Alert> latest,
      store_.latest_alert(beginning.job, beginning.kind, beginning.subject));
  alerted_.insert(beginning.job);
  if (latest && latest->open()) {
    take_news(*latest, beginning);
    return store_.update_alert(*latest);
  }
  if (latest && is_back(*latest, rules, now)) {
    begin_again(*latest, beginning, rules, now);
    if (latest->silenced_until && *latest->silenced_until > now) {
      latest->tell_at = std::max(latest->tell_at.value_or(now), *latest->silenced_until);
    }
    return store_.update_alert(*latest);
  }
  job::Alert alert;
  alert.kind = beginning.kind;
  alert.job_id = beginning.job;
  alert.node = node_;
  alert.began_at = now;
  alert.expected_at = beginning.expected_at;
  alert.tell_at = now + kGather;
  alert.events = 0;
  take_news(alert, beginning);
  return store_.insert_alert(alert);
}

Result<void> Episodes::end(JobId job, const std::vector<job::AlertKind>& kinds, job::AlertEnd how,
                           Time now) {
  if (!alerted_.contains(job)) return {};
  TRY(const std::int64_t ended, store_.end_alerts(job, kinds, how, "", now));
  if (ended == 0 && kinds.empty()) alerted_.erase(job);
  return {};
}

Result<void> Episodes::settle(job::AlertKind kind, const std::map<std::string, std::string>& wrong,
                              const Rules& rules, Time now) {
  TRY(std::vector<job::Alert> open,
      store_.list_alerts({.open_only = true, .job_id = JobId{}, .limit = kEvery}));
  for (job::Alert& alert : open) {
    if (alert.kind != kind || wrong.contains(alert.subject)) continue;
    alert.ended_at = now;
    alert.ended_by = job::AlertEnd::recovered;
    alert.over_untold = true;
    if (alert.told_at) alert.tell_at.reset();
    TRY_VOID(store_.update_alert(alert));
  }
  for (const auto& [subject, words] : wrong) {
    TRY_VOID(begin({.kind = kind, .subject = subject, .detail = words}, rules, now));
  }
  return {};
}

}  // namespace schedctl::alert
