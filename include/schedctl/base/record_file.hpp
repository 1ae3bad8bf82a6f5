#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "schedctl/base/unique_fd.hpp"

namespace schedctl {

/// A file that frames (base/framed.hpp) are added to and that now and then is replaced by what of
/// it still counts. It is written but not synced: it guards against the death of processes; after a
/// power cut a record may be missing. Used by one thread.
class RecordFile {
 public:
  /// Makes the file, with its first record, which it always has. The error is an errno value.
  static tl::expected<RecordFile, int> create(int dir, std::string name, std::string head);

  /// That of an earlier program: as if it were damaged, so that rewrite() has to come first, and
  /// puts this program's idea of it in its place. Until then the old one stands.
  static RecordFile reopen(int dir, std::string name, std::string head);

  /// Adds a frame; write() puts it into the file.
  void add(std::string_view frame);
  /// Writes what was added, in one go. False (with errno): the disk is full, or broken; the file is
  /// as before, what was added is dropped, and only rewrite() can make it complete again.
  bool write();

  /// Whether so much has piled up that it is time for rewrite().
  bool is_long() const { return damaged_ || size_ > rewrite_at_; }
  /// Replaces all but the head by what counts now: `records` calls its argument with each. False,
  /// with errno: everything is as before.
  using Sink = std::function<void(std::string_view frame)>;
  bool rewrite(const std::function<void(const Sink&)>& records);
  /// Nothing counts any more, but the head.
  void clear();
  void remove() const;

 private:
  RecordFile() = default;

  int dir_ = -1;
  std::string name_;
  std::string head_;
  UniqueFd fd_;
  std::string unwritten_;
  std::int64_t head_size_ = 0;
  std::int64_t size_ = 0;
  std::int64_t rewrite_at_ = 0;
  bool damaged_ = true;  ///< it ends in half a record: write() fails until rewrite() mends it
};

/// The frames of such a file, in order, up to its end, to the first that is torn or damaged, or to
/// the first that `take` does not want.
void read_records(std::string_view bytes, const std::function<bool(std::string_view frame)>& take);

}  // namespace schedctl
