#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "src/ops/why_facts.hpp"

namespace schedctl::ops {

/// All that the store knows of one name: the jobs that had it, their versions, fires and rows.
/// Reads through indexes only, so that years of history cost nothing.
class History {
 public:
  /// Kind not_found if nothing is known of the name.
  static Result<History> load(const Context& context, const std::string& name, bool served);

  const std::vector<Life>& lives() const { return lives_; }
  /// The moment up to which something can have become of it: now, or its end.
  Time until_of(const Life& life) const;
  /// The job as it is now; none: removed.
  const std::optional<job::Job>& job() const { return job_; }
  const job::ZonePtr& zone() const { return zone_; }
  Time now() const { return now_; }
  /// The latest schedule in words.
  std::string schedule_words() const;
  bool lives_now(const Life& life) const { return job_ && job_->id == life.id; }

  /// The life in which `t` lies; null: there was none then.
  const Life* life_at(Time t) const;

  // Fires, as the versions in force had them.
  std::optional<Time> fire_before(const Life& life, Time t) const;
  std::optional<Time> fire_after(const Life& life, Time t) const;
  struct Fires {
    std::size_t version = 0;  ///< index into the life's
    job::FireSeries::Stretch stretch;
  };
  /// Those in (after, through], a stretch for each version that was in force there.
  /// With `excluded` those that calendars took away instead.
  std::vector<Fires> fires_in(const Life& life, Time after, Time through,
                              bool excluded = false) const;
  /// The calendars that forbid `t`, if any do.
  std::string calendars_at(const Life& life, Time t) const;
  bool has_fire(const Life& life, Time t) const;
  /// Whether the job, as it stands, will not be planned any more whatever its schedule says.
  bool is_used_up() const;
  /// How much of the time up to `through` max_runs leaves to the job that lives now: the fires
  /// after that have no run, if all before have one. `through` itself where it leaves all.
  Time end_of_runs(Time through) const;

  // Rows.
  /// The row of the occurrence at `t`, or of the last one before.
  Result<std::optional<job::Run>> row_at_or_before(const Life& life, Time t) const;
  /// Rows that reach into [from, to), oldest first; no more than kMostRows, the latest ones.
  Result<std::vector<job::Run>> rows_in(const Life& life, Time from, Time to) const;
  /// The latest `n` rows up to now, latest first.
  Result<std::vector<job::Run>> latest_rows(const Life& life, std::size_t n) const;
  /// Runs by hand, of backfills and after boots in [from, to), oldest first.
  Result<std::vector<job::Run>> other_runs_in(const Life& life, Time from, Time to) const;
  /// The latest of each of these causes, up to now.
  Result<std::vector<job::Run>> latest_other_runs(const Life& life) const;

  // Facts for judge().
  Result<WhyFacts> facts_of(const Life& life, const job::Run& run) const;
  /// Of a fire without a row, or of `count` of them up to `last`.
  Result<WhyFacts> facts_of_fire(const Life& life, Time t, std::int64_t count, Time last) const;
  /// Of a moment at which nothing was due; the window that was asked for is [t, end).
  Result<WhyFacts> facts_of_nothing(const Life& life, Time t, Time end) const;
  WhyFacts facts_of_no_job(Time t) const;
  /// How the job stands now.
  Result<WhyNow> stand() const;

  static constexpr std::size_t kMostRows = 100'000;

 private:
  History(const Context& context, std::string name, bool served)
      : context_(context), name_(std::move(name)), served_(served) {}

  Result<void> load_lives();
  Result<void> follow_renames(Life& life);
  Result<void> note_new_name(Life& life) const;
  Result<void> load_daemon();
  job::Job job_from(const store::JobVersion& version) const;
  Life life_of(std::vector<store::JobVersion> versions, std::optional<Time> next_created) const;
  std::size_t version_at(const Life& life, Time t) const;
  Time end_of(const Life& life, std::size_t version) const;
  std::uint64_t seed_of(const Life& life) const;
  const job::FireSeries* series_of(const Life& life, std::size_t version) const;
  job::Policy policy_of(const Life& life, std::size_t version) const;
  std::string words_of(const store::JobVersion& version) const;
  std::string dst_note(const Life& life, std::size_t version, Time t) const;

  WhyFacts base(const Life& life, std::size_t version, Time at) const;
  const store::Audit* find_audit(const std::function<bool(const store::Audit&)>& is) const;
  void add_pause(WhyFacts& facts, const Life& life, Time first, Time last) const;
  Result<void> add_start(WhyFacts& facts, const Life& life) const;
  Result<void> add_line(WhyFacts& facts, Time due, Time start) const;
  Result<void> add_gate(WhyFacts& facts, const Life& life, Time due, Time start) const;
  Result<std::optional<job::Run>> first_success(JobId job, Time since, Time until) const;
  Result<void> add_obstacles(WhyFacts& facts) const;
  enum class Blame { all, planning };
  Result<void> add_gaps(WhyFacts& facts, Time from, Time to, Blame blame = Blame::all) const;
  Result<void> add_wait(WhyFacts& facts) const;
  Result<void> add_overlap(WhyFacts& facts) const;
  Result<std::vector<job::Run>> suspects(const job::Run& run, Time decided) const;
  Result<void> add_coalesced(WhyFacts& facts, const Life& life) const;
  Result<void> add_asker(WhyFacts& facts) const;
  Result<std::string> why_set_aside() const;
  Result<std::optional<Time>> history_start(const Life& life, Time t) const;
  Result<std::optional<Time>> pruned_after(Time t) const;
  NotDue why_not(const Life& life, std::size_t version, Time t, Time end, WhyFacts& facts) const;

  const Context& context_;
  std::string name_;
  bool served_;
  Time now_{};
  std::optional<job::Job> job_;
  std::string unreadable_;            ///< why its row cannot be read
  std::vector<Life> lives_;           ///< oldest first
  std::vector<store::Audit> audits_;  ///< newest first
  std::optional<Gap> down_;
  job::ZonePtr zone_;
  mutable std::map<std::pair<JobId, std::size_t>, std::optional<job::FireSeries>> series_;
};

}  // namespace schedctl::ops
