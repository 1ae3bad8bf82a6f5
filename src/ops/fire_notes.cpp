#include "src/ops/fire_notes.hpp"

#include <cstdio>

#include "schedctl/ops/next.hpp"

namespace schedctl::ops {
namespace {

constexpr Duration kTick{1};

/// A clock that was never changed: what a gap removed can be read from it.
class FixedZone final : public job::Zone {
 public:
  explicit FixedZone(std::chrono::seconds offset) : offset_(offset) {}
  const std::string& name() const override { return name_; }
  std::chrono::seconds offset(Time) const override { return offset_; }
  CivilTime civil(Time t) const override {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(t) + offset_;
    return CivilTime(seconds.time_since_epoch());
  }
  job::CivilMeaning meaning(CivilTime civil) const override {
    const Time t{std::chrono::sys_seconds(civil.time_since_epoch()) - offset_};
    return {.kind = job::CivilMeaning::Kind::unique, .first = t, .second = t, .transition = t};
  }
  std::optional<job::ZoneChange> next_change(Time) const override { return std::nullopt; }

 private:
  std::string name_ = "fixed";
  std::chrono::seconds offset_;
};

/// "02:30", with seconds only where there are some.
std::string time_of_day(CivilTime civil) {
  const auto day = std::chrono::floor<std::chrono::days>(civil);
  const std::chrono::hh_mm_ss time(civil - day);
  char text[16];
  std::snprintf(text, sizeof text, "%02d:%02d", static_cast<int>(time.hours().count()),
                static_cast<int>(time.minutes().count()));
  std::string result = text;
  if (time.seconds().count() != 0) {
    std::snprintf(text, sizeof text, ":%02d", static_cast<int>(time.seconds().count()));
    result += text;
  }
  return result;
}

std::string moved_by(const job::ZoneChange& change, CivilTime removed, const job::Zone& zone) {
  return "clock goes forward at " + time_of_day(FixedZone(change.before).civil(change.at)) + ": " +
         time_of_day(removed) + " does not exist, runs at " + time_of_day(zone.civil(change.at));
}

}  // namespace

std::string note_of_moment(const std::string& at, const job::Zone& zone, Time now) {
  const Result<Time> fire = job::parse_time(at, zone, now);
  if (!fire || job::parse_time(at, zone, now, job::DstGap::skip)) return "";
  const auto change = zone.next_change(*fire - kTick);
  if (!change || change->at != *fire) return "";
  const FixedZone old_clock(change->before);
  const Result<Time> said = job::parse_time(at, old_clock, now);
  return said ? moved_by(*change, old_clock.civil(*said), zone) : "";
}

FireNotes::FireNotes(job::Schedule schedule, job::ZonePtr zone, std::uint64_t seed)
    : schedule_(std::move(schedule)), zone_(std::move(zone)), seed_(seed) {
  schedule_.only.clear();
  schedule_.exclude.clear();
}

std::string FireNotes::of(const job::FireSeries& series, Time fire) const {
  std::string note = moved(series, fire);
  return note.empty() ? clock_change(fire) : note;
}

std::string FireNotes::moved(const job::FireSeries& series, Time fire) const {
  const job::FireSeries::Stretch from = series.moved_to(fire);
  if (from.count == 0) return "";
  const CivilTime civil = zone_->civil(from.first);
  std::string note = calendars_at(series, from.first) + ": moved from " +
                     format_date(std::chrono::floor<std::chrono::days>(civil)) + " " +
                     time_of_day(civil);
  if (from.count > 1) note += ", with " + std::to_string(from.count - 1) + " more";
  return note;
}

std::string FireNotes::left_out(const job::FireSeries& series, Time after, Time fire) const {
  const job::FireSeries::Stretch gone = series.count_excluded(after, fire - kTick);
  if (gone.count == 0) return "";
  const std::string names = calendars_at(series, gone.first);
  return std::to_string(gone.count) + " before it left out" +
         (names.empty() ? "" : " (" + names + ")");
}

std::string calendars_at(const job::FireSeries& series, Time t) {
  std::string names;
  if (const auto why = series.ruled_out(t)) {
    for (const std::string& name : why->calendars) names += (names.empty() ? "" : ", ") + name;
  }
  return names;
}

std::string FireNotes::clock_change(Time fire) const {
  if (schedule_.kind != job::ScheduleKind::cron && schedule_.kind != job::ScheduleKind::at) {
    return "";
  }
  const job::CivilMeaning meaning = zone_->meaning(zone_->civil(fire));
  if (meaning.kind == job::CivilMeaning::Kind::repeated) return fold(fire, meaning);
  if (schedule_.kind != job::ScheduleKind::cron) return "";
  if (schedule_.dst_gap != job::DstGap::shift) return "";
  const auto change = zone_->next_change(fire - kTick);
  if (!change || change->at != fire || change->after <= change->before) return "";
  return gap(*change);
}

std::string FireNotes::fold(Time fire, const job::CivilMeaning& meaning) const {
  const auto change = zone_->next_change(meaning.transition - kTick);
  const std::string when =
      change ? " at " + time_of_day(FixedZone(change->before).civil(change->at)) : "";
  return "clock goes back" + when + (fire < meaning.transition ? ": first " : ": second ") +
         time_of_day(zone_->civil(fire));
}

std::string FireNotes::gap(const job::ZoneChange& change) const {
  // A fire that would also be there if gaps were skipped was not moved here by this one.
  job::Schedule skipping = schedule_;
  skipping.dst_gap = job::DstGap::skip;
  const auto unmoved = job::FireSeries::make(skipping, zone_, seed_);
  if (!unmoved || unmoved->next_after(change.at - kTick) == change.at) return "";
  const Removed removed = removed_by(change);
  if (removed.count == 0) return "";
  return moved_by(change, removed.first, *zone_);
}

FireNotes::Removed FireNotes::removed_by(const job::ZoneChange& change) const {
  const auto old_clock = std::make_shared<FixedZone>(change.before);
  const auto series = job::FireSeries::make(schedule_, old_clock, seed_);
  if (!series) return {};
  const job::FireSeries::Stretch gap =
      series->count(change.at - kTick, change.at + (change.after - change.before) - kTick);
  return {old_clock->civil(gap.first), gap.count};
}

std::string FireNotes::lost_in_gap(Time from, Time to) const {
  if (schedule_.kind != job::ScheduleKind::cron) return "";
  const auto change = zone_->next_change(from - kTick);
  if (!change || change->at >= to || change->after <= change->before) return "";
  const Removed removed = removed_by(*change);
  if (removed.count == 0) return "";
  std::string words = "at " + time_of_day(FixedZone(change->before).civil(change->at)) +
                      " the clock goes forward to " + time_of_day(zone_->civil(change->at)) +
                      ", so " + time_of_day(removed.first);
  words += removed.count == 1 ? " is" : " and " + std::to_string(removed.count - 1) + " more are";
  return words + " left out" +
         (schedule_.dst_gap == job::DstGap::skip
              ? " (dst_gap = skip)"
              : ", as its minute or hour begins with * and so it follows elapsed time");
}

}  // namespace schedctl::ops
