#include "identity.hpp"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include "schedctl/host/privilege.hpp"

// Names are looked up here, in the child, and not in the keeper: the answer may come from a server
// that does not answer. What a root keeper may become at all it has decided before (allowed.cpp).

namespace schedctl::keeper {
namespace {

struct Account {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;              ///< the group it is to run in
  std::vector<gid_t> groups;  ///< all it is in
};

ChildReport failure(Stage stage, int error_number) {
  return {static_cast<int>(stage), error_number};
}

/// getpwnam(3) has five ways to say that there is none.
int lookup_errno() {
  switch (errno) {
    case 0:
    case ENOENT:
    case ESRCH:
    case EBADF:
    case EPERM:
      return ENOENT;
    default:
      return errno;
  }
}

ChildReport look_up(const Terms& terms, Account& account) {
  errno = 0;
  const passwd* user =
      terms.user.empty() ? ::getpwuid(::geteuid()) : ::getpwnam(terms.user.c_str());
  if (user == nullptr) return failure(Stage::user, lookup_errno());
  account.name = user->pw_name;
  account.uid = user->pw_uid;
  account.gid = user->pw_gid;
  int count = 0;
  ::getgrouplist(account.name.c_str(), account.gid, nullptr, &count);
  account.groups.resize(static_cast<std::size_t>(std::max(count, 1)));
  if (::getgrouplist(account.name.c_str(), account.gid, account.groups.data(), &count) < 0) {
    return failure(Stage::group, EAGAIN);  // it grew meanwhile
  }
  account.groups.resize(static_cast<std::size_t>(count));
  if (terms.group.empty()) return {};
  errno = 0;
  const group* asked = ::getgrnam(terms.group.c_str());
  if (asked == nullptr) return failure(Stage::group, lookup_errno());
  account.gid = asked->gr_gid;
  // Being let in as a user is not being let into any group. Root is in all of them.
  const auto& own = account.groups;
  if (account.uid != 0 && std::find(own.begin(), own.end(), account.gid) == own.end()) {
    return failure(Stage::group, EPERM);
  }
  return {};
}

}  // namespace

ChildReport become_user(const Terms& terms, int output_fd, const Reader* reader) {
  Account account;
  if (const ChildReport failed = look_up(terms, account); failed.stage >= 0) return failed;
  if (::geteuid() != 0) {
    // Its own user is what it is already, and its groups are.
    if (account.uid != ::geteuid()) return failure(Stage::user, EPERM);
    if (account.gid != ::getegid() && !terms.group.empty() &&
        ::setresgid(account.gid, account.gid, account.gid) != 0) {
      return failure(Stage::group, errno);
    }
    return {};
  }
  const bool is_read = reader != nullptr && reader->uid != account.uid;
  if (output_fd >= 0 &&
      (::fchown(output_fd, account.uid, is_read ? reader->gid : account.gid) != 0 ||
       ::fchmod(output_fd, S_IRUSR | S_IWUSR | (is_read ? S_IRGRP : 0U)) != 0)) {
    return failure(Stage::output, errno);
  }
  const auto failed = host::become_for_good(account.uid, account.gid, account.groups);
  if (failed) return failure(failed->group ? Stage::group : Stage::user, failed->error_number);
  return {};
}

}  // namespace schedctl::keeper
