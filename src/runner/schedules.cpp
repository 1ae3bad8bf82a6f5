// When schedules fire depends on more than their rows: on the rules of time zones, which come with
// a package that may be replaced while the daemon runs or while it is down, and on what else their
// owner says has changed (calendars). A job's next fire is kept in its row, so that sleeping needs
// no arithmetic; so it is told anew for every such job, and each difference is said.
//
// Which data the rows were made with is in the youngest event `zone-data`. The daemon looks when it
// starts, when the database's directories change, at a reload, and with some beat of each hour,
// where nothing tells (a link that is turned, a network file system).
//
// What was planned stays planned, and counts: instants, not readings of the clock. An occurrence
// that new rules move from this evening to this morning is overdue, and falls under the policy; one
// that they move from this morning to this evening happens at both.

#include "work.hpp"

namespace schedctl::runner {
namespace {

constexpr Duration kBetweenLooks = std::chrono::hours(1);
/// Jobs of which the log names the difference.
constexpr std::size_t kNamed = 20;

bool depends_on_data(const job::Schedule& schedule) {
  return schedule.kind == job::ScheduleKind::cron || !schedule.only.empty() ||
         !schedule.exclude.empty();
}

std::string words_of(const std::optional<Time>& fire) {
  return fire ? format_rfc3339(*fire) : "never";
}

/// "2026f" of "2026f 0123456789abcdef".
std::string release_of(const std::string& state) {
  return state.substr(0, state.find(' '));
}

std::string replacement_words(const std::string& old_state, const std::string& new_state) {
  const std::string from = release_of(old_state);
  const std::string to = release_of(new_state);
  if (from == to) return "the time zone data (" + to + ") was changed";
  return "the time zone data was replaced, " + from + " by " + to;
}

}  // namespace

void Runner::recheck_schedules(const std::string& why) {
  watches_->rechecks.push_back({.event = "schedule-change", .why = why});
}

void Runner::look_at_zones() {
  watches_->zones_looked_at.reset();
}

Result<void> Runner::note_schedules(Work& work) {
  // Nobody waits for it to be ready: the first beat is not the one to look.
  if (!clock_offset_) {
    work.again = true;
    return {};
  }
  std::vector<Recheck> rechecks = watches_->rechecks;
  work.rechecked = true;
  TRY(const std::optional<Recheck> redefined, note_calendars(work));
  if (redefined) rechecks.push_back(*redefined);
  TRY(const std::optional<Recheck> replaced, note_zones(work));
  if (replaced) rechecks.push_back(*replaced);
  for (const Recheck& recheck : rechecks) TRY_VOID(tell_next_fires(work, recheck));
  return {};
}

Result<std::optional<Runner::Recheck>> Runner::note_zones(Work& work) {
  const std::optional<Duration>& last = watches_->zones_looked_at;
  if (last && work.elapsed - *last < kBetweenLooks) return std::nullopt;
  work.looked_at_zones = true;
  work.zones = zones_.refresh();
  if (work.zones.empty() || work.zones == watches_->zones) return std::nullopt;
  std::string known = watches_->zones;
  if (known.empty()) {
    TRY(const std::vector<store::Event> events,
        store_.list_events({.kinds = {"zone-data"}, .limit = 1}));
    if (!events.empty()) known = events.front().detail;
  }
  if (known == work.zones) return std::nullopt;
  work.dirty = true;
  TRY_VOID(store_.add_event({work.now, settings_.node.id, "zone-data", work.zones}));
  // Alerts are told in a zone, too.
  if (auto& zone = settings_.tuning.voice.zone) {
    if (auto fresh = zones_.find(zone->name())) {
      zone = *fresh;
      teller_.configure(settings_.tuning.voice);
    }
  }
  // The rows of a store that has not noted it yet have just been made.
  if (known.empty()) return std::nullopt;
  return Recheck{"zone-change", replacement_words(known, work.zones)};
}

Result<void> Runner::tell_next_fires(Work& work, const Recheck& recheck) {
  std::size_t looked_at = 0;
  std::size_t changed = 0;
  TRY(const std::vector<store::JobListing> jobs, store_.list_jobs(""));
  for (const store::JobListing& listing : jobs) {
    const job::Job& job = listing.job;
    if (!depends_on_data(job.definition.schedule) || job.paused) continue;
    if (job.has_had_all_runs(policy_of(job))) continue;
    ++looked_at;
    // One that is due is planned in this beat, by the new data.
    if (job.next_fire && *job.next_fire <= work.now) continue;
    const auto fires = series_of(job);
    // Zone data that is being replaced may be there again in a moment: the old fire stands until it
    // is due, and the job is set aside only then.
    if (!fires) {
      const bool lasting = fires.error().where != "timezone";
      if (lasting && job.next_fire) TRY_VOID(set_aside(work, job, fires.error()));
      continue;
    }
    const std::optional<Time> next = fires->next_after(job.planned_through);
    if (next == job.next_fire) continue;
    TRY_VOID(store_.set_planned(job.id, job.planned_through, next));
    // It may have been set aside, and an alert have said so.
    if (!job.next_fire) {
      TRY_VOID(episodes_.end(job.id, {job::AlertKind::delayed, job::AlertKind::inactive},
                             job::AlertEnd::recovered, work.now));
    }
    if (++changed > kNamed) continue;
    work.line(log::Level::warning, "next-fire-changed",
              {{"job", job.name}, {"was", words_of(job.next_fire)}, {"now", words_of(next)}});
  }
  if (recheck.quiet && changed == 0) return {};
  work.dirty = true;
  const std::string count =
      std::to_string(changed) + " of " + std::to_string(looked_at) + " next fires changed";
  TRY_VOID(
      store_.add_event({work.now, settings_.node.id, recheck.event, recheck.why + "; " + count}));
  work.line(changed > 0 ? log::Level::warning : log::Level::info, recheck.event,
            {{"why", recheck.why}, {"changed", changed}, {"of", looked_at}});
  return {};
}

}  // namespace schedctl::runner
