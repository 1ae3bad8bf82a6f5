#include "schedctl/host/spool.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "schedctl/base/fd_io.hpp"
#include "schedctl/host/host.hpp"
#include "schedctl/host/privilege.hpp"

// Whether "nobody else has it open" is asked of the kernel: a write lease (fcntl F_SETLEASE) is
// granted only when the file has no open description but the one that asks. The lease is given back
// at once. Where a file system has no leases the answer is no, and the file is simply not reused.

namespace schedctl::host {
namespace {

/// Files that wait for a command; as many as may run at once on a busy machine.
constexpr std::size_t kMostFree = 256;

/// Where a hole can begin and end on any file system in use.
constexpr std::int64_t kPage = 4096;

/// Empty, and still under its one name.
bool is_untouched(int fd) {
  struct stat st {};
  return ::fstat(fd, &st) == 0 && st.st_nlink == 1 && st.st_size == 0;
}

/// The place of another user's directory is in that user's hands.
Result<UniqueFd> open_place(const std::string& directory, const std::optional<Account>& owner) {
  if (owner) return open_strictly(directory, owner->uid, false);
  UniqueFd dir(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir) return fail(error_from_errno("cannot open the output directory " + directory, errno));
  return dir;
}

bool is_ours_alone(int fd) {
  if (::fcntl(fd, F_SETLEASE, F_WRLCK) != 0) return false;
  ::fcntl(fd, F_SETLEASE, F_UNLCK);
  return true;
}

}  // namespace

Result<Spool> Spool::open(const std::string& directory, const std::string& instance,
                          std::optional<Account> owner) {
  TRY(UniqueFd dir, open_place(directory, owner));
  return Spool(std::move(dir), directory, instance, 0, std::move(owner));
}

tl::expected<Spool::Taken, int> Spool::take(const std::string& user) {
  Taken taken;
  const auto is_theirs = [&](const File& file) { return file.user == user; };
  while (true) {
    const auto found = std::find_if(free_.rbegin(), free_.rend(), is_theirs);
    if (found == free_.rend()) break;
    std::swap(*found, free_.back());
    taken.file = std::move(free_.back());
    free_.pop_back();
    if (reopen(taken)) return taken;
  }
  taken.file.user = user;
  const int error_number = make(taken);
  if (error_number != 0) return tl::unexpected(error_number);
  return taken;
}

/// False: somebody removed, replaced, linked or filled it while it waited, so it is not ours any
/// more.
bool Spool::reopen(Taken& taken) const {
  // What stands under the name now may be anything: opening it must not wait.
  taken.output.reset(::openat(dir_.get(), taken.file.name.c_str(),
                              O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat st {};
  return taken.output && ::fstat(taken.output.get(), &st) == 0 && st.st_dev == taken.file.device &&
         st.st_ino == taken.file.inode && st.st_nlink == 1 && st.st_size == 0 &&
         ::fcntl(taken.output.get(), F_SETFL, O_APPEND) == 0;
}

bool Spool::make_directory_again() {
  // Where the place is in another user's hands, that user makes it.
  const auto acting = ActingAs::begin(owner_);
  if (!acting || !make_directory(directory_, 0700)) return false;
  dir_ = open_place(directory_, owner_).value_or(UniqueFd());
  return static_cast<bool>(dir_);
}

/// Zero, or an errno value.
int Spool::make(Taken& taken) {
  taken.file.name = instance_ + "-" + std::to_string(++made_) + ".log";
  const auto create = [&] {
    taken.output.reset(::openat(dir_.get(), taken.file.name.c_str(),
                                O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                                0600));
    return static_cast<bool>(taken.output);
  };
  // Somebody tidied the whole directory away: that must not end all work.
  if (!create()) {
    const int error_number = errno;
    if (error_number != ENOENT || !make_directory_again() || !create()) return error_number;
  }
  taken.file.watch.reset(
      ::openat(dir_.get(), taken.file.name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  struct stat st {};
  if (!taken.file.watch || ::fstat(taken.file.watch.get(), &st) != 0) {
    const int error_number = errno;
    ::unlinkat(dir_.get(), taken.file.name.c_str(), 0);
    return error_number;
  }
  taken.file.device = st.st_dev;
  taken.file.inode = st.st_ino;
  return 0;
}

Spool::Outcome Spool::give_back(File file) {
  struct stat st {};
  if (file.name.empty()) return {};
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

std::int64_t Spool::cut_middle(const File& file, std::int64_t most, std::int64_t cut) {
  struct stat st {};
  if (most <= 0 || file.name.empty() || ::fstat(file.watch.get(), &st) != 0) return cut;
  if (st.st_size <= most) return 0;
  const std::int64_t head = (most / 2 + kPage - 1) / kPage * kPage;
  const std::int64_t tail_at = (st.st_size - head) / kPage * kPage;
  if (tail_at - head <= cut) return std::max(std::int64_t{0}, std::min(cut, st.st_size - head));
  // Its user may have taken the right to write away from everybody, which does not bind root.
  ::fchmod(file.watch.get(), S_IRUSR | S_IWUSR | (st.st_mode & S_IRGRP));
  const std::string self = "/proc/self/fd/" + std::to_string(file.watch.get());
  // Nor is a lease of its waited for (F_SETLEASE): it is broken by then, at the next look.
  const UniqueFd fd(::open(self.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  const bool done = fd && ::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                      head + cut, tail_at - head - cut) == 0;
  return done ? tail_at - head : cut;
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
  sweep_name(path.substr(path.rfind('/') + 1));
}

void Spool::sweep_all_of(const std::string& instance) const {
  for (const std::string& name : names_in(dir_.get(), instance + "-")) sweep_name(name);
}

void Spool::sweep_name(const std::string& name) const {
  UniqueFd fd(::openat(dir_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (fd && is_untouched(fd.get()) && is_ours_alone(fd.get())) {
    ::unlinkat(dir_.get(), name.c_str(), 0);
  }
}

}  // namespace schedctl::host
