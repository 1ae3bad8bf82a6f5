// Retention: a sweep each hour over everything there is, in steps between beats. Its memory is
// Watches::tidying; nothing of it is in the rows, so that a daemon that ends in the middle simply
// begins again.

#include <algorithm>

#include "schedctl/base/log.hpp"
#include "work.hpp"

namespace schedctl::runner {
namespace {

/// A daemon that has just come up has better things to do.
constexpr Duration kFirstSweep = std::chrono::minutes(1);
constexpr Duration kBetweenSweeps = std::chrono::hours(1);
/// Steps take some milliseconds; where a disk makes them slow, they are fewer.
constexpr Duration kBetweenSteps = std::chrono::milliseconds(100);
constexpr int kPartOfTime = 10;
/// All old files are looked up among the rows no more often than this.
constexpr Duration kBetweenStrays = std::chrono::hours(24);
constexpr Duration kAfterTrouble = std::chrono::minutes(10);
/// A clock that is a year ahead makes all history look old. Whoever sees that it is wrong, be it a
/// time daemon, has so long to set it right.
constexpr Duration kDoubt = std::chrono::hours(24);
constexpr Duration kDoubtAtStart = std::chrono::hours(1);
constexpr Duration kDoubtfulStep = std::chrono::hours(1);
constexpr Duration kDoubtfulAbsence = std::chrono::hours(24);

std::vector<log::Field> fields_of(const retention::Gone& gone) {
  std::vector<log::Field> fields{{"runs", gone.runs}, {"files", gone.files}, {"bytes", gone.bytes}};
  const auto add = [&](const char* name, std::int64_t count) {
    if (count != 0) fields.emplace_back(name, count);
  };
  add("attempts", gone.attempts);
  add("events", gone.events);
  add("audits", gone.audits);
  add("messages", gone.messages);
  add("alerts", gone.alerts);
  add("backfills", gone.backfills);
  add("versions", gone.versions);
  add("left", gone.left);
  return fields;
}

}  // namespace

Tidying::Tidying(Duration now, std::optional<Duration> absence) : next(now + kFirstSweep) {
  if (absence && *absence > kDoubtfulAbsence) next = now + kDoubtAtStart;
}

void Tidying::clock_stepped(Duration now, Duration step) {
  if (std::chrono::abs(step) < kDoubtfulStep) return;
  sweep.reset();
  if (step > Duration::zero()) doubt_until = now + kDoubt;
  next = std::max(next, doubt_until);
}

void Tidying::rules_changed(Duration now) {
  sweep.reset();
  next = std::max(now, doubt_until);
}

Duration Runner::tidy() {
  Tidying& tidying = watches_->tidying;
  const Duration now = clock_.elapsed();
  if (now < tidying.next || draining_) return std::max(tidying.next, now + kBetweenSteps);
  if (!tidying.sweep) begin_sweep(now);
  const auto more = tidying.sweep->step();
  if (!more) {
    if (more.error().message != tidying.trouble) {
      log::warning("retention-failed", {{"error", more.error().message},
                                        {"next_try_in", format_duration(kAfterTrouble)}});
      log::flush();
    }
    tidying.trouble = more.error().message;
    tidying.sweep.reset();
    return tidying.next = now + kAfterTrouble;
  }
  if (*more) {
    const Duration took = clock_.elapsed() - now;
    return tidying.next = now + took + std::max(kBetweenSteps, took * kPartOfTime);
  }
  end_sweep();
  return tidying.next = now + kBetweenSweeps;
}

void Runner::begin_sweep(Duration now) {
  Tidying& tidying = watches_->tidying;
  const bool strays = !tidying.strays_at || now - *tidying.strays_at >= kBetweenStrays;
  if (strays) tidying.strays_at = now;
  tidying.sweep = std::make_unique<retention::Sweep>(
      store_, clock_,
      retention::SweepOptions{.rules = settings_.tuning.retention,
                              .output_dir = settings_.output_dir,
                              .strays = strays});
}

void Runner::end_sweep() {
  Tidying& tidying = watches_->tidying;
  const retention::Gone gone = tidying.sweep->gone();
  const std::string trouble = tidying.sweep->trouble();
  tidying.sweep.reset();
  if (!trouble.empty() && trouble != tidying.trouble) {
    log::warning("retention-failed",
                 {{"error", trouble}, {"next_try_in", format_duration(kBetweenSweeps)}});
  }
  tidying.trouble = trouble;
  if (!gone.nothing()) log::write(log::Level::info, "retention", fields_of(gone));
  log::flush();
  if (gone.runs == 0) return;
  // `why` tells by it what became of rows that are not there.
  const auto told = store_.add_event({clock_.wall(), settings_.node.id, "retention",
                                      "removed " + std::to_string(gone.runs) + " runs"});
  if (!told) log::error("event-not-written", {{"error", told.error().message}});
}

}  // namespace schedctl::runner
