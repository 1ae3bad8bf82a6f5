#pragma once

#include <optional>
#include <string>

namespace schedctl::host {

struct NetworkFileSystem {
  const char* name = "";
  bool is_certain = true;  ///< false: some of this type are local (FUSE, 9p)
};

/// What the file lies on, or would: its nearest directory that exists decides. Nothing: a local
/// file system. SQLite's locks and its shared memory work on those only (sqlite.org/wal.html).
std::optional<NetworkFileSystem> network_file_system(const std::string& path);

}  // namespace schedctl::host
