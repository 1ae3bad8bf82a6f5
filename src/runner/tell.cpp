// How people hear of it: alerts that are due become messages, messages go to the courier one by
// one, what became of them comes back. And the two things that no row can say: that the store
// cannot be written, and, to an outside monitor, that all is well.

#include <algorithm>

#include "schedctl/alert/words.hpp"
#include "work.hpp"

namespace schedctl::runner {
namespace {

/// Somebody else's long transaction is no alarm; a full disk lasts.
constexpr Duration kStoragePatience = std::chrono::seconds(10);

void take_earlier(std::optional<Time>& wake, std::optional<Time> other) {
  if (other) wake = std::min(wake.value_or(*other), *other);
}

}  // namespace

Result<void> Runner::prepare_to_tell(Work& work) {
  if (tuned_) return {};
  teller_.configure(settings_.tuning.voice);
  TRY_VOID(episodes_.load());
  TRY_VOID(outbox_.configure(settings_.tuning.outbox));
  work.told_store = true;
  return {};
}

Result<void> Runner::tell(Work& work, Beat& beat) {
  for (const alert::Outcome& outcome : outcomes_) {
    TRY(const auto recorded, outbox_.record(outcome, work.now, work.elapsed));
    work.dirty = true;
    if (!recorded) continue;
    work.message_line(outcome, *recorded);
  }
  TRY(const std::size_t written, teller_.tell(work.now, work.elapsed));
  if (written > 0) work.dirty = true;
  TRY(work.deliveries, outbox_.due(work.now, work.elapsed));
  // Where nothing can be started, all is not well, and the silence says so.
  const bool startable =
      (work.adopted || watches_->keeper.is_connected()) && !work.keeper_gone.has_value();
  const bool beats = !draining_ && heartbeat_due(work.elapsed);
  work.heartbeat = beats && startable;
  // The row says when the last beat was: the outside monitor hears only of one that was written.
  if (work.heartbeat) work.dirty = true;

  const auto at = [&](Duration elapsed) { return work.now + (elapsed - work.elapsed); };
  TRY(const std::optional<Time> next_telling, teller_.next(work.now, work.elapsed));
  take_earlier(beat.wake, next_telling);
  take_earlier(beat.wake, outbox_.next(work.now, work.elapsed));
  if (draining_) return {};
  take_earlier(beat.wake, work.silent_until);
  const std::optional<Time> late = watches_->late.next();
  // The overdue ones have just been looked at.
  if (late && *late > work.now) take_earlier(beat.wake, late);
  KeeperWatch keeper = watches_->keeper;
  if (work.ping) keeper.asked(work.elapsed);
  if (!work.starts.empty()) keeper.ordered(work.elapsed);
  if (const auto look = keeper.next(work.elapsed); look && !work.adopted) {
    take_earlier(beat.wake, at(*look));
  }
  // One that is held back goes out in the beat that hears of the keeper again.
  const Duration interval = settings_.tuning.heartbeat_interval;
  if (interval > Duration::zero() && (work.heartbeat || !beats)) {
    const Duration last =
        work.heartbeat ? work.elapsed : watches_->last_heartbeat.value_or(work.elapsed);
    take_earlier(beat.wake, at(last + interval));
  }
  return {};
}

bool Runner::heartbeat_due(Duration elapsed) const {
  const Duration interval = settings_.tuning.heartbeat_interval;
  if (interval <= Duration::zero()) return false;
  return !watches_->last_heartbeat || elapsed - *watches_->last_heartbeat >= interval;
}

void Runner::Work::message_line(const alert::Outcome& outcome,
                                const alert::Outbox::Recorded& what) {
  std::vector<log::Field> fields{
      {"notifier", outcome.notifier}, {"message", what.summary}, {"status", outcome.status}};
  if (what.kind != alert::Verdict::Kind::sent) fields.emplace_back("answer", outcome.answer);
  switch (what.kind) {
    case alert::Verdict::Kind::sent:
      line(log::Level::info, "alert-sent", std::move(fields));
      break;
    case alert::Verdict::Kind::retry:
      fields.emplace_back("next_try_in", format_duration(what.wait));
      line(log::Level::warning, "alert-not-sent", std::move(fields));
      break;
    case alert::Verdict::Kind::refused:
      line(log::Level::error, "alert-refused", std::move(fields));
      break;
    case alert::Verdict::Kind::stop:
      fields.emplace_back("effect", "nothing is sent there until its settings are changed");
      line(log::Level::error, "notifier-stopped", std::move(fields));
      break;
  }
}

// --- the store itself --------------------------------------------------------------------------

void Runner::store_failing(const Error& error, Duration since) {
  const Duration elapsed = clock_.elapsed();
  auto& storage = watches_->storage;
  if (!storage) {
    storage = std::make_unique<Watches::Storage>();
    storage->since = clock_.wall() - (elapsed - since);
    storage->since_elapsed = since;
  }
  storage->error = error;
  if (elapsed - since < kStoragePatience) return;
  if (storage->told || storage->on_its_way || elapsed < storage->not_before) return;
  // One that fails again and again within the flap window was told of before.
  const auto last = watches_->storage_told_at;
  if (last && elapsed - *last < settings_.tuning.voice.rules.flap_window) return;
  tell_from_memory(error);
}

void Runner::tell_from_memory(const Error& error) {
  const alert::Voice& voice = settings_.tuning.voice;
  if (voice.notifiers.empty() || !voice.zone) return;
  Watches::Storage& storage = *watches_->storage;
  alert::Case one;
  one.alert.kind = job::AlertKind::storage;
  one.alert.began_at = storage.since;
  one.alert.detail = error.message + "; nothing is started or recorded";
  const alert::Note note =
      alert::note_of(one, alert::Note::Tone::begun, *voice.zone, clock_.wall());
  storage.on_its_way = true;
  courier_.deliver({MessageId{}, voice.notifiers.front(),
                    alert::slack_payload(note, voice.sender, voice.slack)});
}

void Runner::take(alert::Outcome outcome) {
  if (outcome.message) {
    outcomes_.push_back(std::move(outcome));
    return;
  }
  auto& storage = watches_->storage;
  if (!storage) return;
  storage->on_its_way = false;
  const alert::Verdict verdict = alert::judge(outcome, ++storage->tries);
  storage->told = verdict.kind != alert::Verdict::Kind::retry;
  storage->not_before = clock_.elapsed() + verdict.wait;
  if (verdict.kind == alert::Verdict::Kind::sent) watches_->storage_told_at = clock_.elapsed();
  log::write(verdict.kind == alert::Verdict::Kind::sent ? log::Level::info : log::Level::error,
             verdict.kind == alert::Verdict::Kind::sent ? "alert-sent" : "alert-not-sent",
             std::vector<log::Field>{{"notifier", outcome.notifier},
                                     {"message", "the store cannot be written"},
                                     {"status", outcome.status},
                                     {"answer", outcome.answer}});
  log::flush();
}

// Now it can be written what could not be: the gap, and the episode that was told from memory.
Result<void> Runner::store_is_back(Work& work) {
  if (!watches_->storage) return {};
  const Watches::Storage& storage = *watches_->storage;
  const std::string words = "the store could not be written: " + storage.error.message;
  watches_->gaps.add(storage.since, work.now, words);
  TRY_VOID(
      store_.add_event({work.now, settings_.node.id, "store-failed",
                        "since " + format_rfc3339(storage.since) + ": " + storage.error.message}));
  work.dirty = true;
  if (work.elapsed - storage.since_elapsed < kStoragePatience) return {};
  job::Alert alert;
  alert.kind = job::AlertKind::storage;
  alert.node = settings_.node.id;
  alert.began_at = storage.since;
  alert.ended_at = work.now;
  alert.ended_by = job::AlertEnd::recovered;
  alert.detail = storage.error.message;
  alert.over_untold = true;
  if (storage.told) {
    alert.told_at = work.now;
  } else {
    alert.tell_at = work.now;
  }
  return store_.insert_alert(alert);
}

std::string Runner::health() const {
  const Duration now = clock_.elapsed();
  const KeeperWatch& keeper = watches_->keeper;
  std::string text = std::string("store=") + (watches_->storage ? "failing" : "ok");
  text += " keeper=";
  text += !keeper.is_connected() ? "lost" : keeper.is_silent(now) ? "silent" : "ok";
  text += " beat_age_us=" + std::to_string((now - last_beat_).count());
  if (watches_->storage) text += " why=" + watches_->storage->error.message;
  return text;
}

}  // namespace schedctl::runner
