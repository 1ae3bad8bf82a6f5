#pragma once

#include <signal.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "schedctl/base/log.hpp"
#include "schedctl/executor/command.hpp"
#include "schedctl/keeper/client.hpp"
#include "tests/base/scratch.hpp"

namespace schedctl::executor::test {

using namespace std::chrono_literals;
using schedctl::test::comes_true;
using schedctl::test::Scratch;

/// What the executor tells, and a loop to hear it in.
class World : public ReportSink {
 public:
  explicit World(std::string store_id = "store") : store_id_(std::move(store_id)) {
    auto made = loop::Loop::create();
    REQUIRE(made);
    loop = std::move(*made);
    make_executor();
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World() override {
    executor.reset();
    const auto pid = static_cast<pid_t>(keeper::living_keeper(paths().keeper_dir));
    if (pid > 0) ::kill(pid, SIGKILL);
    CHECK(comes_true([&] { return keeper::living_keeper(paths().keeper_dir) == 0; }));
    (void)log::open("", log::Level::info, false);
  }

  void report(Report report) override { reports.push_back(std::move(report)); }
  void adopt(Adoption adoption) override { adoptions.push_back(std::move(adoption)); }
  void keeper_lost(std::string why) override { losses.push_back(std::move(why)); }
  void alive() override { ++signs_of_life; }

  void make_executor(const std::string& program = std::filesystem::read_symlink("/proc/self/exe")) {
    executor.reset();
    auto created = CommandExecutor::create(*loop, {paths(), program, store_id_}, *this);
    REQUIRE(created);
    executor = std::move(*created);
  }
  void connect() {
    const auto connected = executor->connect();
    REQUIRE_MESSAGE(connected, (connected ? "" : connected.error().message));
    REQUIRE_FALSE(adoptions.empty());
  }
  keeper::KeeperPaths paths() const { return {scratch / "keeper", scratch / "output"}; }

  /// Serves the loop until `done`, or fails the test.
  void until(const std::function<bool()>& done) {
    const auto give_up = std::chrono::steady_clock::now() + 60s;
    while (!done()) {
      REQUIRE(std::chrono::steady_clock::now() < give_up);
      REQUIRE(loop->run_once(100ms));
    }
  }
  StartRequest request(std::int64_t run, std::vector<std::string> argv) const {
    StartRequest request;
    request.run = RunId(run);
    request.fence = 1;
    request.generation = adoptions.empty() ? 0 : adoptions.back().generation;
    request.job = "job";
    request.key = "key";
    request.argv = std::move(argv);
    request.cwd = "/";
    request.policy.kill_grace = 10s;
    return request;
  }
  StartRequest shell(std::int64_t run, const std::string& line) const {
    return request(run, {"/bin/sh", "-c", line});
  }
  void start(StartRequest one) {
    std::vector<StartRequest> all;
    all.push_back(std::move(one));
    executor->start(std::move(all));
  }
  const Report* find(std::int64_t run, Report::Kind kind) const {
    for (const Report& report : reports) {
      if (report.run == RunId(run) && report.kind == kind) return &report;
    }
    return nullptr;
  }
  const Report& wait_for(std::int64_t run, Report::Kind kind = Report::Kind::finished) {
    until([&] { return find(run, kind) != nullptr; });
    return *find(run, kind);
  }
  const Report& run(StartRequest one) {
    const std::int64_t id = one.run.value;
    start(std::move(one));
    return wait_for(id);
  }
  void kill_keeper() { signal_keeper(SIGKILL); }
  void signal_keeper(int number) {
    const auto pid = static_cast<pid_t>(keeper::living_keeper(paths().keeper_dir));
    REQUIRE(pid > 0);
    REQUIRE(::kill(pid, number) == 0);
  }

  Scratch scratch;
  std::unique_ptr<loop::Loop> loop;
  std::vector<Report> reports;
  std::vector<Adoption> adoptions;
  std::vector<std::string> losses;
  int signs_of_life = 0;
  std::unique_ptr<CommandExecutor> executor;

 private:
  std::string store_id_;
  bool quiet_ = log::open(scratch / "log", log::Level::info, false).has_value();
};

inline bool is_alive(std::int64_t pid) {
  const std::string stat = schedctl::test::read_file("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name_end = stat.rfind(')');
  return name_end != std::string::npos && stat[name_end + 2] != 'Z';
}

}  // namespace schedctl::executor::test
