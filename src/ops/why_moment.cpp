// Moments without a row: what is still to come, what should have come, what was never due. And
// judge(), the door to all of it.

#include <algorithm>

#include "schedctl/base/text.hpp"
#include "src/ops/why_run.hpp"

namespace schedctl::ops {
namespace {

class Moment {
 public:
  explicit Moment(const WhyFacts& facts) : f_(facts), m_(*facts.zone, facts.at, facts.now) {
    out_.at = f_.at;
    out_.count = f_.count;
    out_.last = f_.last;
  }

  Finding tell() {
    if (!f_.life) {
      no_job();
    } else if (!f_.is_fire) {
      not_due();
    } else if (f_.at > f_.now) {
      upcoming();
    } else if (f_.job && f_.at > f_.job->planned_through) {
      due();
    } else {
      unknown();
    }
    return std::move(out_);
  }

 private:
  void conclude(Verdict verdict, std::string reason, const std::string& headline,
                std::string brief) {
    out_.verdict = verdict;
    out_.reason = std::move(reason);
    out_.headline = sentence(headline);
    out_.brief = std::move(brief);
  }
  void say(std::string text) { out_.details.push_back(sentence(std::move(text))); }

  // --- no job ----------------------------------------------------------------------------------

  void no_job() {
    const std::string head = std::string(f_.at < f_.now ? "There was" : "There is") + " no job " +
                             f_.name + " at " + m_.with_age(f_.at);
    if (!f_.life_before) {
      conclude(Verdict::no_job, "not_created", head, "no job: it was made later");
    } else if (!f_.life_before->renamed_to.empty()) {
      conclude(Verdict::no_job, "renamed", head, "no job: it had been renamed");
    } else {
      conclude(Verdict::no_job, "removed", head, "no job: it had been removed");
    }
    if (f_.life_before) end_of(*f_.life_before);
    if (!f_.next_life) return;
    const Life& next = *f_.next_life;
    say(std::string(f_.life_before ? "The next of that name was made at " : "It was made at ") +
        m_.brief(next.created) + (next.added ? ", by " + who(next.added) : "") +
        (next.renamed_from.empty() ? "" : ", with the name " + next.renamed_from));
  }

  void end_of(const Life& life) {
    if (!life.renamed_to.empty()) {
      say("It was renamed to " + life.renamed_to + " " + deed_words(life.renamed, m_) +
          "; schedctl why " + life.renamed_to + " tells of it since");
    } else if (life.removed) {
      say("It was removed " + deed_words(life.removed, m_));
    } else {
      say("Who removed it, or renamed it, and when, no row says" +
          (life.ended ? "; the last that is known of it is of " + m_.brief(*life.ended) : ""));
    }
  }

  // --- not due ---------------------------------------------------------------------------------

  void not_due() {
    conclude(Verdict::not_due, reason_word(), f_.name + " was not due at " + m_.with_age(f_.at),
             "not due");
    if (f_.at > f_.now) out_.headline = sentence(f_.name + " is not due at " + m_.with_age(f_.at));
    particular();
    schedule_then();
    neighbours();
  }

  std::string reason_word() const {
    switch (f_.why_not) {
      case NotDue::between:
        return "between_fires";
      case NotDue::manual:
        return "manual";
      case NotDue::reboot:
        return "on_reboot";
      case NotDue::not_before:
        return "not_before";
      case NotDue::until:
        return "until";
      case NotDue::once:
        return "once";
      case NotDue::used_up:
        return "max_runs";
      case NotDue::gap_skipped:
        return "dst_gap";
      case NotDue::fold_other:
        return "dst_fold";
      case NotDue::other_week:
        return "other_week";
      case NotDue::excluded:
        return "excluded";
    }
    return "";
  }

  void particular() {
    switch (f_.why_not) {
      case NotDue::manual:
        say("It fires by no clock: only schedctl trigger " + f_.name + " runs it");
        break;
      case NotDue::reboot:
        say("It fires once after each boot of the machine");
        break;
      case NotDue::not_before:
        say("That is before its time begins (not_before)");
        break;
      case NotDue::until:
        say("That is after its time is over (until)");
        break;
      case NotDue::once:
        say("It is a job for one moment only");
        break;
      case NotDue::used_up:
        say((f_.at < f_.now                                   ? "It had had "
             : f_.job && !f_.job->has_had_all_runs(f_.policy) ? "By then it will have had "
                                                              : "It has had ") +
            all_runs(f_.policy.max_runs) + " (max_runs)");
        break;
      case NotDue::gap_skipped:
        say(capital(f_.gap_words));
        break;
      case NotDue::fold_other:
        say("The clock goes back and shows that time twice, and the job fires only once" +
            (f_.meant ? ", at " + m_.full(*f_.meant) : ""));
        break;
      case NotDue::other_week:
        say("Its schedule leaves that week out");
        break;
      case NotDue::excluded:
        say("Calendars rule that moment out" +
            (f_.calendars.empty() ? "" : " (" + f_.calendars + ")") +
            (f_.meant ? "; it is moved to " + m_.full(*f_.meant) : ""));
        break;
      case NotDue::between:
        break;
    }
  }

  /// The schedule of that time, where it was another than today's.
  void schedule_then() {
    if (f_.schedule_then.empty()) return;
    if (f_.schedule_then == f_.schedule_now) {
      if (out_.verdict == Verdict::not_due) say("Its schedule: " + f_.schedule_then);
      return;
    }
    say("Its schedule was another then: " + f_.schedule_then + " (version " +
        std::to_string(f_.version) + ")");
    if (f_.next_version) {
      say("It was changed at " + m_.brief(f_.next_version->since) + " by " + who(f_.changed));
    }
    say("Today's is: " + f_.schedule_now);
  }

  void neighbours() {
    if (f_.fire_before) say("The occurrence before: " + m_.with_age(*f_.fire_before));
    if (f_.fire_after) {
      say((f_.fire_before ? "The one after: " : "The next occurrence: ") +
          m_.with_age(*f_.fire_after));
    }
    if (!f_.fire_before && !f_.fire_after && f_.why_not == NotDue::between) {
      say("It has no occurrences at all");
    }
  }

  // --- to come ---------------------------------------------------------------------------------

  std::string and_more() const {
    if (f_.count <= 1 || !f_.last) return "";
    return ", the first of " + counted(f_.count, "occurrence") + " until " + m_.full(*f_.last);
  }

  void upcoming() {
    conclude(Verdict::upcoming, "", f_.name + " is due at " + m_.with_age(f_.at) + and_more(),
             "to come");
    if (f_.job && f_.job->paused && !(f_.job->paused_until && *f_.job->paused_until < f_.at)) {
      out_.reason = "paused";
      out_.brief = "to come, but it is paused";
      say(pause_words(f_, m_));
      say("Unless it is resumed before, it will not run (schedctl resume " + f_.name + ")" +
          (f_.job->paused_until ? "; the pause ends at " + m_.full(*f_.job->paused_until) : ""));
    }
    if (!f_.set_aside.empty()) {
      out_.brief = "to come, but the job is set aside";
      set_aside();
    }
    if (f_.first_due && *f_.first_due > f_.at) {
      say("It will start at " + m_.brief(*f_.first_due) + ", because of its jitter of up to " +
          format_duration(f_.policy.jitter));
    }
    if (!f_.dst_note.empty()) say("About its time: " + f_.dst_note);
    if (!f_.served) {
      say(down_sentence(f_, m_));
      say("Nothing runs before schedctl start");
    }
  }

  void set_aside() {
    out_.reason = "set_aside";
    say(set_aside_words(f_));
    say(set_aside_cure(f_));
  }

  // --- should have come ------------------------------------------------------------------------

  void due() {
    const std::string due_since =
        f_.name + " has not run yet for " + m_.with_age(f_.at) + and_more();
    if (f_.job->paused) {
      conclude(Verdict::skipped, "paused",
               f_.name + " did not run for " + m_.with_age(f_.at) + and_more() + ": it is paused",
               "skipped: it is paused");
      say(pause_words(f_, m_));
      say((f_.job->paused_until
               ? "The pause ends by itself at " + m_.full(*f_.job->paused_until) + ", or with "
               : std::string("It stays so until ")) +
          "schedctl resume " + f_.name + "; what is due during it is not caught up");
      return;
    }
    if (!f_.set_aside.empty()) {
      conclude(Verdict::due, "set_aside", due_since + ": it is set aside", "due: set aside");
      set_aside();
      return;
    }
    if (!f_.served) {
      conclude(Verdict::due, "daemon_down", due_since + ": no daemon is running",
               "due: no daemon is running");
      say(down_sentence(f_, m_));
      prospect();
      if (!f_.dst_note.empty()) say("About its time: " + f_.dst_note);
      return;
    }
    if (!f_.dst_note.empty()) say("About its time: " + f_.dst_note);
    conclude(Verdict::due, "", due_since, "due");
    if (f_.now - f_.at < kPlanningTakes) {
      say("It is due this very moment");
      return;
    }
    out_.reason = "not_planned";
    say("A daemon runs, but has not planned it; schedctl doctor says how it is");
  }

  /// What becomes of it if a daemon is started.
  void prospect() {
    const Time latest = f_.last.value_or(f_.at) + f_.policy.misfire_grace;
    const std::string grace = "misfire_grace (" + format_duration(f_.policy.misfire_grace) + ")";
    const std::string coalesce =
        " (coalesce = " + std::string(job::to_string(f_.policy.coalesce)) + ")";
    const bool several = f_.count > 1;
    if (f_.now > latest) {
      say((several ? "They are all" : std::string("It is")) + " later than its " + grace +
          " already: when a daemon is started " + (several ? "they are" : "it is") +
          " recorded as missed; schedctl trigger " + f_.name + " runs it by hand");
      return;
    }
    if (several) {
      say("Of those that are not later than its " + grace + " when a daemon is started, " +
          (f_.policy.coalesce == job::Coalesce::all
               ? "at most the latest " + std::to_string(f_.policy.max_catchup) + " run"
               : "the " + std::string(job::to_string(f_.policy.coalesce)) + " runs") +
          coalesce + ", and the others are recorded as missed or coalesced: schedctl start");
      return;
    }
    say("If a daemon is started by " + m_.brief(latest) + " it still runs" +
        (f_.policy.after.empty() ? "" : ", once all that it comes after has succeeded (after)") +
        (f_.policy.coalesce == job::Coalesce::all
             ? ""
             : ", or another occurrence that is overdue by then in its place" + coalesce) +
        "; later than its " + grace + " it is missed: schedctl start");
  }

  // --- no row ----------------------------------------------------------------------------------

  void unknown() {
    const std::string head = f_.name + " was due at " + m_.with_age(f_.at) + and_more();
    if (f_.pruned_at) {
      conclude(Verdict::unknown, "purged",
               head + ", and what became of it is not recorded any more",
               "unknown: retention has removed it");
      say("Retention has removed old rows, last at " + m_.full(*f_.pruned_at) +
          "; how long they are kept is set by [retention]: schedctl config" +
          (f_.history_starts && *f_.history_starts > f_.at
               ? ". The history of this job starts at " + m_.full(*f_.history_starts)
               : std::string()));
    } else if (f_.history_starts && *f_.history_starts > f_.at) {
      conclude(Verdict::unknown, "purged",
               head + ", and what became of it is not recorded any more",
               "unknown: the history starts later");
      say("The history of this job starts at " + m_.full(*f_.history_starts));
    } else if (!f_.history_starts) {
      conclude(Verdict::unknown, "purged", head + ", and there is no history of the job",
               "unknown: there is no history");
    } else {
      conclude(Verdict::unknown, "no_row", head + ", and no row says what became of it",
               "unknown: no row");
      for (const Gap& gap : f_.gaps) {
        if (gap.kind != Gap::Kind::clock) continue;
        out_.reason = "clock_jump";
        say("The clock did not show that moment: " + gap_words(gap, m_));
      }
      if (out_.reason == "no_row") {
        say("That happens where the clock was set back by hours, and the plan was made anew; "
            "schedctl db check looks for damage");
      }
    }
    schedule_then();
  }

  const WhyFacts& f_;
  Moments m_;
  Finding out_;
};

void speak_of_another_schedule(const WhyFacts& facts, Finding& finding) {
  const bool differs = !facts.schedule_then.empty() && facts.schedule_then != facts.schedule_now;
  if (!differs) return;
  const Moments moments(*facts.zone, facts.at, facts.now);
  finding.details.push_back(sentence("Its schedule was another then: " + facts.schedule_then +
                                     " (version " + std::to_string(facts.version) + ")"));
  const bool said = facts.run->reason == job::Reason::schedule_changed;
  if (facts.next_version && !said) {
    finding.details.push_back(sentence("It was changed at " +
                                       moments.brief(facts.next_version->since) + " by " +
                                       who(facts.changed)));
  }
  finding.details.push_back(sentence("Today's is: " + facts.schedule_now));
}

}  // namespace

std::string_view to_string(Verdict v) {
  switch (v) {
    case Verdict::succeeded:
      return "succeeded";
    case Verdict::failed:
      return "failed";
    case Verdict::cancelled:
      return "cancelled";
    case Verdict::lost:
      return "lost";
    case Verdict::running:
      return "running";
    case Verdict::waiting:
      return "waiting";
    case Verdict::skipped:
      return "skipped";
    case Verdict::missed:
      return "missed";
    case Verdict::due:
      return "due";
    case Verdict::upcoming:
      return "upcoming";
    case Verdict::not_due:
      return "not_due";
    case Verdict::no_job:
      return "no_job";
    case Verdict::unknown:
      return "unknown";
  }
  return "";
}

Finding judge(const WhyFacts& facts) {
  if (!facts.run) return Moment(facts).tell();
  Finding finding = [&facts] {
    switch (facts.run->state) {
      case job::RunState::pending:
        return judge_waiting(facts);
      case job::RunState::skipped:
      case job::RunState::missed:
        return judge_not_run(facts);
      case job::RunState::running:
      case job::RunState::succeeded:
      case job::RunState::failed:
      case job::RunState::cancelled:
      case job::RunState::lost:
        break;
    }
    return judge_ran(facts);
  }();
  speak_of_another_schedule(facts, finding);
  return finding;
}

}  // namespace schedctl::ops
