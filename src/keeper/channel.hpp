#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "codec.hpp"
#include "schedctl/base/result.hpp"
#include "schedctl/base/unique_fd.hpp"

namespace schedctl::keeper {

/// One message may not be longer: a seqpacket send over the socket's buffer (208 KiB by default)
/// fails with EMSGSIZE; limits::kCommandBytes of argv and environment and limits::kStdinText fit.
inline constexpr std::size_t kMessageBytes = std::size_t{192} * 1024;
/// Messages are packed into packets of about this size, so that a burst costs few system calls.
inline constexpr std::size_t kPacketBytes = std::size_t{32} * 1024;

/// One end of the connection between daemon and keeper: a non-blocking seqpacket socket, with the
/// messages that it did not take yet. Used by one thread.
class Channel {
 public:
  /// `fd` is connected and non-blocking.
  explicit Channel(UniqueFd fd);

  int fd() const { return fd_.get(); }

  /// Puts a message in the queue; flush() sends it. False: it is longer than kMessageBytes.
  template <class M>
  bool post(const M& message) {
    std::string bytes;
    encode(message, bytes);
    return post_bytes(bytes);
  }
  /// Sends what the socket takes. To a peer that is gone the rest is dropped: what it had sent
  /// before can still be received.
  void flush();
  bool has_unsent() const { return !packets_.empty(); }
  std::size_t unsent_bytes() const { return unsent_bytes_; }

  /// receive() has a message at hand, whatever the socket says.
  bool has_unread() const { return !unread_.empty(); }
  /// The next message; nothing: none is there yet. An error: the peer closed the connection (and
  /// everything it sent has been received), or sent something that is no message.
  Result<std::optional<Message>> receive();
  /// The peer can send no more; what is on its way can be received up to its end.
  void refuse_more();
  /// Both ends will see the connection closed.
  void shut();

 private:
  bool post_bytes(const std::string& bytes);

  UniqueFd fd_;
  std::deque<std::string> packets_;
  std::size_t unsent_bytes_ = 0;
  bool peer_gone_ = false;
  std::string packet_;       ///< the packet being read
  std::string_view unread_;  ///< its messages still to be handed out
};

}  // namespace schedctl::keeper
