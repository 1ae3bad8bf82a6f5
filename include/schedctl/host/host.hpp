#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "schedctl/base/result.hpp"
#include "schedctl/base/unique_fd.hpp"

/// This machine and this process's place on it.
namespace schedctl::host {

/// Makes a directory and its missing parents (0755 for parents, `mode` for the last one).
Result<void> make_directory(const std::string& path, mode_t mode);

/// 36 characters; the same until the machine, or the container, is booted again.
std::string boot_id();
std::string hostname();
/// "anna", "root (anna)" behind sudo: for the audit.
std::string acting_user();
/// The UUID in `state_dir/node-id`, made on first use (0600); processes that come at once get the
/// same one. Kind config: the file holds something else.
Result<std::string> node_id(const std::string& state_dir);

struct User {
  std::string name, home, shell;
};
/// Of the effective uid, from the user database; a uid without an entry gets "/" and /bin/sh.
User current_user();

struct NamedUser {
  User user;
  uid_t uid = 0;
};
/// Nothing: there is none of that name. May ask the network.
std::optional<NamedUser> find_user(const std::string& name);

/// 16 hexadecimal digits that nobody has had before.
std::string random_name();

/// Makes `ps` show `title`. Call once, early in main, with main's argv.
void remember_argv(int argc, char** argv);
void set_process_title(const std::string& title);
/// The absolute path of this program's file as it was started.
std::string program_path();

struct Account;

/// An exclusive lock on a file of its own (flock; 0600, O_NOFOLLOW, regular, ours). Held until the
/// object goes or the process ends; never inherited by children.
class FileLock {
 public:
  /// Tries for `patience_ms`, and for as long as ten seconds while the holder is a process on its
  /// way out. Kind conflict if another process holds it: the message names its pid.
  static Result<FileLock> take(const std::string& path, int patience_ms);
  /// Takes over a descriptor that already holds it (after a re-exec in place).
  static FileLock adopt(int fd) { return FileLock(UniqueFd(fd)); }
  int fd() const { return fd_.get(); }
  /// False: the file of this name is another one, or none, so that the lock tells nobody anything.
  bool is_of(const std::string& path) const;
  /// Writes into the file who holds it, for whoever wonders. Pid and start time together name a
  /// process for ever; `instance` is its own name.
  void describe_holder(const std::string& instance) const;
  /// Lets the reader's group read that. False: the lock is not that of this name in the directory.
  bool show_to(const Account& reader, int dir, const std::string& name) const;

 private:
  explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

/// The pid that holds the flock of this file, by /proc/locks; takes no lock itself and works for
/// any user. 0: nobody (or no such file), or a process of another pid namespace, which the kernel
/// hides. An error if it cannot be told.
Result<pid_t> lock_holder(const std::string& path);

/// As lock_holder, after a wait of up to ten seconds for a holder that is on its way out.
Result<pid_t> lasting_lock_holder(const std::string& path);

/// Writes "PID\n" (0644, O_NOFOLLOW | O_NONBLOCK, a fresh file renamed into place, so that whatever
/// stood there is no obstacle and no weapon). Only the holder of the lock may call it.
Result<void> write_pidfile(const std::string& path);
/// Removes it if it names this process.
void remove_pidfile(const std::string& path);
/// The number in it, for display only; 0 if none.
pid_t read_pidfile(const std::string& path);

}  // namespace schedctl::host
