// What all accounts of runs have in common.

#include "src/ops/why_run.hpp"

#include "schedctl/base/text.hpp"

namespace schedctl::ops {

RunAccount::RunAccount(const WhyFacts& facts)
    : f_(facts), run_(*facts.run), m_(*facts.zone, facts.at, facts.now) {
  out_.at = f_.at;
  out_.run = run_;
  out_.reason = std::string(job::to_string(run_.reason));
  out_.count = run_.count;
  if (run_.count > 1) out_.last = run_.last_fire_time;
}

std::string RunAccount::when() const {
  switch (run_.cause) {
    case job::Cause::schedule:
      return "for " + m_.with_age(f_.at);
    case job::Cause::manual:
      return "by hand at " + m_.with_age(f_.at);
    case job::Cause::backfill:
      return "for " + m_.full(f_.at) + ", in a backfill";
    case job::Cause::reboot:
      return "after the machine was started, at " + m_.with_age(f_.at);
  }
  return "";
}

void RunAccount::asked() {
  if (run_.cause == job::Cause::manual) say("It was triggered " + deed_words(f_.asked, m_));
  if (run_.cause == job::Cause::backfill && f_.asked) {
    say("The backfill was asked for " + deed_words(f_.asked, m_));
  }
}

bool put_off_by_jitter(const WhyFacts& facts) {
  return facts.first_due && *facts.first_due - facts.at < facts.policy.jitter;
}

std::string RunAccount::put_off_words() const {
  return put_off_by_jitter(f_) ? ", by its jitter of up to " + format_duration(f_.policy.jitter)
                               : ", because overdue runs are spread over its catchup_spread of " +
                                     format_duration(f_.policy.catchup_spread);
}

void RunAccount::clock_change() {
  if (!f_.dst_note.empty()) say("About its time: " + f_.dst_note);
}

std::string down_sentence(const WhyFacts& facts, const Moments& moments) {
  if (!facts.down || facts.down->kind == Gap::Kind::never) {
    return "No daemon has been started on this store yet";
  }
  const Gap& down = *facts.down;
  if (down.kind == Gap::Kind::stopped) {
    return "No daemon is running: it was stopped at " + moments.brief(down.from);
  }
  return "No daemon is running: the last sign of life of one was at " + moments.brief(down.from) +
         ", and it was not stopped properly";
}

std::string set_aside_words(const WhyFacts& facts) {
  return "The job is set aside, because its fires cannot be told: " + quoted_line(facts.set_aside);
}

std::string set_aside_cure(const WhyFacts& facts) {
  if (facts.unreadable) {
    return "Somebody wrote that into the database, and no command changes the job until it is put "
           "right there, or a backup is restored: schedctl db check, schedctl db restore";
  }
  return "Once its definition is mended (schedctl set " + facts.name +
         " ..., or its job file and schedctl reload) it is planned again, from then on";
}

std::string pause_words(const WhyFacts& facts, const Moments& moments) {
  std::string words = "It was paused ";
  if (facts.paused && facts.paused->action == "pause") {
    words += deed_words(facts.paused, moments);
    std::string_view reason = facts.paused->detail;
    // The audit holds its end, too.
    const auto until =
        reason.starts_with("until ") ? instant_after(reason, "until ") : std::nullopt;
    if (until) {
      words += " until " + moments.brief(*until);
      const std::size_t colon = reason.find("Z: ");
      reason.remove_prefix(colon == std::string_view::npos ? reason.size() : colon + 3);
    }
    if (!reason.empty()) words += ": \"" + quoted_line(reason) + "\"";
    return words;
  }
  if (facts.paused) return words + "from its definition on, " + deed_words(facts.paused, moments);
  if (facts.job && facts.job->paused) {
    words += "at " + moments.brief(facts.job->paused_at);
    if (!facts.job->paused_reason.empty()) {
      words += ": \"" + quoted_line(facts.job->paused_reason) + "\"";
    }
    return words;
  }
  return words + deed_words(std::nullopt, moments);
}

}  // namespace schedctl::ops
