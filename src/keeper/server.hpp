#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runs.hpp"
#include "schedctl/base/unique_fd.hpp"
#include "schedctl/host/connection.hpp"
#include "schedctl/loop/loop.hpp"

namespace schedctl::keeper {

/// The keeper's listener and its connections: one daemon at a time, and callers who have yet to say
/// who they are.
class Server {
 public:
  /// Root may connect, and `daemon_user`.
  Server(loop::Loop& loop, UniqueFd listener, std::string instance, uid_t daemon_user);
  ~Server();

  /// `last_epoch`: of the daemons that an earlier program of this keeper has welcomed.
  Result<void> listen(Runs& runs, std::uint64_t last_epoch = 0);
  void report(const Report& report);

  /// Takes what the daemon sent, but not so much that the rest of the loop waits for long, and
  /// sends what there is to send. Once a turn of the loop.
  void turn();
  /// turn() would find more to do at once.
  bool is_busy() const { return daemon_ != nullptr && daemon_->has_unread(); }
  bool has_daemon() const { return daemon_ != nullptr; }
  /// The daemon asked an idle keeper to end.
  bool is_dismissed() const { return dismissed_; }
  /// The daemon asked for a newer program, since the last time this was called.
  bool take_reexec_wish() { return std::exchange(wants_reexec_, false); }
  /// The answer to it, if it is no.
  void stay(const std::string& why);
  /// Carries out everything that the daemon had sent and closes its connection, and the callers'.
  /// Who comes from now on waits in the listener.
  void close_connections();
  int listener() const { return listener_.fd(); }
  std::uint64_t last_epoch() const { return last_epoch_; }

 private:
  void accept_callers();
  void hear_caller(int fd);
  void drop_caller(int fd);
  void welcome(std::unique_ptr<host::Connection> connection, const Hello& hello);
  bool hear_daemon();
  void drain_daemon();
  void drop_daemon();
  void carry_out(Message& message);
  void send();

  uid_t daemon_user_;
  loop::Loop& loop_;
  host::Listener listener_;
  std::string instance_;
  Runs* runs_ = nullptr;
  std::uint64_t last_epoch_ = 0;
  std::vector<std::unique_ptr<host::Connection>> callers_;
  std::unique_ptr<host::Connection> daemon_;
  std::uint32_t daemon_version_ = 0;  ///< of the protocol that is spoken with it
  std::size_t most_unsent_ = 0;
  bool readable_ = false;
  bool watches_writable_ = false;
  bool dismissed_ = false;
  bool wants_reexec_ = false;
};

}  // namespace schedctl::keeper
