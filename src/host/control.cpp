// One request a connection keeps the protocol without state: connect, one packet there, one packet
// back, close. Packets keep their borders (SOCK_SEQPACKET), so there is nothing to parse across
// reads. The server's own epoll descriptor is what the daemon's loop watches.

#include "schedctl/host/control.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>

#include "schedctl/base/text.hpp"

namespace schedctl::host {
namespace {

// A request is a word or two, an answer a few lines.
constexpr std::size_t kMaxRequest = 4096;
constexpr std::size_t kMaxReply = 64 * 1024;
// Connections that nobody serves are bounded; the kernel's backlog holds the rest.
constexpr std::size_t kMaxConnections = 64;
constexpr int kBacklog = 128;

// A socket address holds 107 bytes. Longer paths are reached through a descriptor of their
// directory: /proc/self/fd/N/name.
struct Address {
  UniqueFd directory;
  sockaddr_un address{};
};

Result<Address> address_of(const std::string& path) {
  Address result;
  result.address.sun_family = AF_UNIX;
  std::string name = path;
  if (path.size() >= sizeof result.address.sun_path) {
    const std::size_t slash = path.rfind('/');
    const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    result.directory.reset(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!result.directory) return fail(error_from_errno("cannot open " + directory, errno));
    name = "/proc/self/fd/" + std::to_string(result.directory.get()) + "/" + path.substr(slash + 1);
    if (name.size() >= sizeof result.address.sun_path) {
      return fail(ErrorKind::failed, "the socket's name is too long: " + path);
    }
  }
  std::memcpy(result.address.sun_path, name.c_str(), name.size() + 1);
  return result;
}

std::string error_reply(const Error& error) {
  return "error " + std::to_string(static_cast<int>(error.kind)) + " " + error.message;
}

class Server final : public ControlServer {
 public:
  Server(UniqueFd epoll, UniqueFd listener, std::string path)
      : epoll_(std::move(epoll)), listener_(std::move(listener)), path_(std::move(path)) {
    struct stat status {};
    if (::lstat(path_.c_str(), &status) == 0) inode_ = status.st_ino;
    add(listener_.get());
  }

  ~Server() override {
    // Only if it still is ours: a successor may have put its own there.
    struct stat status {};
    if (::lstat(path_.c_str(), &status) == 0 && status.st_ino == inode_) ::unlink(path_.c_str());
  }

  int fd() const override { return epoll_.get(); }
  void set_handler(Handler handler) override { handler_ = std::move(handler); }

  void on_ready() override {
    std::array<epoll_event, 16> ready{};
    const int n = ::epoll_wait(epoll_.get(), ready.data(), static_cast<int>(ready.size()), 0);
    for (int i = 0; i < n; ++i) {
      const int fd = ready[static_cast<std::size_t>(i)].data.fd;
      if (fd == listener_.get()) {
        accept_one();
      } else {
        serve(fd);
      }
    }
  }

 private:
  void add(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  }

  void accept_one() {
    UniqueFd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    // Full: the oldest one that has not asked for anything yet makes room.
    if (!peer) return;
    if (connections_.size() >= kMaxConnections) drop(connections_.begin()->first);
    const int fd = peer.get();
    connections_[fd] = std::make_shared<UniqueFd>(std::move(peer));
    add(fd);
  }

  void drop(int fd) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    connections_.erase(fd);
  }

  void serve(int fd) {
    const auto found = connections_.find(fd);
    if (found == connections_.end()) return;
    // The reply keeps the connection open; the set of waiting ones does not.
    const std::shared_ptr<UniqueFd> connection = found->second;
    drop(fd);
    std::array<char, kMaxRequest> text{};
    const ssize_t n = ::recv(fd, text.data(), text.size(), 0);
    if (n <= 0) return;
    const auto reply = [connection](const std::string& answer) {
      [[maybe_unused]] const ssize_t sent =
          ::send(connection->get(), answer.data(), std::min(answer.size(), kMaxReply),
                 MSG_NOSIGNAL | MSG_DONTWAIT);
    };
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
        (peer.uid != 0 && peer.uid != ::geteuid())) {
      reply(error_reply(Error{ErrorKind::not_allowed,
                              "only root and the daemon's user may do this: try sudo, or --own "
                              "for a daemon of your own"}));
      return;
    }
    if (handler_) handler_(std::string(text.data(), static_cast<std::size_t>(n)), reply);
  }

  UniqueFd epoll_;
  UniqueFd listener_;
  std::string path_;
  ino_t inode_ = 0;
  Handler handler_;
  std::map<int, std::shared_ptr<UniqueFd>> connections_;
};

tl::unexpected<Error> unreachable(const std::string& path, int error) {
  if (error == EACCES || error == EPERM) {
    return fail(ErrorKind::not_allowed, "may not talk to the daemon at " + path +
                                            ": try sudo, or --own for a daemon of your own");
  }
  return fail(ErrorKind::unavailable, "no daemon answers at " + path + ": " + errno_text(error));
}

}  // namespace

Result<std::unique_ptr<ControlServer>> ControlServer::listen(const std::string& path) {
  TRY(const Address address, address_of(path));
  UniqueFd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener) return fail(error_from_errno("socket", errno));
  // What a dead daemon left there; the lock says that no living one can have made it.
  ::unlink(path.c_str());
  const mode_t old_mask = ::umask(0177);
  const int bound = ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address.address),
                           sizeof address.address);
  const int error = errno;
  ::umask(old_mask);
  if (bound != 0 || ::listen(listener.get(), kBacklog) != 0) {
    return fail(
        error_from_errno("cannot open the control socket " + path, bound != 0 ? error : errno));
  }
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail(error_from_errno("epoll_create1", errno));
  return std::make_unique<Server>(std::move(epoll), std::move(listener), path);
}

Result<std::string> control_request(const std::string& path, const std::string& request,
                                    Duration timeout) {
  auto address = address_of(path);
  if (!address) return fail(ErrorKind::unavailable, address.error().message);
  UniqueFd peer(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!peer) return fail(error_from_errno("socket", errno));
  if (::connect(peer.get(), reinterpret_cast<const sockaddr*>(&address->address),
                sizeof address->address) != 0) {
    return unreachable(path, errno);
  }
  if (::send(peer.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) {
    return unreachable(path, errno);
  }
  pollfd wait{peer.get(), POLLIN, 0};
  const int ready = ::poll(&wait, 1, static_cast<int>(timeout.count() / 1000));
  if (ready <= 0) {
    return fail(ErrorKind::unavailable,
                "the daemon at " + path + " did not answer within " + format_duration(timeout));
  }
  std::string reply(kMaxReply, '\0');
  const ssize_t n = ::recv(peer.get(), reply.data(), reply.size(), 0);
  if (n <= 0) {
    return fail(ErrorKind::unavailable, "the daemon at " + path + " hung up without an answer");
  }
  reply.resize(static_cast<std::size_t>(n));
  constexpr std::string_view kError = "error ";
  if (!reply.starts_with(kError)) return reply;
  const std::size_t space = reply.find(' ', kError.size());
  const auto kind = parse_int(std::string_view(reply).substr(kError.size(), space - kError.size()));
  const bool known = kind && *kind >= 0 && *kind <= static_cast<std::int64_t>(ErrorKind::config);
  return fail(known ? static_cast<ErrorKind>(*kind) : ErrorKind::failed,
              space == std::string::npos ? reply : reply.substr(space + 1));
}

}  // namespace schedctl::host
