#include "channel.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <ctime>
#include <utility>

namespace schedctl::keeper {
namespace {

/// No packet is longer: one message of the greatest length, or several short ones.
constexpr std::size_t kReceiveBytes = kMessageBytes + kPacketBytes;

/// The socket stays writable while the machine has no memory to send with: without a pause, who
/// waits for it would spin.
constexpr timespec kShortOfMemory{0, 5'000'000};

}  // namespace

Channel::Channel(UniqueFd fd) : fd_(std::move(fd)) {
  // The longest message has to fit, whatever this machine's default is.
  const int bytes = 2 * static_cast<int>(kMessageBytes);
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

bool Channel::post_bytes(const std::string& bytes) {
  if (bytes.size() > kMessageBytes) return false;
  if (peer_gone_) return true;
  if (packets_.empty() || packets_.back().size() + bytes.size() > kPacketBytes) {
    packets_.emplace_back();
  }
  packets_.back() += bytes;
  unsent_bytes_ += bytes.size();
  return true;
}

void Channel::flush() {
  while (!packets_.empty()) {
    const std::string& packet = packets_.front();
    const ssize_t sent = ::send(fd_.get(), packet.data(), packet.size(), MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return;
      if (errno == ENOBUFS || errno == ENOMEM) {
        ::nanosleep(&kShortOfMemory, nullptr);
        return;
      }
      // No end of a dead peer's will be received here, and the live one waits for what is dropped.
      if (errno != EPIPE && errno != ECONNRESET) shut();
      peer_gone_ = true;
      packets_.clear();
      unsent_bytes_ = 0;
      return;
    }
    unsent_bytes_ -= packet.size();
    packets_.pop_front();
  }
}

Result<std::optional<Message>> Channel::receive() {
  while (unread_.empty()) {
    packet_.resize(kReceiveBytes);
    const ssize_t got = ::recv(fd_.get(), packet_.data(), packet_.size(), MSG_TRUNC);
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return std::nullopt;
      return fail(error_from_errno("the connection broke", errno));
    }
    if (got == 0) return fail(ErrorKind::unavailable, "the connection was closed");
    if (static_cast<std::size_t>(got) > packet_.size()) {
      return fail(ErrorKind::failed, "a packet is longer than any message");
    }
    unread_ = std::string_view(packet_).substr(0, static_cast<std::size_t>(got));
  }
  TRY(Message message, decode(unread_));
  return message;
}

void Channel::refuse_more() {
  ::shutdown(fd_.get(), SHUT_RD);
}

void Channel::shut() {
  ::shutdown(fd_.get(), SHUT_RDWR);
}

}  // namespace schedctl::keeper
