// What a service manager hears: that the daemon is ready, how it is, that it needs time to stop.
//
// It is told on the runner's thread, between two beats: a daemon whose runner is stuck is not
// alive, however well the io thread is. A store that cannot be written keeps nobody from answering.

#include "instance.hpp"

namespace schedctl::daemon {
namespace {

/// While it stops, how much longer that may take, said again and again: how long jobs take to end
/// is known to nobody.
constexpr Duration kStopExtension = std::chrono::seconds(30);

std::string status_words(const store::Counts& counts) {
  std::string words =
      std::to_string(counts.jobs) + " jobs, " + std::to_string(counts.runs_running) + " running";
  if (counts.next_fire) words += ", next at " + format_rfc3339(*counts.next_fire);
  return words;
}

}  // namespace

Result<void> Instance::watch_manager() {
  if (!manager_.listens()) return {};
  TRY(feeding_, loop::MonotonicTimer::create());
  TRY_VOID(loop_->watch(feeding_->fd(), EPOLLIN, [this](auto) {
    feeding_->drain();
    feed_manager();
  }));
  manager_.ready();
  feed_manager();
  return {};
}

void Instance::feed_manager() {
  if (!feeding_) return;
  const bool stopping = stopping_.has_value();
  runner_->ask([this, stopping](runner::Runner&, store::Store& store) {
    manager_.still_alive();
    if (stopping) return manager_.needs_more_time(kStopExtension);
    if (const auto counts = store.counts()) manager_.status(status_words(*counts));
  });
  // Three times as often as need be, for a beat that takes long.
  if (stopping) {
    feeding_->arm(kStopExtension / 3);
  } else if (const auto watchdog = manager_.watchdog()) {
    feeding_->arm(*watchdog / 3);
  }
}

}  // namespace schedctl::daemon
