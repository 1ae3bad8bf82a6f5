#pragma once

#include <optional>
#include <string>
#include <vector>

#include "schedctl/alert/episodes.hpp"
#include "schedctl/alert/note.hpp"
#include "schedctl/alert/words.hpp"
#include "schedctl/job/zone.hpp"
#include "schedctl/store/store.hpp"

namespace schedctl::alert {

/// How and to whom things are told.
struct Voice {
  std::vector<std::string> notifiers = {};  ///< "slack"; empty: nobody is told until there is one
  Sender sender = {};
  SlackOptions slack = {};
  job::ZonePtr zone = {};  ///< in which times are told
  Rules rules = {};
};

/// Turns alerts that are due to be told into messages in the outbox, in the caller's transaction:
/// beginnings, returns that last, reminders, ends. More than five of a sort at once are one
/// message, and after one like that the next comes later, so that a storm is a handful. Used by the
/// thread that uses the store.
class Teller {
 public:
  explicit Teller(store::Store& store) : store_(store) {}

  void configure(Voice voice) { voice_ = std::move(voice); }
  const Voice& voice() const { return voice_; }

  /// Writes what is due now. How many messages.
  Result<std::size_t> tell(Time now, Duration elapsed);
  /// When tell() has something to do next; nothing: not before something new happens.
  Result<std::optional<Time>> next(Time now, Duration elapsed);

  /// The clock has been set back `by` that much: what was due soon still is. Writes.
  Result<void> clock_set_back(Time now, Duration by);

  /// Writes one message for each notifier.
  Result<void> write(const Note& note, Time now);

 private:
  /// What one call has to say, by tone.
  struct Round {
    std::vector<Case> begun, still, over;
  };
  Result<void> take_up(Round& round, job::Alert alert, Time now);
  Result<std::size_t> say(const std::vector<Case>& cases, Note::Tone tone, Time now);
  std::string payload_of(const std::string& notifier, const Note& note) const;
  bool has_listeners() const { return !voice_.notifiers.empty() && voice_.zone != nullptr; }

  store::Store& store_;
  Voice voice_;
  // In Clock::elapsed.
  Duration quiet_until_{};  ///< after a digest: nothing more before
  Duration last_quiet_{};   ///< how long that was, to double it
};

}  // namespace schedctl::alert
