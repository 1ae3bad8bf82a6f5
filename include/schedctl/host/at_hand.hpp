#pragma once

#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "schedctl/base/time.hpp"
#include "schedctl/base/unique_fd.hpp"

namespace schedctl::host {

/// Tells which commands can be executed without waiting for anybody. Used by one thread.
class AtHand {
 public:
  AtHand();
  /// Whether the directory is at hand, and the first of the programs that is there.
  bool has(const std::string& cwd, const std::vector<std::string>& programs);

 private:
  bool look_for(const std::string& cwd, const std::vector<std::string>& programs);
  bool look_up(int dir, const std::string& path, UniqueFd& found, int& error_number);
  bool is_local(std::uint64_t mount_id);
  void read_mounts();

  UniqueFd mountinfo_;
  std::unordered_set<std::uint64_t> local_mounts_;
  std::unordered_set<std::string> known_;  ///< what was at hand since known_since_
  Duration known_since_{};
};

}  // namespace schedctl::host
