#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "schedctl/base/result.hpp"
#include "schedctl/keeper/messages.hpp"

/// What a keeper knows of itself and of its runs, in the form in which its program hands it to the
/// next (host/successor.hpp). Descriptors go by their numbers, which an exec does not change.
namespace schedctl::keeper {

/// Version 2 added HeldRun::care and Leftover.
inline constexpr std::uint32_t kEstateVersion = 2;

/// What became of an order.
using Report = std::variant<Started, StartFailed, Ended>;
inline const RunKey& key_of(const Report& report) {
  return std::visit([](const auto& m) -> const RunKey& { return m.key; }, report);
}

/// Of journals, too: a command was started. Time since boot tells its process from a later one with
/// the same pid.
struct Launched {
  Started started;
  Duration since_boot{};
  static void fields(auto& io, auto& m) { io(m.started, m.since_boot); }
};

/// What the keeper is, apart from its runs.
struct Estate {
  std::uint32_t version = kEstateVersion;
  std::string instance;
  std::string program;  ///< the path it was started from
  std::uint64_t last_epoch = 0;
  std::uint64_t files_made = 0;
  int lock = -1;
  int keeper_dir = -1;
  int listener = -1;
  int output_dir = -1;
  /// What commands get back: the limit of descriptors (soft, hard), oom_score_adj.
  std::optional<std::pair<std::uint64_t, std::uint64_t>> files;
  std::optional<std::string> oom_score;
  static void fields(auto& io, auto& m) {
    io(m.version, m.instance, m.program, m.last_epoch, m.files_made, m.lock, m.keeper_dir,
       m.listener, m.output_dir, m.files, m.oom_score);
  }
};
/// Where a run stands whose process has not been reaped.
enum class RunPhase : std::uint8_t {
  pending,  ///< before its exec
  running,
  failed,  ///< its exec failed, which has been told; the process is about to exit
  held,    ///< it has ended, which has been told: keepers of version 1 kept its zombie for a while
};
constexpr RunPhase last_of(RunPhase) {
  return RunPhase::held;
}
/// What the keeper goes by as long as a run lives, and while what it left behind is ended.
struct Care {
  std::string user;  ///< of its output file; empty: the keeper's own
  int stop_signal = 15;
  bool keep_children = false;
  bool has_cgroup = false;
  std::int64_t max_output = 0;
  std::int64_t output_cut = 0;
  /// "NAME=VALUE" that together are in the environments of this attempt's processes and of no
  /// others; empty: it has none.
  std::vector<std::string> marks;
  static void fields(auto& io, auto& m) {
    io(m.user, m.stop_signal, m.keep_children, m.has_cgroup, m.max_output, m.output_cut, m.marks);
  }
  bool operator==(const Care&) const = default;
};
/// A run whose process has not been reaped.
struct HeldRun {
  Launched launched;
  RunPhase phase = RunPhase::running;
  int output = -1;
  std::uint64_t output_device = 0;
  std::uint64_t output_inode = 0;
  int pending = -1;  ///< -1: none
  bool ending = false;
  bool killed = false;
  bool timed_out = false;
  bool ended_on_order = false;
  Duration kill_grace{};
  std::optional<Duration> deadline;  ///< on CLOCK_MONOTONIC
  Care care = {};
  static void fields(auto& io, auto& m) {
    io(m.launched, m.phase, m.output, m.output_device, m.output_inode, m.pending, m.ending,
       m.killed, m.timed_out, m.ended_on_order, m.kill_grace, m.deadline);
  }
  static auto later(auto& m) { return std::tie(m.care); }
};
/// A run that has ended, which has been told, while what it left behind may still live.
struct Leftover {
  RunKey key;
  std::int64_t session = 0;
  Duration since_boot{};    ///< when it was started
  bool group_told = false;  ///< its process group has had the stop signal
  bool told_to_end = false;
  Duration kill_grace{};
  std::optional<Duration> kill_at;  ///< on CLOCK_MONOTONIC
  Care care = {};
  static void fields(auto& io, auto& m) {
    io(m.key, m.session, m.since_boot, m.group_told, m.told_to_end, m.kill_grace, m.kill_at,
       m.care);
  }
};

/// All that a keeper's program hands to the one that it becomes.
struct Holdings {
  Estate estate;
  std::vector<HeldRun> runs;
  std::vector<Leftover> leftovers;
  std::vector<Report> finished;  ///< StartFailed or Ended, unacknowledged
};

/// As messages of codec.hpp, closed by an InventoryEnd.
std::string to_bytes(const Holdings& holdings);
/// An error: these are not the holdings of a keeper, or of a newer one. Nothing is said of the
/// descriptors, which need not be open here.
Result<Holdings> holdings_from(std::string_view bytes);
/// The descriptors that go along.
std::vector<int> descriptors_of(const Holdings& holdings);

}  // namespace schedctl::keeper
