#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "schedctl/executor/executor.hpp"
#include "schedctl/job/policy.hpp"

namespace schedctl::runner {

/// Says what is wrong with the output of a run that has ended, under the success_match, fail_match
/// and min_output of its job. That may take seconds, which no beat has.
class Judge {
 public:
  struct Case {
    executor::Report report;
    job::Policy policy;
  };
  struct Verdict {
    executor::Report report;
    std::string fault;  ///< in words; empty: nothing
  };

  virtual ~Judge() = default;
  /// Called on the runner's thread; never blocks. Each case gets one Verdict.
  virtual void judge(Case one) = 0;
};

/// Judges one after the other on a thread of its own, which lives from the first case on.
class OutputJudge final : public Judge {
 public:
  /// Called on that thread; must not block.
  using Tell = std::function<void(Verdict)>;

  explicit OutputJudge(Tell tell) : tell_(std::move(tell)) {}
  OutputJudge(const OutputJudge&) = delete;
  OutputJudge& operator=(const OutputJudge&) = delete;
  /// Waits for the case that is being judged; the others get no verdict any more.
  ~OutputJudge() override;

  void judge(Case one) override;

 private:
  void work();

  Tell tell_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Case> cases_;  ///< guarded by mutex_, as is the next one
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace schedctl::runner
