#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "codec.hpp"
#include "schedctl/base/record_file.hpp"
#include "schedctl/base/result.hpp"

namespace schedctl::keeper {

/// What journals say about runs that the daemon has not acknowledged.
struct JournalContents {
  JournalHead head;
  /// Perhaps started, or among `launched`: nothing that has its mark is to go on.
  std::vector<Intended> intended;
  std::vector<Launched> launched;  ///< started, no end known
  std::vector<StartFailed> failed;
  std::vector<Ended> ended;
};

/// The journal of one keeper: what it would otherwise take to the grave. Every start and end is in
/// it before it is reported, and leaves it when the daemon has acknowledged it. Makes
/// `journal-INSTANCE` in the directory.
Result<RecordFile> create_journal(int keeper_dir, const JournalHead& head);
/// That of an earlier program of this keeper.
RecordFile reopen_journal(int keeper_dir, const JournalHead& head);

/// The names of the journals in the directory that are not `own`.
std::vector<std::string> other_journals(int keeper_dir, const std::string& own_instance);

/// Reads a journal up to its end, or to the first record that is torn or damaged. A file that is
/// unreadable, or another user's, gives empty contents.
JournalContents read_journal(int keeper_dir, const std::string& name);

/// The same from the file's bytes.
JournalContents parse_journal(std::string_view bytes);

}  // namespace schedctl::keeper
