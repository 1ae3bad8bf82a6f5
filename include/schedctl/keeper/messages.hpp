#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "schedctl/base/ids.hpp"
#include "schedctl/base/time.hpp"

/// What daemon and keeper say to each other (KEEPER contract: one daemon at a time, neither side
/// blocks on the other). `fields` is the order in which a message's fields travel, and `later` are
/// those that a later version of the protocol has added.
namespace schedctl::keeper {

/// Names one start of one run for ever: run ids repeat after a restore, fences do not within one.
struct RunKey {
  std::string store_id;
  RunId run;
  std::int64_t fence = 0;
  auto operator<=>(const RunKey&) const = default;
  static void fields(auto& io, auto& m) { io(m.store_id, m.run, m.fence); }
};

enum class IoClass : std::uint8_t { none, realtime, best_effort, idle };
/// As setrlimit(2) has them.
enum class Resource : std::uint8_t { as, cpu, nofile, nproc, core, fsize };
struct Limit {
  Resource resource = Resource::as;
  std::uint64_t value = 0;  ///< soft and hard alike, in the resource's own unit
  bool operator==(const Limit&) const = default;
  static void fields(auto& io, auto& m) { io(m.resource, m.value); }
};
enum class Output : std::uint8_t { file, discard };

/// On what terms a command runs. As they are here, it runs like any command of the keeper's user;
/// a keeper that speaks an older protocol can do that and nothing else.
struct Terms {
  // Who. A root keeper takes users that its own config lists, any other none but itself.
  std::string user;   ///< a name; "": the keeper's own
  std::string group;  ///< one of the user's; "": its primary one

  // What it finds. Files are opened by the user.
  int umask = 022;
  std::string stdin_file;                 ///< absolute; "": none
  std::optional<std::string> stdin_text;  ///< at most limits::kStdinText; not with stdin_file
  /// NAME=VALUE lines under `env`, which wins; "" for none. SCHEDCTL_* names in it are ignored.
  std::string env_file;

  // Its share of the machine. What the user may not have is refused as the kernel refuses it.
  std::optional<int> nice;
  IoClass io_class = IoClass::none;
  int io_level = 0;  ///< 0 (most) to 7
  std::vector<Limit> limits;
  std::optional<int> oom_score_adj;
  std::int64_t memory_max = 0;  ///< cgroup v2, bytes; 0: none
  int cpu_max = 0;              ///< the same, percent of one processor
  std::int64_t pids_max = 0;    ///< the same

  // Its end.
  int stop_signal = 15;        ///< TERM
  bool keep_children = false;  ///< what it leaves behind goes on

  // What it writes.
  Output output = Output::file;
  /// The middle of longer output is cut out, and the first and last halves are kept; 0: nothing is.
  /// Looked at once a second: that much more may lie on the disk meanwhile.
  std::int64_t max_output = std::int64_t{16} * 1024 * 1024;

  bool needs_cgroup() const { return memory_max > 0 || cpu_max > 0 || pids_max > 0; }
  bool operator==(const Terms&) const = default;
  static void fields(auto& io, auto& m) {
    io(m.user, m.group, m.umask, m.stdin_file, m.stdin_text, m.env_file, m.nice, m.io_class,
       m.io_level, m.limits, m.oom_score_adj, m.memory_max, m.cpu_max, m.pids_max, m.stop_signal,
       m.keep_children, m.output, m.max_output);
  }
};

struct StartOrder {
  RunKey key;
  std::vector<std::string> argv;
  std::vector<std::string> env;  ///< "NAME=value", complete: nothing is added
  std::string cwd;               ///< absolute
  Duration timeout{};            ///< on CLOCK_MONOTONIC; 0: none
  Duration kill_grace{};         ///< between the stop signal and KILL
  Terms terms = {};
  static void fields(auto& io, auto& m) {
    io(m.key, m.argv, m.env, m.cwd, m.timeout, m.kill_grace);
  }
  static auto later(auto& m) { return std::tie(m.terms); }
};

/// Where a start failed. Wherever it was, nothing of the command has run.
enum class Stage : std::uint8_t {
  output,
  fork,
  setup,
  cwd,
  exec,
  user,       ///< EPERM: this keeper may not; ENOENT: there is none of that name
  group,      ///< EPERM: the user is not in it; ENOENT: there is none of that name
  limits,     ///< EPERM: more than the user may have
  input,      ///< stdin_file, stdin_text
  env_file,   ///< EFBIG: too long; EINVAL: not a file; EBADMSG: a line is not NAME=VALUE
  cgroup,     ///< EOPNOTSUPP: no cgroup v2 here, or without that controller
  nice,       ///< EACCES, EPERM: more than the user may have
  io_class,   ///< the same
  oom_score,  ///< the same
};

struct Started {
  RunKey key;
  std::int64_t pid = 0;
  Time at{};
  std::string output_path;  ///< where its output goes; the file may be taken back if it stays empty
  static void fields(auto& io, auto& m) { io(m.key, m.pid, m.at, m.output_path); }
};

struct StartFailed {
  RunKey key;
  Stage stage = Stage::exec;
  int error_number = 0;
  Time at{};
  static void fields(auto& io, auto& m) { io(m.key, m.stage, m.error_number, m.at); }
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
  /// Of the file, what was cut out of it included.
  std::int64_t output_bytes = 0;
  /// Cut out of the middle: a hole, which lseek(2) finds by SEEK_HOLE and SEEK_DATA.
  std::int64_t output_cut = 0;
  bool oom_killed = false;  ///< the kernel killed something of it for memory_max
  static void fields(auto& io, auto& m) {
    io(m.key, m.pid, m.started_at, m.ended_at, m.wait_status, m.timed_out, m.ended_on_order, m.cpu,
       m.max_rss_kb, m.output_path, m.output_bytes);
  }
  static auto later(auto& m) { return std::tie(m.output_cut, m.oom_killed); }
};

/// What the keeper (with the journals of earlier instances) knows when a daemon comes.
struct Inventory {
  std::string instance;  ///< of the living keeper
  std::vector<Started> running;
  std::vector<StartFailed> failed;  ///< not yet acknowledged
  std::vector<Ended> ended;         ///< not yet acknowledged
};

}  // namespace schedctl::keeper
