#include "schedctl/host/processes.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

#include "schedctl/base/fd_io.hpp"
#include "schedctl/base/text.hpp"
#include "schedctl/base/unique_fd.hpp"

namespace schedctl::host {

std::optional<ProcessStat> process_stat(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  std::array<char, 1024> buffer{};
  const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size() - 1);
  if (got <= 0) return std::nullopt;
  // The name is in parentheses and may hold anything, so fields are counted from the last one.
  const char* after_name = std::strrchr(buffer.data(), ')');
  if (after_name == nullptr) return std::nullopt;
  ProcessStat stat;
  stat.pid = pid;
  unsigned long long ticks = 0;
  unsigned flags = 0;
  // state ppid pgrp session, field 9, flags, and field 22, starttime: proc(5).
  if (std::sscanf(after_name + 1,
                  " %c %*d %d %d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                  &stat.state, &stat.group, &stat.session, &flags, &ticks) != 5) {
    return std::nullopt;
  }
  constexpr unsigned kExiting = 0x4;  // PF_EXITING of the kernel's sched.h
  stat.is_exiting = (flags & kExiting) != 0;
  const auto a_second = static_cast<unsigned long long>(::sysconf(_SC_CLK_TCK));
  stat.started = Duration(static_cast<std::int64_t>(ticks * 1'000'000 / a_second));
  return stat;
}

bool is_ending(pid_t pid) {
  const std::optional<ProcessStat> stat = process_stat(pid);
  // Where /proc hides other users' processes (hidepid), a missing entry says nothing.
  if (!stat) return ::kill(pid, 0) != 0 && errno == ESRCH;
  if (!stat->is_alive() || stat->is_exiting) return true;
  // "SigPnd: 0000000000000100": its first thread has not taken the KILL yet.
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("SigPnd:") && !line.starts_with("ShdPnd:")) continue;
    const auto pending = std::strtoull(line.c_str() + line.find(':') + 1, nullptr, 16);
    if ((pending >> (SIGKILL - 1) & 1) != 0) return true;
  }
  return false;
}

std::vector<ProcessStat> living_processes() {
  std::vector<ProcessStat> found;
  const UniqueFd proc(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (const std::string& name : names_in(proc.get(), "")) {
    const std::optional<std::int64_t> pid = parse_int(name);
    if (!pid) continue;
    const std::optional<ProcessStat> stat = process_stat(static_cast<pid_t>(*pid));
    if (stat && stat->is_alive()) found.push_back(*stat);
  }
  return found;
}

namespace {

/// Of its first thread, whose number is the process's; the keeper has no other.
std::optional<std::vector<pid_t>> children_of(pid_t pid) {
  const std::string number = std::to_string(pid);
  std::ifstream file("/proc/" + number + "/task/" + number + "/children");
  if (!file) return std::nullopt;
  std::vector<pid_t> children;
  for (pid_t child = 0; file >> child;) children.push_back(child);
  return children;
}

}  // namespace

std::optional<std::vector<pid_t>> own_children() {
  return children_of(::getpid());
}

bool has_children(pid_t pid) {
  const std::optional<std::vector<pid_t>> children = children_of(pid);
  return !children || !children->empty();
}

std::string environment_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/environ", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool has_entries(const std::string& environment, const std::vector<std::string>& entries) {
  return std::all_of(entries.begin(), entries.end(), [&](const std::string& entry) {
    const std::string whole = entry + '\0';
    const std::size_t at = environment.find('\0' + whole);
    return at != std::string::npos || environment.starts_with(whole);
  });
}

void signal_process(const ProcessStat& process, int signo) {
  // Between the look and the signal the number may change hands: the descriptor pins the process,
  // and a second look tells whether it is the one that was meant.
  UniqueFd pinned(static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0)));
  if (!pinned) return;
  const std::optional<ProcessStat> again = process_stat(process.pid);
  if (!again || again->session != process.session || again->started != process.started) return;
  ::syscall(SYS_pidfd_send_signal, pinned.get(), signo, nullptr, 0);
}

void kill_sessions(const std::function<bool(pid_t)>& is_one) {
  for (const ProcessStat& process : living_processes()) {
    if (is_one(process.session)) signal_process(process, SIGKILL);
  }
}

}  // namespace schedctl::host
