#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "schedctl/base/result.hpp"
#include "schedctl/base/time.hpp"
#include "schedctl/base/unique_fd.hpp"

namespace schedctl::host {

/// The daemon's control socket (0600 seqpacket in runtime_dir): one short request a connection, one
/// reply. Requests and replies are lines of text:
///   poke | ping | reload | reopen-logs | stop-now      ->  "ok", "ok PID ...", "error KIND
///   MESSAGE"
/// The peer must be root or the daemon's user; others get "error 77 ..." .
class ControlServer {
 public:
  /// A request came in. Answer now or later through `reply` (at most once; dropped if the peer
  /// left).
  using Reply = std::function<void(const std::string&)>;
  using Handler = std::function<void(const std::string& request, Reply reply)>;

  static Result<std::unique_ptr<ControlServer>> listen(const std::string& path);
  /// As listen, on the socket that this process opened before it became another program. Who
  /// connected in between is served; nobody was turned away. Opens a new one if the file is gone.
  static Result<std::unique_ptr<ControlServer>> adopt(UniqueFd listener, const std::string& path);
  virtual ~ControlServer() = default;  ///< removes the socket's file
  /// For the event loop: readable when on_ready has something to do. It is an epoll descriptor that
  /// covers the listener and all connections.
  virtual int fd() const = 0;
  virtual void on_ready() = 0;
  virtual void set_handler(Handler handler) = 0;
  /// Takes no more requests: callers wait until somebody does. The file stays, and the listening
  /// descriptor, for adopt() by a successor.
  virtual int hand_over() = 0;
};

/// Whether a control socket's file stands at the path; whether somebody listens is another matter.
bool is_socket(const std::string& path);

/// Sends one request and waits for the reply. Kind unavailable: nobody listens, or no answer within
/// `timeout`; not_allowed. An "error ..." reply comes back as that Error. Works for paths over 107
/// bytes.
Result<std::string> control_request(const std::string& path, const std::string& request,
                                    Duration timeout);

}  // namespace schedctl::host
