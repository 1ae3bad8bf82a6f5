#pragma once

#include <optional>
#include <string>
#include <vector>

#include "holdings.hpp"
#include "schedctl/base/result.hpp"
#include "schedctl/base/unique_fd.hpp"
#include "schedctl/keeper/client.hpp"

namespace schedctl::keeper {

/// The program that a keeper is about to become. It is tried out first: a child of it has to read
/// what the keeper holds. Used by one thread; nothing waits.
class Successor {
 public:
  /// `program` is the path the keeper was started from. An error: why it must not become that.
  static Result<Successor> try_out(const std::string& program, const KeeperPaths& paths,
                                   const Holdings& holdings);
  Successor(Successor&&) = default;
  /// A trial that is still under way is ended.
  ~Successor();

  /// Readable when outcome() may know more.
  int fd() const { return answer_.get(); }
  /// Nothing: not yet. An error carries what the program said.
  std::optional<Result<void>> outcome();

  /// The keeper's process becomes the program. Comes back only if that failed, and then everything
  /// is as before. `holdings` is what is held now.
  Error become(const Holdings& holdings) const;

 private:
  Successor() = default;

  std::vector<std::string> argv_;
  UniqueFd program_;
  UniqueFd process_;  ///< a pidfd of the trial
  UniqueFd answer_;   ///< a pipe
  std::string said_;
};

/// What this process was started for by another program of the keeper: nothing, a trial, or a life.
struct Inheritance {
  bool trial = false;
  int holdings_fd = -1;
};
std::optional<Inheritance> inheritance();
/// The successor's part in its trial.
Result<void> answer_trial();
/// Reads what the descriptor has, closes it, and keeps the descriptors that are named in it from
/// being passed on any further.
Result<Holdings> read_holdings(UniqueFd fd);

/// As messages of codec.hpp, closed by an InventoryEnd.
std::string to_bytes(const Holdings& holdings);
/// An error: these are not the holdings of a keeper, or of a newer one. Nothing is said of the
/// descriptors, which need not be open here.
Result<Holdings> holdings_from(std::string_view bytes);
/// The descriptors that go along.
std::vector<int> descriptors_of(const Holdings& holdings);

}  // namespace schedctl::keeper
