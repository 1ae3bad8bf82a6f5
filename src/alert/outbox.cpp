#include "schedctl/alert/outbox.hpp"

#include <algorithm>
#include <utility>

namespace schedctl::alert {
namespace {

/// No message waits longer than this for its next try: one that seems to was given its time by a
/// clock that has been set back since.
constexpr Duration kLongestWait = std::chrono::hours(25);

std::string words_of(const Outcome& outcome) {
  if (outcome.status == 0) return outcome.answer;
  return std::to_string(outcome.status) + (outcome.answer.empty() ? "" : " " + outcome.answer);
}

}  // namespace

Result<void> Outbox::configure(std::vector<Setup> setup) {
  TRY(const std::vector<store::NotifierState> known, store_.list_notifiers());
  for (const Setup& one : setup) {
    const auto same = [&](const store::NotifierState& state) { return state.name == one.notifier; };
    const auto found = std::find_if(known.begin(), known.end(), same);
    if (found != known.end() && found->address == one.address) continue;
    store::NotifierState state;
    if (found != known.end()) state.last_sent = found->last_sent;
    state.name = one.notifier;
    state.address = one.address;
    TRY_VOID(store_.put_notifier(state));
    // What waits was to be tried at the pace of the address that failed.
    TRY(std::vector<store::Message> waiting, store_.waiting_messages(one.notifier, SIZE_MAX));
    for (store::Message& message : waiting) {
      message.due_at = message.created_at;
      TRY_VOID(store_.update_message(message));
    }
  }
  setup_ = std::move(setup);
  return {};
}

Result<std::vector<Delivery>> Outbox::due(Time now, Duration elapsed) {
  std::vector<Delivery> all;
  for (const Setup& setup : setup_) {
    TRY(std::optional<Delivery> one, due_of(setup, now, elapsed));
    if (one) all.push_back(std::move(*one));
  }
  return all;
}

// In the order in which they were written: the first one that waits holds up the rest, since what
// it could not get through to, they cannot either.
Result<std::optional<Delivery>> Outbox::due_of(const Setup& setup, Time now, Duration elapsed) {
  Channel& channel = channels_[setup.notifier];
  channel.due.reset();
  TRY(const std::vector<store::Message> waiting, store_.waiting_messages(setup.notifier, 1));
  if (waiting.empty()) return std::nullopt;
  TRY(const bool stopped, is_stopped(setup.notifier));
  if (stopped) return std::nullopt;
  const store::Message& first = waiting.front();
  channel.due = first.due_at > now + kLongestWait ? now : first.due_at;
  if (channel.on_its_way || *channel.due > now || elapsed < channel.not_before) return std::nullopt;
  // Its outcome, not the time, is what the rest waits for.
  channel.due.reset();
  return Delivery{first.id, setup.notifier, first.payload};
}

void Outbox::sent(const Delivery& delivery) {
  channels_[delivery.notifier].on_its_way = delivery.message;
}

std::optional<Time> Outbox::next(Time now, Duration elapsed) const {
  std::optional<Time> next;
  for (const auto& [notifier, channel] : channels_) {
    if (channel.on_its_way || !channel.due) continue;
    const Duration pause = std::max(channel.not_before - elapsed, Duration::zero());
    const Time at = std::max(*channel.due, now + pause);
    next = std::min(next.value_or(at), at);
  }
  return next;
}

Result<bool> Outbox::is_stopped(const std::string& notifier) {
  TRY(const std::vector<store::NotifierState> known, store_.list_notifiers());
  return std::any_of(known.begin(), known.end(), [&](const store::NotifierState& state) {
    return state.name == notifier && state.stopped_at;
  });
}

Result<std::optional<Outbox::Recorded>> Outbox::record(const Outcome& outcome, Time now,
                                                       Duration elapsed) {
  Channel& channel = channels_[outcome.notifier];
  channel.on_its_way.reset();
  channel.not_before = elapsed + kBetweenMessages;
  TRY(std::optional<store::Message> message, store_.get_message(outcome.message));
  if (!message || message->settled_at) return std::nullopt;
  ++message->tries;
  Verdict verdict = judge(outcome, message->tries);
  message->error = verdict.kind == Verdict::Kind::sent ? "" : words_of(outcome);
  switch (verdict.kind) {
    case Verdict::Kind::sent:
      message->settled_at = now;
      break;
    case Verdict::Kind::retry:
      message->due_at = now + verdict.wait;
      break;
    case Verdict::Kind::refused: {
      const auto setup = std::find_if(setup_.begin(), setup_.end(), [&](const Setup& one) {
        return one.notifier == message->notifier;
      });
      const std::string plain = slack_plain_payload(
          message->summary, setup == setup_.end() ? SlackOptions{} : setup->slack);
      // Better said badly than not at all.
      message->given_up = message->payload == plain;
      if (message->given_up) message->settled_at = now;
      message->payload = plain;
      message->due_at = now;
      break;
    }
    case Verdict::Kind::stop:
      TRY_VOID(stop(outcome, now));
      break;
  }
  TRY_VOID(store_.update_message(*message));
  if (verdict.kind == Verdict::Kind::sent) {
    TRY(const std::vector<store::NotifierState> known, store_.list_notifiers());
    for (store::NotifierState state : known) {
      if (state.name != outcome.notifier) continue;
      state.last_sent = now;
      TRY_VOID(store_.put_notifier(state));
    }
  }
  if (verdict.kind == Verdict::Kind::refused && !message->given_up) {
    verdict = Verdict{Verdict::Kind::retry, Duration::zero()};
  }
  return Recorded{verdict.kind, message->summary, message->tries, verdict.wait};
}

Result<void> Outbox::stop(const Outcome& outcome, Time now) {
  store::NotifierState state;
  state.name = outcome.notifier;
  TRY(const std::vector<store::NotifierState> known, store_.list_notifiers());
  for (const store::NotifierState& old : known) {
    if (old.name == outcome.notifier) state = old;
  }
  state.stopped_at = now;
  state.why = words_of(outcome);
  return store_.put_notifier(state);
}

}  // namespace schedctl::alert
