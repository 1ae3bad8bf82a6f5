// Jobs, versions, fires and rows of one name; why_gather.cpp makes facts of them.

#include "src/ops/why_history.hpp"

#include <algorithm>

#include "schedctl/base/text.hpp"
#include "src/ops/change.hpp"
#include "src/ops/compile.hpp"
#include "src/ops/fire_notes.hpp"

namespace schedctl::ops {
namespace {

constexpr Duration kTick{1};
/// What was done to one job, newest first; the pause of an older deed is not found any more.
constexpr std::size_t kAudits = 10'000;
constexpr std::size_t kPage = 500;
/// Names that one job had, of which the past is looked up.
constexpr std::size_t kMostNames = 20;
/// So the audit names the old name at a rename.
constexpr std::string_view kWas = "was ";
/// Runs by hand and the like of one window.
constexpr std::size_t kOtherRuns = 1000;
constexpr job::Cause kOtherCauses[] = {job::Cause::manual, job::Cause::backfill,
                                       job::Cause::reboot};

bool ends_a_job(const store::Audit& audit) {
  return audit.action == "remove" || audit.detail.starts_with("removed");
}

Time end_of_row(const job::Run& run) {
  return run.last_fire_time.value_or(run.fire_time);
}

}  // namespace

Result<History> History::load(const Context& context, const std::string& name, bool served) {
  History history(context, name, served);
  history.now_ = context.clock.wall();
  TRY_VOID(history.load_lives());
  if (history.lives_.empty()) return fail(no_such_job(context, name));
  TRY_VOID(history.load_daemon());
  auto zone = zone_of(context, history.lives_.back().versions.back().definition.schedule);
  if (!zone) zone = context.zones.find("UTC");
  if (!zone) return fail(zone.error());
  history.zone_ = *zone;
  return history;
}

Result<void> History::load_lives() {
  TRY(audits_, context_.store.list_audit(name_, kAudits));
  TRY(std::vector<store::JobVersion> versions, context_.store.versions_of(name_));
  auto found = context_.store.find_job(name_);
  if (!found && (found.error().kind != ErrorKind::config || versions.empty())) {
    return fail(found.error());
  }
  if (found) {
    job_ = std::move(*found);
  } else {
    // Its row cannot be read (somebody edited it): what it was before can still be told.
    unreadable_ = found.error().message;
    job_ = job_from(versions.back());
  }
  const bool unversioned = job_ && std::ranges::none_of(versions, [&](const auto& version) {
                             return version.job_id == job_->id;
                           });
  if (unversioned) {
    versions.push_back({job_->id, name_, job_->version, job_->created_at, job_->definition});
  }
  for (std::size_t i = versions.size(); i > 0;) {
    const JobId id = versions[i - 1].job_id;
    std::size_t first = i;
    while (first > 0 && versions[first - 1].job_id == id) --first;
    // Where the name was taken over from another job, that one was made before.
    const std::optional<Time> next =
        lives_.empty() ? std::nullopt : std::optional(lives_.back().versions.front().since);
    lives_.push_back(life_of({versions.begin() + static_cast<std::ptrdiff_t>(first),
                              versions.begin() + static_cast<std::ptrdiff_t>(i)},
                             next));
    i = first;
  }
  std::ranges::reverse(lives_);
  for (Life& life : lives_) {
    if (!lives_now(life) && !life.removed) TRY_VOID(note_new_name(life));
  }
  if (!lives_.empty() && lives_now(lives_.back())) TRY_VOID(follow_renames(lives_.back()));
  return {};
}

// A job that was renamed keeps its history: what it was, and what was done to it, under its names
// of before.
Result<void> History::follow_renames(Life& life) {
  const auto is_rename = [&](const store::Audit& one) {
    return one.action == "rename" && one.at >= life.created && one.detail.starts_with(kWas);
  };
  Time since = life.versions.front().since;
  for (std::size_t i = 0; i < kMostNames && since > life.created; ++i) {
    const auto* rename =
        find_audit([&](const auto& one) { return is_rename(one) && one.at == since; });
    if (rename == nullptr) break;
    const store::Audit renamed = *rename;
    life.renamed_from = renamed.detail.substr(kWas.size());
    TRY(std::vector<store::Audit> audits, context_.store.list_audit(life.renamed_from, kAudits));
    for (store::Audit& one : audits) {
      const bool of_it = one.at >= life.created && one.at <= renamed.at;
      if (of_it) audits_.push_back(std::move(one));
    }
    TRY(std::vector<store::JobVersion> versions, context_.store.versions_of(life.renamed_from));
    std::erase_if(versions, [&](const auto& one) {
      return one.job_id != life.id || one.version >= life.versions.front().version;
    });
    if (versions.empty()) break;
    since = versions.front().since;
    life.versions.insert(life.versions.begin(), std::make_move_iterator(versions.begin()),
                         std::make_move_iterator(versions.end()));
  }
  std::ranges::stable_sort(audits_, std::greater{}, &store::Audit::at);
  if (const auto* added = find_audit([&](const auto& one) { return one.at == life.created; })) {
    life.added = *added;
  }
  return {};
}

// Of a job whose removal nobody wrote down: it may go on under another name.
Result<void> History::note_new_name(Life& life) const {
  const auto job = context_.store.get_job(life.id);
  if (!job || !*job || (*job)->name == name_) return {};
  life.renamed_to = (*job)->name;
  TRY(const std::vector<store::Audit> audits, context_.store.list_audit(life.renamed_to, kAudits));
  for (const store::Audit& one : audits) {
    const bool ends_it = one.action == "rename" && one.detail == std::string(kWas) + name_ &&
                         one.at >= life.versions.back().since;
    if (ends_it) life.renamed = one;
  }
  if (life.renamed) life.ended = life.renamed->at;
  return {};
}

job::Job History::job_from(const store::JobVersion& version) const {
  job::Job job;
  job.id = version.job_id;
  job.name = name_;
  job.version = version.version;
  job.definition = version.definition;
  job.created_at = job.planned_through = version.since;
  return job;
}

Life History::life_of(std::vector<store::JobVersion> versions,
                      std::optional<Time> next_created) const {
  Life life;
  life.id = versions.front().job_id;
  life.created = versions.front().since;
  life.versions = std::move(versions);
  if (lives_now(life)) life.created = job_->created_at;
  const Time last = life.versions.back().since;
  for (const store::Audit& audit : audits_) {
    if (audit.at == life.created && !life.added) life.added = audit;
    if (lives_now(life) || !ends_a_job(audit) || audit.at < last) continue;
    if (next_created && audit.at > *next_created) continue;
    life.removed = audit;
  }
  if (life.removed) {
    life.ended = life.removed->at;
  } else if (!lives_now(life)) {
    // Nobody wrote down who removed it: it ended no later than its successor began.
    const auto row = row_at_or_before(life, Time::max() - kTick);
    life.ended =
        next_created.value_or(row && *row ? std::max((*row)->created_at, end_of_row(**row)) : last);
  }
  return life;
}

Result<void> History::load_daemon() {
  if (served_) return {};
  TRY(const std::vector<store::Node> nodes, context_.store.list_nodes());
  for (const store::Node& node : nodes) {
    Gap gap{.kind = Gap::Kind::died, .from = node.started_at, .to = now_, .detail = {}};
    if (node.pid == 0 && node.stopped_at) {
      gap.kind = Gap::Kind::stopped;
      gap.from = *node.stopped_at;
    } else if (node.last_beat) {
      gap.from = *node.last_beat;
    }
    if (!down_ || gap.from > down_->from) down_ = gap;
  }
  if (!down_) down_ = Gap{.kind = Gap::Kind::never, .from = Time::min(), .to = now_, .detail = {}};
  return {};
}

std::string History::schedule_words() const {
  return words_of(lives_.back().versions.back());
}

std::string History::words_of(const store::JobVersion& version) const {
  const job::Schedule& schedule = version.definition.schedule;
  const auto zone = zone_of(context_, schedule);
  return job::describe(schedule, zone ? **zone : *zone_);
}

Time History::until_of(const Life& life) const {
  return std::min(now_, life.ended.value_or(now_));
}

const Life* History::life_at(Time t) const {
  for (const Life& life : lives_) {
    if (life.created <= t && (!life.ended || t <= *life.ended)) return &life;
  }
  return nullptr;
}

// --- fires -----------------------------------------------------------------------------------

// What fires at the very instant of a change belongs to what was in force before it.
std::size_t History::version_at(const Life& life, Time t) const {
  std::size_t version = 0;
  while (version + 1 < life.versions.size() && life.versions[version + 1].since < t) ++version;
  return version;
}

Time History::end_of(const Life& life, std::size_t version) const {
  if (version + 1 < life.versions.size()) return life.versions[version + 1].since;
  return life.ended.value_or(Time::max());
}

std::uint64_t History::seed_of(const Life& life) const {
  if (lives_now(life)) return job_->seed();
  job::Job job;
  job.id = life.id;
  job.created_at = life.created;
  return job.seed();
}

const job::FireSeries* History::series_of(const Life& life, std::size_t version) const {
  auto [found, fresh] = series_.try_emplace({life.id, version});
  if (fresh) {
    const job::Schedule& schedule = life.versions[version].definition.schedule;
    auto made = ops::series_of(context_, schedule, seed_of(life));
    if (made) found->second.emplace(std::move(*made));
  }
  return found->second ? &*found->second : nullptr;
}

std::vector<History::Fires> History::fires_in(const Life& life, Time after, Time through,
                                              bool excluded) const {
  std::vector<Fires> found;
  for (std::size_t i = version_at(life, after + kTick); i < life.versions.size(); ++i) {
    const Time begin = std::max(after, i == 0 ? life.created : life.versions[i].since);
    const Time end = std::min(through, end_of(life, i));
    if (life.versions[i].since > through) break;
    const job::FireSeries* series = begin < end ? series_of(life, i) : nullptr;
    if (series == nullptr) continue;
    const job::FireSeries::Stretch stretch =
        excluded ? series->count_excluded(begin, end) : series->count(begin, end);
    if (stretch.count > 0) found.push_back({i, stretch});
  }
  return found;
}

std::optional<Time> History::fire_before(const Life& life, Time t) const {
  for (std::size_t i = version_at(life, t) + 1; i-- > 0;) {
    const Time begin = i == 0 ? life.created : life.versions[i].since;
    Time end = std::min(t - kTick, end_of(life, i));
    // Of what came after its last run nothing was an occurrence.
    if (lives_now(life)) end = end_of_runs(end);
    const job::FireSeries* series = begin < end ? series_of(life, i) : nullptr;
    if (series == nullptr) continue;
    const job::FireSeries::Stretch stretch = series->count(begin, end);
    if (stretch.count > 0) return stretch.last;
  }
  return std::nullopt;
}

std::optional<Time> History::fire_after(const Life& life, Time t) const {
  for (std::size_t i = version_at(life, t + kTick); i < life.versions.size(); ++i) {
    const Time begin = std::max(t, i == 0 ? life.created : life.versions[i].since);
    const job::FireSeries* series = series_of(life, i);
    if (series == nullptr) continue;
    const std::optional<Time> fire = series->next_after(begin);
    if (!fire || *fire > end_of(life, i)) continue;
    if (lives_now(life) && *fire > end_of_runs(*fire)) return std::nullopt;
    return fire;
  }
  return std::nullopt;
}

std::string History::calendars_at(const Life& life, Time t) const {
  const job::FireSeries* series = series_of(life, version_at(life, t));
  return series != nullptr ? ops::calendars_at(*series, t) : "";
}

bool History::has_fire(const Life& life, Time t) const {
  return !fires_in(life, t - kTick, t).empty();
}

bool History::is_used_up() const {
  if (!job_) return false;
  return job_->has_had_all_runs(job::resolve(job_->definition.policy, context_.config.defaults));
}

// A fire in a pause is not counted, for it will have no run.
Time History::end_of_runs(Time through) const {
  if (!job_) return through;
  const job::Policy policy = job::resolve(job_->definition.policy, context_.config.defaults);
  Time low = job_->planned_through;
  if (policy.max_runs <= 0 || through <= low) return through;
  if (job_->has_had_all_runs(policy)) return low;
  if (job_->paused && !job_->paused_until) return through;
  if (job_->paused) low = std::max(low, *job_->paused_until);
  const job::FireSeries* series = series_of(lives_.back(), lives_.back().versions.size() - 1);
  if (series == nullptr || through <= low) return through;
  const Time since = low;
  const std::int64_t left = policy.max_runs - job_->run_count;
  if (series->count(since, through).count <= left) return through;
  Time high = through;  // (since, low] has at most `left`, (since, high] more
  while (high - low > kTick) {
    const Time middle = low + (high - low) / 2;
    (series->count(since, middle).count <= left ? low : high) = middle;
  }
  return low;
}

job::Policy History::policy_of(const Life& life, std::size_t version) const {
  return job::resolve(life.versions[version].definition.policy, context_.config.defaults);
}

std::string History::dst_note(const Life& life, std::size_t version, Time t) const {
  const job::Schedule& schedule = life.versions[version].definition.schedule;
  const auto zone = zone_of(context_, schedule);
  const job::FireSeries* series = series_of(life, version);
  return zone && series != nullptr ? FireNotes(schedule, *zone, seed_of(life)).of(*series, t) : "";
}

// --- rows ------------------------------------------------------------------------------------

Result<std::optional<job::Run>> History::row_at_or_before(const Life& life, Time t) const {
  TRY(std::vector<job::Run> rows, context_.store.list_runs({.job_id = life.id,
                                                            .until = t + kTick,
                                                            .cause = job::Cause::schedule,
                                                            .by_fire_time = true,
                                                            .limit = 1}));
  if (rows.empty()) return std::nullopt;
  return std::move(rows.front());
}

Result<std::vector<job::Run>> History::latest_rows(const Life& life, std::size_t n) const {
  return context_.store.list_runs({.job_id = life.id,
                                   .until = until_of(life) + kTick,
                                   .cause = job::Cause::schedule,
                                   .by_fire_time = true,
                                   .limit = n});
}

// By pages, backwards: rows of one job never overlap, so the first one that ends before `from` is
// the last that has to be read.
Result<std::vector<job::Run>> History::rows_in(const Life& life, Time from, Time to) const {
  std::vector<job::Run> rows;
  Time until = to;
  while (rows.size() < kMostRows) {
    TRY(std::vector<job::Run> page, context_.store.list_runs({.job_id = life.id,
                                                              .until = until,
                                                              .cause = job::Cause::schedule,
                                                              .by_fire_time = true,
                                                              .limit = kPage}));
    const bool more = page.size() == kPage;
    for (job::Run& run : page) {
      if (end_of_row(run) < from) {
        std::ranges::reverse(rows);
        return rows;
      }
      until = run.fire_time;
      run.result.output_tail.clear();
      rows.push_back(std::move(run));
    }
    if (!more) break;
  }
  std::ranges::reverse(rows);
  return rows;
}

Result<std::vector<job::Run>> History::other_runs_in(const Life& life, Time from, Time to) const {
  std::vector<job::Run> found;
  for (const job::Cause cause : kOtherCauses) {
    TRY(std::vector<job::Run> runs, context_.store.list_runs({.job_id = life.id,
                                                              .since = from,
                                                              .until = to,
                                                              .cause = cause,
                                                              .by_fire_time = true,
                                                              .limit = kOtherRuns}));
    found.insert(found.end(), std::make_move_iterator(runs.begin()),
                 std::make_move_iterator(runs.end()));
  }
  std::ranges::sort(found, {},
                    [](const job::Run& run) { return std::pair(run.fire_time, run.id); });
  return found;
}

Result<std::vector<job::Run>> History::latest_other_runs(const Life& life) const {
  std::vector<job::Run> found;
  for (const job::Cause cause : kOtherCauses) {
    TRY(std::vector<job::Run> runs, context_.store.list_runs({.job_id = life.id,
                                                              .until = until_of(life) + kTick,
                                                              .cause = cause,
                                                              .by_fire_time = true,
                                                              .limit = 1}));
    if (!runs.empty()) found.push_back(std::move(runs.front()));
  }
  return found;
}

// Halves the time between a moment without a row before it and one that has some.
Result<std::optional<Time>> History::history_start(const Life& life, Time t) const {
  TRY(const std::optional<job::Run> latest, row_at_or_before(life, now_));
  if (!latest) return std::nullopt;
  TRY(const std::optional<job::Run> before, row_at_or_before(life, t));
  if (before) return before->fire_time;
  Time low = t, high = latest->fire_time;
  while (high - low > kTick) {
    const Time middle = low + (high - low) / 2;
    TRY(const std::optional<job::Run> row, row_at_or_before(life, middle));
    row ? high = row->fire_time : low = middle;
  }
  return high;
}

}  // namespace schedctl::ops
