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
#include "schedctl/loop/timer.hpp"

namespace schedctl::executor {

/// Runs commands through the keeper. Lives on the io thread, whose loop it is given; the Executor
/// interface may be called from any thread. Finds the living keeper or spawns one, and does so
/// again whenever the connection breaks.
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

  /// Blocks until a keeper has answered; the sink has its Adoption then. Kind unavailable: a keeper
  /// lives but does not answer.
  Result<void> connect();
  std::int64_t keeper_pid() const;
  /// Lets an idle keeper end; called when the daemon stops for good. io thread.
  void dismiss_keeper();

  void start(std::vector<StartRequest> requests) override;
  void end(RunId run, std::int64_t fence, Duration kill_grace) override;
  void recorded(std::vector<std::pair<RunId, std::int64_t>> runs) override;

 private:
  struct EndOrder {
    RunId run;
    std::int64_t fence = 0;
    Duration kill_grace{};
  };
  using Recorded = std::vector<std::pair<RunId, std::int64_t>>;
  using Order = std::variant<std::vector<StartRequest>, EndOrder, Recorded>;

  CommandExecutor(loop::Loop& loop, Options options, ReportSink& sink, loop::Mailbox<Order> orders,
                  loop::MonotonicTimer retry);
  Result<void> attach(std::unique_ptr<keeper::Client> client);
  void watch_client();
  void carry_out_orders();
  void start_all(std::vector<StartRequest> requests);
  void on_closed(const Error& error);
  void reconnect();
  keeper::RunKey key_of(RunId run, std::int64_t fence) const;

  loop::Loop& loop_;
  Options options_;
  host::User user_;          ///< read once: the user database may be slow, or on a network
  std::string default_cwd_;  ///< the user's home, or / where there is none
  ReportSink& sink_;
  loop::Mailbox<Order> orders_;
  loop::MonotonicTimer retry_;
  std::unique_ptr<keeper::Client> client_;
  std::int64_t generation_ = 0;
  std::uint32_t watched_events_ = 0;  ///< what the loop watches client_ for; 0: it does not
  bool closed_ = false;               ///< the client has reported its end and waits to be replaced
};

/// The whole environment of a command, as "NAME=value", sorted by name: PATH HOME USER LOGNAME
/// SHELL LANG TZ (unless the job names no zone), over them the job's own, and the run's SCHEDCTL_
/// variables, which no job can change. Nothing of this process's.
std::vector<std::string> build_environment(const StartRequest& request, const host::User& user);

}  // namespace schedctl::executor
