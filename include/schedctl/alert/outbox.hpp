#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "schedctl/alert/courier.hpp"
#include "schedctl/alert/note.hpp"
#include "schedctl/store/store.hpp"

namespace schedctl::alert {

/// Between the answer to one message and the next message to that notifier: Slack takes one a
/// second, by its own watch, which sees when they arrive and not when they were sent.
inline constexpr Duration kBetweenMessages = std::chrono::milliseconds(1100);

/// The messages that wait, and when each may be tried: one at a time and one a second for each
/// notifier, later after a failure, not at all while the notifier is stopped. Works on rows in the
/// caller's transaction; what is on its way is remembered here, so that a new process tries it
/// again. Used by the thread that uses the store.
class Outbox {
 public:
  explicit Outbox(store::Store& store) : store_(store) {}

  /// The notifiers that are set up, each with a hash of its address: a changed address lets a
  /// stopped one go on. Writes.
  struct Setup {
    std::string notifier;
    std::string address;
    SlackOptions slack;
  };
  Result<void> configure(std::vector<Setup> setup);

  /// What may be handed to the courier once the transaction is committed; say so by sent().
  Result<std::vector<Delivery>> due(Time now, Duration elapsed);
  void sent(const Delivery& delivery);
  /// When due() may have more; nothing: not before something new is written or comes back.
  std::optional<Time> next(Time now, Duration elapsed) const;

  /// What became of one.
  struct Recorded {
    Verdict::Kind kind = Verdict::Kind::sent;
    std::string summary;  ///< of the message
    int tries = 0;
    Duration wait{};
  };
  /// To be called again if the transaction fails; due() only after it.
  Result<std::optional<Recorded>> record(const Outcome& outcome, Time now, Duration elapsed);

 private:
  struct Channel {
    std::optional<MessageId> on_its_way;
    Duration not_before{};      ///< in Clock::elapsed
    std::optional<Time> due{};  ///< of the first message that waits; as of the last due()
  };
  Result<std::optional<Delivery>> due_of(const Setup& setup, Time now, Duration elapsed);
  Result<bool> is_stopped(const std::string& notifier);
  Result<void> stop(const Outcome& outcome, Time now);

  store::Store& store_;
  std::vector<Setup> setup_;
  std::map<std::string, Channel> channels_;
};

}  // namespace schedctl::alert
