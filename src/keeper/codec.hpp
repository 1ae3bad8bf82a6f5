#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "schedctl/base/result.hpp"
#include "schedctl/keeper/messages.hpp"

/// The messages of the connection and the records of the journal as bytes. Pure functions: what is
/// decoded may come from anybody, so every length is checked against what is there, and nothing is
/// allocated that the input does not pay for.
namespace schedctl::keeper {

inline constexpr std::uint32_t kProtocolVersion = 3;
/// The oldest that is still spoken: a keeper may be older than the daemon, and the other way round.
/// Both speak the lower of their newest versions. Version 2 added Welcome::build, Reexec, Stayed;
/// version 3 StartOrder::terms, Signal, Ended::output_cut and oom_killed, and the later Stages.
inline constexpr std::uint32_t kOldestProtocol = 1;
/// Version 2 added Intended, version 3 what version 3 of the protocol did.
inline constexpr std::uint32_t kJournalVersion = 3;
/// Version 2 added HeldRun::care and Leftover.
inline constexpr std::uint32_t kEstateVersion = 2;

/// The daemon's first message. The epoch rises with every connection, so that an old daemon that
/// wakes up late is refused.
struct Hello {
  std::uint32_t version = kProtocolVersion;
  std::uint64_t epoch = 0;
};
/// The answer; the inventory follows (Started, StartFailed, Ended, then InventoryEnd).
struct Welcome {
  std::uint32_t version = kProtocolVersion;
  std::uint64_t epoch = 0;
  std::int64_t pid = 0;
  std::string instance;
  std::string build = {};  ///< the keeper's own_build()
};
/// Or this: another version, or an epoch that is not above the last one.
struct Refused {
  std::uint32_t version = kProtocolVersion;
  std::uint64_t last_epoch = 0;
};
struct InventoryEnd {};
struct End {
  RunKey key;
  Duration kill_grace{};
};
struct Signal {
  RunKey key;
  int signo = 0;
};
struct Acknowledge {
  std::vector<RunKey> keys;
};
struct QuitIfIdle {};
struct Ping {
  std::uint64_t token = 0;
};
struct Pong {
  std::uint64_t token = 0;
};

/// Asks the keeper to become the program that stands under its own path by now, with all it holds.
/// If it does, the connection closes.
struct Reexec {};
/// It does not, and why.
struct Stayed {
  std::string why;
};

/// Journal only: whose journal this is; always its first record.
struct JournalHead {
  std::uint32_t version = kJournalVersion;
  std::string instance;
  std::string boot_id;
};
/// Journal only: a command was started. Time since boot tells its process from a later one with the
/// same pid.
struct Launched {
  Started started;
  Duration since_boot{};
};

/// Journal only: a command is about to be started. A keeper may die between the start and the
/// Launched that tells its process; this is how what it left can be found all the same.
struct Intended {
  RunKey key;
  Duration since_boot{};
  std::string mark;  ///< "NAME=VALUE" in the environment of the command, and of no other
};

/// From a keeper's program to its successor only: what the keeper is, apart from its runs.
/// Descriptors go by their numbers, which an exec does not change.
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
};
/// Where a run stands whose process has not been reaped.
enum class RunPhase : std::uint8_t {
  pending,  ///< before its exec
  running,
  failed,  ///< its exec failed, which has been told; the process is about to exit
  held,    ///< it has ended, which has been told: keepers of version 1 kept its zombie for a while
};
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
};
/// From a keeper's program to its successor only: a run whose process has not been reaped.
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
};
/// From a keeper's program to its successor only: a run that has ended, which has been told, while
/// what it left behind may still live.
struct Leftover {
  RunKey key;
  std::int64_t session = 0;
  Duration since_boot{};    ///< when it was started
  bool group_told = false;  ///< its process group has had the stop signal
  bool told_to_end = false;
  Duration kill_grace{};
  std::optional<Duration> kill_at;  ///< on CLOCK_MONOTONIC
  Care care = {};
};

using Message = std::variant<Hello, Welcome, Refused, InventoryEnd, StartOrder, End, Acknowledge,
                             QuitIfIdle, Ping, Pong, Started, StartFailed, Ended, JournalHead,
                             Launched, Reexec, Stayed, Estate, HeldRun, Intended, Signal, Leftover>;

/// Appends one framed message to `out`.
void encode(const Hello& m, std::string& out);
void encode(const Welcome& m, std::string& out);
void encode(const Refused& m, std::string& out);
void encode(const InventoryEnd& m, std::string& out);
void encode(const StartOrder& m, std::string& out);
void encode(const End& m, std::string& out);
void encode(const Acknowledge& m, std::string& out);
void encode(const QuitIfIdle& m, std::string& out);
void encode(const Ping& m, std::string& out);
void encode(const Pong& m, std::string& out);
void encode(const Started& m, std::string& out);
void encode(const StartFailed& m, std::string& out);
void encode(const Ended& m, std::string& out);
void encode(const JournalHead& m, std::string& out);
void encode(const Launched& m, std::string& out);
void encode(const Intended& m, std::string& out);
void encode(const Signal& m, std::string& out);
void encode(const Leftover& m, std::string& out);
void encode(const Reexec& m, std::string& out);
void encode(const Stayed& m, std::string& out);
void encode(const Estate& m, std::string& out);
void encode(const HeldRun& m, std::string& out);

/// The same news for a daemon that speaks an older version of the protocol.
StartFailed as_told_in(std::uint32_t version, StartFailed m);
Ended as_told_in(std::uint32_t version, Ended m);

/// Takes the first message off `bytes`. An error: these bytes are no message of this protocol, and
/// `bytes` is left as it was.
Result<Message> decode(std::string_view& bytes);

}  // namespace schedctl::keeper
