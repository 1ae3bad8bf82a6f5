#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "schedctl/base/result.hpp"

/// Becoming another user, and what root does for one without following where that user leads.
namespace schedctl::host {

struct Account {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
};
/// Of the user database. Kind config: there is none of that name; the message has the line to type,
/// and `where` is `setting`, which names the user.
Result<Account> find_account(const std::string& name, const std::string& setting);

/// What the process did not become, and why.
struct NotBecome {
  bool group = false;  ///< it came no further than its groups
  int error_number = 0;
};
/// Turns this process into the user for good: groups, group, user, no capabilities; all of it
/// checked, and that it cannot be taken back. Nothing: it is that user. Otherwise the process is
/// neither one nor the other and must not go on.
std::optional<NotBecome> become_for_good(uid_t uid, gid_t gid, const std::vector<gid_t>& groups);
/// The same, without any other group, for a process with words.
Result<void> become_for_good(const Account& user);

/// Root acts with another user's rights while one of these lives. One thread only; nothing happens
/// where the process is not root, or there is nobody to act as.
class ActingAs {
 public:
  static Result<ActingAs> begin(const std::optional<Account>& user);
  ActingAs(ActingAs&& other) noexcept;
  ActingAs& operator=(ActingAs&&) = delete;
  ~ActingAs();

 private:
  ActingAs() = default;
  bool active_ = false;
  gid_t group_ = 0;
  std::vector<gid_t> groups_;
};

/// Makes a directory and sees to it that the user can write there. What the user can do is done
/// with that user's rights. Beyond that, root makes and hands over only what nobody else can have
/// had a hand in: below directories that are root's alone, reached without a symbolic link, with
/// nothing in it but what `is_ours` knows by name. Kind config, with what to do, if it is not so.
Result<void> provide_directory(const std::string& path, mode_t mode, const Account& user,
                               const std::function<bool(const std::string&)>& is_ours);
/// The same for a file that is written at its end, 0640; its directory stays as it is.
Result<void> provide_log_file(const std::string& path, const Account& user);

/// Whether the absolute path leads, without a symbolic link, to something of this kind (S_IFREG,
/// S_IFDIR) that only root can change, through directories in which nobody else could replace it.
bool is_roots_alone(const std::string& path, mode_t kind);

/// The user that a process runs as; nothing: it is gone, or hidden.
std::optional<uid_t> user_of_process(pid_t pid);

}  // namespace schedctl::host
