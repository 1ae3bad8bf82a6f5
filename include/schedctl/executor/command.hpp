#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>

#include "schedctl/base/result.hpp"
#include "schedctl/executor/executor.hpp"
#include "schedctl/host/host.hpp"
#include "schedctl/keeper/client.hpp"
#include "schedctl/loop/loop.hpp"
#include "schedctl/loop/mailbox.hpp"
#include "schedctl/loop/timer.hpp"

namespace schedctl::executor {

class HeldStarts;
class KeeperLink;

/// The users that commands run as. The user database may be slow, or on a network: an answer holds
/// for a minute.
class Accounts {
 public:
  /// `job_user`: whom commands run as that name nobody; "": this process's own.
  explicit Accounts(std::string job_user = {}) : job_user_(std::move(job_user)) {}

  struct Account {
    host::User user;
    bool is_root = false;
    std::string default_cwd;  ///< the home, or / where there is none
  };
  /// "": the job_user. Of a name that is not known only the name is right: the keeper refuses
  /// it.
  const Account& find(const std::string& name);

 private:
  struct Known {
    Account account;
    std::chrono::steady_clock::time_point until;
  };
  std::string job_user_;
  std::map<std::string, Known> known_;
};

/// Runs commands through the keeper. Lives on the io thread, whose loop it is given; the Executor
/// interface may be called from any thread. Finds the living keeper or spawns one, and does so
/// again whenever the connection breaks, without making the io thread wait.
class CommandExecutor final : public Executor {
 public:
  struct Options {
    keeper::KeeperPaths paths;
    std::string program;        ///< absolute path of this binary, to spawn a keeper from
    std::string store_id;       ///< runs of other stores are not ours to report
    std::string job_user = {};  ///< of commands that name nobody; "": this process's own
    /// Root has made the keeper, and this process is not root any more.
    bool keeper_is_roots = false;
    /// The keeper is gone, and this process may not make another: it is not tried again.
    std::function<void()> orphaned = {};
  };

  static Result<std::unique_ptr<CommandExecutor>> create(loop::Loop& loop, Options options,
                                                         ReportSink& sink);
  ~CommandExecutor() override;

  /// Blocks until a keeper has answered, or for `patience`; the sink has its Adoption then. Kind
  /// unavailable: one lives, or is being started, but has not answered; the sink has heard
  /// keeper_lost, and its Adoption follows whenever one answers. Whoever goes on without it claims
  /// nothing. Any other kind: none can be started, and it is not tried again.
  Result<void> connect(Duration patience = std::chrono::seconds(10));
  /// 0: none answers.
  std::int64_t keeper_pid() const;
  /// Lets an idle keeper end; called when the daemon stops for good. io thread.
  void dismiss_keeper();

  void start(std::vector<StartRequest> requests) override;
  void end(RunId run, std::int64_t fence, Duration kill_grace) override;
  void signal(RunId run, std::int64_t fence, int number) override;
  void recorded(std::vector<std::pair<RunId, std::int64_t>> runs) override;
  void ping() override;

 private:
  struct PingOrder {};
  struct EndOrder {
    RunId run;
    std::int64_t fence = 0;
    Duration kill_grace{};
  };
  struct SignalOrder {
    RunId run;
    std::int64_t fence = 0;
    int number = 0;
  };
  using Recorded = std::vector<std::pair<RunId, std::int64_t>>;
  using Order = std::variant<std::vector<StartRequest>, EndOrder, SignalOrder, Recorded, PingOrder>;

  CommandExecutor(loop::Loop& loop, Options options, ReportSink& sink, loop::Mailbox<Order> orders,
                  loop::MonotonicTimer telling, HeldStarts held);
  void adopt(const keeper::Inventory& known);
  void carry_out_orders();
  void start_all(keeper::Client* client, std::vector<StartRequest> requests);
  void start_due();
  bool end_held(const EndOrder& order);
  void give_back_held();
  void tend_held();
  keeper::RunKey key_of(RunId run, std::int64_t fence) const;

  loop::Loop& loop_;
  Options options_;
  Accounts accounts_;
  ReportSink& sink_;
  loop::Mailbox<Order> orders_;
  loop::MonotonicTimer telling_;  ///< when orders that can wait are given at the latest
  std::atomic<bool> tells_soon_ = false;
  std::unique_ptr<HeldStarts> held_;
  std::unique_ptr<KeeperLink> link_;
  std::int64_t generation_ = 0;
};

/// Terms for the keeper. What a policy does not say is not in them.
keeper::Terms terms_of(const job::Policy& policy);

/// The whole environment of a command, as "NAME=value", sorted by name: PATH HOME USER LOGNAME
/// SHELL LANG TZ (unless the job names no zone), over them the job's own, and the run's SCHEDCTL_
/// variables, which no job can change. Nothing of this process's.
std::vector<std::string> build_environment(const StartRequest& request,
                                           const Accounts::Account& account);

}  // namespace schedctl::executor
