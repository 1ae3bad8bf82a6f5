#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <variant>

#include "schedctl/loop/loop.hpp"
#include "schedctl/loop/mailbox.hpp"
#include "schedctl/loop/timer.hpp"
#include "schedctl/runner/runner.hpp"

namespace schedctl::runner {

/// The runner's thread: sleeps until the next fire, retry, poke or finished run, and beats. It is
/// the sink of executors and courier. Public members may be called from any thread.
class RunnerThread final : public executor::ReportSink, public alert::OutcomeSink {
 public:
  /// How a daemon ends.
  enum class Stop {
    drain,  ///< claim nothing, wait for the live runs, then end them
    now,    ///< end the live runs at once
    leave,  ///< leave them to a successor
  };
  /// Runs on the runner's thread, between two beats.
  using Task = std::function<void(Runner&, store::Store&)>;

  static Result<std::unique_ptr<RunnerThread>> create(const Clock& clock);
  ~RunnerThread() override;

  /// Starts the thread. `first_beat` is set when the first beat has committed or failed; `ended` is
  /// called on the thread when it is about to end.
  void run(std::unique_ptr<Runner> runner, store::Store& store,
           std::promise<Result<void>> first_beat, std::function<void()> ended);
  void join();

  void report(executor::Report report) override;
  void adopt(executor::Adoption adoption) override;
  void keeper_lost(std::string why) override;
  void alive() override;
  void delivered(alert::Outcome outcome) override;
  void judged(Judge::Verdict verdict);
  void poke();
  void post(Task task);
  /// The same without a beat after it: what only asks.
  void ask(Task task);
  /// May be called again to hurry: drain, then now. `patience` is how long drain waits.
  void stop(Stop how, Duration patience);

 private:
  struct Poke {};
  struct Question {
    Task task;
  };
  struct Alive {};
  struct KeeperLost {
    std::string why;
  };
  struct StopOrder {
    Stop how = Stop::drain;
    Duration patience{};
  };
  /// Which reports need not wake the thread, since it is going to look anyway.
  enum class Gathering {
    nothing,
    starts,
    ends,  ///< and starts
  };
  using Message = std::variant<executor::Report, executor::Adoption, KeeperLost, Alive,
                               alert::Outcome, Judge::Verdict, Poke, Task, Question, StopOrder>;

  RunnerThread(const Clock& clock, std::unique_ptr<loop::Loop> loop, loop::Mailbox<Message> inbox,
               loop::WallTimer wall, loop::MonotonicTimer delay, loop::MonotonicTimer tidying);
  void main_loop(std::promise<Result<void>> first_beat);
  void read_inbox();
  void obey(const StopOrder& order);
  void beat();
  void tidy();
  bool stop_is_complete();
  void on_beat_failed(const Error& error);
  void want_company(Gathering what, Duration for_at_most);
  void wake_at(Duration elapsed);
  void on_delay();

  const Clock& clock_;
  std::unique_ptr<loop::Loop> loop_;
  loop::Mailbox<Message> inbox_;
  loop::WallTimer wall_;          ///< the next fire, retry or deadline in rows
  loop::MonotonicTimer delay_;    ///< a delayed beat, a retry after a failure, the end of patience
  loop::MonotonicTimer tidying_;  ///< the next step of retention
  std::thread thread_;
  std::unique_ptr<Runner> runner_;
  store::Store* store_ = nullptr;
  std::function<void()> ended_;

  std::atomic<Gathering> gathering_ = Gathering::nothing;
  bool due_ = true;       ///< a beat is wanted now
  bool tidy_due_ = true;  ///< and, when there is nothing else to do, a step of retention
  // The rest are instants of Clock::elapsed.
  std::optional<Time> next_fall_due_;      ///< the wall clock is armed for it
  std::optional<Duration> company_until_;  ///< a beat is wanted, but waits for more to record
  std::optional<Duration> failing_until_;  ///< the last beat failed: no other before this
  std::optional<Duration> armed_until_;    ///< when delay_ goes off
  Duration failing_since_{};
  std::optional<StopOrder> stop_;
  std::optional<Duration> stop_deadline_;  ///< the end of patience
  std::optional<Duration> give_up_at_;     ///< end_all was called: the end of the last patience
  std::optional<Error> last_failure_;
};

}  // namespace schedctl::runner
