#include "schedctl/host/connection.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <optional>
#include <utility>

namespace schedctl::host {
namespace {

/// Who connects stays; a crowd here is up to no good.
constexpr int kBacklog = 8;

/// No packet is longer: one message of the greatest length, or several short ones.
constexpr std::size_t kReceiveBytes = kMessageBytes + kPacketBytes;

/// The socket stays writable while the machine has no memory to send with: without a pause, who
/// waits for it would spin.
constexpr timespec kShortOfMemory{0, 5'000'000};

sockaddr_un address_in(int dir, const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", dir,
                name.c_str());
  return address;
}

/// Who made the other end, or listened there when this one was connected.
std::optional<ucred> peer_of(int connection) {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (::getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return std::nullopt;
  return peer;
}

UniqueFd open_spare() {
  return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

}  // namespace

Result<UniqueFd> listen_in(int dir, const std::string& name, const Account* owner) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail(error_from_errno("cannot make a socket", errno));
  ::unlinkat(dir, name.c_str(), 0);
  const sockaddr_un address = address_in(dir, name);
  // The file gets the mode that the socket has: there is no moment in which others may connect.
  if (::fchmod(fd.get(), 0600) != 0 ||
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail(error_from_errno("cannot bind the socket", errno));
  }
  if (owner != nullptr &&
      ::fchownat(dir, name.c_str(), owner->uid, owner->gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return fail(error_from_errno("cannot give the socket to " + owner->name, errno));
  }
  if (::listen(fd.get(), kBacklog) != 0) {
    return fail(error_from_errno("cannot listen on the socket", errno));
  }
  return fd;
}

Listener::Listener(UniqueFd fd) : fd_(std::move(fd)), spare_(open_spare()) {}

UniqueFd Listener::accept(uid_t user) {
  while (true) {
    UniqueFd caller(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (caller && is_trusted(caller.get(), user)) return caller;
    if (caller || errno == EINTR || errno == ECONNABORTED) continue;
    if (errno != EMFILE && errno != ENFILE) return {};
    spare_.reset();
    caller.reset(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    caller.reset();
    spare_ = open_spare();
    return {};
  }
}

Result<UniqueFd> connect_in(int dir, const std::string& name) {
  struct stat st {};
  if (::fstatat(dir, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISSOCK(st.st_mode)) {
    return fail(ErrorKind::unavailable, "what stands in its socket's place is no socket");
  }
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail(error_from_errno("cannot make a socket", errno));
  const sockaddr_un address = address_in(dir, name);
  // unix(7): it is connected at once, or there is nobody, or (EAGAIN) the backlog is full, since
  // nobody has been accepted for long.
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EAGAIN) return fail(ErrorKind::unavailable, "it does not answer");
    Error error = error_from_errno("cannot connect to its socket", errno);
    error.kind = ErrorKind::unavailable;
    return fail(std::move(error));
  }
  return fd;
}

bool is_trusted(int connection, uid_t user) {
  const std::optional<ucred> peer = peer_of(connection);
  return peer && (peer->uid == 0 || peer->uid == user);
}

pid_t listener_of(int connection) {
  const std::optional<ucred> peer = peer_of(connection);
  return peer ? peer->pid : 0;
}

Connection::Connection(UniqueFd fd) : fd_(std::move(fd)) {
  // The longest message has to fit, whatever this machine's default is.
  const int bytes = 2 * static_cast<int>(kMessageBytes);
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

bool Connection::post(const std::string& message) {
  if (message.size() > kMessageBytes) return false;
  if (peer_gone_) return true;
  if (packets_.empty() || packets_.back().size() + message.size() > kPacketBytes) {
    packets_.emplace_back();
  }
  packets_.back() += message;
  unsent_bytes_ += message.size();
  return true;
}

void Connection::flush() {
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

Result<bool> Connection::receive() {
  while (unread_.empty()) {
    packet_.resize(kReceiveBytes);
    const ssize_t got = ::recv(fd_.get(), packet_.data(), packet_.size(), MSG_TRUNC);
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
      return fail(error_from_errno("the connection broke", errno));
    }
    if (got == 0) return fail(ErrorKind::unavailable, "the connection was closed");
    if (static_cast<std::size_t>(got) > packet_.size()) {
      return fail(ErrorKind::failed, "a packet is longer than any message");
    }
    unread_ = std::string_view(packet_).substr(0, static_cast<std::size_t>(got));
  }
  return true;
}

void Connection::refuse_more() {
  ::shutdown(fd_.get(), SHUT_RD);
}

void Connection::shut() {
  ::shutdown(fd_.get(), SHUT_RDWR);
}

}  // namespace schedctl::host
