#include "leftovers.hpp"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "schedctl/base/clock.hpp"
#include "schedctl/host/remains.hpp"

namespace schedctl::keeper {
namespace {

constexpr Duration kLookDelay = std::chrono::milliseconds(50);
/// No more than this share of the keeper's time goes into looking: one part in so many.
constexpr int kShare = 20;
/// After the KILL: for what cannot die for the moment. Who can is noticed when it does.
constexpr Duration kStubborn = std::chrono::seconds(1);

}  // namespace

host::Cgroup cgroup_of(const RunKey& key, const std::string& instance) {
  return host::Cgroup("schedctl-" + instance + "-" + std::to_string(key.run.value) + "-" +
                      std::to_string(key.fence));
}

void Leftovers::add(Leftover leftover, Duration now) {
  const bool at_once = leftover.kill_at && *leftover.kill_at <= now;
  all_.push_back(std::move(leftover));
  schedule(std::max(at_once ? now : now + kLookDelay, earliest_));
}

void Leftovers::forget_session(pid_t session) {
  for (Leftover& leftover : all_) {
    if (leftover.session == session) leftover.session = 0;
  }
}

void Leftovers::on_orphan_gone(Duration now) {
  if (!all_.empty()) schedule(std::max(now + kLookDelay, earliest_));
}

void Leftovers::kill_all(Duration now) {
  for (Leftover& leftover : all_) leftover.kill_at = now;
  if (!all_.empty()) schedule(now);
}

void Leftovers::schedule(Duration at) {
  next_look_ = std::min(next_look_.value_or(at), at);
}

bool Leftovers::is_empty() const {
  return std::all_of(all_.begin(), all_.end(),
                     [](const Leftover& leftover) { return leftover.care.keep_children; });
}

void Leftovers::look(Duration now, const std::function<bool(pid_t)>& is_run) {
  next_look_.reset();
  std::vector<host::Trace> traces;
  for (const Leftover& one : all_) {
    traces.push_back({static_cast<pid_t>(one.session), one.since_boot, one.care.marks});
    if (one.care.keep_children) traces.back() = {};
  }
  std::vector<std::vector<host::ProcessStat>> found = host::remains_of(traces, is_run);
  auto members = found.begin();
  std::erase_if(all_, [&](Leftover& one) { return !deal_with(one, std::move(*members++), now); });
  const Duration then = SystemClock().awake();
  earliest_ = then + (then - now) * kShare;
}

/// False: there is nothing left of it.
bool Leftovers::deal_with(Leftover& leftover, std::vector<host::ProcessStat> members,
                          Duration now) {
  const host::Cgroup cgroup = cgroup_of(leftover.key, instance_);
  if (leftover.care.has_cgroup) {
    for (const pid_t pid : cgroup.members()) {
      if (const std::optional<host::ProcessStat> stat = host::process_stat(pid))
        members.push_back(*stat);
    }
    if (members.empty() && cgroup.remove()) return false;
    // Cgroups of its own making may be in it.
    if (!leftover.care.keep_children && members.empty()) cgroup.kill();
  }
  // With a cgroup that is still there: its emptiness shows when an orphan goes.
  if (leftover.care.keep_children) return leftover.care.has_cgroup;
  if (members.empty() && !leftover.care.has_cgroup) return false;
  if (!leftover.told_to_end) {
    leftover.told_to_end = true;
    if (!leftover.kill_at) leftover.kill_at = now + leftover.kill_grace;
    for (const host::ProcessStat& member : members) {
      if (leftover.group_told && member.group == leftover.session) continue;
      host::signal_process(member, leftover.care.stop_signal);
      host::signal_process(member, SIGCONT);
    }
  }
  if (leftover.kill_at && now < *leftover.kill_at) {
    schedule(*leftover.kill_at);
    return true;
  }
  for (const host::ProcessStat& member : members) host::signal_process(member, SIGKILL);
  if (leftover.care.has_cgroup) cgroup.kill();
  schedule(now + kStubborn);
  return true;
}

}  // namespace schedctl::keeper
