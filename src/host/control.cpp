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

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string_view>
#include <vector>

#include "schedctl/base/text.hpp"
#include "schedctl/host/connection.hpp"

namespace schedctl::host {
namespace {

using std::chrono::steady_clock;

// A request is a word or two, an answer a few lines.
constexpr std::size_t kMaxRequest = 4096;
constexpr std::size_t kMaxReply = std::size_t{64} * 1024;
// Connections that nobody serves are bounded; the kernel's backlog holds the rest.
constexpr std::size_t kMaxConnections = 64;
constexpr int kBacklog = 128;
constexpr int kQueueStepMs = 10;

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

// A long path was bound through a descriptor, which has another number each time: then the name in
// the directory has to do.
bool names_same_file(std::string_view bound, std::string_view wanted) {
  constexpr std::string_view kByDescriptor = "/proc/self/fd/";
  if (!bound.starts_with(kByDescriptor) || !wanted.starts_with(kByDescriptor)) {
    return bound == wanted;
  }
  return bound.substr(bound.rfind('/')) == wanted.substr(wanted.rfind('/'));
}

UniqueFd open_spare() {
  return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

std::string error_reply(const Error& error) {
  return "error " + std::to_string(static_cast<int>(error.kind)) + " " + error.message;
}

class Server final : public ControlServer {
 public:
  Server(UniqueFd epoll, UniqueFd listener, std::string path)
      : epoll_(std::move(epoll)),
        listener_(std::move(listener)),
        reserve_(open_spare()),
        spare_(open_spare()),
        path_(std::move(path)) {
    struct stat status {};
    if (::lstat(path_.c_str(), &status) == 0) inode_ = status.st_ino;
    add(listener_.get());
  }

  ~Server() override {
    // Only if it still is ours: a successor may have put its own there.
    struct stat status {};
    if (handed_over_) return;
    if (::lstat(path_.c_str(), &status) == 0 && status.st_ino == inode_) ::unlink(path_.c_str());
  }

  int fd() const override { return epoll_.get(); }
  void set_handler(Handler handler) override { handler_ = std::move(handler); }

  int hand_over() override {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener_.get(), nullptr);
    handed_over_ = true;
    return listener_.get();
  }

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
    UniqueFd peer = accept();
    if (!peer && (errno == EMFILE || errno == ENFILE)) peer = accept_without_descriptors();
    if (!peer) return;
    if (!reserve_) reserve_ = open_spare();
    // Full: the one that has been silent for longest makes room.
    if (connections_.size() >= kMaxConnections) take_out(connections_.begin());
    add(peer.get());
    connections_.push_back(std::make_shared<UniqueFd>(std::move(peer)));
  }

  UniqueFd accept() const {
    return UniqueFd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  }

  // A caller who stayed in the queue would keep the listener readable and the loop spinning, and an
  // order to stop must get through. So one at a time is served with a descriptor that was kept for
  // it; who has said nothing when the next one comes has to go. While that one's answer takes its
  // time, the others are turned away.
  UniqueFd accept_without_descriptors() {
    if (!connections_.empty()) {
      serve(connections_.front()->get());
    } else if (reserve_) {
      reserve_.reset();
    } else {
      spare_.reset();
      accept().reset();
      spare_ = open_spare();
      return {};
    }
    return accept();
  }

  using Connections = std::vector<std::shared_ptr<UniqueFd>>;

  std::shared_ptr<UniqueFd> take_out(Connections::iterator which) {
    std::shared_ptr<UniqueFd> connection = std::move(*which);
    connections_.erase(which);
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection->get(), nullptr);
    return connection;
  }

  void serve(int fd) {
    const auto found = std::find_if(connections_.begin(), connections_.end(),
                                    [fd](const auto& one) { return one->get() == fd; });
    if (found == connections_.end()) return;
    // The reply keeps the connection open; the set of waiting ones does not.
    const std::shared_ptr<UniqueFd> connection = take_out(found);
    std::array<char, kMaxRequest> text{};
    const ssize_t n = ::recv(fd, text.data(), text.size(), MSG_TRUNC);
    if (n <= 0) return;
    const auto reply = [connection](const std::string& answer) {
      [[maybe_unused]] const ssize_t sent =
          ::send(connection->get(), answer.data(), std::min(answer.size(), kMaxReply),
                 MSG_NOSIGNAL | MSG_DONTWAIT);
    };
    if (!is_trusted(fd, ::geteuid())) {
      reply(error_reply(Error{ErrorKind::not_allowed,
                              "only root and the daemon's user may do this: try sudo, or --own "
                              "for a daemon of your own"}));
      return;
    }
    if (static_cast<std::size_t>(n) > text.size()) {
      reply(error_reply(Error{ErrorKind::usage, "the request is too long"}));
      return;
    }
    if (handler_) handler_(std::string(text.data(), static_cast<std::size_t>(n)), reply);
  }

  UniqueFd epoll_;
  UniqueFd listener_;
  // Given up when there is no other descriptor, for a caller and to turn one away.
  UniqueFd reserve_;
  UniqueFd spare_;
  std::string path_;
  ino_t inode_ = 0;
  bool handed_over_ = false;
  Handler handler_;
  Connections connections_;  ///< of those who have asked for nothing yet, the oldest first
};

Result<std::unique_ptr<ControlServer>> serve_on(UniqueFd listener, const std::string& path) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail(error_from_errno("epoll_create1", errno));
  return std::make_unique<Server>(std::move(epoll), std::move(listener), path);
}

bool wait_readable(int fd, steady_clock::time_point until) {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - steady_clock::now());
    const int wait_ms = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
    pollfd wait{fd, POLLIN, 0};
    if (::poll(&wait, 1, wait_ms) > 0) return true;
    if (left.count() <= 0) return false;
  }
}

tl::unexpected<Error> no_answer(const std::string& path, Duration timeout) {
  return fail(ErrorKind::unavailable,
              "the daemon at " + path + " did not answer within " + format_duration(timeout));
}

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
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode))
      return fail(ErrorKind::failed, "what stands at " + path +
                                         " is no control socket of ours; look who made it, then "
                                         "remove it");
    ::unlink(path.c_str());
  }
  // The file gets the mode that the socket has: there is no moment in which others may connect, and
  // the umask, which other threads use too, is left alone.
  if (::fchmod(listener.get(), 0600) != 0 ||
      ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address.address),
             sizeof address.address) != 0 ||
      ::listen(listener.get(), kBacklog) != 0) {
    return fail(error_from_errno("cannot open the control socket " + path, errno));
  }
  return serve_on(std::move(listener), path);
}

Result<std::unique_ptr<ControlServer>> ControlServer::adopt(UniqueFd listener,
                                                            const std::string& path) {
  TRY(const Address address, address_of(path));
  sockaddr_un bound{};
  socklen_t size = sizeof bound;
  const bool ours =
      ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&bound), &size) == 0 &&
      names_same_file(bound.sun_path, address.address.sun_path) && is_socket(path) &&
      ::fcntl(listener.get(), F_SETFD, FD_CLOEXEC) == 0;
  if (!ours) return listen(path);
  return serve_on(std::move(listener), path);
}

bool is_socket(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode);
}

Result<std::string> control_request(const std::string& path, const std::string& request,
                                    Duration timeout) {
  auto address = address_of(path);
  if (!address) return fail(ErrorKind::unavailable, address.error().message);
  UniqueFd peer(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!peer) return fail(error_from_errno("socket", errno));
  const auto until = steady_clock::now() + timeout;
  while (::connect(peer.get(), reinterpret_cast<const sockaddr*>(&address->address),
                   sizeof address->address) != 0) {
    // EAGAIN: the queue of those who wait to be let in is full.
    if (errno != EAGAIN && errno != EINTR) return unreachable(path, errno);
    if (steady_clock::now() >= until) return no_answer(path, timeout);
    ::poll(nullptr, 0, kQueueStepMs);
  }
  if (::send(peer.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) {
    return unreachable(path, errno);
  }
  if (!wait_readable(peer.get(), until)) return no_answer(path, timeout);
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
