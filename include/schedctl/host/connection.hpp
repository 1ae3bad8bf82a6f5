#pragma once

#include <sys/types.h>

#include <deque>
#include <string>
#include <string_view>

#include "schedctl/base/result.hpp"
#include "schedctl/base/unique_fd.hpp"
#include "schedctl/host/privilege.hpp"

/// Sockets of this machine (unix(7), seqpacket), by a name in a directory that is open: a socket's
/// path may have 107 bytes at most, and the directory's may be longer.
namespace schedctl::host {

/// Listens (0600, non-blocking) in the place of what stands there. The file becomes the owner's, if
/// one is given.
Result<UniqueFd> listen_in(int dir, const std::string& name, const Account* owner = nullptr);

/// Takes callers off a socket that listens. Used by one thread.
class Listener {
 public:
  /// `fd` is of listen_in().
  explicit Listener(UniqueFd fd);
  int fd() const { return fd_.get(); }
  /// The next caller who is that user or root, by a non-blocking connection; anybody else is turned
  /// away. None: nobody waits. When descriptors have run out, one is turned away then: left in the
  /// queue, a caller would keep the listener readable, and a loop spinning.
  UniqueFd accept(uid_t user);

 private:
  UniqueFd fd_;
  UniqueFd spare_;  ///< given up for a moment to turn callers away
};

/// Connects, without waiting. The socket is non-blocking. Kind unavailable: nobody listens there.
Result<UniqueFd> connect_in(int dir, const std::string& name);

/// Whether the peer of a connection is that user or root.
bool is_trusted(int connection, uid_t user);

/// The process that listens at the other end; 0: the kernel does not tell.
pid_t listener_of(int connection);

/// One message may not be longer: a seqpacket send over the socket's buffer (208 KiB by default)
/// fails with EMSGSIZE.
inline constexpr std::size_t kMessageBytes = std::size_t{192} * 1024;
/// Messages are packed into packets of about this size, so that a burst costs few system calls.
inline constexpr std::size_t kPacketBytes = std::size_t{32} * 1024;

/// One end of a connection, with the messages that the socket did not take yet. What tells one
/// message from the next in a packet is in the messages. Used by one thread.
class Connection {
 public:
  /// `fd` is connected and non-blocking.
  explicit Connection(UniqueFd fd);

  int fd() const { return fd_.get(); }

  /// Puts a message in the queue; flush() sends it. False: it is longer than kMessageBytes.
  bool post(const std::string& message);
  /// Sends what the socket takes. To a peer that is gone the rest is dropped: what it had sent
  /// before can still be received.
  void flush();
  bool has_unsent() const { return !packets_.empty(); }
  std::size_t unsent_bytes() const { return unsent_bytes_; }

  /// Sees to it that there is something unread. False: nothing has come yet. An error: the peer
  /// closed the connection, and everything it sent has been received.
  Result<bool> receive();
  /// What is left of a packet: its messages are to be taken off the front.
  std::string_view& unread() { return unread_; }
  /// receive() has something at hand, whatever the socket says.
  bool has_unread() const { return !unread_.empty(); }
  /// The peer can send no more; what is on its way can be received up to its end.
  void refuse_more();
  /// Both ends will see the connection closed.
  void shut();

 private:
  UniqueFd fd_;
  std::deque<std::string> packets_;
  std::size_t unsent_bytes_ = 0;
  bool peer_gone_ = false;
  std::string packet_;       ///< the packet being read
  std::string_view unread_;  ///< of packet_
};

}  // namespace schedctl::host
