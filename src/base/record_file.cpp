#include "schedctl/base/record_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "schedctl/base/fd_io.hpp"
#include "schedctl/base/framed.hpp"
#include "schedctl/base/text.hpp"

// A record is a checksum (8 bytes, little endian, stable_hash of what follows) and a frame, which
// carries its length. A reader stops at the first record whose checksum is wrong: what follows a
// torn write has no meaning.

namespace schedctl {
namespace {

constexpr std::size_t kChecksum = 8;
/// A file is rewritten when it has grown by this much: reading it stays a matter of milliseconds.
constexpr std::int64_t kGrowth = std::int64_t{1024} * 1024;
/// Below this there is no point in truncating a file in which nothing counts any more.
constexpr std::int64_t kShort = std::int64_t{16} * 1024;

UniqueFd create_file(int dir, const std::string& name) {
  return UniqueFd(::openat(dir, name.c_str(),
                           O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
}

void append_record(std::string_view frame, std::string& out) {
  FieldWriter checksum(out);
  checksum(stable_hash(frame));
  out += frame;
}

}  // namespace

tl::expected<RecordFile, int> RecordFile::create(int dir, std::string name, std::string head) {
  RecordFile file = reopen(dir, std::move(name), std::move(head));
  file.fd_ = create_file(dir, file.name_);
  file.damaged_ = false;
  file.add(file.head_);
  if (!file.fd_ || !file.write()) return tl::unexpected(errno);
  file.head_size_ = file.size_;
  file.rewrite_at_ = file.size_ + kGrowth;
  return file;
}

RecordFile RecordFile::reopen(int dir, std::string name, std::string head) {
  RecordFile file;
  file.dir_ = dir;
  file.name_ = std::move(name);
  file.head_ = std::move(head);
  return file;
}

void RecordFile::add(std::string_view frame) {
  append_record(frame, unwritten_);
}

bool RecordFile::write() {
  if (unwritten_.empty()) return true;
  const std::string records = std::exchange(unwritten_, {});
  if (damaged_) {
    errno = EIO;
    return false;
  }
  if (write_all(fd_.get(), records)) {
    size_ += static_cast<std::int64_t>(records.size());
    return true;
  }
  // Half a record would hide every later one.
  const int error_number = errno;
  damaged_ = ::ftruncate(fd_.get(), size_) != 0;
  errno = error_number;
  return false;
}

bool RecordFile::rewrite(const std::function<void(const Sink&)>& records) {
  const std::string fresh_name = name_ + ".new";
  ::unlinkat(dir_, fresh_name.c_str(), 0);
  UniqueFd fresh = create_file(dir_, fresh_name);
  if (!fresh) {
    rewrite_at_ = size_ + kGrowth;
    return false;
  }
  std::string out;
  std::int64_t size = 0;
  bool good = true;
  const auto write_out = [&] {
    good = good && write_all(fresh.get(), out);
    size += static_cast<std::int64_t>(out.size());
    out.clear();
  };
  append_record(head_, out);
  const auto head_size = static_cast<std::int64_t>(out.size());
  records([&](std::string_view frame) {
    append_record(frame, out);
    if (out.size() > kGrowth / 4) write_out();
  });
  write_out();
  if (!good || ::renameat(dir_, fresh_name.c_str(), dir_, name_.c_str()) != 0) {
    const int error_number = errno;
    ::unlinkat(dir_, fresh_name.c_str(), 0);
    rewrite_at_ = size_ + kGrowth;
    errno = error_number;
    return false;
  }
  damaged_ = false;
  unwritten_.clear();
  fd_ = std::move(fresh);
  head_size_ = head_size;
  size_ = size;
  rewrite_at_ = 2 * size_ + kGrowth;
  return true;
}

void RecordFile::clear() {
  if (size_ < kShort && !damaged_) return;
  if (::ftruncate(fd_.get(), head_size_) != 0) return;
  unwritten_.clear();
  damaged_ = false;
  size_ = head_size_;
  rewrite_at_ = head_size_ + kGrowth;
}

void RecordFile::remove() const {
  ::unlinkat(dir_, name_.c_str(), 0);
}

void read_records(std::string_view bytes, const std::function<bool(std::string_view)>& take) {
  while (bytes.size() > kChecksum) {
    std::uint64_t sum = 0;
    FieldReader checksum(bytes);
    checksum(sum);
    bytes.remove_prefix(kChecksum);
    const std::string_view frame = bytes.substr(0, frame_length(bytes));
    if (frame.empty() || stable_hash(frame) != sum || !take(frame)) return;
    bytes.remove_prefix(frame.size());
  }
}

}  // namespace schedctl
