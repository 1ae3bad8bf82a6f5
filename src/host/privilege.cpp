#include "schedctl/host/privilege.hpp"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <utility>

#include "schedctl/base/check.hpp"
#include "schedctl/base/text.hpp"

// A step that fails ends what the process was about to do, and a step that only seems to succeed is
// found out: programs that went on as root after a setuid that had failed are a class of their own
// (CVE-2006-2607).

namespace schedctl::host {
namespace {

constexpr auto kAsItIs = static_cast<uid_t>(-1);

struct Capabilities {
  __user_cap_header_struct head{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
};

/// setresuid takes them away, unless whoever started the process has set securebits against it.
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

bool is_for_good(uid_t uid, gid_t gid) {
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
  if (real != uid || effective != uid || saved != uid) return false;
  if (real_group != gid || effective_group != gid || saved_group != gid) return false;
  if (uid == 0) return true;
  const bool root_again = ::setresuid(kAsItIs, 0, kAsItIs) == 0 || ::setuid(0) == 0;
  const bool roots_group_again = gid != 0 && ::setresgid(kAsItIs, 0, kAsItIs) == 0;
  return !root_again && !roots_group_again && !has_capabilities();
}

/// What errno says where getpwnam(3) found nobody: it has five ways to say that there is none.
int lookup_errno(int error) {
  switch (error) {
    case 0:
    case ENOENT:
    case ESRCH:
    case EBADF:
    case EPERM:
      return ENOENT;
    default:
      return error;
  }
}

}  // namespace

Result<Account> find_account(const std::string& name, const std::string& setting) {
  std::vector<char> buffer(std::size_t{16} * 1024);
  passwd entry{};
  passwd* found = nullptr;
  const int error = ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found != nullptr) return Account{name, entry.pw_uid, entry.pw_gid};
  if (lookup_errno(error) != ENOENT) {
    return fail(ErrorKind::unavailable,
                "cannot look up the user " + escape_control(name) + ": " + errno_text(error),
                setting);
  }
  return fail(ErrorKind::config,
              "there is no user " + escape_control(name) +
                  "; make it: useradd --system --user-group --no-create-home --home-dir "
                  "/var/lib/schedctl --shell /usr/sbin/nologin " +
                  escape_control(name),
              setting);
}

std::optional<NotBecome> become_for_good(uid_t uid, gid_t gid, const std::vector<gid_t>& groups) {
  if (::setgroups(groups.size(), groups.data()) != 0 || ::setresgid(gid, gid, gid) != 0) {
    return NotBecome{true, errno};
  }
  if (::setresuid(uid, uid, uid) != 0) return NotBecome{false, errno};
  if (uid != 0 && !give_up_capabilities()) return NotBecome{false, errno};
  if (!is_for_good(uid, gid)) return NotBecome{false, EPERM};
  return std::nullopt;
}

Result<void> become_for_good(const Account& user) {
  const std::optional<NotBecome> failed = become_for_good(user.uid, user.gid, {});
  if (!failed) return {};
  return fail(error_from_errno("cannot become the user " + user.name, failed->error_number));
}

tl::expected<Identity, NotBecome> find_identity(const std::string& user, const std::string& group) {
  errno = 0;
  const passwd* entry = user.empty() ? ::getpwuid(::geteuid()) : ::getpwnam(user.c_str());
  if (entry == nullptr) return tl::unexpected(NotBecome{false, lookup_errno(errno)});
  const std::string name = entry->pw_name;
  Identity identity{entry->pw_uid, entry->pw_gid, {}};
  int count = 0;
  ::getgrouplist(name.c_str(), identity.gid, nullptr, &count);
  identity.groups.resize(static_cast<std::size_t>(std::max(count, 1)));
  if (::getgrouplist(name.c_str(), identity.gid, identity.groups.data(), &count) < 0) {
    return tl::unexpected(NotBecome{true, EAGAIN});  // it grew meanwhile
  }
  identity.groups.resize(static_cast<std::size_t>(count));
  if (group.empty()) {
    if (::geteuid() != 0) identity.gid = ::getegid();
    return identity;
  }
  errno = 0;
  const struct group* asked = ::getgrnam(group.c_str());
  if (asked == nullptr) return tl::unexpected(NotBecome{true, lookup_errno(errno)});
  identity.gid = asked->gr_gid;
  // Being let in as a user is not being let into any group. Root is in all of them.
  const auto& own = identity.groups;
  if (identity.uid != 0 && std::find(own.begin(), own.end(), identity.gid) == own.end()) {
    return tl::unexpected(NotBecome{true, EPERM});
  }
  return identity;
}

std::optional<NotBecome> become_for_good(const Identity& identity) {
  const auto& [uid, gid, groups] = identity;
  if (::geteuid() == 0) return become_for_good(uid, gid, groups);
  // Its own user is what it is already, and its groups are.
  if (uid != ::geteuid()) return NotBecome{false, EPERM};
  if (gid == ::getegid() || ::setresgid(gid, gid, gid) == 0) return std::nullopt;
  return NotBecome{true, errno};
}

Result<ActingAs> ActingAs::begin(const std::optional<Account>& user) {
  ActingAs acting;
  if (::geteuid() != 0 || !user || user->uid == 0) return acting;
  acting.group_ = ::getegid();
  const int count = ::getgroups(0, nullptr);
  acting.groups_.resize(static_cast<std::size_t>(std::max(count, 0)));
  if (count < 0 || ::getgroups(count, acting.groups_.data()) < 0) {
    return fail(error_from_errno("cannot tell the groups of this process", errno));
  }
  // From here on the destructor takes back what was done.
  acting.active_ = true;
  if (::setgroups(0, nullptr) != 0 || ::setresgid(kAsItIs, user->gid, kAsItIs) != 0 ||
      ::setresuid(kAsItIs, user->uid, kAsItIs) != 0) {
    return fail(error_from_errno("cannot act as the user " + user->name, errno));
  }
  return acting;
}

ActingAs::ActingAs(ActingAs&& other) noexcept
    : active_(std::exchange(other.active_, false)),
      group_(other.group_),
      groups_(std::move(other.groups_)) {}

ActingAs::~ActingAs() {
  if (!active_) return;
  // Root's own saved user id allows it; a process that is neither must not go on.
  CHECK(::setresuid(kAsItIs, 0, kAsItIs) == 0);
  CHECK(::setresgid(kAsItIs, group_, kAsItIs) == 0);
  CHECK(::setgroups(groups_.size(), groups_.data()) == 0);
}

std::optional<uid_t> user_of_process(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string word; file >> word;) {
    uid_t real = 0;
    uid_t effective = 0;
    if (word == "Uid:" && file >> real >> effective) return effective;
  }
  return std::nullopt;
}

}  // namespace schedctl::host
