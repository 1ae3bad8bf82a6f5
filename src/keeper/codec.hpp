#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "schedctl/base/result.hpp"
#include "schedctl/keeper/messages.hpp"
#include "wire.hpp"

/// The messages of the connection, the records of the journal, and what a keeper's program hands to
/// the next: one kind of bytes for all three.
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

template <>
inline constexpr auto kLast<IoClass> = IoClass::idle;
template <>
inline constexpr auto kLast<Resource> = Resource::fsize;
template <>
inline constexpr auto kLast<Output> = Output::discard;
template <>
inline constexpr auto kLast<Stage> = Stage::oom_score;

/// The daemon's first message. The epoch rises with every connection, so that an old daemon that
/// wakes up late is refused.
struct Hello {
  std::uint32_t version = kProtocolVersion;
  std::uint64_t epoch = 0;
  static void fields(auto& io, auto& m) { io(m.version, m.epoch); }
};
/// The answer; the inventory follows (Started, StartFailed, Ended, then InventoryEnd).
struct Welcome {
  std::uint32_t version = kProtocolVersion;
  std::uint64_t epoch = 0;
  std::int64_t pid = 0;
  std::string instance;
  std::string build = {};  ///< the keeper's own_build()
  static void fields(auto& io, auto& m) {
    io(m.version, m.epoch, m.pid, m.instance);
    if (m.version >= 2) io(m.build);
  }
};
/// Or this: another version, or an epoch that is not above the last one.
struct Refused {
  std::uint32_t version = kProtocolVersion;
  std::uint64_t last_epoch = 0;
  static void fields(auto& io, auto& m) { io(m.version, m.last_epoch); }
};
struct InventoryEnd {
  static void fields(auto&, auto&) {}
};
struct End {
  RunKey key;
  Duration kill_grace{};
  static void fields(auto& io, auto& m) { io(m.key, m.kill_grace); }
};
struct Signal {
  RunKey key;
  int signo = 0;
  static void fields(auto& io, auto& m) { io(m.key, m.signo); }
};
struct Acknowledge {
  std::vector<RunKey> keys;
  static void fields(auto& io, auto& m) { io(m.keys); }
};
struct QuitIfIdle {
  static void fields(auto&, auto&) {}
};
struct Ping {
  std::uint64_t token = 0;
  static void fields(auto& io, auto& m) { io(m.token); }
};
struct Pong {
  std::uint64_t token = 0;
  static void fields(auto& io, auto& m) { io(m.token); }
};

/// Asks the keeper to become the program that stands under its own path by now, with all it holds.
/// If it does, the connection closes.
struct Reexec {
  static void fields(auto&, auto&) {}
};
/// It does not, and why.
struct Stayed {
  std::string why;
  static void fields(auto& io, auto& m) { io(m.why); }
};

/// Journal only: whose journal this is; always its first record.
struct JournalHead {
  std::uint32_t version = kJournalVersion;
  std::string instance;
  std::string boot_id;
  static void fields(auto& io, auto& m) { io(m.version, m.instance, m.boot_id); }
};
/// Journal only: a command was started. Time since boot tells its process from a later one with the
/// same pid.
struct Launched {
  Started started;
  Duration since_boot{};
  static void fields(auto& io, auto& m) { io(m.started, m.since_boot); }
};

/// Journal only: a command is about to be started. A keeper may die between the start and the
/// Launched that tells its process; this is how what it left can be found all the same.
struct Intended {
  RunKey key;
  Duration since_boot{};
  std::string mark;  ///< "NAME=VALUE" in the environment of the command, and of no other
  static void fields(auto& io, auto& m) { io(m.key, m.since_boot, m.mark); }
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
template <>
inline constexpr auto kLast<RunPhase> = RunPhase::held;
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
  static void fields(auto& io, auto& m) {
    io(m.launched, m.phase, m.output, m.output_device, m.output_inode, m.pending, m.ending,
       m.killed, m.timed_out, m.ended_on_order, m.kill_grace, m.deadline);
  }
  static auto later(auto& m) { return std::tie(m.care); }
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
  static void fields(auto& io, auto& m) {
    io(m.key, m.session, m.since_boot, m.group_told, m.told_to_end, m.kill_grace, m.kill_at,
       m.care);
  }
};

using Message = std::variant<Hello, Welcome, Refused, InventoryEnd, StartOrder, End, Acknowledge,
                             QuitIfIdle, Ping, Pong, Started, StartFailed, Ended, JournalHead,
                             Launched, Reexec, Stayed, Estate, HeldRun, Intended, Signal, Leftover>;

/// What became of an order.
using Report = std::variant<Started, StartFailed, Ended>;
inline const RunKey& key_of(const Report& report) {
  return std::visit([](const auto& m) -> const RunKey& { return m.key; }, report);
}

/// What a message is on the wire and in journals: never reused for something else. The second
/// number means that Message::later follow, the fields of later versions; it is used only where
/// there is something in them, so that older programs understand all that they can.
struct Numbers {
  std::uint8_t plain = 0;
  std::uint8_t full = 0;
};
/// In the order of Message.
inline constexpr std::array<Numbers, std::variant_size_v<Message>> kNumbers{
    {{1},  {2},      {3},  {4},  {5, 21}, {6},  {7},  {8},      {9},  {10}, {11},
     {12}, {13, 22}, {14}, {15}, {16},    {17}, {18}, {19, 23}, {20}, {24}, {25}}};

template <class M, class Variant>
inline constexpr std::size_t index_in = 0;
template <class M, class First, class... Ms>
inline constexpr std::size_t index_in<M, std::variant<First, Ms...>> =
    std::is_same_v<M, First> ? 0 : 1 + index_in<M, std::variant<Ms...>>;

/// A message is its number (one byte), the length of its body (four bytes) and the body.
inline constexpr std::size_t kFrame = 5;

/// Appends one message to `out`.
template <class M>
void encode(const M& m, std::string& out) {
  const std::size_t at = out.size();
  out.resize(at + kFrame);
  FieldWriter io(out);
  M::fields(io, m);
  constexpr Numbers numbers = kNumbers[index_in<M, Message>];
  std::uint8_t number = numbers.plain;
  if constexpr (numbers.full != 0) {
    static const M empty{};
    if (M::later(m) != M::later(empty)) {
      number = numbers.full;
      std::apply(io, M::later(m));
    }
  }
  out[at] = static_cast<char>(number);
  for (std::size_t i = 0; i < 4; ++i) {
    out[at + 1 + i] = static_cast<char>((out.size() - at - kFrame) >> (8 * i));
  }
}

template <class... Ms>
void encode(const std::variant<Ms...>& any, std::string& out) {
  std::visit([&](const auto& m) { encode(m, out); }, any);
}

/// The same news for a daemon that speaks an older version of the protocol.
StartFailed as_told_in(std::uint32_t version, StartFailed m);
Ended as_told_in(std::uint32_t version, Ended m);

/// Takes the first message off `bytes`. An error: these bytes are no message of this protocol, and
/// `bytes` is left as it was.
Result<Message> decode(std::string_view& bytes);

}  // namespace schedctl::keeper
