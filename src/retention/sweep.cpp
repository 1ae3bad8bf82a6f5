// The stages of a sweep, each in pages: records that hold runs, runs that are too old, runs of
// which there are too many, records that runs held, and then the files: how much there is, what of
// it is too much, and what no row speaks of.

#include "schedctl/retention/sweep.hpp"

#include <algorithm>
#include <array>
#include <system_error>
#include <utility>

#include "schedctl/base/crash_point.hpp"
#include "schedctl/base/limits.hpp"

namespace schedctl::retention {
namespace {

using store::HistoryPage;
using store::HistoryRun;
using store::RecordKind;
using What = OutputFiles::Removed::What;

/// Runs are held by alerts, so these come before them; and hold what comes after them.
constexpr std::array kBeforeRuns = {RecordKind::message, RecordKind::alert, RecordKind::event,
                                    RecordKind::audit};
constexpr std::array kAfterRuns = {RecordKind::backfill, RecordKind::version};
/// A step removes no further files once it has taken so long: of some file systems a few are slow.
constexpr Duration kStepTime = std::chrono::milliseconds(10);
/// Nor further runs after so many: each takes pages of three indexes with it that lie anywhere, and
/// all of these are written before the commit is done.
constexpr std::size_t kRunsPerStep = 100;
/// Index entries that one step reads to find out which runs of a job are too many.
constexpr std::int64_t kEntriesPerStep = 100'000;
/// Files that no row may speak of, looked up in one sweep; others wait for the next.
constexpr std::size_t kMostStrays = 10'000;

std::int64_t& counter(Gone& gone, RecordKind kind) {
  switch (kind) {
    case RecordKind::event:
      return gone.events;
    case RecordKind::audit:
      return gone.audits;
    case RecordKind::message:
      return gone.messages;
    case RecordKind::alert:
      return gone.alerts;
    case RecordKind::backfill:
      return gone.backfills;
    case RecordKind::version:
      return gone.versions;
  }
  return gone.events;
}

}  // namespace

bool Gone::nothing() const {
  return runs + attempts + files + events + audits + messages + alerts + backfills + versions == 0;
}

Sweep::Sweep(store::Store& store, const Clock& clock, SweepOptions options)
    : store_(store), clock_(clock), options_(std::move(options)), now_(clock.wall()) {
  options_.rules.max_age = options_.rules.max_age > Duration::zero()
                               ? std::max(options_.rules.max_age, limits::kKeptAlways)
                               : Duration::zero();
  if (options_.rules.max_age <= Duration::zero()) next_stage();
}

Sweep::~Sweep() = default;

// The blocks of large files are freed beside the work. Should this process die first, the kernel
// frees them at once.
void Sweep::let_go() {
  const bool busy =
      closing_.valid() && closing_.wait_for(std::chrono::seconds(0)) != std::future_status::ready;
  if (weights_.empty() || busy) return;
  try {
    closing_ = std::async(std::launch::async,
                          [weights = std::move(weights_)]() mutable { weights.clear(); });
  } catch (const std::system_error&) {
    // No thread is to be had: they have been closed on the way here.
  }
  weights_.clear();
}

Result<bool> Sweep::step() {
  step_began_ = clock_.elapsed();
  step_files_ = 0;
  if (!files_ && !options_.output_dir.empty()) {
    TRY(OutputFiles files, OutputFiles::open(options_.output_dir));
    files_ = std::make_unique<OutputFiles>(std::move(files));
  }
  switch (stage_) {
    case Stage::records:
      TRY_VOID(do_records(kBeforeRuns));
      break;
    case Stage::aged:
      TRY_VOID(do_aged());
      break;
    case Stage::surplus:
      TRY_VOID(do_surplus());
      break;
    case Stage::relics:
      TRY_VOID(do_records(kAfterRuns));
      break;
    case Stage::measure:
      TRY_VOID(do_measure());
      break;
    case Stage::outputs:
      TRY_VOID(do_outputs());
      break;
    case Stage::strays:
      TRY_VOID(do_strays());
      break;
    case Stage::done:
      break;
  }
  let_go();
  return stage_ != Stage::done;
}

void Sweep::next_stage() {
  const job::Retention& rules = options_.rules;
  const auto has_work = [&](Stage stage) {
    switch (stage) {
      case Stage::records:
      case Stage::aged:
      case Stage::relics:
        return rules.max_age > Duration::zero();
      case Stage::surplus:
        return rules.max_runs > 0;
      case Stage::measure:
        // Strays are told by their age.
        return !options_.output_dir.empty() &&
               (rules.max_output_bytes > 0 ||
                (options_.strays && rules.max_age > Duration::zero()));
      case Stage::outputs:
        return rules.max_output_bytes > 0 && output_bytes_ > rules.max_output_bytes;
      case Stage::strays:
        return !strays_.empty();
      case Stage::done:
        return true;
    }
    return true;
  };
  after_ = {};
  do {
    stage_ = static_cast<Stage>(static_cast<int>(stage_) + 1);
  } while (!has_work(stage_));
}

Result<void> Sweep::do_records(std::span<const RecordKind> kinds) {
  const RecordKind kind = kinds[record_kind_];
  TRY(const store::RecordPage page, store_.prune_records({.kind = kind,
                                                          .before = now_ - options_.rules.max_age,
                                                          .after = record_after_,
                                                          .count_only = options_.dry_run}));
  counter(gone_, kind) += page.removed;
  record_after_ = page.last;
  if (page.more) return {};
  record_after_ = 0;
  if (++record_kind_ < kinds.size()) return {};
  record_kind_ = 0;
  next_stage();
  return {};
}

Result<void> Sweep::do_aged() {
  TRY(const HistoryPage page,
      store_.history({.before = now_ - options_.rules.max_age, .after = after_}));
  TRY_VOID(remove_runs(page));
  if (!page.more && after_ == page.last) next_stage();
  return {};
}

Result<void> Sweep::do_surplus() {
  if (surplus_.empty()) {
    const std::int64_t jobs = std::clamp<std::int64_t>(kEntriesPerStep / options_.rules.max_runs, 1,
                                                       limits::kRowsPerSweepStep);
    TRY(surplus_,
        store_.surplus_runs(job_after_, options_.rules.max_runs, static_cast<std::size_t>(jobs)));
    if (surplus_.empty()) {
      next_stage();
      return {};
    }
    job_after_ = surplus_.back().job_id;
    std::erase_if(surplus_, [](const store::Surplus& job) { return !job.up_to; });
    after_ = {};
    return {};
  }
  const store::Surplus& job = surplus_.back();
  TRY(const HistoryPage page, store_.history({.before = now_ - limits::kKeptAlways,
                                              .after = after_,
                                              .up_to = job.up_to,
                                              .job_id = job.job_id}));
  TRY_VOID(remove_runs(page));
  if (page.more || after_ != page.last) return {};
  surplus_.pop_back();
  after_ = {};
  return {};
}

// What lies on the disk is what counts, whatever rows say; files of living runs included.
Result<void> Sweep::do_measure() {
  const std::vector<OutputFiles::Entry> entries = files_->next(limits::kRowsPerSweepStep);
  const bool looks = options_.strays && options_.rules.max_age > Duration::zero();
  for (const OutputFiles::Entry& entry : entries) {
    output_bytes_ += entry.bytes;
    // An empty one may wait in the keeper's hands for a run.
    const bool old = entry.bytes > 0 && entry.written < now_ - options_.rules.max_age;
    if (looks && old && strays_.size() < kMostStrays) strays_.insert(files_->path(entry.name));
  }
  if (!entries.empty()) return {};
  // In a dry run what has been counted is still there.
  if (options_.dry_run) output_bytes_ -= gone_.bytes;
  next_stage();
  return {};
}

// The oldest go first, whatever their age; their rows stay.
Result<void> Sweep::do_outputs() {
  TRY(const HistoryPage page,
      store_.history({.before = now_, .after = after_, .with_output = true}));
  std::vector<RunId> done;
  bool enough = false;
  after_ = page.last;
  for (const HistoryRun& run : page.runs) {
    enough = output_bytes_ <= options_.rules.max_output_bytes;
    if (enough || over_budget()) {
      after_ = RunId{run.id.value - 1};
      break;
    }
    if (run.held || counted_.contains(run.id)) continue;
    const std::int64_t before = gone_.bytes;
    if (remove_files_of(run)) done.push_back(run.id);
    output_bytes_ -= gone_.bytes - before;
  }
  if (!done.empty()) CRASH_POINT("retention.unlinked");
  if (!done.empty() && !options_.dry_run) TRY_VOID(store_.forget_outputs(done));
  if (enough || (!page.more && after_ == page.last)) next_stage();
  return {};
}

Result<void> Sweep::do_strays() {
  // First every row that has files, then what is left.
  if (after_.value >= 0) {
    TRY(const HistoryPage page,
        store_.history({.before = now_, .after = after_, .with_output = true}));
    for (const HistoryRun& run : page.runs)
      for (const std::string& file : run.files) strays_.erase(file);
    after_ = page.last;
    if (page.more) return {};
    TRY(const std::vector<job::Run> running, store_.runs_in_state(job::RunState::running));
    for (const job::Run& run : running) strays_.erase(run.result.output_path);
    after_ = RunId{-1};
    return {};
  }
  while (!strays_.empty() && !over_budget()) {
    remove_files_of({.id = {}, .held = false, .attempts = 0, .files = {*strays_.begin()}});
    strays_.erase(strays_.begin());
  }
  if (strays_.empty()) next_stage();
  return {};
}

bool Sweep::over_budget() const {
  return step_files_ + weights_.size() >= limits::kFilesPerSweepStep ||
         clock_.elapsed() - step_began_ > kStepTime;
}

bool Sweep::remove_files_of(const HistoryRun& run) {
  bool all = true;
  for (const std::string& file : run.files) {
    if (!files_) continue;
    ++step_files_;
    auto removed = files_->remove(file, options_.dry_run);
    if (!removed) {
      if (trouble_.empty()) trouble_ = removed.error().message;
      all = false;
      continue;
    }
    if (removed->what == What::foreign) ++gone_.left;
    if (removed->what != What::removed) continue;
    ++gone_.files;
    gone_.bytes += removed->bytes;
    if (removed->weight) weights_.push_back(std::move(removed->weight));
  }
  return all;
}

Result<void> Sweep::remove_runs(const HistoryPage& page) {
  std::vector<RunId> done;
  std::int64_t attempts = 0;
  after_ = page.last;
  for (const HistoryRun& run : page.runs) {
    if (run.held || counted_.contains(run.id)) continue;
    if (over_budget() || done.size() >= kRunsPerStep) {
      after_ = RunId{run.id.value - 1};
      break;
    }
    if (!remove_files_of(run)) continue;
    done.push_back(run.id);
    attempts += run.attempts;
  }
  if (done.empty()) return {};
  if (options_.dry_run) {
    counted_.insert(done.begin(), done.end());
    gone_.runs += static_cast<std::int64_t>(done.size());
    gone_.attempts += attempts;
    return {};
  }
  CRASH_POINT("retention.unlinked");
  TRY(const std::int64_t removed, store_.delete_runs(done));
  gone_.runs += removed;
  gone_.attempts += attempts;
  return {};
}

}  // namespace schedctl::retention
