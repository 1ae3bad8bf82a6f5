#include "schedctl/host/cgroup.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <string_view>

// A cgroup that has processes of its own cannot give controllers to cgroups below it (the root of
// the tree apart). So where a service manager has delegated this process's cgroup to it, and says
// so in an attribute as systemd does, what is in there moves into a leaf beside the new ones first,
// the rest of the service too. Where nobody has delegated anything, nothing is moved.

namespace schedctl::host {
namespace {

constexpr std::string_view kLeaf = "/schedctl";
constexpr int kPeriod = 100'000;  ///< of cpu.max, in microseconds; the kernel's default

int write_to(const std::string& path, std::string_view text) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return errno;
  return ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0
                                                                                          : errno;
}

bool has_word(const std::string& path, std::string_view wanted) {
  std::ifstream in(path);
  for (std::string word; in >> word;) {
    if (word == wanted) return true;
  }
  return false;
}

std::vector<pid_t> processes_in(const std::string& cgroup) {
  std::vector<pid_t> pids;
  std::ifstream in(cgroup + "/cgroup.procs");
  for (pid_t pid = 0; in >> pid;) pids.push_back(pid);
  return pids;
}

bool is_delegated(const std::string& cgroup) {
  for (const char* name : {"trusted.delegate", "user.delegate"}) {
    std::array<char, 4> value{};
    const ssize_t size = ::getxattr(cgroup.c_str(), name, value.data(), value.size());
    if (size > 0 && value[0] == '1') return true;
  }
  return false;
}

int move_into_leaf(const std::string& base) {
  const std::string leaf = base + std::string(kLeaf);
  if (::mkdir(leaf.c_str(), 0755) != 0 && errno != EEXIST) return errno;
  for (const pid_t pid : processes_in(base)) {
    const int error = write_to(leaf + "/cgroup.procs", std::to_string(pid));
    if (error != 0 && error != ESRCH) return error;
  }
  return 0;
}

/// 0, or an errno value.
int enable(const std::string& base, const std::string& controller) {
  if (!has_word(base + "/cgroup.controllers", controller)) return EOPNOTSUPP;
  const std::string switches = base + "/cgroup.subtree_control";
  if (has_word(switches, controller)) return 0;
  int error = write_to(switches, "+" + controller);
  if (error != EBUSY || !is_delegated(base)) return error;
  error = move_into_leaf(base);
  return error != 0 ? error : write_to(switches, "+" + controller);
}

struct Knob {
  std::string controller;
  std::string file;
  std::string value;
};

std::vector<Knob> knobs_of(const CgroupLimits& limits) {
  std::vector<Knob> knobs;
  if (limits.memory_max > 0) {
    knobs.push_back({"memory", "memory.max", std::to_string(limits.memory_max)});
  }
  if (limits.cpu_max > 0) {
    const std::int64_t quota = std::int64_t{limits.cpu_max} * (kPeriod / 100);
    knobs.push_back({"cpu", "cpu.max", std::to_string(quota) + " " + std::to_string(kPeriod)});
  }
  if (limits.pids_max > 0) knobs.push_back({"pids", "pids.max", std::to_string(limits.pids_max)});
  return knobs;
}

}  // namespace

std::optional<std::string> own_cgroup() {
  std::string own;
  std::ifstream membership("/proc/self/cgroup");
  for (std::string line; std::getline(membership, line);) {
    if (line.starts_with("0::/")) own = line.substr(3);
  }
  if (own.empty() || own.starts_with("/..")) return std::nullopt;
  if (own.ends_with(kLeaf)) own.resize(own.size() - kLeaf.size());
  // "36 35 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw": the fourth field is what of the tree
  // stands there, the fifth where.
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    if (line.find(" - cgroup2 ") == std::string::npos) continue;
    std::istringstream fields(line);
    std::string skipped;
    std::string root;
    std::string place;
    fields >> skipped >> skipped >> skipped >> root >> place;
    if (root == "/") return place + (own == "/" ? "" : own);
  }
  return std::nullopt;
}

std::string Cgroup::path() const {
  const std::optional<std::string> base = own_cgroup();
  return base ? *base + "/" + name_ : "";
}

tl::expected<UniqueFd, int> Cgroup::make(const CgroupLimits& limits) const {
  const std::optional<std::string> base = own_cgroup();
  if (!base) return tl::unexpected(EOPNOTSUPP);
  const std::vector<Knob> knobs = knobs_of(limits);
  for (const Knob& knob : knobs) {
    if (const int error = enable(*base, knob.controller); error != 0) return tl::unexpected(error);
  }
  const std::string place = path();
  if (::mkdir(place.c_str(), 0755) != 0) return tl::unexpected(errno);
  int error = 0;
  for (const Knob& knob : knobs) {
    if (error == 0) error = write_to(place + "/" + knob.file, knob.value);
  }
  // One of its processes alone, killed for memory, would leave a group that neither lives nor ends.
  if (error == 0 && limits.memory_max > 0) error = write_to(place + "/memory.oom.group", "1");
  // What is swapped out would be memory over the limit. Not every kernel counts it.
  if (limits.memory_max > 0) write_to(place + "/memory.swap.max", "0");
  UniqueFd procs(::open((place + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
  if (error == 0 && !procs) error = errno;
  if (error == 0) return procs;
  remove();
  return tl::unexpected(error);
}

std::vector<pid_t> Cgroup::members() const {
  return processes_in(path());
}

void Cgroup::kill() const {
  const std::string place = path();
  // Linux 5.14 and later; before that, one by one, which the caller repeats until none is left.
  if (write_to(place + "/cgroup.kill", "1") == 0) return;
  for (const pid_t pid : processes_in(place)) ::kill(pid, SIGKILL);
}

bool Cgroup::had_oom_kill() const {
  std::ifstream events(path() + "/memory.events");
  std::string name;
  for (long count = 0; events >> name >> count;) {
    if (name == "oom_kill") return count > 0;
  }
  return false;
}

bool Cgroup::remove() const {
  return ::rmdir(path().c_str()) == 0 || errno != EBUSY;
}

void Cgroup::sweep() const {
  const std::string place = path();
  if (place.empty() || ::rmdir(place.c_str()) == 0 || errno == ENOENT) return;
  write_to(place + "/cgroup.kill", "1");
  // What was killed is gone in a moment, and the directory stays behind if not.
  ::rmdir(place.c_str());
}

}  // namespace schedctl::host
