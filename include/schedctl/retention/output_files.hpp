#pragma once

#include <dirent.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "schedctl/base/result.hpp"
#include "schedctl/base/time.hpp"
#include "schedctl/base/unique_fd.hpp"

namespace schedctl::retention {

/// The directory of output files, for whoever removes old ones. Only regular files in the directory
/// itself, under names that a keeper gives, are ever touched, whatever a row says of them; links
/// are not followed.
class OutputFiles {
 public:
  struct Removed {
    enum class What {
      removed,
      absent,  ///< there is no such file any more
      foreign  ///< it is none of ours, and was left
    };
    What what = What::absent;
    std::int64_t bytes = 0;  ///< that lay on the disk
    /// Of a large file: the last that holds what lay in it. To close it may take as long as a beat,
    /// so whoever has beats to keep lets another thread do it.
    UniqueFd weight = {};
  };
  struct Entry {
    std::string name;
    std::int64_t bytes = 0;
    Time written{};
  };

  /// Where there is no directory there are no files.
  static Result<OutputFiles> open(const std::string& directory);

  /// `path` as a row has it. With `keep`, it is only looked at.
  Result<Removed> remove(const std::string& path, bool keep = false) const;

  /// The next files, in no order, at most about `limit`; none: that was all.
  std::vector<Entry> next(std::size_t limit);
  std::string path(const std::string& name) const { return directory_ + "/" + name; }

  /// "0123456789abcdef-42.log"
  static bool is_name(std::string_view name);

 private:
  struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
  };

  std::string directory_;
  UniqueFd dir_;  ///< none: there is no directory
  std::unique_ptr<DIR, CloseDir> walk_;
};

}  // namespace schedctl::retention
