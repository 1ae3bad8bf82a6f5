#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "schedctl/base/result.hpp"
#include "schedctl/base/unique_fd.hpp"
#include "schedctl/keeper/messages.hpp"

namespace schedctl::keeper {

/// Where a keeper lives and how it is started; also what `schedctl keeper` gets on its command
/// line.
struct KeeperPaths {
  std::string keeper_dir;  ///< lock, socket, journal; made 0700
  std::string output_dir;  ///< output files of runs; made 0700
  /// The config file whose `allow_users`, `daemon_user` and `job_user` a root keeper goes by;
  /// empty: it allows nobody.
  std::string config_file = {};
  bool own = false;  ///< of a user's own daemon, which has no daemon_user
  /// It is a service of its own: no daemon starts or dismisses it, and it ends when it is told to.
  bool external = false;
};

/// The command line by which a program becomes the keeper of these paths.
std::vector<std::string> command_line(const std::string& program, const KeeperPaths& paths);

/// A keeper on its way to life, by its command_line() and in a session of its own, until it holds
/// its lock and listens; nothing in here blocks. Who gives it up before the outcome leaves a keeper
/// behind that ends by itself when nobody comes. Used by one thread.
class Spawning {
 public:
  /// `program` is an absolute path. Kind conflict: a keeper lives there already.
  static Result<Spawning> begin(const std::string& program, const KeeperPaths& paths);
  /// Readable when outcome() may know more. Another one after each call of outcome().
  int fd() const { return pipe_ ? pipe_.get() : process_.get(); }
  /// Nothing: not yet. Errors carry what the new process said.
  std::optional<Result<void>> outcome();
  /// It takes too long: the process is killed.
  void kill();

 private:
  Spawning() = default;
  Error why_it_ended(int wait_status) const;

  std::int64_t pid_ = 0;
  UniqueFd process_;  ///< a pidfd
  UniqueFd pipe_;     ///< what it says; closed when it has said it all
  std::string said_;
};

/// The same, waiting for the outcome.
Result<void> spawn_keeper(const std::string& program, const KeeperPaths& paths);

/// The daemon's end of the connection. Used by one thread (the io thread), except where noted.
/// Writes never block: what the socket does not take is queued here and sent when it is writable.
class Client {
 public:
  struct Handlers {
    std::function<void(Started)> started;
    std::function<void(StartFailed)> start_failed;
    std::function<void(Ended)> ended;
    /// The answer to ping().
    std::function<void(std::uint64_t token)> pong = {};
    /// The keeper does not do as reexec() asks, and why.
    std::function<void(const std::string& why)> stayed = {};
    /// The connection broke: the keeper is gone (or gone mad). Called once, from on_ready.
    std::function<void(Error)> closed;
  };

  /// Connects without waiting: set handlers, then drive it by on_ready() until is_connected(). A
  /// keeper that is stopped answers when it goes on, so there is no time after which it is wrong to
  /// wait. `version`: of the protocol; 0 is the newest. Kind unavailable: no keeper lives there, or
  /// it cannot be reached (the message says which).
  static Result<std::unique_ptr<Client>> begin(const KeeperPaths& paths, std::uint32_t version = 0);
  /// Sends what is queued, as far as the socket takes it, and closes.
  virtual ~Client() = default;

  /// The inventory is there; orders may be given. on_ready() returns when it comes to that, though
  /// more may have been read already: call it once more after looking at the inventory.
  virtual bool is_connected() const = 0;
  /// Not 0: it was refused (and is closed) because the keeper speaks only this older version.
  virtual std::uint32_t version_offered() const = 0;
  virtual const Inventory& inventory() const = 0;
  virtual std::int64_t pid() const = 0;

  /// The keeper's program, by a name that no other build has; empty: it does not tell.
  virtual const std::string& build() const = 0;
  /// It is known to be another build than this process's.
  virtual bool is_of_another_build() const = 0;

  /// For the event loop: watch fd() for wanted_events() (they change after each call below) and
  /// call on_ready. Orders are sent from there, so that a burst of them shares its packets. A
  /// handler may give orders, but not destroy the client.
  virtual int fd() const = 0;
  virtual std::uint32_t wanted_events() const = 0;
  /// Sends what the socket takes; the rest when it is writable.
  virtual void flush() = 0;
  virtual void on_ready(std::uint32_t events) = 0;
  virtual void set_handlers(Handlers handlers) = 0;

  /// An order over the size of a message is answered at once, from within, with start_failed (exec,
  /// E2BIG); limits::kCommandBytes of argv and environment and limits::kStdinText fit. So is one on
  /// terms that an older keeper cannot keep (setup, EPROTONOSUPPORT).
  virtual void start(const StartOrder& order) = 0;
  /// Its stop signal to the run's group now, KILL `kill_grace` later. Unknown runs are ignored.
  virtual void end(const RunKey& key, Duration kill_grace) = 0;
  /// Any signal to the run's group. Unknown runs are ignored; so is the order by an older keeper.
  virtual void signal(const RunKey& key, int signo) = 0;
  /// The daemon has committed what became of these: the keeper may forget them.
  virtual void acknowledge(const std::vector<RunKey>& keys) = 0;
  /// Ask it to become the program that by now stands under its own path, children and all. Either
  /// Handlers::stayed is the answer, or the connection closes, and it can be connected to anew.
  virtual void reexec() = 0;
  /// Ask an idle keeper to end; one with children stays.
  virtual void quit_if_idle() = 0;
  /// Handlers::pong says when the keeper got to it.
  virtual void ping(std::uint64_t token) = 0;
};

/// Whether a keeper holds the lock of this directory (a look at /proc/locks; takes no lock), and
/// its pid; 0 if none.
std::int64_t living_keeper(const std::string& keeper_dir);

}  // namespace schedctl::keeper
