#include "schedctl/retention/output_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace schedctl::retention {
namespace {

constexpr std::size_t kInstanceDigits = 16;
constexpr std::string_view kEnding = ".log";
constexpr std::size_t kMostDigits = 20;
/// To free the blocks of such a file takes milliseconds.
constexpr std::int64_t kHeavy = std::int64_t{256} * 1024;

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// What it takes from the disk: a file whose middle was cut out is shorter than it says.
std::int64_t bytes_of(const struct stat& st) {
  return std::min<std::int64_t>(st.st_size, std::int64_t{st.st_blocks} * 512);
}

}  // namespace

bool OutputFiles::is_name(std::string_view name) {
  if (name.size() <= kInstanceDigits + 1 + kEnding.size() || !name.ends_with(kEnding)) return false;
  name.remove_suffix(kEnding.size());
  const std::string_view number = name.substr(kInstanceDigits + 1);
  return std::ranges::all_of(name.substr(0, kInstanceDigits), is_hex) &&
         name[kInstanceDigits] == '-' && number.size() <= kMostDigits &&
         std::ranges::all_of(number, is_digit);
}

Result<OutputFiles> OutputFiles::open(const std::string& directory) {
  OutputFiles files;
  files.directory_ = directory;
  files.dir_.reset(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!files.dir_ && errno != ENOENT) {
    return fail(error_from_errno("cannot open the output directory " + directory, errno));
  }
  return files;
}

Result<OutputFiles::Removed> OutputFiles::remove(const std::string& path, bool keep) const {
  const std::size_t length = directory_.size();
  const bool inside = path.size() > length && path.starts_with(directory_) && path[length] == '/';
  if (!inside || !is_name(std::string_view(path).substr(length + 1))) {
    return Removed{Removed::What::foreign};
  }
  if (!dir_) return Removed{};
  const char* const name = path.c_str() + length + 1;
  struct stat st {};
  if (::fstatat(dir_.get(), name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return Removed{};
    return fail(error_from_errno("cannot look at " + path, errno));
  }
  if (!S_ISREG(st.st_mode)) return Removed{Removed::What::foreign};
  UniqueFd weight;
  if (!keep && bytes_of(st) >= kHeavy) {
    weight.reset(::openat(dir_.get(), name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  }
  // A name that was replaced by a link meanwhile is removed itself, and not what it leads to.
  if (!keep && ::unlinkat(dir_.get(), name, 0) != 0) {
    if (errno == ENOENT) return Removed{};
    return fail(error_from_errno("cannot remove " + path, errno));
  }
  return Removed{Removed::What::removed, bytes_of(st), std::move(weight)};
}

std::vector<OutputFiles::Entry> OutputFiles::next(std::size_t limit) {
  std::vector<Entry> found;
  if (!walk_) {
    const int fd = dir_ ? ::openat(dir_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    walk_.reset(fd >= 0 ? ::fdopendir(fd) : nullptr);
    if (!walk_ && fd >= 0) ::close(fd);
  }
  while (walk_ && found.size() < limit) {
    const dirent* entry = ::readdir(walk_.get());
    if (entry == nullptr) break;
    struct stat st {};
    if (!is_name(entry->d_name) ||
        ::fstatat(dir_.get(), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(st.st_mode)) {
      continue;
    }
    found.push_back({.name = entry->d_name,
                     .bytes = bytes_of(st),
                     .written = Time{std::chrono::seconds(st.st_mtim.tv_sec)}});
  }
  return found;
}

}  // namespace schedctl::retention
