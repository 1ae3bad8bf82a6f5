#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "codec.hpp"
#include "schedctl/base/result.hpp"
#include "schedctl/base/unique_fd.hpp"

namespace schedctl::keeper {

/// What journals say about runs that the daemon has not acknowledged.
struct JournalContents {
  JournalHead head;
  std::vector<Intended> intended;  ///< perhaps started
  std::vector<Launched> launched;  ///< started, no end known
  std::vector<StartFailed> failed;
  std::vector<Ended> ended;
};

/// The journal of one keeper: what it would otherwise take to the grave. Every start and end is in
/// it before it is reported, and leaves it when the daemon has acknowledged it. It is written but
/// not synced: it guards against the death of processes; after a power cut a record may be missing.
/// Used by one thread.
class Journal {
 public:
  /// Makes `journal-INSTANCE` in the directory.
  static Result<Journal> create(int keeper_dir, const JournalHead& head);

  /// That of an earlier program of this keeper: as if it were damaged, so that rewrite() has to
  /// come first, and puts this program's idea of it in its place. Until then the old one stands.
  static Journal reopen(int keeper_dir, const JournalHead& head);

  /// Adds a record; write() puts it into the file.
  template <class Record>
  void add(const Record& record) {
    body_.clear();
    encode(record, body_);
    add_record(body_, unwritten_);
  }
  /// Writes what was added, in one go. False (with errno): the disk is full, or broken; the file is
  /// as before, what was added is dropped, and only rewrite() can make it complete again.
  bool write();

  /// Whether so much has piled up that it is time for rewrite().
  bool is_long() const { return damaged_ || size_ > rewrite_at_; }
  /// Replaces the whole by what is live now: `records` calls its argument with each.
  using Sink = std::function<void(const Message&)>;
  bool rewrite(const std::function<void(const Sink&)>& records);
  /// Nothing is live: forgets everything.
  void clear();
  /// The keeper ends and nothing is live.
  void remove();

 private:
  static void add_record(const std::string& body, std::string& out);

  int keeper_dir_ = -1;
  JournalHead head_;
  std::string name_;
  UniqueFd fd_;
  std::string body_;
  std::string unwritten_;
  std::int64_t head_size_ = 0;
  std::int64_t size_ = 0;
  std::int64_t rewrite_at_ = 0;
  bool damaged_ = false;  ///< it ends in half a record: write() fails until rewrite() mends it
};

/// The names of the journals in the directory that are not `own`.
std::vector<std::string> other_journals(int keeper_dir, const std::string& own_instance);

/// Reads a journal up to its end, or to the first record that is torn or damaged. A file that is
/// unreadable, or another user's, gives empty contents.
JournalContents read_journal(int keeper_dir, const std::string& name);

/// The same from the file's bytes.
JournalContents parse_journal(std::string_view bytes);

}  // namespace schedctl::keeper
