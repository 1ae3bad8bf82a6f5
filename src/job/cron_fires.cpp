// How a set of wall-clock readings becomes a series of instants (DESIGN 4.6).
//
// A zone's offset from UTC changes now and then. A change forward is a *gap*: the readings [G0, G1)
// are never shown, and the instant T of the change shows G1. A change back is a *fold*: the
// readings [F0, F1) are shown twice, in a first pass that ends at T and a second that begins there.
//
//   wildcard schedules  follow elapsed time: an instant fires if its reading matches. Both passes
//                       of a fold fire, what a gap removes is gone.
//   fixed schedules     fire once a matching reading. In a fold the first pass (dst_fold: second,
//                       both). Matches inside a gap become one fire at T (dst_gap = skip: none),
//                       except on dates that the gap swallows whole.
//
// next_after() goes from reading to instant and asks the zone only about the match it found.
// count() goes from one change of offset to the next and counts readings in between. The two are
// written apart and tested against each other.
#include "src/job/cron_fires.hpp"

#include <algorithm>

#include "schedctl/base/limits.hpp"

namespace schedctl::job {
namespace {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr seconds kSecond{1};

/// Offsets are less than a day and a change of offset at most a day and a bit, so what is further
/// away than this has no influence.
constexpr seconds kReach = days{3};

constexpr sys_seconds start_of_year(int y) {
  return std::chrono::sys_days{std::chrono::year{y} / 1 / 1};
}

/// Instants are clamped so that no reading leaves the years that cron knows.
constexpr sys_seconds kEarliest = start_of_year(kFirstYear) - kReach;
constexpr sys_seconds kLatest = start_of_year(kLastYear + 1) + kReach;

sys_seconds clamped(Time t) {
  return std::clamp(floor<seconds>(t), kEarliest, kLatest);
}

/// The readings a change of offset removes or repeats.
struct Readings {
  CivilTime begin;
  CivilTime end;
};

Readings removed_by(Time transition, const Zone& zone) {
  return {zone.civil(transition - kSecond) + kSecond, zone.civil(transition)};
}

Readings repeated_by(Time transition, const Zone& zone) {
  return {zone.civil(transition), zone.civil(transition - kSecond) + kSecond};
}

/// Whether a fixed schedule has a match among removed readings that is to be made up for.
bool owes_fire(const CronExpr& expr, Readings gap) {
  std::optional<CivilTime> match = expr.first_from(gap.begin);
  while (match && *match < gap.end) {
    const CivilTime midnight = floor<days>(*match);
    const bool date_exists = midnight < gap.begin || midnight + days{1} > gap.end;
    if (date_exists) return true;
    match = expr.first_from(midnight + days{1});
  }
  return false;
}

/// One question to next_after(): everything at or before `base` is done with.
class Search {
 public:
  Search(const CronFires& fires, sys_seconds base)
      : fires_(fires),
        zone_(*fires.zone),
        base_(base),
        both_passes_(fires.expr.wildcard || fires.fold == DstFold::both) {}

  std::optional<Time> run() {
    const CivilTime shown = zone_.civil(base_);
    if (fires_.expr.wildcard) {
      if (const auto near = in_same_offset(shown)) return near;
    }
    CivilTime from = shown + kSecond;
    if (both_passes_ || fires_.fold == DstFold::second) {
      if (const auto found = in_second_pass(shown, from)) return found;
    }
    const CivilTime last = shown + limits::kSearchHorizon;
    while (const auto match = fires_.expr.first_from(from)) {
      if (*match > last) break;
      if (const auto fire = fire_of(*match, from)) return fire;
    }
    return std::nullopt;
  }

 private:
  /// The shortcut for what nearly always holds: no change of offset before the next match.
  std::optional<Time> in_same_offset(CivilTime shown) const {
    const auto match = fires_.expr.first_from(shown + kSecond);
    if (!match || *match - shown > kReach) return std::nullopt;
    const sys_seconds fire = base_ + (*match - shown);
    if (zone_.civil(fire) != *match) return std::nullopt;
    return fire;
  }

  /// If `base` is in the first pass of a fold, the series goes on through the rest of that pass,
  /// then through the second: readings go back though time goes on. `from` is left where the plain
  /// search may begin.
  std::optional<Time> in_second_pass(CivilTime shown, CivilTime& from) const {
    const CivilMeaning meaning = zone_.meaning(shown);
    if (meaning.kind != CivilMeaning::Kind::repeated || Time{base_} >= meaning.transition) {
      return std::nullopt;
    }
    const Readings fold = repeated_by(meaning.transition, zone_);
    if (both_passes_) {
      const auto match = fires_.expr.first_from(from);
      if (match && *match < fold.end) return base_ + (*match - shown);
    }
    const auto match = fires_.expr.first_from(fold.begin);
    if (match && *match < fold.end) return meaning.transition + (*match - fold.begin);
    from = fold.end;
    return std::nullopt;
  }

  /// The fire that a matching reading means, if it has one after `base`; else `from` moves on.
  std::optional<Time> fire_of(CivilTime match, CivilTime& from) const {
    const CivilMeaning meaning = zone_.meaning(match);
    from = match + kSecond;
    switch (meaning.kind) {
      case CivilMeaning::Kind::unique:
        return if_later(meaning.first);
      case CivilMeaning::Kind::repeated: {
        if (fires_.fold == DstFold::second && !both_passes_) return if_later(meaning.second);
        if (const auto first = if_later(meaning.first)) return first;
        if (both_passes_) return if_later(meaning.second);
        from = std::max(from, repeated_by(meaning.transition, zone_).end);
        return std::nullopt;
      }
      case CivilMeaning::Kind::skipped: {
        const Readings gap = removed_by(meaning.transition, zone_);
        from = std::max(from, gap.end);
        if (fires_.expr.wildcard || fires_.gap == DstGap::skip) return std::nullopt;
        if (!owes_fire(fires_.expr, gap)) return std::nullopt;
        return if_later(meaning.transition);
      }
    }
    return std::nullopt;
  }

  std::optional<Time> if_later(Time t) const {
    return t > Time{base_} ? std::optional(t) : std::nullopt;
  }

  const CronFires& fires_;
  const Zone& zone_;
  const sys_seconds base_;
  const bool both_passes_;
};

/// Counts the fires with first < fire <= last, one stretch of constant offset after the other.
class Census {
 public:
  Census(const CronFires& fires, sys_seconds first, sys_seconds last)
      : fires_(fires),
        zone_(*fires.zone),
        begin_(first + kSecond),
        end_(last + kSecond),
        once_(!fires.expr.wildcard && fires.fold != DstFold::both) {}

  FireSeries::Stretch run() {
    sys_seconds from = begin_ - kReach;
    seconds offset = zone_.offset(from);
    std::optional<ZoneChange> entered;
    while (true) {
      const std::optional<ZoneChange> leaving = zone_.next_change(from);
      const sys_seconds to = leaving ? std::min(floor<seconds>(leaving->at), end_) : end_;
      if (entered) count_gap(*entered, offset);
      count_stretch(from, to, offset, entered, leaving);
      if (!leaving || leaving->at >= end_) return result_;
      from = floor<seconds>(leaving->at);
      offset = leaving->after;
      entered = leaving;
    }
  }

 private:
  /// A gap that was entered at its end: one fire for all matches it removed, unless that instant
  /// fires anyway.
  void count_gap(const ZoneChange& change, seconds offset) {
    if (fires_.expr.wildcard || fires_.gap == DstGap::skip || change.after < change.before) return;
    const sys_seconds at = floor<seconds>(change.at);
    if (at < begin_ || at >= end_ || fires_.expr.matches(reading(at, offset))) return;
    if (owes_fire(fires_.expr, {reading(at, change.before), reading(at, change.after)}))
      note(1, at);
  }

  /// The matches shown in [from, to), without the pass of a fold that does not fire.
  void count_stretch(sys_seconds from, sys_seconds to, seconds offset,
                     const std::optional<ZoneChange>& entered,
                     const std::optional<ZoneChange>& leaving) {
    from = std::max(from, begin_);
    if (once_ && entered && entered->after < entered->before && fires_.fold == DstFold::first) {
      from = std::max(from, floor<seconds>(entered->at) + (entered->before - entered->after));
    }
    if (once_ && leaving && leaving->after < leaving->before && fires_.fold == DstFold::second) {
      to = std::min(to, floor<seconds>(leaving->at) - (leaving->before - leaving->after));
    }
    if (from >= to) return;
    const std::int64_t n = fires_.expr.count(reading(from, offset), reading(to, offset));
    if (n == 0) return;
    const auto last = fires_.expr.last_before(reading(to, offset), reading(from, offset));
    if (last) note(n, sys_seconds{last->time_since_epoch() - offset});
  }

  static CivilTime reading(sys_seconds t, seconds offset) {
    return CivilTime{t.time_since_epoch() + offset};
  }

  void note(std::int64_t n, sys_seconds last) {
    result_.count += n;
    result_.last = last;
  }

  const CronFires& fires_;
  const Zone& zone_;
  const sys_seconds begin_;
  const sys_seconds end_;
  const bool once_;  ///< a repeated reading fires in one pass only
  FireSeries::Stretch result_;
};

}  // namespace

std::optional<Time> CronFires::next_after(Time t) const {
  return Search(*this, clamped(t)).run();
}

FireSeries::Stretch CronFires::count(Time after, Time through) const {
  const std::optional<Time> first = next_after(after);
  if (!first || *first > through) return {};
  FireSeries::Stretch stretch = Census(*this, clamped(after), clamped(through)).run();
  stretch.first = *first;
  return stretch;
}

}  // namespace schedctl::job
