#include "identity.hpp"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <vector>

// Names are looked up here, in the child, and not in the keeper: the answer may come from a server
// that does not answer. What a root keeper may become at all it has decided before (allowed.cpp).
//
// A step that fails ends the child, and a step that only seems to succeed is found out: programs
// that went on as root after a setuid that had failed are a class of their own (CVE-2006-2607).

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

struct Capabilities {
  __user_cap_header_struct head{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
};

/// setresuid takes them away, unless whoever started the keeper has set securebits against it.
bool give_up_capabilities() {
  Capabilities none;
  return ::syscall(SYS_capset, &none.head, none.sets.data()) == 0;
}

bool has_capabilities() {
  Capabilities now;
  if (::syscall(SYS_capget, &now.head, now.sets.data()) != 0) return true;
  return std::any_of(now.sets.begin(), now.sets.end(), [](const __user_cap_data_struct& set) {
    return (set.effective | set.permitted | set.inheritable) != 0;
  });
}

bool is_for_good(const Account& account) {
  uid_t real = 0;
  uid_t effective = 0;
  uid_t saved = 0;
  gid_t real_group = 0;
  gid_t effective_group = 0;
  gid_t saved_group = 0;
  if (::getresuid(&real, &effective, &saved) != 0 ||
      ::getresgid(&real_group, &effective_group, &saved_group) != 0) {
    return false;
  }
  if (real != account.uid || effective != account.uid || saved != account.uid) return false;
  if (real_group != account.gid || effective_group != account.gid || saved_group != account.gid) {
    return false;
  }
  if (account.uid == 0) return true;
  constexpr auto kAsItIs = static_cast<uid_t>(-1);
  const bool root_again = ::setresuid(kAsItIs, 0, kAsItIs) == 0 || ::setuid(0) == 0;
  const bool roots_group_again = account.gid != 0 && ::setresgid(kAsItIs, 0, kAsItIs) == 0;
  return !root_again && !roots_group_again && !has_capabilities();
}

}  // namespace

ChildReport become_user(const Terms& terms, int output_fd) {
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
  if (output_fd >= 0 && (::fchown(output_fd, account.uid, account.gid) != 0 ||
                         ::fchmod(output_fd, S_IRUSR | S_IWUSR) != 0)) {
    return failure(Stage::output, errno);
  }
  if (::setgroups(account.groups.size(), account.groups.data()) != 0 ||
      ::setresgid(account.gid, account.gid, account.gid) != 0) {
    return failure(Stage::group, errno);
  }
  if (::setresuid(account.uid, account.uid, account.uid) != 0) {
    return failure(Stage::user, errno);
  }
  if (account.uid != 0 && !give_up_capabilities()) return failure(Stage::user, errno);
  if (!is_for_good(account)) return failure(Stage::user, EPERM);
  return {};
}

}  // namespace schedctl::keeper
