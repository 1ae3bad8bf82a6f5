#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "codec.hpp"
#include "schedctl/base/result.hpp"

namespace schedctl::keeper {

/// All that a keeper's program hands to the one that it becomes.
struct Holdings {
  Estate estate;
  std::vector<HeldRun> runs;
  std::vector<Leftover> leftovers;
  std::vector<Report> finished;  ///< StartFailed or Ended, unacknowledged
};

/// As messages of codec.hpp, closed by an InventoryEnd.
std::string to_bytes(const Holdings& holdings);
/// An error: these are not the holdings of a keeper, or of a newer one. Nothing is said of the
/// descriptors, which need not be open here.
Result<Holdings> holdings_from(std::string_view bytes);
/// The descriptors that go along.
std::vector<int> descriptors_of(const Holdings& holdings);

}  // namespace schedctl::keeper
