#include "schedctl/runner/judge.hpp"

#include <pthread.h>

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
  {
    const std::lock_guard lock(mutex_);
    cases_.push_back(std::move(one));
  }
  if (!thread_.joinable()) {
    thread_ = std::thread([this] { work(); });
    ::pthread_setname_np(thread_.native_handle(), "judge");
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
