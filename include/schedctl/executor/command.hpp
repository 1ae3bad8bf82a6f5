#pragma once

#include <memory>
#include <string>
#include <variant>

#include "schedctl/base/result.hpp"
#include "schedctl/executor/executor.hpp"
#include "schedctl/host/host.hpp"
#include "schedctl/keeper/client.hpp"
#include "schedctl/loop/loop.hpp"
#include "schedctl/loop/mailbox.hpp"

namespace schedctl::executor {

class KeeperLink;

/// Runs commands through the keeper. Lives on the io thread, whose loop it is given; the Executor
/// interface may be called from any thread. Finds the living keeper or spawns one, and does so
/// again whenever the connection breaks, without making the io thread wait.
class CommandExecutor final : public Executor {
 public:
  struct Options {
    keeper::KeeperPaths paths;
    std::string program;   ///< absolute path of this binary, to spawn a keeper from
    std::string store_id;  ///< runs of other stores are not ours to report
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
  void recorded(std::vector<std::pair<RunId, std::int64_t>> runs) override;
  void ping() override;

 private:
  struct PingOrder {};
  struct EndOrder {
    RunId run;
    std::int64_t fence = 0;
    Duration kill_grace{};
  };
  using Recorded = std::vector<std::pair<RunId, std::int64_t>>;
  using Order = std::variant<std::vector<StartRequest>, EndOrder, Recorded, PingOrder>;

  CommandExecutor(loop::Loop& loop, Options options, ReportSink& sink, loop::Mailbox<Order> orders);
  void adopt(const keeper::Inventory& known);
  void carry_out_orders();
  void start_all(keeper::Client* client, std::vector<StartRequest> requests);
  keeper::RunKey key_of(RunId run, std::int64_t fence) const;

  loop::Loop& loop_;
  Options options_;
  host::User user_;          ///< read once: the user database may be slow, or on a network
  std::string default_cwd_;  ///< the user's home, or / where there is none
  ReportSink& sink_;
  loop::Mailbox<Order> orders_;
  std::unique_ptr<KeeperLink> link_;
  std::int64_t generation_ = 0;
};

/// The whole environment of a command, as "NAME=value", sorted by name: PATH HOME USER LOGNAME
/// SHELL LANG TZ (unless the job names no zone), over them the job's own, and the run's SCHEDCTL_
/// variables, which no job can change. Nothing of this process's.
std::vector<std::string> build_environment(const StartRequest& request, const host::User& user);

}  // namespace schedctl::executor
