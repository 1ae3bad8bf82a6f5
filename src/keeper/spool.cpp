#include "spool.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

// Whether "nobody else has it open" is asked of the kernel: a write lease (fcntl F_SETLEASE) is
// granted only when the file has no open description but the one that asks. The lease is given back
// at once. Where a file system has no leases the answer is no, and the file is simply not reused.

namespace schedctl::keeper {
namespace {

/// Files that wait for a run; as many as may run at once on a busy machine.
constexpr std::size_t kMostFree = 256;

/// Empty, and still under its one name.
bool is_untouched(int fd) {
  struct stat st {};
  return ::fstat(fd, &st) == 0 && st.st_nlink == 1 && st.st_size == 0;
}

bool is_ours_alone(int fd) {
  if (::fcntl(fd, F_SETLEASE, F_WRLCK) != 0) return false;
  ::fcntl(fd, F_SETLEASE, F_UNLCK);
  return true;
}

}  // namespace

Result<Spool> Spool::open(const std::string& directory, const std::string& instance) {
  Spool spool;
  spool.directory_ = directory;
  spool.instance_ = instance;
  spool.dir_.reset(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!spool.dir_)
    return fail(error_from_errno("cannot open the output directory " + directory, errno));
  return spool;
}

tl::expected<Spool::Taken, int> Spool::take() {
  Taken taken;
  while (!free_.empty()) {
    const int watch = free_.back().watch.get();
    if (is_untouched(watch)) {
      // By descriptor, not by name: whatever stands under the name now cannot come in between.
      taken.output.reset(::open(("/proc/self/fd/" + std::to_string(watch)).c_str(),
                                O_WRONLY | O_APPEND | O_CLOEXEC));
      if (!taken.output) return tl::unexpected(errno);
      taken.file = std::move(free_.back());
      free_.pop_back();
      return taken;
    }
    free_.pop_back();
  }
  taken.file.name = instance_ + "-" + std::to_string(++made_) + ".log";
  taken.output.reset(::openat(dir_.get(), taken.file.name.c_str(),
                              O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                              0600));
  if (!taken.output) return tl::unexpected(errno);
  taken.file.watch.reset(
      ::openat(dir_.get(), taken.file.name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!taken.file.watch) {
    const int error_number = errno;
    ::unlinkat(dir_.get(), taken.file.name.c_str(), 0);
    return tl::unexpected(error_number);
  }
  return taken;
}

Spool::Outcome Spool::give_back(File file) {
  struct stat st {};
  if (::fstat(file.watch.get(), &st) != 0) return {path(file), 0};
  if (st.st_size != 0 || st.st_nlink != 1 || !is_ours_alone(file.watch.get())) {
    return {path(file), st.st_size};
  }
  if (free_.size() < kMostFree) {
    free_.push_back(std::move(file));
  } else {
    ::unlinkat(dir_.get(), file.name.c_str(), 0);
  }
  return {};
}

void Spool::clear() {
  for (const File& file : free_) {
    if (is_untouched(file.watch.get())) ::unlinkat(dir_.get(), file.name.c_str(), 0);
  }
  free_.clear();
}

void Spool::sweep(const std::string& path) const {
  if (path.size() <= directory_.size() || path.compare(0, directory_.size(), directory_) != 0)
    return;
  const std::string name = path.substr(path.rfind('/') + 1);
  UniqueFd fd(::openat(dir_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (fd && is_untouched(fd.get()) && is_ours_alone(fd.get())) {
    ::unlinkat(dir_.get(), name.c_str(), 0);
  }
}

}  // namespace schedctl::keeper
