#include "journal.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <utility>
#include <variant>

#include "schedctl/base/fd_io.hpp"

// The first record is the JournalHead; then Intended, Launched, StartFailed, Ended, and
// Acknowledge, which cancels what came before it for its keys.

namespace schedctl::keeper {
namespace {

constexpr std::string_view kPrefix = "journal-";
/// A longer file was not written by a keeper.
constexpr std::size_t kLongest = std::size_t{256} * 1024 * 1024;

std::string name_of(const std::string& instance) {
  return std::string(kPrefix) + instance;
}

}  // namespace

Result<RecordFile> create_journal(int keeper_dir, const JournalHead& head) {
  return RecordFile::create(keeper_dir, name_of(head.instance), encoded(head))
      .map_error([](int error_number) {
        return error_from_errno("cannot write the keeper's journal", error_number);
      });
}

RecordFile reopen_journal(int keeper_dir, const JournalHead& head) {
  return RecordFile::reopen(keeper_dir, name_of(head.instance), encoded(head));
}

std::vector<std::string> other_journals(int keeper_dir, const std::string& own_instance) {
  std::vector<std::string> names = names_in(keeper_dir, kPrefix);
  std::erase(names, name_of(own_instance));
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
  std::map<RunKey, Intended> intended;
  read_records(bytes, [&](std::string_view frame) {
    Result<Message> record = decode(frame);
    if (!record) return false;
    if (const auto* head = std::get_if<JournalHead>(&*record)) {
      contents.head = *head;
    } else if (const auto* gone = std::get_if<Acknowledge>(&*record)) {
      for (const RunKey& key : gone->keys) {
        live.erase(key);
        intended.erase(key);
      }
    } else if (const auto* begun = std::get_if<Intended>(&*record)) {
      if (!live.contains(begun->key)) intended.insert_or_assign(begun->key, *begun);
    } else if (const auto* launched = std::get_if<Launched>(&*record)) {
      live.insert_or_assign(launched->started.key, *record);
    } else if (const auto* failed = std::get_if<StartFailed>(&*record)) {
      live.insert_or_assign(failed->key, *record);
      intended.erase(failed->key);
    } else if (const auto* ended = std::get_if<Ended>(&*record)) {
      live.insert_or_assign(ended->key, *record);
      intended.erase(ended->key);
    }
    return true;
  });
  for (auto& [key, record] : intended) contents.intended.push_back(std::move(record));
  for (auto& [key, record] : live) {
    if (auto* m = std::get_if<Launched>(&record)) contents.launched.push_back(std::move(*m));
    if (auto* m = std::get_if<StartFailed>(&record)) contents.failed.push_back(std::move(*m));
    if (auto* m = std::get_if<Ended>(&record)) contents.ended.push_back(std::move(*m));
  }
  return contents;
}

}  // namespace schedctl::keeper
