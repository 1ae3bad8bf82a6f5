#include <fcntl.h>
#include <pwd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "schedctl/base/text.hpp"
#include "schedctl/host/host.hpp"

namespace schedctl::host {
namespace {

/// A container may lay a boot id of its own over the kernel's, and a sandbox in it (systemd's
/// ProtectKernelTunables=, say) makes a new /proc without that: the host's, which stays the same
/// when the container is booted again, and which nobody else there sees. So the units tell (%b).
std::optional<std::string> boot_id_of_unit() {
  const char* value = std::getenv("SCHEDCTL_BOOT_ID");
  std::string id = value != nullptr ? value : "";
  const bool is_hex = id.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (id.size() != 32 || !is_hex) return std::nullopt;
  for (const std::size_t dash : {8, 13, 18, 23}) id.insert(dash, 1, '-');
  return id;
}

constexpr int kReadFlags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

Result<std::string> read_short_text(int fd, const std::string& path) {
  std::array<char, 256> text{};
  const ssize_t n = ::read(fd, text.data(), text.size());
  if (n < 0) return fail(error_from_errno("cannot read " + path, errno));
  std::string result(text.data(), static_cast<std::size_t>(n));
  while (!result.empty() && (result.back() == '\n' || result.back() == ' ')) result.pop_back();
  return result;
}

// A damaged id is a person's to mend: with another one, this node's runs would be a stranger's.
Result<std::string> read_id(int fd, const std::string& path) {
  TRY(std::string id, read_short_text(fd, path));
  uuid_t uuid;
  if (id.size() == 36 && uuid_parse(id.c_str(), uuid) == 0) return id;
  return fail(ErrorKind::config, path +
                                     " does not hold a UUID; put this node's back (schedctl's log "
                                     "and database know it), or remove the file for a new one");
}

Result<void> write_durably(const std::string& path, const std::string& text) {
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return fail(error_from_errno("cannot write " + path, errno));
  if (::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
      ::fsync(file.get()) == 0) {
    return {};
  }
  const int error = errno;
  ::unlink(path.c_str());
  return fail(error_from_errno("cannot write " + path, error));
}

std::string fresh_uuid() {
  uuid_t uuid;
  uuid_generate_random(uuid);
  std::array<char, 37> text{};
  uuid_unparse_lower(uuid, text.data());
  return text.data();
}

std::string user_name(uid_t uid) {
  std::vector<char> buffer(std::size_t{16} * 1024);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    return entry.pw_name;
  }
  return "uid " + std::to_string(uid);
}

}  // namespace

Result<void> make_directory(const std::string& path, mode_t mode) {
  // "/a/b/" is "/a/b": its last part is b, which gets `mode`.
  const std::size_t last_char = path.find_last_not_of('/');
  const std::string whole = last_char == std::string::npos ? path : path.substr(0, last_char + 1);
  // Looked for first: where nothing may be written, even an attempt on what exists can fail.
  struct stat status {};
  bool exists = ::stat(whole.c_str(), &status) == 0;
  for (std::size_t slash = 0; !exists && slash != std::string::npos;) {
    slash = whole.find('/', slash + 1);
    const std::string part = whole.substr(0, slash);
    const mode_t part_mode = slash == std::string::npos ? mode : 0755;
    if (::mkdir(part.c_str(), part_mode) == 0 || errno == EEXIST) continue;
    const int error = errno;
    if (::stat(part.c_str(), &status) == 0) continue;
    return fail(error_from_errno("cannot make the directory " + part, error));
  }
  exists = exists || ::stat(whole.c_str(), &status) == 0;
  if (!exists) return fail(error_from_errno("cannot use the directory " + whole, errno));
  if (!S_ISDIR(status.st_mode)) return fail(ErrorKind::failed, whole + " is not a directory");
  return {};
}

std::string boot_id() {
  if (const std::optional<std::string> told = boot_id_of_unit()) return *told;
  const std::string path = "/proc/sys/kernel/random/boot_id";
  const UniqueFd file(::open(path.c_str(), kReadFlags));
  return file ? read_short_text(file.get(), path).value_or("unknown") : "unknown";
}

std::string hostname() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  return name.data();
}

std::string acting_user() {
  std::string user = user_name(::getuid());
  const char* behind = std::getenv("SUDO_USER");
  if (::getuid() != 0 || behind == nullptr || *behind == '\0' || user == behind) return user;
  return user + " (" + escape_control(std::string_view(behind).substr(0, 64)) + ")";
}

std::string random_name() {
  std::uint64_t bits = 0;
  while (::getrandom(&bits, sizeof bits, 0) != static_cast<ssize_t>(sizeof bits)) {
  }
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(bits));
  return text.data();
}

Result<std::string> node_id(const std::string& state_dir) {
  const std::string path = state_dir + "/node-id";
  const UniqueFd found(::open(path.c_str(), kReadFlags));
  if (found) return read_id(found.get(), path);
  if (errno != ENOENT) return fail(error_from_errno("cannot read " + path, errno));
  const std::string id = fresh_uuid();
  const std::string beside = path + "." + id.substr(0, 8);
  TRY_VOID(write_durably(beside, id + "\n"));
  // Linked and not renamed: of several daemons that start at once, the first one's id is
  // everyone's.
  const int error = ::link(beside.c_str(), path.c_str()) == 0 ? 0 : errno;
  ::unlink(beside.c_str());
  if (error != 0 && error != EEXIST) return fail(error_from_errno("cannot write " + path, error));
  const UniqueFd directory(::open(state_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory) ::fsync(directory.get());
  const UniqueFd made(::open(path.c_str(), kReadFlags));
  if (!made) return fail(error_from_errno("cannot read " + path, errno));
  return read_id(made.get(), path);
}

namespace {

constexpr std::size_t kEntryBytes = std::size_t{16} * 1024;

User user_of(const passwd& entry) {
  User user{entry.pw_name, entry.pw_dir, entry.pw_shell};
  if (!user.home.starts_with('/')) user.home = "/";
  if (user.shell.empty()) user.shell = "/bin/sh";
  return user;
}

}  // namespace

User current_user() {
  std::vector<char> buffer(kEntryBytes);
  passwd entry{};
  passwd* found = nullptr;
  const uid_t uid = ::geteuid();
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    return User{std::to_string(uid), "/", "/bin/sh"};
  }
  return user_of(entry);
}

std::optional<NamedUser> find_user(const std::string& name) {
  std::vector<char> buffer(kEntryBytes);
  passwd entry{};
  passwd* found = nullptr;
  const int error = ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (error != 0 || found == nullptr) return std::nullopt;
  return NamedUser{user_of(entry), entry.pw_uid};
}

}  // namespace schedctl::host
