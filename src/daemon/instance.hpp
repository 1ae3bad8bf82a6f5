#pragma once

#include <csignal>
#include <memory>
#include <optional>
#include <string>

#include "schedctl/alert/courier.hpp"
#include "schedctl/base/unique_fd.hpp"
#include "schedctl/daemon/daemon.hpp"
#include "schedctl/executor/command.hpp"
#include "schedctl/host/control.hpp"
#include "schedctl/host/host.hpp"
#include "schedctl/host/privilege.hpp"
#include "schedctl/host/service_manager.hpp"
#include "schedctl/loop/directory_watch.hpp"
#include "schedctl/loop/http.hpp"
#include "schedctl/loop/loop.hpp"
#include "schedctl/loop/mailbox.hpp"
#include "schedctl/loop/timer.hpp"
#include "schedctl/runner/runner_thread.hpp"

namespace schedctl::daemon {

/// The two locks, in the order in which they are taken.
struct Locks {
  host::FileLock runtime;   ///< one daemon a runtime directory
  host::FileLock database;  ///< one daemon a store
};

/// What a process that becomes another program keeps: the locks, so that nobody comes in between,
/// and the control socket, so that nobody is turned away.
struct Inherited {
  Locks locks;
  UniqueFd control;
};

/// The running daemon: holds the locks and the parts, and is the io thread (signals, control
/// socket, the executor's connection). Used on the main thread.
class Instance {
 public:
  Instance(StartOptions options, const Parts& parts);
  ~Instance();

  /// Everything up to the first beat. `inherited` is what a predecessor that became this process
  /// held. After an error nothing is left behind but, perhaps, a keeper with children.
  Result<void> become_ready(std::optional<Inherited> inherited);
  /// Serves until told to end; the exit code. Does not return after `restart`, unless the exec
  /// fails.
  int serve();
  /// Its keeper is gone, and it may not make another, as root could.
  bool is_orphaned() const { return orphaned_; }

 private:
  Result<void> prepare(std::optional<Inherited> inherited);
  Result<void> check_place_of_store() const;
  Result<void> begin_work();
  Result<void> begin_work_patiently();
  Result<void> take_locks(std::optional<Locks> held);
  Result<host::FileLock> take_runtime_lock() const;
  Result<host::FileLock> take_database_lock() const;
  static Result<void> make_directories(const config::Config& config);
  Result<std::optional<host::Account>> whom_to_become(bool restarted) const;
  Result<void> expect_same_rules() const;
  Result<void> provide_directories(const host::Account& user) const;
  Result<void> provide_keeper(const host::Account& user) const;
  Result<void> drop_to(const host::Account& user);
  bool keeper_is_external() const;
  keeper::KeeperPaths keeper_paths() const;
  static Result<void> expect_no_other_keeper(const config::Config& config);
  void note_keeper_place() const;
  Result<void> connect_keeper();
  void on_orphaned();
  Result<void> expect_restartable() const;
  Result<void> watch_signals();
  Result<void> start_runner();
  void watch_zone_data();
  Result<void> announce();
  Result<void> load_jobs_at_start();
  void on_signal();
  void on_request(const std::string& request, const host::ControlServer::Reply& reply);
  Result<void> reload(std::function<void(const Result<std::string>&)> done);
  void reload_and_log();
  Result<void> watch_manager();
  void feed_manager();
  void stop(runner::RunnerThread::Stop how);
  void begin_restart();
  void say_goodbye(const char* event_kind, bool left);
  [[noreturn]] void exec_successor();

  StartOptions options_;
  const Parts& parts_;
  config::Config config_;
  Time started_at_{};
  store::Node node_;

  std::optional<Locks> locks_;
  bool log_opened_ = false;
  bool pidfile_written_ = false;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<loop::Loop> loop_;
  UniqueFd signals_;
  std::optional<loop::Bell> ended_;
  std::unique_ptr<host::ControlServer> control_;
  host::ServiceManager manager_;
  std::optional<loop::MonotonicTimer> feeding_;  ///< when it is to hear of us again
  std::unique_ptr<runner::RunnerThread> runner_;
  std::unique_ptr<runner::OutputJudge> judge_;
  std::unique_ptr<executor::CommandExecutor> executor_;
  std::unique_ptr<loop::Http> http_;
  std::unique_ptr<alert::HttpCourier> courier_;
  std::unique_ptr<loop::DirectoryWatch> zone_watch_;
  alert::Addresses addresses_;
  std::string last_boot_;           ///< of the daemon before this one
  std::optional<Time> down_since_;  ///< no daemon was here before this one since then
  std::string down_words_;
  std::optional<runner::RunnerThread::Stop> stopping_;
  bool keeper_is_roots_ = false;
  bool working_ = false;   ///< the first beat is done
  bool orphaned_ = false;  ///< see is_orphaned()
  bool left_ = false;      ///< jobs were left to a successor
  bool restarting_ = false;
  int signal_for_successor_ = 0;  ///< came too late for this one
};

/// The signals that a daemon hears through its signalfd.
sigset_t handled_signals();

/// Hands the descriptors of Inherited to the successor: "FD,FD,FD".
using config::kInheritVariable;

}  // namespace schedctl::daemon
