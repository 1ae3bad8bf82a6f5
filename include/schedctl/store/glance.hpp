#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace schedctl::store {

/// Words of a database that somebody may be about to type.
enum class Glance {
  jobs,         ///< names
  paused_jobs,  ///< names
  tags,
  living_runs,  ///< "#42", and the name of its job
  open_alerts,  ///< "#7", and the name of its job
};

struct Glimpse {
  std::string word = {};
  std::string note = {};  ///< what it belongs to; empty: nothing is said
};

/// Looks an SQLite database over without leaving a trace: nothing is made, written, migrated or
/// recovered, nobody has to wait, and nobody is waited for longer than a moment. Words in order, no
/// more than `limit`; none where they cannot be had, whatever the reason, and none that a shell
/// might take for more than a word.
std::vector<Glimpse> glance_at_sqlite(const std::string& path, Glance what, std::size_t limit);

}  // namespace schedctl::store
