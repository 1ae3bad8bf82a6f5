#include "schedctl/alert/words.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <map>

namespace schedctl::alert {
namespace {

/// More of a list than this nobody reads in a message; `schedctl alerts` has them all.
constexpr std::size_t kListed = 10;
/// The end of the output says why; the beginning is for `schedctl logs`.
constexpr std::size_t kOutputLines = 15;

using job::Alert;
using job::AlertEnd;
using job::AlertKind;

std::string rough(Duration d) {
  const auto s = std::chrono::round<std::chrono::seconds>(d);
  return format_duration(s < std::chrono::minutes(10)
                             ? Duration(s)
                             : Duration(std::chrono::round<std::chrono::minutes>(d)));
}

std::string when(Time t, const job::Zone& zone, Time now) {
  std::string text = job::format_local(t, zone);
  text[10] = ' ';
  const Duration age = now - t;
  if (age >= std::chrono::seconds(2)) text += " (" + rough(age) + " ago)";
  if (age <= -std::chrono::seconds(2)) text += " (in " + rough(-age) + ")";
  return text;
}

std::string last_lines(const std::string& output) {
  std::size_t end = output.size();
  while (end > 0 && (output[end - 1] == '\n' || output[end - 1] == '\r')) --end;
  std::size_t at = end;
  for (std::size_t lines = 0; at > 0 && lines < kOutputLines; ++lines) {
    const std::size_t newline = output.rfind('\n', at - 1);
    at = newline == std::string::npos ? 0 : newline;
  }
  if (at > 0) ++at;
  return output.substr(at, end - at);
}

/// What the alert is about, as the subject of a sentence.
std::string subject_of(const Alert& alert) {
  switch (alert.kind) {
    case AlertKind::storage:
      return "the store";
    case AlertKind::keeper:
      return "the keeper";
    case AlertKind::clock_jump:
      return "the clock";
    default:
      return alert.subject;
  }
}

std::string_view verb_of(AlertKind kind) {
  switch (kind) {
    case AlertKind::delayed:
      return "is delayed";
    case AlertKind::inactive:
      return "has never run";
    case AlertKind::missed:
      return "missed its time";
    case AlertKind::failed:
      return "failed";
    case AlertKind::lost:
      return "was lost: nobody knows how it ended";
    case AlertKind::storage:
      return "cannot be written";
    case AlertKind::keeper:
      return "cannot be reached";
    case AlertKind::job_file:
      return "cannot be used";
    case AlertKind::clock_jump:
      return "was set back";
  }
  return "";
}

std::string_view state_word(AlertKind kind) {
  switch (kind) {
    case AlertKind::inactive:
      return "never run";
    case AlertKind::storage:
      return "storage";
    case AlertKind::keeper:
      return "keeper";
    case AlertKind::job_file:
      return "job file";
    case AlertKind::clock_jump:
      return "clock set back";
    default:
      return job::to_string(kind);
  }
}

std::string over_words(const Alert& alert) {
  std::string what = subject_of(alert);
  switch (alert.ended_by) {
    case AlertEnd::succeeded:
      return what + " succeeded again";
    case AlertEnd::started:
      return what + " has started";
    case AlertEnd::acked:
      return what + ": acknowledged" + (alert.ended_who.empty() ? "" : " by " + alert.ended_who);
    case AlertEnd::paused:
      return what + " was paused" + (alert.ended_who.empty() ? "" : " by " + alert.ended_who);
    case AlertEnd::removed:
      return what + " was removed" + (alert.ended_who.empty() ? "" : " by " + alert.ended_who);
    case AlertEnd::recovered:
    case AlertEnd::none:
      return alert.kind == AlertKind::clock_jump ? "no job is silent any more for the clock"
                                                 : what + " works again";
  }
  return what;
}

void add_run_facts(Note& note, const job::Run& run, const job::Zone& zone, Time now) {
  note.facts.emplace_back("Run", "#" + std::to_string(run.id.value) + ", attempt " +
                                     std::to_string(run.result.attempt));
  const job::AttemptResult& result = run.result;
  if (run.cause == job::Cause::schedule) {
    note.facts.emplace_back("Expected", when(run.due_at, zone, now));
  }
  if (result.started_at) note.facts.emplace_back("Started", when(*result.started_at, zone, now));
  if (result.ended_at && job::is_final(run.state)) {
    std::string ended = when(*result.ended_at, zone, now);
    if (result.started_at)
      ended += ", took " + format_duration(*result.ended_at - *result.started_at);
    note.facts.emplace_back("Ended", ended);
  }
  if (result.exit_code) note.facts.emplace_back("Exit", std::to_string(*result.exit_code));
}

/// Sorted by how many, most first.
std::vector<std::pair<std::string, std::size_t>> counted(
    const std::map<std::string, std::size_t>& of) {
  std::vector<std::pair<std::string, std::size_t>> all(of.begin(), of.end());
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return all;
}

std::string_view tone_words(Note::Tone tone) {
  switch (tone) {
    case Note::Tone::still:
      return "still";
    case Note::Tone::over:
      return "over";
    case Note::Tone::begun:
    case Note::Tone::test:
      return "";
  }
  return "";
}

}  // namespace

std::string failure_words(const job::Run& run) {
  const job::AttemptResult& result = run.result;
  switch (run.reason) {
    case job::Reason::exit_status:
      return "exit status " + std::to_string(result.exit_code.value_or(0));
    case job::Reason::signal: {
      const char* name = ::sigabbrev_np(result.signal);
      return "killed by " +
             (name != nullptr ? "SIG" + std::string(name)
                              : "signal " + std::to_string(result.signal)) +
             (result.error.empty() ? "" : ", " + result.error);
    }
    case job::Reason::timeout:
      return "ended for its timeout";
    case job::Reason::keeper_died:
      return "the keeper died";
    case job::Reason::rebooted:
      return "the machine was restarted";
    default:
      return result.error.empty() ? std::string(job::to_string(run.reason)) : result.error;
  }
}

std::string headline_of(const Alert& alert, Note::Tone tone) {
  if (tone == Note::Tone::over) return over_words(alert);
  std::string text = tone == Note::Tone::still ? "still: " : "";
  text += subject_of(alert) + " " + std::string(verb_of(alert.kind));
  if (!alert.detail.empty()) text += ": " + alert.detail;
  return text;
}

Note note_of(const Case& one, Note::Tone tone, const job::Zone& zone, Time now) {
  const Alert& alert = one.alert;
  Note note;
  note.tone = tone;
  note.headline = headline_of(alert, tone);
  if (tone == Note::Tone::over) {
    note.facts.emplace_back("It " + std::string(verb_of(alert.kind)),
                            when(alert.began_at, zone, now));
    if (alert.ended_at) {
      note.facts.emplace_back("Lasted", rough(*alert.ended_at - alert.began_at));
    }
  } else {
    note.facts.emplace_back("Kind", std::string(job::to_string(alert.kind)));
    const bool expected_of_run =
        one.run && one.run->cause == job::Cause::schedule && alert.kind != AlertKind::missed;
    if (alert.expected_at && !expected_of_run) {
      note.facts.emplace_back(alert.kind == AlertKind::clock_jump ? "Until" : "Expected",
                              when(*alert.expected_at, zone, now));
    }
  }
  if (!alert.cause.empty()) note.facts.emplace_back("Cause", alert.cause);
  if (tone != Note::Tone::over && alert.told_at) {
    note.facts.emplace_back("Since", when(alert.began_at, zone, now));
  }
  if (alert.count > 1) note.facts.emplace_back("Began", std::to_string(alert.count) + " times");
  if (alert.events > alert.count) {
    note.facts.emplace_back("Occurred", std::to_string(alert.events) + " times");
  }
  if (one.run && alert.kind != AlertKind::missed) add_run_facts(note, *one.run, zone, now);
  if (one.run && tone != Note::Tone::over) note.output = last_lines(one.run->result.output_tail);
  return note;
}

Note digest_of(const std::vector<Case>& cases, Note::Tone tone, const job::Zone& zone, Time now) {
  std::map<std::string, std::size_t> kinds;
  std::map<std::string, std::size_t> causes;
  Time first = Time::max();
  for (const Case& one : cases) {
    const Alert& alert = one.alert;
    ++kinds[tone == Note::Tone::over ? std::string(job::to_string(alert.ended_by))
                                     : std::string(state_word(alert.kind))];
    if (!alert.cause.empty()) ++causes[alert.cause];
    first =
        std::min(first, tone == Note::Tone::over ? alert.ended_at.value_or(now) : alert.began_at);
  }
  Note note;
  note.tone = tone;
  note.headline = std::to_string(cases.size()) + " alerts";
  if (!tone_words(tone).empty()) note.headline += std::string(" ") + std::string(tone_words(tone));
  const char* separator = ": ";
  for (const auto& [kind, count] : counted(kinds)) {
    note.headline += separator + std::to_string(count) + " " + kind;
    separator = ", ";
  }
  const auto by_cause = counted(causes);
  if (!by_cause.empty() && by_cause.front().second * 2 >= cases.size()) {
    note.facts.emplace_back("Cause", by_cause.front().first);
  }
  note.facts.emplace_back("Since", when(first, zone, now));
  for (std::size_t i = 0; i < std::min(cases.size(), kListed); ++i) {
    note.list.push_back(headline_of(cases[i].alert, tone));
  }
  if (cases.size() > kListed) {
    note.list.push_back("and " + std::to_string(cases.size() - kListed) + " more: schedctl alerts" +
                        (tone == Note::Tone::over ? " --all" : ""));
  }
  return note;
}

}  // namespace schedctl::alert
