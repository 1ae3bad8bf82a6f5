#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tl/expected.hpp>

#include "schedctl/base/result.hpp"
#include "schedctl/base/unique_fd.hpp"
#include "schedctl/host/at_hand.hpp"
#include "schedctl/host/privilege.hpp"

/// Making processes that execute commands.
namespace schedctl::host {

/// What to execute, and as what. Files are opened by its user.
struct Command {
  std::vector<std::string> argv;  ///< not empty; the program is looked for as candidates() has it
  std::vector<std::string> env;   ///< "NAME=value", complete
  std::string cwd;
  std::string user = {};   ///< as find_identity() has them
  std::string group = {};  ///< the same
  int umask = 022;
  std::string stdin_file = {};  ///< "": none
  /// At most limits::kStdinText; not with stdin_file.
  std::optional<std::string_view> stdin_text = {};
  std::string env_file = {};  ///< of read_env_file(), under `env`, which wins; "": none
  std::optional<int> nice = {};
  int io_class = 0;  ///< as ioprio_set(2) numbers them; 0: none
  int io_level = 0;
  std::vector<std::pair<__rlimit_resource, rlim_t>> limits = {};  ///< soft and hard alike
  std::optional<int> oom_score_adj = {};
  int output_fd = -1;               ///< a file of its own; -1: its output goes nowhere
  const Account* reader = nullptr;  ///< who else reads that file, if anybody
  int cgroup_fd = -1;               ///< of Cgroup::make(); -1: none
};

/// What could not be done for a command. Whatever it was, nothing of the command has run. A process
/// on its way to its command may tell a later program of its parent: the numbers never change.
enum class Step : std::uint8_t {
  output,
  fork,
  setup,
  cwd,
  exec,
  user,
  group,
  limits,
  input,
  env_file,
  cgroup,
  nice,
  io_class,
  oom_score,
};
struct NotLaunched {
  Step step = Step::exec;
  int error_number = 0;
};

/// A process that was made for a command.
struct Launch {
  pid_t pid = 0;
  /// Set: the process is still on its way to its command. Readable when that has been decided; then
  /// ask outcome_of(). Not set: the command runs.
  UniqueFd pending;
};
/// Whether outcome_of() has an answer.
bool is_settled(const UniqueFd& pending);
/// Nothing: the command runs (or the process was killed before it did).
std::optional<NotLaunched> outcome_of(const UniqueFd& pending);

/// Makes processes for commands: each in a session of its own, with default signals and descriptors
/// 0, 1 and 2, killed when this process dies. One for the life of the process, which has one thread
/// and is set up for it too: many descriptors, spared when memory is short, parent of orphans.
class Launcher {
 public:
  /// What the process had before it was set up. Commands get it back, but for an OOM score below 0:
  /// they get 0.
  struct Before {
    std::optional<std::pair<std::uint64_t, std::uint64_t>> files;  ///< soft and hard limit
    std::optional<std::string> oom_score;
  };

  /// `lock_fd` is closed first of all in a child that may hang before its command runs. `before`:
  /// an earlier program of the process has set it up.
  static Result<Launcher> create(int lock_fd, const Before* before = nullptr);
  const Before& before() const { return before_; }

  tl::expected<Launch, NotLaunched> launch(const Command& command);

 private:
  Launcher() = default;

  int lock_fd_ = -1;
  UniqueFd null_;
  char* stack_ = nullptr;  ///< lives as long as the process
  Before before_;
  AtHand at_hand_;
};

}  // namespace schedctl::host
