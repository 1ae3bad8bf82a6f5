// Runs that have not started yet, or wait for their next attempt: what they wait for.

#include <algorithm>

#include "schedctl/alert/words.hpp"
#include "schedctl/base/text.hpp"
#include "src/ops/why_run.hpp"

namespace schedctl::ops {
namespace {

using job::Cause;
using job::Reason;
using job::RunState;

/// Runs that are named of those that take all the slots.
constexpr std::size_t kNamed = 5;

class Waiting final : RunAccount {
 public:
  explicit Waiting(const WhyFacts& facts) : RunAccount(facts) {}

  Finding tell() {
    waiting();
    return std::move(out_);
  }

 private:
  void waiting() {
    out_.verdict = Verdict::waiting;
    const std::string id = number(run_);
    const bool retry = run_.has_been_tried();
    if (retry) {
      headline("waits for attempt " + std::to_string(run_.attempt) + " of " +
               std::to_string(std::max(f_.policy.max_attempts, run_.attempt)) + " of " + id + ", " +
               when() + ", until " + m_.brief(run_.due_at));
      out_.reason = "retry";
      if (run_.reason != Reason::none || run_.result.ended_at) last_attempt();
    } else {
      headline("has not started " + when() + ": " + id + " waits");
    }
    asked();
    obstacle(retry);
    if (run_.give_up_at) {
      say("If it has not started by " + m_.brief(*run_.give_up_at) + " it is missed (max_wait)");
    }
    clock_change();
    out_.brief = "waiting: " + id + (out_.reason.empty() ? "" : " (" + out_.reason + ")");
  }

  void last_attempt() {
    std::string words = "Attempt " + std::to_string(run_.result.attempt) + " ";
    const job::AttemptResult& r = run_.result;
    if (!r.error.empty()) {
      words += "failed: " + quoted_line(r.error);
    } else if (r.exit_code) {
      words += "failed: exit status " + std::to_string(*r.exit_code);
    } else if (r.signal != 0) {
      words += "was ended by signal " + std::to_string(r.signal);
    } else {
      words += "was lost (on_lost = retry)";
    }
    if (r.ended_at) words += ", at " + m_.brief(*r.ended_at);
    say(words);
  }

  /// What keeps it from being started now.
  void obstacle(bool retry) {
    if (!f_.served) {
      if (!retry) out_.reason = "daemon_down";
      say(down_sentence(f_, m_));
      if (!f_.awaited.empty()) {
        say("A daemon alone does not start it (schedctl start)");
        gate();
        out_.reason = "daemon_down";
        return;
      }
      std::string words = "It is started when a daemon comes: schedctl start";
      if (run_.cause == Cause::manual && run_.fence == 0) {
        words += " (within its misfire_grace of " + format_duration(f_.policy.misfire_grace) +
                 ", so by " + m_.brief(run_.created_at + f_.policy.misfire_grace) +
                 "; later it is missed)";
      }
      say(words);
      return;
    }
    if (run_.due_at > f_.now) {
      if (retry) return;
      if (run_.start_failures > 0) {
        refused();
        return;
      }
      out_.reason = put_off_by_jitter(f_) ? "jitter" : "spread";
      say("Its start is put off to " + m_.brief(run_.due_at) + put_off_words());
      return;
    }
    if (f_.other) {
      out_.reason = "job_busy";
      const std::string of = f_.other->cause == Cause::backfill ? " of a backfill " : " ";
      say("Its run " + number(*f_.other) + of + busy_words(*f_.other) + "; this one waits for it" +
          waits_words(*f_.other));
      return;
    }
    if (!f_.keeper_trouble.empty()) {
      out_.reason = "keeper";
      say("The keeper cannot be reached (" + quoted_line(f_.keeper_trouble) +
          "); nothing is started until it answers, see schedctl doctor");
      return;
    }
    if (run_.gated) {
      gate();
      return;
    }
    if (!run_.group.empty() && in_group().size() >= static_cast<std::size_t>(f_.group_limit)) {
      group();
      return;
    }
    if (static_cast<int>(f_.running.size()) >= f_.max_running) {
      slots();
      return;
    }
    if (run_.start_failures > 0) {
      refused();
      return;
    }
    say("Nothing on record is in its way, so the daemon should start it at once; if this lasts, "
        "see schedctl doctor");
  }

  void refused() {
    out_.reason = "start_error";
    say("The machine could not start it (" + counted(run_.start_failures, "time") +
        (run_.result.error.empty() ? "" : ": " + quoted_line(run_.result.error)) +
        "); it is tried again at " + m_.brief(run_.due_at));
  }

  std::string waits_words(const job::Run& other) const {
    if (!run_.waits) return "";
    if (other.cause == Cause::backfill) return " and goes before the next one of the backfill";
    switch (f_.policy.overlap) {
      case job::Overlap::queue:
        return " (overlap = queue)";
      case job::Overlap::replace:
        if (other.replaced_by) return ", which is ended for it (overlap = replace)";
        break;
      case job::Overlap::skip:
      case job::Overlap::allow:
        break;
    }
    if (f_.policy.coalesce != job::Coalesce::all) return "";
    return " (several overdue occurrences run one after the other: coalesce = all)";
  }

  std::string busy_words(const job::Run& other) const {
    if (other.state == RunState::pending && other.start_failures > 0) {
      return "could not be started (" + quoted_line(other.result.error) +
             ") and is tried again at " + m_.brief(other.due_at);
    }
    if (other.state == RunState::pending) {
      return "waits for attempt " + std::to_string(other.attempt) + " until " +
             m_.brief(other.due_at);
    }
    if (!other.result.started_at) return "is being started";
    return "still runs, since " + m_.brief(*other.result.started_at);
  }

  void gate() {
    out_.reason = "after";
    std::string words;
    for (const std::string& name : f_.awaited) words += (words.empty() ? "" : ", ") + name;
    if (f_.awaited.empty()) {
      say("It came after other jobs, which have all succeeded now: it should start at once");
      return;
    }
    for (const std::string& name : f_.awaited_gone) {
      say("There is no job " + name + " any more, so it waits in vain: schedctl set " + f_.name +
          " --after OTHER, or --unset after");
    }
    if (!f_.awaited_gone.empty()) return;
    say("It comes after " + words + " (after), which " + (f_.awaited.size() == 1 ? "has" : "have") +
        " not succeeded since its previous fire; schedctl why " + f_.awaited.front() +
        " tells of that one");
    if (!run_.give_up_at && f_.policy.coalesce != job::Coalesce::all)
      say("If its next fire comes first, this one is missed");
  }

  std::vector<job::Run> in_group() const {
    std::vector<job::Run> found;
    for (const job::Run& run : f_.running)
      if (run.group == run_.group) found.push_back(run);
    return found;
  }

  void group() {
    out_.reason = "group";
    const std::string slots =
        f_.group_limit == 1 ? "The only slot of the group "
                            : "All " + std::to_string(f_.group_limit) + " slots of the group ";
    taken(slots + run_.group + (f_.group_limit == 1 ? " is taken" : " are taken") + " ([groups])",
          in_group());
  }

  void slots() {
    out_.reason = "slots";
    taken((f_.max_running == 1 ? "The only slot is taken"
                               : "All " + std::to_string(f_.max_running) + " slots are taken") +
              " (" + f_.max_running_setting + ")",
          f_.running);
  }

  void taken(const std::string& what, const std::vector<job::Run>& running) {
    std::string words = what + ", by ";
    const std::size_t named = std::min(running.size(), kNamed);
    for (std::size_t i = 0; i < named; ++i) {
      const job::Run& run = running[i];
      if (i > 0) words += ", ";
      words += run.job_name + " " + number(run);
      if (run.result.started_at) words += " (since " + m_.brief(*run.result.started_at) + ")";
    }
    if (running.size() > named) {
      words += " and " + std::to_string(running.size() - named) + " more";
    }
    say(words);
    say(running.size() == 1 ? "It starts when that one ends"
                            : "It starts when one of them ends; schedctl ps shows them");
  }
};

}  // namespace

Finding judge_waiting(const WhyFacts& facts) {
  return Waiting(facts).tell();
}

}  // namespace schedctl::ops
