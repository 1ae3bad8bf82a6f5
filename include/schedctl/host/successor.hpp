#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schedctl/base/result.hpp"
#include "schedctl/base/unique_fd.hpp"

/// Becoming a newer program in place: the process, its children and its descriptors stay.
namespace schedctl::host {

/// The program that this process is about to become. It is tried out first: a child of it has to
/// read what this process holds. Used by one thread; nothing waits.
class Successor {
 public:
  /// `argv` begins with the program's path, which this process was started from. The environment
  /// variable tells it what it is started for: see inheritance(). An error: why this process must
  /// not become that.
  static Result<Successor> try_out(std::vector<std::string> argv, std::string variable,
                                   std::string_view holdings);
  Successor(Successor&&) = default;
  /// A trial that is still under way is ended.
  ~Successor();

  /// Readable when outcome() may know more.
  int fd() const { return answer_.get(); }
  /// Nothing: not yet. An error carries what the program said.
  std::optional<Result<void>> outcome();

  /// Becomes the program. Comes back only if that failed, and then everything is as before.
  /// `holdings` is what is held now, `fds` the descriptors that go along.
  Error become(std::string_view holdings, std::vector<int> fds) const;

 private:
  Successor() = default;

  std::vector<std::string> argv_;
  std::string variable_;
  UniqueFd program_;
  UniqueFd process_;  ///< a pidfd of the trial
  UniqueFd answer_;   ///< a pipe
  std::string said_;
};

/// What this process was started for by another program of it: nothing, a trial, or a life.
struct Inheritance {
  bool trial = false;
  int holdings_fd = -1;
};
std::optional<Inheritance> inheritance(const std::string& variable);
/// Reads what the descriptor has, and closes it.
Result<std::string> read_holdings(UniqueFd fd);
/// The successor's part in its trial: whether it understands what is held.
Result<void> answer_trial(const Result<void>& verdict);

}  // namespace schedctl::host
