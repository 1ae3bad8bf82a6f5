// Calendars are redefined by a reload, or between two daemons. Next fires are told anew then. Which
// calendars the rows were made with is in the youngest event `calendars`.
//
// What the old calendars excluded up to now stays excluded, and gets its row while they are still
// known, at a reload: new ones must not turn the fires of last weekend into missed ones. A daemon
// that starts with others knows only these, and nobody was there to run what they allow.

#include <array>
#include <cstdio>

#include "schedctl/base/text.hpp"
#include "work.hpp"

namespace schedctl::runner {
namespace {

/// Calendars that the log names.
constexpr std::size_t kNamed = 10;

/// "2 calendars 0123456789abcdef"
std::string state_of(const job::Calendars& calendars) {
  std::string all;
  for (const auto& [name, calendar] : calendars) {
    all += name + "=" + std::to_string(calendar->fingerprint()) + "\n";
  }
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%zu calendar%s %016llx", calendars.size(),
                calendars.size() == 1 ? "" : "s",
                static_cast<unsigned long long>(stable_hash(all)));
  return text.data();
}

/// "calendars were redefined: holidays changed, nights added"
std::string difference(const job::Calendars& before, const job::Calendars& after) {
  std::vector<std::string> parts;
  for (const auto& [name, calendar] : after) {
    const auto old = before.find(name);
    if (old == before.end()) parts.push_back(name + " added");
    if (old != before.end() && *old->second != *calendar) parts.push_back(name + " changed");
  }
  for (const auto& [name, unused] : before) {
    if (!after.contains(name)) parts.push_back(name + " removed");
  }
  std::string words = "calendars were redefined: ";
  for (std::size_t i = 0; i < std::min(parts.size(), kNamed); ++i) {
    words += (i == 0 ? "" : ", ") + parts[i];
  }
  if (parts.size() > kNamed) words += " and " + std::to_string(parts.size() - kNamed) + " more";
  return words;
}

bool is_narrowed(const job::Schedule& schedule) {
  return !schedule.only.empty() || !schedule.exclude.empty();
}

}  // namespace

Result<std::optional<Runner::Recheck>> Runner::note_calendars(Work& work) {
  if (watches_->calendars_noted) return std::nullopt;
  work.noted_calendars = true;
  const job::Calendars& calendars = settings_.tuning.calendars;
  TRY(const std::vector<store::Event> events,
      store_.list_events({.kinds = {"calendars"}, .limit = 1}));
  if (events.empty() && calendars.empty() && !watches_->calendars_before) return std::nullopt;
  const std::string state = state_of(calendars);
  if (!events.empty() && events.front().detail == state) return std::nullopt;
  work.dirty = true;
  TRY_VOID(store_.add_event({work.now, settings_.node.id, "calendars", state}));
  const std::string event = "schedule-change";
  if (const auto& before = watches_->calendars_before) {
    TRY_VOID(record_excluded(work, *before));
    return Recheck{event, difference(*before, calendars)};
  }
  // Rows of a store that has not noted them yet may be of any calendars.
  if (events.empty()) return Recheck{event, "calendars were not noted before", true};
  return Recheck{event, "calendars were redefined since a daemon was here"};
}

Result<void> Runner::record_excluded(Work& work, const job::Calendars& calendars) {
  TRY(const std::vector<store::JobListing> jobs, store_.list_jobs(""));
  for (const store::JobListing& listing : jobs) {
    const job::Job& job = listing.job;
    const job::Schedule& schedule = job.definition.schedule;
    // One that is due is planned in this beat; one without a next fire may be set aside.
    const bool sleeps = !job.paused && (!job.next_fire || *job.next_fire > work.now);
    if (!sleeps || !is_narrowed(schedule) || job.has_had_all_runs(policy_of(job))) continue;
    auto zone = zones_.find(schedule.timezone);
    if (!zone) continue;
    const auto fires =
        job::FireSeries::make(schedule, *zone, job.seed(), job::CalendarSource(calendars, zones_));
    if (!fires || fires->count_excluded(job.planned_through, work.now).count == 0) continue;
    TRY_VOID(record_rows(
        work, job, job::plan(*fires, policy_of(job), job.seed(), job.planned_through, work.now)));
  }
  return {};
}

}  // namespace schedctl::runner
