#include "codec.hpp"

namespace schedctl::keeper {
StartFailed as_told_in(std::uint32_t version, StartFailed m) {
  if (version < 3 && m.stage > Stage::exec) m.stage = Stage::setup;
  return m;
}

Ended as_told_in(std::uint32_t version, Ended m) {
  if (version < 3) m.output_cut = 0, m.oom_killed = false;
  return m;
}

Result<Message> decode(std::string_view& bytes) {
  return Frames::decode(bytes, "a keeper message");
}

Result<std::optional<Message>> receive(host::Connection& connection) {
  TRY(const bool there, connection.receive());
  if (!there) return std::nullopt;
  TRY(Message message, decode(connection.unread()));
  return message;
}

}  // namespace schedctl::keeper
