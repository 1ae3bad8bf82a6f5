#include "codec.hpp"

#include <algorithm>

namespace schedctl::keeper {
namespace {

template <class M>
bool read_as(Message& message, std::size_t index, bool full, FieldReader& in) {
  if (index != index_in<M, Message>) return false;
  M& m = message.emplace<M>();
  M::fields(in, m);
  if constexpr (kNumbers[index_in<M, Message>].full != 0) {
    if (full) std::apply(in, M::later(m));
  }
  return true;
}

template <class... M>
void read_body(std::variant<M...>& message, std::size_t index, bool full, FieldReader& in) {
  static_cast<void>((read_as<M>(message, index, full, in) || ...));
}

}  // namespace

StartFailed as_told_in(std::uint32_t version, StartFailed m) {
  if (version < 3 && m.stage > Stage::exec) m.stage = Stage::setup;
  return m;
}

Ended as_told_in(std::uint32_t version, Ended m) {
  if (version < 3) m.output_cut = 0, m.oom_killed = false;
  return m;
}

Result<Message> decode(std::string_view& bytes) {
  FieldReader head(bytes);
  std::uint8_t type = 0;
  std::uint32_t length = 0;
  head(type, length);
  if (!head.ok() || length > bytes.size() - kFrame) {
    return fail(ErrorKind::failed, "a keeper message is cut off");
  }
  FieldReader body(bytes.substr(kFrame, length));
  Result<Message> message;
  const auto is_it = [&](Numbers n) { return type != 0 && (n.plain == type || n.full == type); };
  const auto* const found = std::find_if(kNumbers.begin(), kNumbers.end(), is_it);
  if (found != kNumbers.end()) {
    read_body(*message, static_cast<std::size_t>(found - kNumbers.begin()), found->full == type,
              body);
  }
  if (found == kNumbers.end() || !body.ok() || !body.at_end()) {
    return fail(ErrorKind::failed,
                "a keeper message of type " + std::to_string(type) + " makes no sense");
  }
  bytes.remove_prefix(kFrame + length);
  return message;
}

Result<std::optional<Message>> receive(host::Connection& connection) {
  TRY(const bool there, connection.receive());
  if (!there) return std::nullopt;
  TRY(Message message, decode(connection.unread()));
  return message;
}

}  // namespace schedctl::keeper
