#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "schedctl/base/result.hpp"
#include "schedctl/base/wire.hpp"

/// Messages of several kinds as bytes (the fields of each: base/wire.hpp). A frame is the number of
/// its kind (one byte), the length of its body (four bytes, little endian) and the body.
namespace schedctl {

inline constexpr std::size_t kFrameHead = 5;

/// How long the frame at the front is; 0: it is cut off.
inline std::size_t frame_length(std::string_view bytes) {
  FieldReader head(bytes);
  std::uint8_t number = 0;
  std::uint32_t length = 0;
  head(number, length);
  return head.ok() && length <= bytes.size() - kFrameHead ? kFrameHead + length : 0;
}

/// What a kind of message is called for ever. The second number means that M::later follow, the
/// fields of later versions; it is used only where there is something in them, so that older
/// programs understand all that they can. 0: it has none.
struct FrameNumbers {
  std::uint8_t plain = 0;
  std::uint8_t full = 0;
};

template <class M, class Variant>
inline constexpr std::size_t index_in = 0;
template <class M, class First, class... Ms>
inline constexpr std::size_t index_in<M, std::variant<First, Ms...>> =
    std::is_same_v<M, First> ? 0 : 1 + index_in<M, std::variant<Ms...>>;

/// The frames of one set of messages. `Message` is the variant of them, which begin as zeros;
/// `kNumbers` are theirs, in its order.
template <class Message, const std::array<FrameNumbers, std::variant_size_v<Message>>& kNumbers>
class Framed {
 public:
  /// Appends one message to `out`.
  template <class M>
  static void encode(const M& m, std::string& out) {
    const std::size_t at = out.size();
    out.resize(at + kFrameHead);
    FieldWriter io(out);
    M::fields(io, m);
    constexpr FrameNumbers numbers = kNumbers[index_in<M, Message>];
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
      out[at + 1 + i] = static_cast<char>((out.size() - at - kFrameHead) >> (8 * i));
    }
  }
  template <class... Ms>
  static void encode(const std::variant<Ms...>& any, std::string& out) {
    std::visit([&](const auto& m) { encode(m, out); }, any);
  }

  /// Takes the first message off `bytes`. An error, which calls it `what`: these bytes are no
  /// message of the set, and `bytes` is left as it was.
  static Result<Message> decode(std::string_view& bytes, const std::string& what) {
    const std::size_t length = frame_length(bytes);
    if (length == 0) return fail(ErrorKind::failed, what + " is cut off");
    const auto type = static_cast<std::uint8_t>(bytes.front());
    const auto is_it = [&](FrameNumbers n) {
      return type != 0 && (n.plain == type || n.full == type);
    };
    const auto* const found = std::find_if(kNumbers.begin(), kNumbers.end(), is_it);
    FieldReader body(bytes.substr(kFrameHead, length - kFrameHead));
    Result<Message> message;
    if (found != kNumbers.end()) {
      const auto index = static_cast<std::size_t>(found - kNumbers.begin());
      read_body(*message, index, found->full == type, body);
    }
    if (found == kNumbers.end() || !body.ok() || !body.at_end()) {
      return fail(ErrorKind::failed, what + " of type " + std::to_string(type) + " makes no sense");
    }
    bytes.remove_prefix(length);
    return message;
  }

 private:
  template <class M>
  static bool read_as(Message& message, std::size_t index, bool full, FieldReader& in) {
    if (index != index_in<M, Message>) return false;
    M& m = message.template emplace<M>();
    M::fields(in, m);
    if constexpr (kNumbers[index_in<M, Message>].full != 0) {
      if (full) std::apply(in, M::later(m));
    }
    return true;
  }
  template <class... Ms>
  static void read_body(std::variant<Ms...>& message, std::size_t index, bool full,
                        FieldReader& in) {
    static_cast<void>((read_as<Ms>(message, index, full, in) || ...));
  }
};

}  // namespace schedctl
