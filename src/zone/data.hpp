#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace schedctl::zone {

/// $TZDIR, else /usr/share/zoneinfo: where Abseil looks, too.
std::filesystem::path database();

/// One file of the database, and what a stat tells of it.
struct DataFile {
  std::string name;  ///< below the database
  std::uintmax_t size = 0;
  std::int64_t modified_ns = 0;
  std::uint64_t inode = 0;
};

/// The files of the database, by name, without the copies of zones for other clocks (posix, right).
std::vector<DataFile> data_files();

/// A hash of what stat says: another one where a file was replaced, also by one that is the same.
std::uint64_t look_of(const std::vector<DataFile>& files);

/// "2026f 0123456789abcdef": the release, if tzdata.zi names it, and a hash of names and contents.
/// Without files "none".
std::string state_of(const std::vector<DataFile>& files);

}  // namespace schedctl::zone
