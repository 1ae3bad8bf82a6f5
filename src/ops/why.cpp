// Which occurrences somebody asks about; what is said of each is judge()'s.
//
// A window of time is made of the rows that reach into it, of the fires that have no row yet (or
// none any more), and of the runs that no schedule made. Of a moment each is explained; of a day
// each is a line, and where that would be too many lines, neighbours of a kind become one.

#include "schedctl/ops/why.hpp"

#include <algorithm>
#include <map>

#include "src/ops/why_history.hpp"
#include "src/ops/why_run.hpp"

namespace schedctl::ops {
namespace {

constexpr Duration kTick{1};
/// Fires without a row that are told one by one.
constexpr std::int64_t kFiresApart = 200;
/// Occurrences of one moment that are explained in full.
constexpr std::size_t kExplained = 3;
/// How far back the latest occurrence that did not run is looked for.
constexpr std::size_t kLookBack = 200;

/// A row, or fires without one.
struct Item {
  const Life* life = nullptr;  ///< null: no job at that time
  Time at{};
  std::optional<job::Run> run;
  std::int64_t count = 1;
  Time last{};
  bool planned = false;  ///< a fire that had its row once
};

Item item_of(const Life& life, job::Run run) {
  Item item{.life = &life, .at = run.fire_time, .run = {}};
  item.run = std::move(run);
  return item;
}

bool is_time_of_day(std::string_view text) {
  return text.size() >= 5 && text.size() <= 8 && text[2] == ':' &&
         text.find_first_not_of("0123456789:") == std::string_view::npos;
}

bool is_date(std::string_view text) {
  if (text == "today" || text == "yesterday" || text == "tomorrow") return true;
  return text.size() == 10 && text[4] == '-' && text[7] == '-' &&
         text.find_first_not_of("0123456789-") == std::string_view::npos;
}

/// Whether seconds were named: then that second is meant, and else the minute.
bool names_seconds(std::string_view text) {
  const std::size_t first = text.find(':');
  if (first == std::string_view::npos) return true;
  return text.size() > first + 3 && text[first + 3] == ':';
}

/// Whether it is a row of that life that does not end before `t`.
bool may_cover(const Item& item, const Life& life, Time t) {
  return item.life == &life && item.run &&
         t <= item.run->last_fire_time.value_or(item.run->fire_time);
}

/// Answers one question.
class Inquiry {
 public:
  Inquiry(const History& history, WhyAnswer& answer) : history_(history), answer_(answer) {}

  Result<void> latest();
  Result<void> in_window(const WhyWindow& window);
  Result<void> stand(bool served);

 private:
  Result<void> latest_of(const Life& life);
  Result<void> before_that(const Life& life);
  Result<void> collect(const Life& life, Time from, Time to);
  Result<void> collect_fires(const Life& life, Time from, Time to);
  Result<void> collect_others(const Life& life, Time from, Time to);
  void add_fires(const Life& life, Time after, Time through, bool planned);
  void add_lost_rows(const Life& life, Time from, Time to);
  Result<Finding> explain(const Item& item) const;
  Result<void> nothing(const WhyWindow& window);
  void sum_up();
  Result<void> lines();

  const History& history_;
  WhyAnswer& answer_;
  std::vector<Item> items_;
};

// --- the latest ------------------------------------------------------------------------------

Result<void> Inquiry::latest() {
  const Life& life = history_.lives().back();
  if (!history_.lives_now(life)) {
    answer_.findings.push_back(judge(history_.facts_of_no_job(history_.now())));
  }
  return latest_of(life);
}

Result<void> Inquiry::latest_of(const Life& life) {
  const Time now = history_.now();
  TRY(std::optional<job::Run> row, history_.row_at_or_before(life, history_.until_of(life)));
  TRY(std::vector<job::Run> others, history_.latest_other_runs(life));
  const Time row_end = row ? row->last_fire_time.value_or(row->fire_time) : Time::min();
  // What is due and has no row yet.
  std::optional<History::Fires> unplanned;
  if (history_.lives_now(life) && !history_.is_used_up()) {
    for (const auto& fires : history_.fires_in(life, history_.job()->planned_through, now)) {
      unplanned = fires;
    }
  }
  for (job::Run& run : others) {
    const bool older = run.fire_time < row_end || unplanned;
    // One that still lives is told of whatever came after it.
    if (older && job::is_final(run.state)) continue;
    items_.push_back(item_of(life, std::move(run)));
  }
  if (unplanned) {
    const auto& stretch = unplanned->stretch;
    items_.push_back({.life = &life,
                      .at = stretch.first,
                      .run = {},
                      .count = stretch.count,
                      .last = stretch.last});
  } else if (row) {
    items_.push_back(item_of(life, std::move(*row)));
  }
  for (const Item& item : items_) {
    TRY(Finding finding, explain(item));
    answer_.findings.push_back(std::move(finding));
  }
  if (!items_.empty()) return before_that(life);
  if (!history_.lives_now(life)) return {};
  TRY(const WhyFacts facts, history_.facts_of_nothing(life, now, now + kTick));
  Finding finding = judge(facts);
  const Moments moments(*answer_.zone, now, now);
  const bool by_clock = facts.why_not != NotDue::manual && facts.why_not != NotDue::reboot;
  finding.headline =
      sentence(answer_.job + (by_clock ? " has not been due yet" : " has not run yet") +
               ": it was made at " + moments.with_age(life.created) +
               (life.added ? " by " + who(life.added) : ""));
  // What is to come is said below.
  finding.details = {sentence("Its schedule: " + answer_.schedule)};
  if (history_.lives().size() > 1) {
    const Life& before = history_.lives()[history_.lives().size() - 2];
    finding.details.push_back(sentence(
        "A job of that name before it " +
        (before.renamed_to.empty()
             ? "was removed" + (before.removed ? " " + deed_words(before.removed, moments) : "")
             : "was renamed to " + before.renamed_to) +
        "; --at with a time before that tells of it"));
  }
  answer_.findings.push_back(std::move(finding));
  return {};
}

// After an alert the latest one may well have gone right: what went wrong before is named.
Result<void> Inquiry::before_that(const Life& life) {
  const Finding& last = answer_.findings.back();
  if (last.verdict != Verdict::succeeded && last.verdict != Verdict::running) return {};
  TRY(const std::vector<job::Run> rows, history_.latest_rows(life, kLookBack));
  for (const job::Run& run : rows) {
    const bool fine = run.state == job::RunState::succeeded || !job::is_final(run.state) ||
                      run.id == last.run->id;
    if (fine) continue;
    const Moments moments(*answer_.zone, run.fire_time, history_.now());
    std::string words = std::string(job::to_string(run.state));
    if (run.reason != job::Reason::none) words += " (" + std::string(to_string(run.reason)) + ")";
    answer_.findings.back().details.push_back(
        "The last one that did not succeed: " + moments.with_age(run.fire_time) + ", " + words +
        "; schedctl why " + answer_.job + " --at \"" + moments.full(run.fire_time) + "\".");
    return {};
  }
  return {};
}

// --- a window --------------------------------------------------------------------------------

Result<void> Inquiry::in_window(const WhyWindow& window) {
  for (const Life& life : history_.lives()) {
    const Time end = life.ended.value_or(Time::max());
    if (life.created >= window.to || end < window.from) {
      // A backfill reaches back to before the job was made.
      if (life.created >= window.to) TRY_VOID(collect_others(life, window.from, window.to));
      continue;
    }
    // What came after a job was renamed is told under its new name.
    TRY_VOID(
        collect(life, window.from, std::min(window.to, end == Time::max() ? end : end + kTick)));
  }
  std::ranges::stable_sort(items_, {}, &Item::at);
  for (const Item& item : items_) answer_.occurrences += item.count;
  if (items_.empty()) return nothing(window);
  if (!window.is_day && items_.size() <= kExplained) {
    for (const Item& item : items_) {
      TRY(Finding finding, explain(item));
      answer_.findings.push_back(std::move(finding));
    }
    return {};
  }
  return lines();
}

Result<void> Inquiry::collect(const Life& life, Time from, Time to) {
  TRY(std::vector<job::Run> rows, history_.rows_in(life, from, to));
  for (job::Run& run : rows) {
    Item item{.life = &life, .at = run.fire_time, .run = {}, .count = run.count};
    item.last = run.last_fire_time.value_or(run.fire_time);
    if (run.fire_time < from || item.last >= to) {
      // A stretch that reaches over an end of the window: is any of it inside?
      std::int64_t inside = 0;
      std::optional<Time> first;
      Time last{};
      const Time begin = std::max(from, run.fire_time), end = std::min(to - kTick, item.last);
      const bool excluded = run.reason == job::Reason::excluded;
      for (const auto& fires : history_.fires_in(life, begin - kTick, end, excluded)) {
        inside += fires.stretch.count;
        if (!first) first = fires.stretch.first;
        last = fires.stretch.last;
      }
      if (inside == 0) continue;
      item.at = *first;
      item.count = inside;
      item.last = last;
    }
    item.run = std::move(run);
    items_.push_back(std::move(item));
  }
  TRY_VOID(collect_fires(life, from, to));
  return collect_others(life, from, to);
}

Result<void> Inquiry::collect_others(const Life& life, Time from, Time to) {
  TRY(std::vector<job::Run> others, history_.other_runs_in(life, from, to));
  for (job::Run& run : others) {
    items_.push_back(item_of(life, std::move(run)));
  }
  return {};
}

// The fires of the window that have no row: those that are still to be planned, and those whose row
// is gone.
Result<void> Inquiry::collect_fires(const Life& life, Time from, Time to) {
  const bool alive = history_.lives_now(life);
  const Time planned = alive ? history_.job()->planned_through : life.ended.value_or(from);
  if (from <= planned) add_lost_rows(life, from, std::min(to, planned + kTick));
  if (!alive || history_.is_used_up() || to <= planned) return {};
  const Time after = std::max(planned, from - kTick);
  const Time now = std::clamp(history_.now(), after, to - kTick);
  const Time through = history_.end_of_runs(to - kTick);
  add_fires(life, after, std::min(now, through), false);
  add_fires(life, now, through, false);
  return {};
}

void Inquiry::add_fires(const Life& life, Time after, Time through, bool planned) {
  for (const auto& fires : history_.fires_in(life, after, through)) {
    const auto& stretch = fires.stretch;
    if (stretch.count > kFiresApart) {
      items_.push_back({&life, stretch.first, {}, stretch.count, stretch.last, planned});
      continue;
    }
    std::optional<Time> fire = stretch.first;
    for (std::int64_t i = 0; i < stretch.count && fire; ++i) {
      items_.push_back({&life, *fire, {}, 1, *fire, planned});
      fire = history_.fire_after(life, *fire);
    }
  }
}

void Inquiry::add_lost_rows(const Life& life, Time from, Time to) {
  std::int64_t fires = 0, rows = 0;
  const auto stretches = history_.fires_in(life, from - kTick, to - kTick);
  for (const auto& stretch : stretches) fires += stretch.stretch.count;
  for (const Item& item : items_) {
    if (item.life == &life && item.run) rows += item.count;
  }
  if (fires <= rows) return;
  if (rows == 0) {
    for (const auto& one : stretches) {
      add_fires(life, one.stretch.first - kTick, one.stretch.last, true);
    }
    return;
  }
  // Both are in order of time; nothing fires more often than once a second, so a day is soon
  // walked.
  std::vector<Item> lost;
  auto row = items_.begin();
  for (const auto& one : stretches) {
    std::optional<Time> fire = one.stretch.first;
    for (std::int64_t i = 0; i < one.stretch.count && fire; ++i) {
      while (row != items_.end() && !may_cover(*row, life, *fire)) ++row;
      const bool has_row = row != items_.end() && row->run->fire_time <= *fire;
      if (!has_row) lost.push_back({&life, *fire, {}, 1, *fire, true});
      fire = history_.fire_after(life, *fire);
    }
  }
  items_.insert(items_.end(), std::make_move_iterator(lost.begin()),
                std::make_move_iterator(lost.end()));
}

Result<Finding> Inquiry::explain(const Item& item) const {
  if (item.run) {
    TRY(WhyFacts facts, history_.facts_of(*item.life, *item.run));
    facts.at = item.at;
    Finding finding = judge(facts);
    // Of a stretch that reaches over the end of the window only what lies inside is counted.
    if (item.run->cause == job::Cause::schedule) finding.count = item.count;
    return finding;
  }
  TRY(const WhyFacts facts, history_.facts_of_fire(*item.life, item.at, item.count, item.last));
  return judge(facts);
}

Result<void> Inquiry::nothing(const WhyWindow& window) {
  const Moments moments(*answer_.zone, window.from, history_.now());
  const std::string day = moments.full(window.from).substr(0, 10);
  const bool over = window.to <= history_.now();
  const Life* life = history_.life_at(window.from);
  // On the day a job was made it was there for a part of it.
  if (life == nullptr) life = history_.life_at(window.to - kTick);
  if (life == nullptr) {
    Finding finding = judge(history_.facts_of_no_job(window.from));
    if (window.is_day)
      finding.headline =
          sentence((over ? "There was no job " : "There is no job ") + answer_.job + " on " + day);
    answer_.findings.push_back(std::move(finding));
    return {};
  }
  TRY(const WhyFacts facts, history_.facts_of_nothing(*life, window.from, window.to));
  Finding finding = judge(facts);
  if (window.is_day) {
    finding.headline = sentence(answer_.job + (over ? " was" : " is") + " not due on " + day);
  }
  answer_.findings.push_back(std::move(finding));
  return {};
}

/// What makes two items lines of a kind.
std::string kind_of(const Item& item, const History& history) {
  if (!item.run) {
    const bool paused = history.lives_now(*item.life) && history.job()->paused;
    if (item.planned) return "unknown";
    return item.at > history.now() ? "upcoming" : paused ? "skipped (paused)" : "due";
  }
  const bool odd = item.run->cause != job::Cause::schedule;
  std::string more(job::to_string(item.run->reason));
  if (odd) more += (more.empty() ? "" : ", ") + std::string(job::to_string(item.run->cause));
  return std::string(job::to_string(item.run->state)) + (more.empty() ? "" : " (" + more + ")");
}

// Neighbours of a kind become one item, told by its first.
void Inquiry::sum_up() {
  std::vector<Item> sums;
  for (Item& item : items_) {
    const Time end = std::max(item.at, item.last);
    const bool same = !sums.empty() && sums.back().life == item.life &&
                      kind_of(sums.back(), history_) == kind_of(item, history_);
    if (!same) {
      sums.push_back(std::move(item));
      sums.back().last = end;
      continue;
    }
    sums.back().count += item.count;
    sums.back().last = end;
  }
  items_ = std::move(sums);
}

Result<void> Inquiry::lines() {
  std::map<std::string, std::int64_t> totals;
  for (const Item& item : items_) totals[kind_of(item, history_)] += item.count;
  answer_.totals.assign(totals.begin(), totals.end());
  if (items_.size() > kWhyLines) sum_up();
  if (items_.size() > kWhyLines) {
    answer_.left_out = static_cast<std::int64_t>(items_.size() - kWhyLines);
    items_.resize(kWhyLines);
  }
  for (const Item& item : items_) {
    TRY(Finding finding, explain(item));
    finding.count = item.count;
    if (item.count > 1) finding.last = item.last;
    answer_.findings.push_back(std::move(finding));
  }
  return {};
}

// --- now -------------------------------------------------------------------------------------

Result<void> Inquiry::stand(bool served) {
  TRY(answer_.now, history_.stand());
  answer_.now.served = served;
  return {};
}

/// What a change of the clock makes of a reading; "" for nearly all.
std::string about_reading(const std::string& said, Time meant, const job::Zone& zone, Time now) {
  const Moments moments(zone, meant, now);
  const std::string clock = "The clock of " + zone.name();
  if (!job::parse_time(said, zone, now, job::DstGap::skip)) {
    return sentence(clock +
                    " does not show that time on that day, because it goes forward past it; "
                    "this is about the first moment after, " +
                    moments.full(meant));
  }
  const auto second = job::parse_time(said, zone, now, job::DstGap::shift, job::DstFold::second);
  if (!second || *second == meant) return "";
  return sentence(clock +
                  " goes back on that day and shows that time twice; this is about the "
                  "first, and --at \"" +
                  moments.full(*second) + "\" about the second");
}

/// Puts the note of a window before what was found, unless that says as much.
void add_note(WhyAnswer& answer) {
  if (answer.window->note.empty() || answer.findings.empty() || !answer.totals.empty()) return;
  Finding& first = answer.findings.front();
  const bool said = first.reason == "dst_gap" || first.reason == "dst_fold" ||
                    std::ranges::any_of(first.details, [](const std::string& line) {
                      return line.find("does not exist, runs at") != std::string::npos;
                    });
  if (!said) first.details.insert(first.details.begin(), answer.window->note);
}

}  // namespace

Result<WhyWindow> parse_why_window(std::string_view text, const job::Zone& zone, Time now) {
  if (const auto ago = parse_duration(text)) {
    // Somebody who counts in seconds means the second.
    using std::chrono::minutes, std::chrono::seconds;
    const Time t = now - *ago;
    if (*ago < minutes(10)) {
      const Time from = std::chrono::floor<seconds>(t);
      return WhyWindow{.from = from, .to = from + seconds(1)};
    }
    const Time from = std::chrono::floor<minutes>(t);
    return WhyWindow{.from = from, .to = from + minutes(1)};
  }
  std::string said(text);
  if (is_time_of_day(text)) {
    // The latest one that is over: nobody asks why something has not happened yet.
    TRY_VOID(job::parse_time(said, zone, now));
    const Result<Time> today = job::parse_time("today " + said, zone, now);
    said = (today && *today <= now ? "today " : "yesterday ") + said;
  }
  TRY(const Time from, job::parse_time(said, zone, now));
  if (is_date(text)) {
    const auto date = std::chrono::floor<std::chrono::days>(zone.civil(from));
    // Where a zone leaves out the date after, the day ends at that gap.
    const job::CivilMeaning next = zone.meaning(CivilTime(date + std::chrono::days(1)));
    const bool skipped = next.kind == job::CivilMeaning::Kind::skipped;
    return WhyWindow{.from = from, .to = skipped ? next.transition : next.first, .is_day = true};
  }
  const Duration width =
      names_seconds(said) ? Duration(std::chrono::seconds(1)) : Duration(std::chrono::minutes(1));
  return WhyWindow{.from = from, .to = from + width, .note = about_reading(said, from, zone, now)};
}

Result<WhyAnswer> why(const Context& context, const WhyQuery& query) {
  TRY(const History history, History::load(context, query.name, query.served));
  WhyAnswer answer;
  answer.job = query.name;
  answer.schedule = history.schedule_words();
  answer.zone = history.zone();
  Inquiry inquiry(history, answer);
  if (query.at) {
    auto window = parse_why_window(*query.at, *answer.zone, history.now());
    if (!window) return fail(ErrorKind::usage, std::move(window.error().message), "at");
    answer.window = *window;
    TRY_VOID(inquiry.in_window(*window));
    add_note(answer);
  } else {
    TRY_VOID(inquiry.latest());
  }
  TRY_VOID(inquiry.stand(query.served));
  return answer;
}

}  // namespace schedctl::ops
