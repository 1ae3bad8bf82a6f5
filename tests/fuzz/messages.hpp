#pragma once

#include <string>
#include <vector>

#include "src/keeper/codec.hpp"

/// Real messages between daemon and keeper, to begin with.
namespace schedctl::fuzz {

template <class M>
std::string bytes_of(const M& message) {
  std::string bytes;
  keeper::Frames::encode(message, bytes);
  return bytes;
}

inline keeper::RunKey key_of(std::int64_t run) {
  return {"5f3c1c52-store", RunId(run), 1};
}

inline keeper::StartOrder order_of(std::int64_t run) {
  keeper::StartOrder order;
  order.key = key_of(run);
  order.argv = {"/bin/sh", "-c", "exit 3"};
  order.env = {"PATH=/usr/bin:/bin", "SCHEDCTL_RUN_ID=" + std::to_string(run)};
  order.cwd = "/";
  order.timeout = std::chrono::seconds(90);
  order.kill_grace = std::chrono::milliseconds(250);
  return order;
}

inline keeper::Started started_of(std::int64_t run) {
  return {key_of(run), 811, time_from_us(1'774'746'000'000'001), "/var/lib/x/output/a-1.log"};
}

inline keeper::Ended ended_of(std::int64_t run) {
  keeper::Ended ended;
  ended.key = key_of(run);
  ended.pid = 811;
  ended.started_at = time_from_us(1'774'746'000'000'001);
  ended.ended_at = time_from_us(1'774'746'001'000'000);
  ended.wait_status = 9;
  ended.timed_out = true;
  ended.cpu = Duration(123'456);
  ended.max_rss_kb = 4096;
  ended.output_path = "/var/lib/x/output/a-1.log";
  ended.output_bytes = 5;
  return ended;
}

inline keeper::StartFailed failed_of(std::int64_t run) {
  return {key_of(run), keeper::Stage::cwd, 2, time_from_us(3)};
}

inline std::vector<std::string> one_of_each() {
  using namespace keeper;
  Estate estate;
  estate.instance = "0123456789abcdef";
  estate.program = "/usr/bin/schedctl";
  estate.files = std::pair(1024ULL, 65536ULL);
  estate.oom_score = "0";
  StartOrder on_terms = order_of(1);
  on_terms.terms.user = "anna";
  on_terms.terms.stdin_text = "hello";
  on_terms.terms.limits = {{Resource::nofile, 20}};
  on_terms.terms.nice = 5;
  Ended cut = ended_of(1);
  cut.output_cut = 100;
  HeldRun held;
  held.launched = {started_of(1), Duration(77)};
  held.deadline = Duration(5);
  return {
      bytes_of(Hello{kProtocolVersion, 2}),
      bytes_of(Hello{kOldestProtocol, 2}),
      bytes_of(Welcome{kProtocolVersion, 2, 3, "0123456789abcdef", "build"}),
      bytes_of(Welcome{kOldestProtocol, 2, 3, "0123456789abcdef"}),
      bytes_of(Refused{kProtocolVersion, 9}),
      bytes_of(InventoryEnd{}),
      bytes_of(order_of(1)),
      bytes_of(End{key_of(1), std::chrono::seconds(10)}),
      bytes_of(Acknowledge{{key_of(1), key_of(2), {"", RunId(-1), -1}}}),
      bytes_of(QuitIfIdle{}),
      bytes_of(Ping{~0ULL}),
      bytes_of(Pong{1}),
      bytes_of(started_of(1)),
      bytes_of(failed_of(1)),
      bytes_of(ended_of(1)),
      bytes_of(JournalHead{kJournalVersion, "0123456789abcdef", "boot"}),
      bytes_of(Launched{started_of(1), Duration(77)}),
      bytes_of(Reexec{}),
      bytes_of(Stayed{"it cannot be executed"}),
      bytes_of(estate),
      bytes_of(held),
      bytes_of(on_terms),
      bytes_of(cut),
      bytes_of(Signal{key_of(1), 3}),
      bytes_of(Leftover{key_of(1), 811, Duration(77), true, true, Duration(5), Duration(6), {}})};
}

}  // namespace schedctl::fuzz
