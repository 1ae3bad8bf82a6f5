#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "schedctl/base/result.hpp"
#include "schedctl/keeper/client.hpp"
#include "schedctl/loop/loop.hpp"
#include "schedctl/loop/timer.hpp"

namespace schedctl::executor {

/// The line to the keeper: finds the living one or (unless it is external) spawns one, and does so
/// again whenever the line breaks. A living one of another build is asked to become what its path
/// leads to now. Lives on the io thread and never makes it wait, except in connect() and dismiss().
class KeeperLink {
 public:
  struct Handlers {
    /// A keeper answers; its inventory is at hand, and it takes orders from now on.
    std::function<void(keeper::Client&)> connected;
    /// There is none, and why: once when the line breaks, once more when that lasts.
    std::function<void(const std::string& why)> lost;
    /// Whoever made it could do what this process cannot.
    bool keeper_is_roots = false;
    /// None lives, and this process may not start one; nothing goes on.
    std::function<void()> orphaned;
    /// Of the client; `closed` and `stayed` are not used.
    keeper::Client::Handlers reports;
  };

  static Result<std::unique_ptr<KeeperLink>> create(loop::Loop& loop, keeper::KeeperPaths paths,
                                                    std::string program, Handlers handlers);
  ~KeeperLink();

  /// Tries for `patience`. Kind unavailable: a keeper lives or is being started but has not
  /// answered yet; `lost` was called, and trying goes on in the loop. Any other kind: none can be
  /// started, and nothing goes on.
  Result<void> connect(Duration patience);
  /// Nothing while no keeper answers.
  keeper::Client* client() { return phase_ == Phase::connected ? client_.get() : nullptr; }
  /// To be called after orders were given to the client.
  void send_orders();
  /// Does not wake the loop for what the keeper reports, for a moment in which read_reports() is
  /// going to be called.
  void let_reports_wait(bool wait);
  void read_reports();
  /// Lets an idle keeper end, and waits for that for a second; the line is closed for good.
  void dismiss();

 private:
  enum class Phase {
    resting,   ///< until the next attempt
    spawning,  ///< a new keeper has not said yet that it is ready
    greeting,  ///< one lives, and has not answered our hello
    connected,
    closed,  ///< for good
  };

  KeeperLink(loop::Loop& loop, keeper::KeeperPaths paths, std::string program, Handlers handlers,
             loop::MonotonicTimer timer);
  void attempt();
  void spawn();
  void give_up();
  void greet();
  void on_timer();
  void on_ready(std::uint32_t events);
  void on_spawning();
  void on_client(std::uint32_t events);
  void on_connected();
  void on_closed();
  void renew();
  void on_stayed(const std::string& why);
  void rest(Error error);
  void tell_lost(const std::string& why);
  void watch();
  void unwatch();

  loop::Loop& loop_;
  keeper::KeeperPaths paths_;
  std::string program_;
  Handlers handlers_;
  /// What it waits for depends on the phase: the next attempt, or the end of patience with one.
  loop::MonotonicTimer timer_;

  Phase phase_ = Phase::resting;
  std::optional<keeper::Spawning> spawning_;
  std::unique_ptr<keeper::Client> client_;
  std::uint32_t version_ = 0;     ///< of the protocol, where the keeper asked for an older one
  std::optional<Error> closed_;   ///< the client's last word
  std::optional<Error> problem_;  ///< why the last attempt failed
  int failures_ = 0;              ///< attempts since a keeper last answered
  int breaks_ = 0;                ///< connections in a row that broke at once
  std::chrono::steady_clock::time_point connected_at_;
  std::string asked_;      ///< which keeper, of which build, was asked to renew itself
  bool renewing_ = false;  ///< it has not answered yet
  bool reports_wait_ = false;
  int watched_fd_ = -1;
  std::uint32_t watched_events_ = 0;
};

}  // namespace schedctl::executor
