// Occurrences that were started: how they went, and why late.

#include <algorithm>

#include "schedctl/alert/words.hpp"
#include "schedctl/base/text.hpp"
#include "src/ops/why_run.hpp"

namespace schedctl::ops {
namespace {

using job::Cause;
using job::Reason;
using job::RunState;

class Ran final : RunAccount {
 public:
  explicit Ran(const WhyFacts& facts) : RunAccount(facts) {}

  Finding tell() {
    run_.state == RunState::running ? running() : ended();
    return std::move(out_);
  }

 private:
  void ended() {
    const job::AttemptResult& result = run_.result;
    const std::string id = number(run_);
    std::string took;
    // When a lost one ended nobody knows; its row says when that was noticed.
    if (result.started_at && result.ended_at && run_.state != RunState::lost) {
      took = rough(std::max(Duration{}, *result.ended_at - *result.started_at));
    }
    switch (run_.state) {
      case RunState::failed:
        out_.verdict = Verdict::failed;
        headline("ran " + when() + " and failed: " + id + ", " + failure());
        break;
      case RunState::cancelled:
        cancelled(id);
        break;
      case RunState::lost:
        out_.verdict = Verdict::lost;
        headline("ran " + when() + " and was lost: nobody knows how " + id + " ended");
        break;
      default:
        out_.verdict = Verdict::succeeded;
        headline("ran " + when() + ": " + id + " succeeded");
        break;
    }
    asked();
    started(took);
    if (run_.state == RunState::lost) lost();
    if (run_.reason == Reason::shutdown) {
      say("What a stop ends is not tried again; schedctl trigger " + f_.name + " runs it");
    }
    attempts();
    clock_change();
    if (run_.state == RunState::failed || run_.state == RunState::lost) output();
    out_.brief =
        std::string(to_string(out_.verdict)) +
        (out_.reason.empty() || run_.state == RunState::succeeded ? "" : " (" + out_.reason + ")") +
        ": " + id;
    if (run_.state == RunState::failed) out_.brief = "failed: " + id + ", " + failure();
    if (run_.cause == Cause::backfill) out_.brief += ", in a backfill";
    if (f_.first_start && run_.cause != Cause::backfill) {
      const Duration late = *f_.first_start - f_.first_due.value_or(f_.at);
      if (late > kLateStart) out_.brief += ", started " + rough(late) + " late" + because();
    }
    if (!took.empty()) out_.brief += ", took " + took;
  }

  std::string failure() const { return quoted_line(alert::failure_words(run_)); }

  std::string because() const {
    return f_.gaps.empty() ? "" : " (" + std::string(gap_reason(f_.gaps.front().kind)) + ")";
  }

  void cancelled(const std::string& id) {
    out_.verdict = Verdict::cancelled;
    if (run_.reason == Reason::shutdown) {
      headline("ran " + when() + ", and was ended because the daemon was stopped: " + id);
      return;
    }
    // What could not be executed has no start, and was tried all the same.
    const bool began = run_.result.started_at.has_value() || run_.has_been_tried();
    if (run_.reason == Reason::removed) {
      headline("ran " + when() + ": attempt " + std::to_string(run_.result.attempt) + " of " + id +
               " " + last_attempt() + ", and it was not tried again because the job was removed " +
               deed_words(f_.life ? f_.life->removed : std::nullopt, m_));
      return;
    }
    const bool replaced = run_.reason == Reason::replaced;
    if (replaced) {
      headline(std::string(began ? "ran " : "did not run ") + when() + ": " + id + " was " +
               (began ? "ended" : "called off") + ", for " + successor() + " took its place");
      say("A job that is due while it still runs is started anew (overlap = replace)");
      return;
    }
    headline(std::string(began ? "ran " : "did not run ") + when() + ": " + id + " was cancelled " +
             deed_words(f_.cancelled, m_));
  }

  /// How an attempt ended after which the run waited: its row has no reason of its own.
  std::string last_attempt() const {
    const job::AttemptResult& result = run_.result;
    if (!result.error.empty()) return "failed (" + quoted_line(result.error) + ")";
    job::Run failed = run_;
    failed.reason = result.signal != 0 ? Reason::signal : Reason::exit_status;
    if (result.signal == 0 && result.exit_code.value_or(0) == 0) return "did not succeed";
    return "failed (" + alert::failure_words(failed) + ")";
  }

  void started(const std::string& took) {
    if (!run_.result.started_at) return;
    const bool retried = run_.result.attempt > 1;
    const Time start = f_.first_start.value_or(*run_.result.started_at);
    std::string text = "It started at " + m_.brief(start);
    const Duration after = start - f_.at;
    if (run_.cause == Cause::schedule && after >= Duration::zero()) {
      text += ", " + rough(after) + " after its time";
    }
    if (!took.empty() && !retried) text += ", and took " + took;
    say(text);
    if (f_.first_due && *f_.first_due > f_.at) {
      say("Its start was put off to " + m_.brief(*f_.first_due) + put_off_words());
    }
    late(start);
  }

  void late(Time start) {
    const Duration late = start - f_.first_due.value_or(f_.at);
    if (late <= kLateStart || run_.cause == Cause::backfill) return;
    if (run_.state == RunState::succeeded || run_.state == RunState::running) out_.reason = "late";
    const std::string prefix = "It was " + rough(late) + " late";
    const std::vector<Delay> delays = delays_of(start);
    if (delays.empty()) {
      say(prefix + ", and no row says why: " + unknown_words());
      return;
    }
    if (run_.state == RunState::succeeded || run_.state == RunState::running) {
      out_.reason = delays.front().reason;
    }
    say(prefix + ": " + delays.front().words);
    for (std::size_t i = 1; i < delays.size(); ++i) say("And " + delays[i].words);
  }

  struct Delay {
    std::string words;
    std::string reason;
  };

  /// All that is known to have kept it from its start.
  std::vector<Delay> delays_of(Time start) const {
    std::vector<Delay> delays;
    for (const Gap& gap : f_.gaps)
      delays.push_back({gap_words(gap, m_), std::string(gap_reason(gap.kind))});
    // The first of a series that is caught up waits for nothing but a daemon.
    if (run_.waits && (delays.empty() || !f_.in_line.empty()))
      delays.push_back({line_words(), "job_busy"});
    if (!f_.let_by.empty()) delays.push_back({gate_words(), "after"});
    if (delays.empty() && !f_.late_words.empty())
      delays.push_back({quoted_line(f_.late_words), "late"});
    // Of a line, or a gate, it is known when it was over.
    Time over = Time::min();
    for (const auto* runs : {&f_.in_line, &f_.let_by})
      if (!runs->empty()) over = std::max(over, *runs->back().result.ended_at);
    if (!f_.gaps.empty() || over == Time::min()) return delays;
    const Duration rest = start - over;
    if (rest > kLateStart)
      delays.push_back(
          {"for the last " + rough(rest) + " no row says why: " + unknown_words(), ""});
    return delays;
  }

  std::string unknown_words() const {
    return (run_.group.empty() ? ""
                               : "its group was full ([groups] " + run_.group + " = " +
                                     std::to_string(f_.group_limit) + "), ") +
           "the machine was busy, or no slot was free for a moment (" + f_.max_running_setting +
           " = " + std::to_string(f_.max_running) + ")";
  }

  /// "it waited for #41 of its job, which ended at 02:05:00 (overlap = queue)".
  std::string line_words() const {
    if (f_.in_line.empty()) {
      return is_caught_up() ? "it is one of several overdue occurrences, which run one after the "
                              "other (coalesce = all)"
                            : "it was to wait for its job to be free, and no row says for which "
                              "run" +
                                  waited_by();
    }
    const job::Run& last = f_.in_line.back();
    const std::string end = m_.brief(*last.result.ended_at) + waited_by();
    if (f_.in_line.size() > 1) {
      return "it waited for earlier runs of its job, the last of which, " + number(last) +
             ", ended at " + end;
    }
    if (last.replaced_by == run_.id) {
      return "it waited for the end of " + number(last) + ", whose place it took, at " + end;
    }
    return "it waited for " + number(last) + " of its job, which ended at " + end;
  }

  /// "it waited for import to succeed (after), which its run #7 did at 02:05:00".
  std::string gate_words() const {
    const job::Run& last = f_.let_by.back();
    const std::string end = m_.brief(*last.result.ended_at);
    if (f_.let_by.size() == 1) {
      return "it waited for " + last.job_name + " to succeed (after), which its run " +
             number(last) + " did at " + end;
    }
    std::string names;
    for (const job::Run& run : f_.let_by) names += (names.empty() ? "" : ", ") + run.job_name;
    return "it waited for " + names + " to succeed (after), the last of which was " +
           last.job_name + ", at " + end + " by its run " + number(last);
  }

  /// Overdue ones that were planned together wait for each other whatever overlap says; by their
  /// rows alone they are not told from others where both do.
  bool is_caught_up() const {
    if (run_.cause != Cause::schedule || f_.policy.coalesce != job::Coalesce::all) return false;
    if (f_.in_line.empty()) return f_.policy.overlap == job::Overlap::skip;
    return f_.in_line.back().cause == Cause::schedule &&
           f_.in_line.back().created_at == run_.created_at;
  }

  std::string waited_by() const {
    if (is_caught_up()) {
      return " (several overdue occurrences run one after the other: coalesce = all)";
    }
    switch (f_.policy.overlap) {
      case job::Overlap::queue:
      case job::Overlap::replace:
      case job::Overlap::allow:
        return " (overlap = " + std::string(job::to_string(f_.policy.overlap)) + ")";
      case job::Overlap::skip:
        break;
    }
    // A backfill is no reason to skip what is due beside it.
    const bool backfill = !f_.in_line.empty() && f_.in_line.back().backfill;
    return backfill ? " (of a backfill)" : "";
  }

  void attempts() {
    if (run_.attempt <= 1 && f_.attempts.empty()) return;
    // One that was cancelled before its next attempt has not made that.
    const int made = run_.result.attempt;
    const int most = std::max(f_.policy.max_attempts, run_.attempt);
    if (made > 1) {
      say("It took " + std::to_string(made) + " attempts of at most " + std::to_string(most) +
          "; the last one started at " +
          (run_.result.started_at ? m_.brief(*run_.result.started_at) : "an unknown time"));
    }
    if (run_.attempt > made) {
      say("It was waiting for attempt " + std::to_string(run_.attempt) + " of at most " +
          std::to_string(most) + " then");
    }
    if (run_.lost_count > 0) {
      say("Its process was lost " + counted(run_.lost_count, "time") +
          ", and it was started again each time (on_lost = retry)");
    }
  }

  void lost() {
    std::string words = run_.reason == Reason::rebooted
                            ? "The machine went down while it ran"
                            : "The keeper, which watches commands, died while it ran";
    if (run_.result.ended_at) words += "; that was noticed at " + m_.brief(*run_.result.ended_at);
    say(words);
    for (const Gap& gap : f_.gaps) {
      if (gap.kind == Gap::Kind::off || gap.kind == Gap::Kind::died) {
        say(capital(gap_words(gap, m_)));
        break;
      }
    }
    if (f_.policy.on_lost == job::OnLost::fail) {
      say("It may have done its work or a part of it, so it was not started again (on_lost = "
          "fail); once that is safe, schedctl trigger " +
          f_.name + " runs it");
    }
  }

  void output() {
    if (!run_.result.output_path.empty() || !run_.result.output_tail.empty()) {
      say("What it wrote: schedctl logs " + std::to_string(run_.id.value));
    }
  }

  void running() {
    out_.verdict = Verdict::running;
    const job::AttemptResult& result = run_.result;
    if (!result.started_at) {
      headline("is being started " + when() + ": " + number(run_));
      asked();
      nobody_there("It was handed over, and nothing is known of it since");
      out_.brief = "running: " + number(run_) + ", being started";
      return;
    }
    headline(f_.served ? "is running " + when() + ": " + number(run_) + ", for " +
                             rough(f_.now - *result.started_at) + " now"
                       : "was running " + when() + " when a daemon last looked: " + number(run_));
    asked();
    started("");
    attempts();
    if (f_.policy.timeout > Duration::zero()) {
      say("If it has not ended by " + m_.brief(*result.started_at + f_.policy.timeout) +
          " it is ended (timeout = " + format_duration(f_.policy.timeout) + ")");
    }
    if (run_.cancel_requested) {
      say("It is being ended: " +
          (run_.replaced_by ? successor() + " takes its place (overlap = replace)"
                            : "its cancel was asked for " + deed_words(f_.cancelled, m_)));
    }
    nobody_there(
        "Whether it still runs no row says: a command goes on without a daemon, and how it ended "
        "is recorded when one comes (schedctl start)");
    clock_change();
    out_.brief = "running: " + number(run_) + ", since " + m_.brief(*result.started_at);
  }

  std::string successor() const {
    return run_.replaced_by ? "#" + std::to_string(run_.replaced_by.value) : "a newer one";
  }

  void nobody_there(const std::string& meanwhile) {
    if (f_.served) return;
    say(down_sentence(f_, m_));
    say(meanwhile);
  }
};

}  // namespace

Finding judge_ran(const WhyFacts& facts) {
  return Ran(facts).tell();
}

}  // namespace schedctl::ops
