// Who was told what is in the alert's row: told_at before began_at means that people heard of an
// earlier beginning of it and of its end, but not that it is back. Rows and messages are written in
// one transaction, so that nothing is told twice or forgotten, whenever this process dies.

#include "schedctl/alert/teller.hpp"

#include <algorithm>
#include <utility>

namespace schedctl::alert {
namespace {

/// More than this many at once are one message.
constexpr std::size_t kSingles = 5;
/// One transaction's worth of a storm; the rest follows with the next digest.
constexpr std::size_t kMostAtOnce = 20'000;
/// After a digest; doubled while digest follows digest.
constexpr Duration kFirstQuiet = std::chrono::seconds(5);
constexpr Duration kLongestQuiet = std::chrono::minutes(2);
/// What was over before there was anybody to tell is no news any more.
constexpr Duration kNews = std::chrono::hours(24);

bool beginning_was_told(const job::Alert& alert) {
  return alert.told_at && *alert.told_at >= alert.began_at;
}

/// Ends are gathered, too.
Time due_of(const job::Alert& alert, Time now) {
  Time due = Time::max();
  if (alert.tell_at) due = *alert.tell_at;
  if (alert.over_untold) due = std::min(due, alert.ended_at.value_or(now) + kGather);
  return due;
}

}  // namespace

Result<std::size_t> Teller::tell(Time now, Duration elapsed) {
  if (!has_listeners() || elapsed < quiet_until_) return 0;
  TRY(const std::optional<Time> next, store_.next_telling());
  if (!next || *next > now) return 0;
  // Those that would be told within a moment come along.
  TRY(std::vector<job::Alert> alerts, store_.alerts_to_tell(now + kGather, kMostAtOnce));
  const bool due = std::any_of(alerts.begin(), alerts.end(), [&](const job::Alert& alert) {
    const Time at = due_of(alert, now);
    return at <= now;
  });
  if (!due) return 0;
  Round round;
  for (job::Alert& alert : alerts) TRY_VOID(take_up(round, std::move(alert), now));
  std::size_t digests = 0;
  TRY(const std::size_t begun, say(round.begun, Note::Tone::begun, now));
  TRY(const std::size_t still, say(round.still, Note::Tone::still, now));
  TRY(const std::size_t over, say(round.over, Note::Tone::over, now));
  for (const auto* cases : {&round.begun, &round.still, &round.over}) {
    digests += cases->size() > kSingles ? 1 : 0;
  }
  if (digests == 0) {
    last_quiet_ = Duration::zero();
  } else {
    last_quiet_ = std::clamp(last_quiet_ * 2, kFirstQuiet, kLongestQuiet);
    quiet_until_ = elapsed + last_quiet_;
  }
  return begun + still + over;
}

Result<std::optional<Time>> Teller::next(Time now, Duration elapsed) {
  if (!has_listeners()) return std::nullopt;
  TRY(std::optional<Time> next, store_.next_telling());
  if (!next) return next;
  if (*next <= now) *next = now + kGather;
  return std::max(*next, now + std::max(quiet_until_ - elapsed, Duration::zero()));
}

Result<void> Teller::clock_set_back(Time now, Duration by) {
  TRY(std::vector<job::Alert> alerts,
      store_.alerts_to_tell(now + by + voice_.rules.realert_after, kMostAtOnce));
  for (job::Alert& alert : alerts) {
    if (alert.tell_at) alert.tell_at = std::max(*alert.tell_at - by, now);
    if (alert.told_at) alert.told_at = *alert.told_at - by;
    alert.began_at -= by;
    if (alert.ended_at) alert.ended_at = *alert.ended_at - by;
    TRY_VOID(store_.update_alert(alert));
  }
  TRY(std::vector<store::Message> waiting, store_.waiting_messages("", kMostAtOnce));
  for (store::Message& message : waiting) {
    message.due_at = std::max(message.due_at - by, now);
    TRY_VOID(store_.update_message(message));
  }
  return {};
}

// Decides what is said of one alert, and writes that it was said.
Result<void> Teller::take_up(Round& round, job::Alert alert, Time now) {
  const bool stale = alert.ended_at && *alert.ended_at + kNews < now;
  if (alert.tell_at && !stale) {
    const bool again = beginning_was_told(alert);
    (again ? round.still : round.begun).push_back({alert, {}});
    alert.reminders = again ? alert.reminders + 1 : 0;
    alert.told_at = now;
    alert.tell_at.reset();
    if (alert.open() && alert.reminders < kMostReminders) {
      alert.tell_at = voice_.rules.next_reminder(now);
    }
  }
  if (!alert.open()) {
    alert.over_untold = false;
    alert.tell_at.reset();
    // One that came back within the flap window unheard goes unheard.
    if (beginning_was_told(alert) && !stale) round.over.push_back({alert, {}});
  }
  return store_.update_alert(alert);
}

Result<std::size_t> Teller::say(const std::vector<Case>& cases, Note::Tone tone, Time now) {
  if (cases.empty()) return 0;
  if (cases.size() > kSingles) {
    TRY_VOID(write(digest_of(cases, tone, *voice_.zone, now), now));
    return 1;
  }
  for (Case one : cases) {
    if (one.alert.run) {
      TRY(one.run, store_.get_run(one.alert.run));
    }
    TRY_VOID(write(note_of(one, tone, *voice_.zone, now), now));
  }
  return cases.size();
}

Result<void> Teller::write(const Note& note, Time now) {
  for (const std::string& notifier : voice_.notifiers) {
    store::Message message;
    message.notifier = notifier;
    message.created_at = message.due_at = now;
    message.payload = payload_of(notifier, note);
    message.summary = plain_line(note, voice_.sender);
    TRY_VOID(store_.insert_message(message));
  }
  return {};
}

std::string Teller::payload_of(const std::string&, const Note& note) const {
  return slack_payload(note, voice_.sender, voice_.slack);
}

}  // namespace schedctl::alert
