#include "schedctl/runner/judge.hpp"

#include <pthread.h>

#include <system_error>
#include <utility>

#include "output.hpp"

namespace schedctl::runner {

OutputJudge::~OutputJudge() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void OutputJudge::judge(Case one) {
  if (!thread_.joinable()) {
    try {
      thread_ = std::thread([this] { work(); });
    } catch (const std::system_error&) {
      // The machine has no thread to give: a late beat is better than no verdict.
      std::string fault = output_fault(one.policy, one.report.result);
      return tell_({std::move(one.report), std::move(fault)});
    }
    ::pthread_setname_np(thread_.native_handle(), "judge");
  }
  {
    const std::lock_guard lock(mutex_);
    cases_.push_back(std::move(one));
  }
  changed_.notify_one();
}

void OutputJudge::work() {
  while (true) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ending_ || !cases_.empty(); });
    if (ending_) return;
    Case one = std::move(cases_.front());
    cases_.pop_front();
    lock.unlock();
    std::string fault = output_fault(one.policy, one.report.result);
    tell_({std::move(one.report), std::move(fault)});
  }
}

}  // namespace schedctl::runner
