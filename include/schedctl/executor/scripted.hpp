#pragma once

#include <utility>
#include <vector>

#include "schedctl/executor/executor.hpp"

namespace schedctl::executor {

/// An executor that starts nothing and remembers what it was told. For tests of whoever drives
/// executors: they play the outcomes themselves. Not thread safe.
class ScriptedExecutor final : public Executor {
 public:
  std::vector<StartRequest> started;
  std::vector<std::pair<RunId, std::int64_t>> ended;
  std::vector<std::pair<RunId, std::int64_t>> acknowledged;
  std::vector<std::pair<RunId, int>> signalled;
  int pings = 0;

  void start(std::vector<StartRequest> requests) override {
    for (StartRequest& request : requests) started.push_back(std::move(request));
  }
  void end(RunId run, std::int64_t fence, Duration) override { ended.emplace_back(run, fence); }
  void signal(RunId run, std::int64_t, int number) override { signalled.emplace_back(run, number); }
  void recorded(std::vector<std::pair<RunId, std::int64_t>> runs) override {
    acknowledged.insert(acknowledged.end(), runs.begin(), runs.end());
  }
  void ping() override { ++pings; }
};

}  // namespace schedctl::executor
