// Occurrences that were skipped or missed: what was in the way.

#include "schedctl/alert/words.hpp"
#include "schedctl/base/text.hpp"
#include "src/ops/why_run.hpp"

namespace schedctl::ops {
namespace {

using job::Cause;
using job::Reason;
using job::RunState;

class NotRun final : RunAccount {
 public:
  explicit NotRun(const WhyFacts& facts) : RunAccount(facts) {}

  Finding tell() {
    run_.state == RunState::missed ? missed() : skipped();
    return std::move(out_);
  }

 private:
  /// "for 2026-11-20 02:30:00+01:00 (5h ago)", and of a stretch what else belongs to it.
  std::string when_not() const {
    if (run_.count <= 1 || !run_.last_fire_time || run_.last_fire_time == run_.fire_time)
      return when();
    const std::string last = m_.full(*run_.last_fire_time);
    if (f_.at != run_.fire_time) {
      return when() + ", which is one of " + counted(run_.count, "occurrence") + " from " +
             m_.full(run_.fire_time) + " to " + last;
    }
    return when() + ", nor for " +
           (run_.count == 2 ? "the one after it, at "
                            : "the " + counted(run_.count - 1, "occurrence") +
                                  " after it, the last of them at ") +
           last;
  }

  void not_run(const std::string& why) {
    out_.verdict = run_.state == RunState::missed ? Verdict::missed : Verdict::skipped;
    headline("did not run " + when_not() + ": " + why);
    out_.brief = std::string(to_string(out_.verdict)) + ": " + why;
    asked();
  }

  void skipped() {
    switch (run_.reason) {
      case Reason::overlap:
      case Reason::queue_full:
        overlap();
        return;
      case Reason::coalesced:
        coalesced();
        return;
      case Reason::paused:
        paused();
        return;
      case Reason::schedule_changed:
        not_run("its schedule was changed " + deed_words(f_.changed, m_) +
                " before it could start");
        if (!f_.gaps.empty()) say("Until then " + gap_words(f_.gaps.front(), m_));
        return;
      case Reason::removed:
        not_run("the job was removed " + deed_words(f_.life ? f_.life->removed : std::nullopt, m_) +
                " before it could start");
        return;
      case Reason::excluded:
        not_run("calendars rule it out" + (f_.calendars.empty() ? "" : " (" + f_.calendars + ")"));
        if (f_.meant) say("It was moved to the first allowed moment after, " + m_.full(*f_.meant));
        return;
      case Reason::max_runs:
        not_run("it had had all its runs (max_runs = " + std::to_string(f_.policy.max_runs) + ")");
        return;
      default:
        not_run(run_.reason == Reason::none ? "no row says why"
                                            : std::string(job::to_string(run_.reason)));
        return;
    }
  }

  void overlap() {
    if (!f_.other) {
      not_run("another run of it had not ended yet");
      say("The row of that run is not there any more, or its times say otherwise");
      return;
    }
    const job::Run& other = *f_.other;
    if (run_.reason == Reason::queue_full) {
      not_run("its run " + number(other) + " had not ended yet, and as many waited for it as may " +
              "(max_queued = " + std::to_string(f_.policy.max_queued) + ")");
    } else if (f_.policy.overlap == job::Overlap::allow && f_.policy.max_instances > 1) {
      not_run("as many runs of it lived as may (max_instances = " +
              std::to_string(f_.policy.max_instances) + "), " + number(other) + " among them");
    } else {
      not_run("its run " + number(other) + " had not ended yet");
    }
    std::string words = number(other);
    if (other.cause == Cause::manual) words += ", triggered by hand,";
    const auto& result = other.result;
    if (other.state == RunState::running) {
      words += result.started_at
                   ? " runs since " + m_.brief(*result.started_at) + ", and still does"
                   : " is still being started";
    } else if (other.state == RunState::pending && other.start_failures > 0) {
      words += " could not be started (" + quoted_line(result.error) + "), and is tried again at " +
               m_.brief(other.due_at);
    } else if (other.state == RunState::pending) {
      words += " waits for its attempt " + std::to_string(other.attempt) + ", at " +
               m_.brief(other.due_at);
    } else {
      const bool slow = result.started_at && *result.started_at > f_.at + kLateStart &&
                        other.attempt <= 1 && other.lost_count == 0;
      if (slow) {
        words += ", due at " + m_.brief(other.fire_time) +
                 ", had its turn then, but started only at " + m_.brief(*result.started_at) +
                 ", and";
      } else if (result.started_at && result.ended_at) {
        words += " ran " + m_.span(*result.started_at, *result.ended_at) + ", and";
      }
      words += " " + outcome(other);
      if (other.attempt > 1) words += " after " + std::to_string(other.attempt) + " attempts";
    }
    say(words);
    if (run_.cause == Cause::manual) {
      say("schedctl trigger " + f_.name +
          (job::is_final(other.state) ? " runs it now" : " --force runs it all the same"));
    } else if (f_.policy.overlap == job::Overlap::skip) {
      say("A job that is due while it still runs is skipped (overlap = skip)");
    }
  }

  void coalesced() {
    const bool one = f_.policy.coalesce != job::Coalesce::all;
    const std::string into = f_.other ? number(*f_.other) : "another";
    not_run("it was overdue together with others, and " +
            (one ? into + " took their place"
                 : "only the latest were kept" + (f_.other ? ", from " + into + " on" : "")));
    if (f_.other) {
      say(number(*f_.other) + " was due at " + m_.full(f_.other->fire_time) + " and " +
          outcome(*f_.other));
    }
    say(std::string("Of several overdue occurrences ") +
        (f_.policy.coalesce == job::Coalesce::all
             ? "the latest " + std::to_string(f_.policy.max_catchup) +
                   " run (coalesce = all, max_catchup)"
             : "the " + std::string(job::to_string(f_.policy.coalesce)) +
                   " runs (coalesce = " + std::string(job::to_string(f_.policy.coalesce)) + ")"));
    for (const Gap& gap : f_.gaps) say("They were overdue because " + gap_words(gap, m_));
  }

  static std::string outcome(const job::Run& run) {
    switch (run.state) {
      case RunState::pending:
        return "waits";
      case RunState::running:
        return "is running";
      case RunState::succeeded:
        return "succeeded";
      case RunState::failed:
        return "failed (" + quoted_line(alert::failure_words(run)) + ")";
      case RunState::cancelled:
        return "was cancelled";
      default:
        return "was " + std::string(job::to_string(run.state)) +
               (run.reason == Reason::none ? ""
                                           : " (" + std::string(job::to_string(run.reason)) + ")");
    }
  }

  void paused() {
    not_run("it was paused");
    say(pause_words(f_, m_));
    if (f_.resumed) {
      say(f_.resumed->who == "schedctl" ? "The pause ended by itself at " + m_.brief(f_.resumed->at)
                                        : "It was resumed " + deed_words(f_.resumed, m_));
    }
    say("What is due during a pause is not caught up; schedctl trigger " + f_.name +
        " runs it now");
  }

  void gated() {
    not_run("the jobs it comes after did not succeed in time");
    std::string names;
    for (const std::string& name : f_.policy.after) names += (names.empty() ? "" : ", ") + name;
    say("It waited for " + (names.empty() ? "other jobs" : names) + " (after), until " +
        end_of_wait());
  }

  std::string end_of_wait() const {
    const std::string max_wait =
        run_.give_up_at ? "its max_wait of " + format_duration(f_.policy.max_wait) + " was over or "
                        : "";
    if (f_.policy.coalesce != job::Coalesce::all) return max_wait + "its next fire was due";
    return max_wait + "as many later ones waited as are caught up (max_catchup = " +
           std::to_string(f_.policy.max_catchup) + ")";
  }

  void missed() {
    switch (run_.reason) {
      case Reason::expired:
        not_run("no daemon came in time");
        out_.reason = "expired";
        break;
      case Reason::waited_too_long:
        if (run_.gated) {
          gated();
          return;
        }
        not_run("it could not start within its max_wait of " + format_duration(f_.policy.max_wait));
        for (const Gap& gap : f_.gaps) say("Meanwhile " + gap_words(gap, m_));
        if (f_.gaps.empty()) {
          say("No row says more: all slots were taken (" + f_.max_running_setting + " = " +
              std::to_string(f_.max_running) + "), or an earlier run of it had not ended");
        }
        return;
      default:
        not_run(f_.gaps.empty() ? "it was planned too late" : short_cause(f_.gaps.front().kind));
        break;
    }
    for (std::size_t i = 0; i < f_.gaps.size(); ++i) {
      say(capital(gap_words(f_.gaps[i], m_)));
      if (i == 0 && run_.reason == Reason::misfire) out_.reason = gap_reason(f_.gaps[i].kind);
    }
    const bool at_once = run_.created_at - f_.at <= kLateStart;
    if (f_.gaps.empty() && run_.reason == Reason::misfire) {
      say(at_once ? "Nothing kept the daemon: planning takes some milliseconds, and its "
                    "misfire_grace leaves less"
                  : "No row says what kept the daemon: the machine may have been very busy, or the "
                    "daemon suspended");
    }
    if (run_.reason == Reason::misfire) {
      say("It was noticed at " + m_.brief(run_.created_at) + ", " + rough(run_.created_at - f_.at) +
          " late; what is later than misfire_grace (" + format_duration(f_.policy.misfire_grace) +
          ") is not run any more");
    } else {
      say("A run by hand that no daemon starts within misfire_grace (" +
          format_duration(f_.policy.misfire_grace) + ") is not started later");
    }
  }

  static std::string short_cause(Gap::Kind kind) {
    switch (kind) {
      case Gap::Kind::never:
      case Gap::Kind::stopped:
      case Gap::Kind::died:
        return "no daemon was running";
      case Gap::Kind::off:
        return "the machine was down";
      case Gap::Kind::clock:
        return "the clock was set forward past it";
      case Gap::Kind::asleep:
        return "the machine was asleep";
      case Gap::Kind::store:
        return "the store could not be written";
      case Gap::Kind::keeper:
        return "the keeper could not be reached";
      case Gap::Kind::slots:
        return "all slots were taken";
    }
    return "";
  }
};

}  // namespace

Finding judge_not_run(const WhyFacts& facts) {
  return NotRun(facts).tell();
}

}  // namespace schedctl::ops
