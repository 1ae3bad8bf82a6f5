#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "schedctl/base/result.hpp"
#include "schedctl/base/unique_fd.hpp"
#include "schedctl/host/privilege.hpp"

namespace schedctl::host {

/// The output files of commands. Making a file costs more than a small program's whole run, so one
/// that stayed empty goes to the next command; one that was written to is kept under the name it
/// has, which no other file ever gets. Used by one thread.
class Spool {
 public:
  /// One file, while a command has it.
  struct File {
    std::string name;  ///< empty: there is none
    std::string user;  ///< who writes it; empty: this process's own
    UniqueFd watch;    ///< a description of its own: tells whether others still have one
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
  };
  struct Taken {
    File file;
    UniqueFd output;  ///< O_WRONLY | O_APPEND, a description of its own, for the command
  };
  struct Outcome {
    std::string path;  ///< empty: nothing was written, the file was taken back
    std::int64_t bytes = 0;
  };

  /// Opens the directory, which exists. `instance` begins every file's name.
  /// `owner`: whose the directory is, if that is another user than this process's; it leads
  /// nowhere else then.
  static Result<Spool> open(const std::string& directory, const std::string& instance,
                            std::optional<Account> owner = {});

  /// Goes on where an earlier program of this process was; see directory_fd() and files_made().
  Spool(UniqueFd dir, std::string directory, std::string instance, std::uint64_t files_made,
        std::optional<Account> owner)
      : directory_(std::move(directory)),
        owner_(std::move(owner)),
        instance_(std::move(instance)),
        dir_(std::move(dir)),
        made_(files_made) {}
  int directory_fd() const { return dir_.get(); }
  std::uint64_t files_made() const { return made_; }

  /// A file for a command of that user, whose only it will ever be. The error is an errno value.
  tl::expected<Taken, int> take(const std::string& user);
  /// Cuts the middle out of what is over `most`, in pages of 4 KiB, so that at least half of `most`
  /// is left on each side: a hole. `cut` is how much of it was cut out before, and what comes back
  /// how much is by now. Where the file system cannot do that, nothing is.
  static std::int64_t cut_middle(const File& file, std::int64_t most, std::int64_t cut);
  /// The command has ended, and its end of `Taken::output` is closed here.
  Outcome give_back(File file);
  std::string path(const File& file) const {
    return file.name.empty() ? "" : directory_ + "/" + file.name;
  }
  /// Removes the files that wait for a command: no more will come.
  void clear();

  /// Removes a file of another instance, if it is empty and nobody has it open.
  void sweep(const std::string& path) const;
  /// The same for all files that an instance made.
  void sweep_all_of(const std::string& instance) const;

 private:
  bool reopen(Taken& taken) const;
  int make(Taken& taken);
  bool make_directory_again();
  void sweep_name(const std::string& name) const;

  std::string directory_;
  std::optional<Account> owner_;
  std::string instance_;
  UniqueFd dir_;
  std::vector<File> free_;
  std::uint64_t made_ = 0;
};

}  // namespace schedctl::host
