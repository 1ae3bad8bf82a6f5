#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "child.hpp"
#include "schedctl/base/result.hpp"
#include "schedctl/base/unique_fd.hpp"
#include "schedctl/host/at_hand.hpp"
#include "schedctl/host/privilege.hpp"
#include "schedctl/keeper/allowed.hpp"
#include "schedctl/keeper/messages.hpp"

namespace schedctl::keeper {

struct LaunchFailure {
  Stage stage = Stage::exec;
  int error_number = 0;
};

/// A process that was made for an order.
struct Launch {
  pid_t pid = 0;
  /// Set: the process is still on its way to its command. Readable when that has been decided; then
  /// ask outcome_of(). Not set: the command runs.
  UniqueFd pending;
};

/// Whether outcome_of() has an answer.
bool is_settled(const UniqueFd& pending);
/// Nothing: the command runs (or the process was killed before it did).
std::optional<LaunchFailure> outcome_of(const UniqueFd& pending);

/// What the keeper had before it set itself up. Its children get it back, but for an OOM score
/// below 0: they get 0.
struct Before {
  std::optional<rlimit> files;
  std::optional<std::string> oom_score;
};

/// What the keeper has made for a command.
struct Belongings {
  int output_fd = -1;  ///< -1: its output goes nowhere
  int cgroup_fd = -1;  ///< the cgroup.procs to go into; -1: none
};

/// Makes processes for orders. One for the life of the keeper, which has one thread. It sets up the
/// keeper too: many descriptors, spared when memory is short, parent of orphans. Its children get
/// back what was before.
class Launcher {
 public:
  /// `lock_fd` is closed first of all in a child that may hang before its command runs. `before`:
  /// the process has been set up by an earlier program of it. `rules`: whom a root keeper runs
  /// commands as. `reader`: of a daemon that is another user than the keeper.
  static Result<Launcher> create(int lock_fd, Rules rules, std::optional<host::Account> reader = {},
                                 const Before* before = nullptr);
  const Before& before() const { return before_; }

  /// Nothing: the order may be carried out.
  std::optional<LaunchFailure> objection(const StartOrder& order) const;
  /// `order` has met with no objection.
  tl::expected<Launch, LaunchFailure> launch(const StartOrder& order, const Belongings& belongings);

 private:
  Launcher() = default;
  tl::expected<Launch, LaunchFailure> launch_sharing(ChildPlan& plan);
  static tl::expected<Launch, LaunchFailure> launch_forking(ChildPlan& plan);

  int lock_fd_ = -1;
  Rules rules_;
  std::optional<host::Account> reader_;
  UniqueFd null_;
  char* stack_ = nullptr;  ///< lives as long as the process
  Before before_;
  host::AtHand at_hand_;
};

}  // namespace schedctl::keeper
