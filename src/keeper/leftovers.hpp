#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "codec.hpp"
#include "schedctl/host/cgroup.hpp"
#include "schedctl/host/processes.hpp"

namespace schedctl::keeper {

/// That of a run with limits that need one, for as long as something of it lives.
host::Cgroup cgroup_of(const RunKey& key, const std::string& instance);

/// What runs leave behind when their commands have ended: told to end, and killed after the grace.
/// It is found as host/remains.hpp has it, or by the cgroup. Looks are put off a little, so that
/// those of many ends are one. Used by one thread.
class Leftovers {
 public:
  /// `instance`: the keeper's.
  explicit Leftovers(std::string instance) : instance_(std::move(instance)) {}

  void add(Leftover leftover, Duration now);
  /// A new run's process has this number: an old session of that number is none of it.
  void forget_session(pid_t session);
  /// A child that is no run has gone.
  void on_orphan_gone(Duration now);

  /// When look() has something to do, on CLOCK_MONOTONIC; nothing: never.
  std::optional<Duration> next_look() const { return next_look_; }
  /// `is_run`: whether the process of this number is that of a living run.
  void look(Duration now, const std::function<bool(pid_t)>& is_run);
  /// KILL to all, at the next look.
  void kill_all(Duration now);

  /// Nothing is left that has to be ended.
  bool is_empty() const;
  const std::vector<Leftover>& all() const { return all_; }

 private:
  bool deal_with(Leftover& leftover, std::vector<host::ProcessStat> members, Duration now);
  void schedule(Duration at);

  std::string instance_;
  std::vector<Leftover> all_;
  std::optional<Duration> next_look_;
  Duration earliest_{};  ///< unless it is urgent
};

}  // namespace schedctl::keeper
