#include <fcntl.h>
#include <pwd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <vector>

#include "schedctl/base/text.hpp"
#include "schedctl/host/host.hpp"

namespace schedctl::host {
namespace {

Result<std::string> read_small_file(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (!file) return fail(error_from_errno("cannot read " + path, errno));
  std::array<char, 256> text{};
  const ssize_t n = ::read(file.get(), text.data(), text.size());
  if (n < 0) return fail(error_from_errno("cannot read " + path, errno));
  std::string result(text.data(), static_cast<std::size_t>(n));
  while (!result.empty() && (result.back() == '\n' || result.back() == ' ')) result.pop_back();
  return result;
}

std::string fresh_uuid() {
  uuid_t uuid;
  uuid_generate_random(uuid);
  std::array<char, 37> text{};
  uuid_unparse_lower(uuid, text.data());
  return text.data();
}

std::string user_name(uid_t uid) {
  std::vector<char> buffer(16 * 1024);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    return entry.pw_name;
  }
  return "uid " + std::to_string(uid);
}

}  // namespace

Result<void> make_directory(const std::string& path, mode_t mode) {
  for (std::size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const bool last = slash == std::string::npos;
    const std::string part = path.substr(0, slash);
    if (::mkdir(part.c_str(), last ? mode : 0755) != 0 && errno != EEXIST) {
      return fail(error_from_errno("cannot make the directory " + part, errno));
    }
    if (last) break;
  }
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    return fail(error_from_errno("cannot use the directory " + path, errno));
  }
  if (!S_ISDIR(status.st_mode)) {
    return fail(ErrorKind::failed, path + " is not a directory");
  }
  return {};
}

std::string boot_id() {
  return read_small_file("/proc/sys/kernel/random/boot_id").value_or("unknown");
}

std::string hostname() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  return name.data();
}

std::string acting_user() {
  const std::string user = user_name(::getuid());
  const char* behind = std::getenv("SUDO_USER");
  if (::getuid() != 0 || behind == nullptr || *behind == '\0' || user == behind) return user;
  return user + " (" + escape_control(std::string_view(behind).substr(0, 64)) + ")";
}

Result<std::string> node_id(const std::string& state_dir) {
  const std::string path = state_dir + "/node-id";
  auto found = read_small_file(path);
  if (found && found->size() == 36) return *found;
  // Written beside and renamed: a crash half way leaves either no id or a whole one.
  const std::string id = fresh_uuid();
  const std::string beside = path + "." + id.substr(0, 8);
  UniqueFd file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) return fail(error_from_errno("cannot write " + beside, errno));
  const std::string line = id + "\n";
  const bool written =
      ::write(file.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size()) &&
      ::fsync(file.get()) == 0 && ::rename(beside.c_str(), path.c_str()) == 0;
  if (!written) {
    const int error = errno;
    ::unlink(beside.c_str());
    return fail(error_from_errno("cannot write " + path, error));
  }
  return id;
}

User current_user() {
  std::vector<char> buffer(16 * 1024);
  passwd entry{};
  passwd* found = nullptr;
  const uid_t uid = ::geteuid();
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    return User{std::to_string(uid), "/", "/bin/sh"};
  }
  User user{entry.pw_name, entry.pw_dir, entry.pw_shell};
  if (user.home.empty()) user.home = "/";
  if (user.shell.empty()) user.shell = "/bin/sh";
  return user;
}

}  // namespace schedctl::host
