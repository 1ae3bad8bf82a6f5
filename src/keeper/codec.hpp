#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "schedctl/base/result.hpp"
#include "schedctl/keeper/messages.hpp"

/// The messages of the connection and the records of the journal as bytes. Pure functions: what is
/// decoded may come from anybody, so every length is checked against what is there, and nothing is
/// allocated that the input does not pay for.
namespace schedctl::keeper {

inline constexpr std::uint32_t kProtocolVersion = 1;
/// The oldest that is still spoken: a keeper may be older than the daemon, and the other way round.
inline constexpr std::uint32_t kOldestProtocol = 1;

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

/// Journal only: whose journal this is; always its first record.
struct JournalHead {
  std::uint32_t version = kProtocolVersion;
  std::string instance;
  std::string boot_id;
};
/// Journal only: a command was started. Time since boot tells its process from a later one with the
/// same pid.
struct Launched {
  Started started;
  Duration since_boot{};
};

using Message =
    std::variant<Hello, Welcome, Refused, InventoryEnd, StartOrder, End, Acknowledge, QuitIfIdle,
                 Ping, Pong, Started, StartFailed, Ended, JournalHead, Launched>;

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

/// Takes the first message off `bytes`. An error: these bytes are no message of this protocol, and
/// `bytes` is left as it was.
Result<Message> decode(std::string_view& bytes);

}  // namespace schedctl::keeper
