#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "holdings.hpp"
#include "schedctl/base/framed.hpp"
#include "schedctl/base/result.hpp"
#include "schedctl/host/connection.hpp"
#include "schedctl/keeper/messages.hpp"

/// The messages of the connection, the records of the journal, and what a keeper's program hands to
/// the next: one kind of bytes for all three.
namespace schedctl::keeper {

/// Under this name in the keeper's directory it listens.
inline constexpr const char* kSocket = "socket";

inline constexpr std::uint32_t kProtocolVersion = 3;
/// The oldest that is still spoken: a keeper may be older than the daemon, and the other way round.
/// Both speak the lower of their newest versions. Version 2 added Welcome::build, Reexec, Stayed;
/// version 3 StartOrder::terms, Signal, Ended::output_cut and oom_killed, and the later Stages.
inline constexpr std::uint32_t kOldestProtocol = 1;
/// Version 2 added Intended, version 3 what version 3 of the protocol did.
inline constexpr std::uint32_t kJournalVersion = 3;

constexpr IoClass last_of(IoClass) {
  return IoClass::idle;
}
constexpr Resource last_of(Resource) {
  return Resource::fsize;
}
constexpr Output last_of(Output) {
  return Output::discard;
}
constexpr Stage last_of(Stage) {
  return Stage::oom_score;
}

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
/// Journal only: a command is about to be started. This is how what it left can be found if the
/// keeper dies before the Launched that tells its process, and later, what has left its session.
struct Intended {
  RunKey key;
  Duration since_boot{};
  std::string mark;  ///< "NAME=VALUE" in the environment of the command, and of no other
  static void fields(auto& io, auto& m) { io(m.key, m.since_boot, m.mark); }
};

using Message = std::variant<Hello, Welcome, Refused, InventoryEnd, StartOrder, End, Acknowledge,
                             QuitIfIdle, Ping, Pong, Started, StartFailed, Ended, JournalHead,
                             Launched, Reexec, Stayed, Estate, HeldRun, Intended, Signal, Leftover>;

/// What they are on the wire and in journals, in the order of Message.
inline constexpr std::array<FrameNumbers, std::variant_size_v<Message>> kNumbers{
    {{1},  {2},      {3},  {4},  {5, 21}, {6},  {7},  {8},      {9},  {10}, {11},
     {12}, {13, 22}, {14}, {15}, {16},    {17}, {18}, {19, 23}, {20}, {24}, {25}}};
using Frames = Framed<Message, kNumbers>;

/// One message, or what a variant of messages holds.
std::string encoded(const auto& message) {
  std::string bytes;
  Frames::encode(message, bytes);
  return bytes;
}

/// The same news for a daemon that speaks an older version of the protocol.
inline const Started& as_told_in(std::uint32_t, const Started& m) {
  return m;
}
StartFailed as_told_in(std::uint32_t version, StartFailed m);
Ended as_told_in(std::uint32_t version, Ended m);

/// Takes the first message off `bytes`. An error: these bytes are no message of this protocol, and
/// `bytes` is left as it was.
Result<Message> decode(std::string_view& bytes);

/// Puts a message in the queue, as Connection::post().
bool post(host::Connection& connection, const auto& message) {
  return connection.post(encoded(message));
}
/// The next message; nothing: none is there yet. An error: the peer closed the connection (and
/// everything it sent has been received), or sent something that is no message.
Result<std::optional<Message>> receive(host::Connection& connection);

}  // namespace schedctl::keeper
