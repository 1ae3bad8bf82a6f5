#pragma once

#include <string>

#include "src/ops/why_words.hpp"

namespace schedctl::ops {

/// A start later than this after its time is explained.
inline constexpr Duration kLateStart = std::chrono::seconds(1);

/// A daemon plans an occurrence within milliseconds; one that has not after this is in trouble.
inline constexpr Duration kPlanningTakes = std::chrono::seconds(5);

/// What the row of an occurrence says, if it was started; `facts.run` is there.
Finding judge_ran(const WhyFacts& facts);
/// If it has not been started yet.
Finding judge_waiting(const WhyFacts& facts);
/// If it was skipped or missed.
Finding judge_not_run(const WhyFacts& facts);

/// "No daemon is running: it was stopped at 23:12:03"; `facts.served` is false.
std::string down_sentence(const WhyFacts& facts, const Moments& moments);
/// "The job is set aside, because its fires cannot be told: ..."; `facts.set_aside` is there.
std::string set_aside_words(const WhyFacts& facts);
/// What to do about that.
std::string set_aside_cure(const WhyFacts& facts);
/// "It was paused by anna at 14:02:11 until 18:00:00: \"disk is full\"".
std::string pause_words(const WhyFacts& facts, const Moments& moments);

/// Whether that is what keeps it from starting at its fire time.
bool put_off_by_jitter(const WhyFacts& facts);

/// Says one thing after the other about a run: first a headline, then what belongs to it.
class RunAccount {
 protected:
  explicit RunAccount(const WhyFacts& facts);
  ~RunAccount() = default;

  void headline(const std::string& text) { out_.headline = sentence(f_.name + " " + text); }
  void say(std::string text) { out_.details.push_back(sentence(std::move(text))); }
  /// "for 2026-11-20 02:30:00+01:00 (5h10m ago)"; of one without an occurrence what it is instead.
  std::string when() const;
  /// Who wanted it, if it was not the schedule.
  void asked();
  /// A start that is put off on purpose, by jitter or so.
  std::string put_off_words() const;
  /// What a clock change did to its fire time.
  void clock_change();

  const WhyFacts& f_;
  const job::Run& run_;
  Moments m_;
  Finding out_;
};

}  // namespace schedctl::ops
