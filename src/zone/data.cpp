#include "src/zone/data.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "schedctl/base/text.hpp"
#include "schedctl/zone/system_zones.hpp"

namespace schedctl::zone {
namespace {

namespace fs = std::filesystem;

/// More than ten times what the database has.
constexpr std::size_t kMaxFiles = 10'000;
/// The largest file, tzdata.zi, has 110 KB.
constexpr std::uintmax_t kMaxBytes = std::uintmax_t{1} << 20;
/// America/Indiana is two levels down.
constexpr int kMaxDepth = 3;

bool is_copy(const std::string& name) {
  return name == "posix" || name == "right";
}

template <class Visit>
void for_each_entry(const Visit& visit) {
  const fs::path root = database();
  std::error_code error;
  fs::recursive_directory_iterator at(root, error);
  for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    const std::string name = at->path().lexically_relative(root).string();
    if (is_copy(name) || at.depth() >= kMaxDepth) at.disable_recursion_pending();
    if (!is_copy(name) && !visit(*at, name)) return;
  }
}

std::string content(const DataFile& file) {
  if (file.size > kMaxBytes) return {};
  std::ifstream in(database() / file.name, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string hex(std::uint64_t value) {
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(value));
  return text.data();
}

/// "# version 2026f" is the first line of tzdata.zi.
std::string release_of(const std::string& source) {
  constexpr std::string_view kBegin = "# version ";
  if (!source.starts_with(kBegin)) return {};
  std::string release = source.substr(kBegin.size(), source.find('\n') - kBegin.size());
  return utf8_prefix(escape_control(release), 32) == release ? release : std::string();
}

}  // namespace

fs::path database() {
  const char* tzdir = std::getenv("TZDIR");
  const fs::path root = tzdir != nullptr && *tzdir != '\0' ? tzdir : "/usr/share/zoneinfo";
  return root.has_filename() ? root : root.parent_path();
}

std::vector<DataFile> data_files() {
  std::vector<DataFile> files;
  for_each_entry([&](const fs::directory_entry& entry, const std::string& name) {
    // Through links: a zone may be one, and what counts is where it leads.
    struct stat status {};
    if (::stat(entry.path().c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return true;
    files.push_back({name, static_cast<std::uintmax_t>(status.st_size),
                     status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec,
                     status.st_ino});
    return files.size() < kMaxFiles;
  });
  std::ranges::sort(files, {}, &DataFile::name);
  return files;
}

std::uint64_t look_of(const std::vector<DataFile>& files) {
  std::string all;
  for (const DataFile& file : files) {
    all += file.name + ' ' + std::to_string(file.size) + ' ' + std::to_string(file.modified_ns) +
           ' ' + std::to_string(file.inode) + '\n';
  }
  return stable_hash(all);
}

std::string state_of(const std::vector<DataFile>& files) {
  if (files.empty()) return "none";
  std::string release;
  std::string all;
  for (const DataFile& file : files) {
    const std::string bytes = content(file);
    if (file.name == "tzdata.zi") release = release_of(bytes);
    all += file.name + ' ' + hex(stable_hash(bytes)) + '\n';
  }
  return (release.empty() ? "unknown" : release) + " " + hex(stable_hash(all));
}

std::vector<DataPlace> data_places() {
  const fs::path root = database();
  std::vector<DataPlace> all{{root.parent_path().string(), root.filename().string()},
                             {root.string()}};
  std::error_code error;
  const fs::path real = fs::canonical(root, error);
  if (!error && real != root) {
    all.push_back({real.parent_path().string(), real.filename().string()});
  }
  for_each_entry([&](const fs::directory_entry& entry, const std::string&) {
    std::error_code ignored;
    if (entry.is_directory(ignored)) all.push_back({entry.path().string()});
    return all.size() < kMaxFiles;
  });
  return all;
}

}  // namespace schedctl::zone
