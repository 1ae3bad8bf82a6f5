#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "schedctl/base/ids.hpp"
#include "schedctl/base/time.hpp"

/// What daemon and keeper say to each other (KEEPER contract: one daemon at a time, neither side
/// blocks on the other).
namespace schedctl::keeper {

/// Names one start of one run for ever: run ids repeat after a restore, fences do not within one.
struct RunKey {
  std::string store_id;
  RunId run;
  std::int64_t fence = 0;
  auto operator<=>(const RunKey&) const = default;
};

struct StartOrder {
  RunKey key;
  std::vector<std::string> argv;
  std::vector<std::string> env;  ///< "NAME=value", complete: nothing is added
  std::string cwd;               ///< absolute
  Duration timeout{};            ///< on CLOCK_MONOTONIC; 0: none
  Duration kill_grace{};         ///< between TERM and KILL
};

/// Where a start failed.
enum class Stage : std::uint8_t { output, fork, setup, cwd, exec };

struct Started {
  RunKey key;
  std::int64_t pid = 0;
  Time at{};
  std::string output_path;  ///< where its output goes; the file may be taken back if it stays empty
};

struct StartFailed {
  RunKey key;
  Stage stage = Stage::exec;
  int error_number = 0;
  Time at{};
};

struct Ended {
  RunKey key;
  std::int64_t pid = 0;
  Time started_at{};
  Time ended_at{};
  int wait_status = 0;          ///< as waitpid gives it
  bool timed_out = false;       ///< the keeper began to end it for its timeout
  bool ended_on_order = false;  ///< Client::end had reached it before it ended
  Duration cpu{};
  std::optional<std::int64_t> max_rss_kb;
  std::string output_path;  ///< empty: it wrote nothing
  std::int64_t output_bytes = 0;
};

/// What the keeper (with the journals of earlier instances) knows when a daemon comes.
struct Inventory {
  std::string instance;  ///< of the living keeper
  std::vector<Started> running;
  std::vector<StartFailed> failed;  ///< not yet acknowledged
  std::vector<Ended> ended;         ///< not yet acknowledged
};

}  // namespace schedctl::keeper
