#pragma once

#include <future>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "schedctl/base/clock.hpp"
#include "schedctl/job/retention.hpp"
#include "schedctl/retention/output_files.hpp"
#include "schedctl/store/store.hpp"

namespace schedctl::retention {

/// What went, or would go.
struct Gone {
  std::int64_t runs = 0;
  std::int64_t attempts = 0;  ///< earlier ones of runs that were retried
  std::int64_t files = 0;     ///< output files
  std::int64_t bytes = 0;     ///< in them
  std::int64_t events = 0;
  std::int64_t audits = 0;
  std::int64_t messages = 0;
  std::int64_t alerts = 0;
  std::int64_t backfills = 0;
  std::int64_t versions = 0;  ///< definitions of removed jobs
  std::int64_t left = 0;      ///< output files outside of the output directory, or no files of ours

  bool nothing() const;
};

struct SweepOptions {
  job::Retention rules;
  std::string output_dir;  ///< empty: there are no files
  bool strays = true;      ///< also look for files of which no row speaks
  bool dry_run = false;    ///< only count; what other rows hold that are to go is counted as held
};

/// Removes what is older or more than it may be, from everything there is, in small steps. Files go
/// before the rows that name them, so that a crash leaves rows, which the next sweep finds again,
/// and never a file that nobody knows of. Between two steps others may use the store, and another
/// sweep may be at the same work.
class Sweep {
 public:
  Sweep(store::Store& store, const Clock& clock, SweepOptions options);
  ~Sweep();
  Sweep(const Sweep&) = delete;
  Sweep& operator=(const Sweep&) = delete;

  /// One step, some milliseconds; not inside a transaction. True: there is more to do. After a
  /// failure the sweep is of no use any more. Kinds as Store.
  Result<bool> step();

  const Gone& gone() const { return gone_; }
  /// Why a file could not be removed, the first of them; its row stays. Empty: all could.
  const std::string& trouble() const { return trouble_; }

 private:
  enum class Stage { records, aged, surplus, relics, measure, outputs, strays, done };

  Result<void> do_records(std::span<const store::RecordKind> kinds);
  Result<void> do_aged();
  Result<void> do_surplus();
  Result<void> do_measure();
  Result<void> do_outputs();
  Result<void> do_strays();
  void next_stage();
  /// False: one of them could not be removed.
  bool remove_files_of(const store::HistoryRun& run);
  /// Leaves `after_` where the next page begins.
  Result<void> remove_runs(const store::HistoryPage& page);
  bool over_budget() const;
  void let_go();

  store::Store& store_;
  const Clock& clock_;
  SweepOptions options_;
  Time now_;
  Stage stage_ = Stage::records;
  std::unique_ptr<OutputFiles> files_;
  Gone gone_;
  std::string trouble_;

  std::size_t record_kind_ = 0;
  std::int64_t record_after_ = 0;
  RunId after_;
  JobId job_after_;
  std::vector<store::Surplus> surplus_;  ///< the last one is being worked at
  std::int64_t output_bytes_ = 0;        ///< in all files
  std::set<std::string> strays_;         ///< old files that no row was seen to speak of
  std::set<RunId> counted_;              ///< in a dry run
  Duration step_began_{};
  std::size_t step_files_ = 0;
  std::vector<UniqueFd> weights_;  ///< of large files that have no name any more
  std::future<void> closing_;      ///< of those of an earlier step
};

}  // namespace schedctl::retention
