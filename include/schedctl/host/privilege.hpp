#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "schedctl/base/result.hpp"
#include "schedctl/base/unique_fd.hpp"

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

/// A user with all groups, and the one of them to run in.
struct Identity {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
};
/// By names. An empty user is this process's own; an empty group the user's primary one (a process
/// that is not root keeps the one it has), and another one has to be one of the user's. ENOENT:
/// there is none of that name; EPERM: the user is not in the group. May ask the network.
tl::expected<Identity, NotBecome> find_identity(const std::string& user, const std::string& group);
/// As become_for_good(). Who is not root is no other user, but may change the group.
std::optional<NotBecome> become_for_good(const Identity& identity);

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

/// Opens a directory, which is no symbolic link itself.
Result<UniqueFd> open_directory(const std::string& path);
/// Opens a directory whose way may be in the hands of another user: no part of it is a symbolic
/// link, and it is `owner`'s. Made (0700), in a directory that exists, if `make`.
Result<UniqueFd> open_strictly(const std::string& path, uid_t owner, bool make);

/// Nobody else may put anything into an open directory. One that others could write to is closed to
/// them; what they put there before is to be judged file by file. The reader's group, if there is a
/// reader, may enter. `path` is for words.
Result<void> make_private(int dir, const std::string& path, const Account* reader = nullptr);

/// Whose that entry of a directory is, if it is another user than this process's.
std::optional<Account> other_owner(int dir, const std::string& name);

/// Whether the absolute path leads, without a symbolic link, to something of this kind (S_IFREG,
/// S_IFDIR) that only root can change, through directories in which nobody else could replace it.
bool is_roots_alone(const std::string& path, mode_t kind);

/// The user that a process runs as; nothing: it is gone, or hidden.
std::optional<uid_t> user_of_process(pid_t pid);

}  // namespace schedctl::host
