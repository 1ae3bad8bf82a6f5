#include "journal.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <map>
#include <utility>

#include "schedctl/base/fd_io.hpp"
#include "schedctl/base/text.hpp"

// A record is a checksum (8 bytes, little endian, stable_hash of what follows) and one message in
// the format of codec.cpp, whose frame carries the length. The first is the JournalHead; then
// Intended, Launched, StartFailed, Ended, and Acknowledge, which cancels what came before it for
// its keys. A reader stops at the first record whose checksum is wrong: what follows a torn write
// has no meaning.

namespace schedctl::keeper {
namespace {

constexpr std::size_t kChecksum = 8;
constexpr std::string_view kPrefix = "journal-";
/// A journal is rewritten when it has grown by this much: reading it stays a matter of
/// milliseconds.
constexpr std::int64_t kGrowth = std::int64_t{1024} * 1024;
/// Below this there is no point in truncating a journal in which everything is acknowledged.
constexpr std::int64_t kShort = std::int64_t{16} * 1024;
/// A longer file was not written by a keeper.
constexpr std::size_t kLongest = std::size_t{256} * 1024 * 1024;

UniqueFd create_file(int dir, const std::string& name) {
  return UniqueFd(::openat(dir, name.c_str(),
                           O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
}

}  // namespace

Result<Journal> Journal::create(int keeper_dir, const JournalHead& head) {
  Journal journal = reopen(keeper_dir, head);
  journal.fd_ = create_file(keeper_dir, journal.name_);
  journal.damaged_ = false;
  journal.add(head);
  if (!journal.fd_ || !journal.write()) {
    return fail(error_from_errno("cannot write the keeper's journal", errno));
  }
  journal.head_size_ = journal.size_;
  journal.rewrite_at_ = journal.size_ + kGrowth;
  return journal;
}

Journal Journal::reopen(int keeper_dir, const JournalHead& head) {
  Journal journal;
  journal.keeper_dir_ = keeper_dir;
  journal.head_ = head;
  journal.name_ = std::string(kPrefix) + head.instance;
  journal.damaged_ = true;
  return journal;
}

void Journal::add_record(const std::string& body, std::string& out) {
  FieldWriter checksum(out);
  checksum(stable_hash(body));
  out += body;
}

bool Journal::write() {
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

bool Journal::rewrite(const std::function<void(const Sink&)>& records) {
  const std::string fresh_name = name_ + ".new";
  ::unlinkat(keeper_dir_, fresh_name.c_str(), 0);
  UniqueFd fresh = create_file(keeper_dir_, fresh_name);
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
  std::string body;
  const auto sink = [&](const Message& record) {
    body.clear();
    encode(record, body);
    add_record(body, out);
    if (out.size() > kGrowth / 4) write_out();
  };
  sink(head_);
  const auto head_size = static_cast<std::int64_t>(out.size());
  records(sink);
  write_out();
  if (!good || ::renameat(keeper_dir_, fresh_name.c_str(), keeper_dir_, name_.c_str()) != 0) {
    const int error_number = errno;
    ::unlinkat(keeper_dir_, fresh_name.c_str(), 0);
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

void Journal::clear() {
  if (size_ < kShort && !damaged_) return;
  if (::ftruncate(fd_.get(), head_size_) != 0) return;
  unwritten_.clear();
  damaged_ = false;
  size_ = head_size_;
  rewrite_at_ = head_size_ + kGrowth;
}

void Journal::remove() {
  ::unlinkat(keeper_dir_, name_.c_str(), 0);
}

std::vector<std::string> other_journals(int keeper_dir, const std::string& own_instance) {
  std::vector<std::string> names = names_in(keeper_dir, kPrefix);
  std::erase(names, std::string(kPrefix) + own_instance);
  std::sort(names.begin(), names.end());
  return names;
}

JournalContents read_journal(int keeper_dir, const std::string& name) {
  UniqueFd fd(::openat(keeper_dir, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat st {};
  if (!fd || ::fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode)) return {};
  // Believed, it could report ends that never were, and have processes killed.
  if (st.st_uid != ::geteuid() && st.st_uid != 0) return {};
  // On a broken disk, up to where it can be read.
  std::string bytes;
  static_cast<void>(read_to_end(fd.get(), kLongest, bytes));
  return parse_journal(bytes);
}

JournalContents parse_journal(std::string_view bytes) {
  JournalContents contents;
  std::map<RunKey, Message> live;
  while (bytes.size() > kChecksum) {
    std::uint64_t sum = 0;
    FieldReader checksum(bytes);
    checksum(sum);
    std::string_view rest = bytes.substr(kChecksum);
    const std::string_view from_body = rest;
    Result<Message> record = decode(rest);
    if (!record) break;
    if (stable_hash(from_body.substr(0, from_body.size() - rest.size())) != sum) break;
    bytes = rest;
    if (const auto* head = std::get_if<JournalHead>(&*record)) {
      contents.head = *head;
    } else if (const auto* gone = std::get_if<Acknowledge>(&*record)) {
      for (const RunKey& key : gone->keys) live.erase(key);
    } else if (const auto* intended = std::get_if<Intended>(&*record)) {
      live.try_emplace(intended->key, *record);
    } else if (const auto* launched = std::get_if<Launched>(&*record)) {
      live.insert_or_assign(launched->started.key, *record);
    } else if (const auto* failed = std::get_if<StartFailed>(&*record)) {
      live.insert_or_assign(failed->key, *record);
    } else if (const auto* ended = std::get_if<Ended>(&*record)) {
      live.insert_or_assign(ended->key, *record);
    }
  }
  const auto sort_into = [](auto& list, Message& record) {
    using Record = typename std::decay_t<decltype(list)>::value_type;
    if (auto* m = std::get_if<Record>(&record)) list.push_back(std::move(*m));
  };
  for (auto& [key, record] : live) {
    sort_into(contents.intended, record);
    sort_into(contents.launched, record);
    sort_into(contents.failed, record);
    sort_into(contents.ended, record);
  }
  return contents;
}

}  // namespace schedctl::keeper
