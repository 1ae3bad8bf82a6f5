// How a job stands at this moment: why it does not run just now, and when it will.

#include <algorithm>

#include "src/ops/why_history.hpp"
#include "src/ops/why_run.hpp"

namespace schedctl::ops {
namespace {

/// A plan that lies this far ahead tells of a clock that was set back.
constexpr Duration kAhead = std::chrono::minutes(1);

void add(WhyNow& now, std::string text) {
  now.sentences.push_back(sentence(std::move(text)));
}

/// Why nothing of its schedule is to come; "" where something is.
std::string no_more_words(const job::Job& job, bool used_up, int max_runs) {
  const job::Schedule& schedule = job.definition.schedule;
  if (schedule.kind == job::ScheduleKind::manual) {
    return "It fires by no clock: schedctl trigger " + job.name + " runs it";
  }
  if (schedule.kind == job::ScheduleKind::reboot) {
    return "It runs once after the next boot of the machine";
  }
  if (used_up) {
    return "It has had " + all_runs(max_runs) + " (max_runs), and does not fire any more";
  }
  if (schedule.kind == job::ScheduleKind::at) {
    return "Its one moment is over: it does not fire any more";
  }
  if (schedule.until) return "Its time is over (until): it does not fire any more";
  return "It has no more fires";
}

}  // namespace

Result<WhyNow> History::stand() const {
  WhyNow out;
  const Moments moments(*zone_, now_, now_);
  if (!job_) return out;
  const job::Job& job = *job_;
  out.exists = true;
  out.paused = job.paused;
  out.next_fire = job.upcoming_fire();
  TRY(const auto live, context_.store.list_runs(
                           {.job_id = job.id, .states = {job::RunState::running}, .limit = 100}));
  for (const job::Run& run : live) out.running.push_back(run.id);
  for (const job::Run& run : live) {
    add(out, (served_ ? "It is running now: " : "It was running when a daemon last looked: ") +
                 number(run) +
                 (run.result.started_at ? ", since " + moments.brief(*run.result.started_at) : ""));
  }
  const Life& life = lives_.back();
  WhyFacts facts = base(life, life.versions.size() - 1, now_);
  if (job.paused) {
    add_pause(facts, life, now_, now_);
    add(out, pause_words(facts, moments));
    add(out, job.paused_until ? "It resumes by itself at " + moments.with_age(*job.paused_until)
                              : "Nothing of its schedule runs before schedctl resume " + job.name);
  }
  TRY(facts.set_aside, why_set_aside());
  if (!facts.set_aside.empty()) {
    add(out, set_aside_words(facts));
    add(out, set_aside_cure(facts));
  } else if (!job.paused) {
    const bool back = job.planned_through > now_ + kAhead;
    if (back) {
      add(out, "The clock was set back: what was due up to " + moments.full(job.planned_through) +
                   " has had its turn");
    }
    if (job.next_fire) {
      const bool overdue = *job.next_fire <= now_ - (served_ ? kPlanningTakes : Duration{});
      const bool idle = live.empty() && *job.next_fire > now_;
      add(out, (overdue ? "It has been due since "
                : idle  ? "It is not due now. Next: "
                        : "Next: ") +
                   moments.with_age(*job.next_fire));
    } else {
      add(out, no_more_words(job, is_used_up(), facts.policy.max_runs));
    }
  }
  if (!served_) {
    add(out, down_sentence(facts, moments));
    add(out, "Nothing runs before schedctl start");
  }
  return out;
}

}  // namespace schedctl::ops
