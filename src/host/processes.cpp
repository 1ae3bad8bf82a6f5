#include "schedctl/host/processes.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
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

namespace {

Duration to_duration(const timeval& tv) {
  return std::chrono::seconds(tv.tv_sec) + Duration(tv.tv_usec);
}

/// The status word of waitpid from waitid's two fields.
int wait_status_of(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return (info.si_status & 0xff) << 8;
  return info.si_status | (info.si_code == CLD_DUMPED ? 0x80 : 0);
}

/// As execvp has it where there is no PATH.
constexpr std::string_view kDefaultPath = "/bin:/usr/bin";

std::string_view path_of(const std::vector<std::string>& env) {
  for (const std::string& entry : env) {
    if (entry.starts_with("PATH=")) return std::string_view(entry).substr(5);
  }
  return kDefaultPath;
}

}  // namespace

std::optional<Exit> reap_child() {
  siginfo_t info{};
  rusage usage{};
  // The system call and not waitid(3), for the usage of resources.
  while (::syscall(SYS_waitid, P_ALL, 0, &info, WEXITED | WNOHANG, &usage) != 0) {
    if (errno != EINTR) return std::nullopt;
  }
  if (info.si_pid == 0) return std::nullopt;
  rusage own{};
  ::getrusage(RUSAGE_SELF, &own);
  Exit exit{info.si_pid, wait_status_of(info),
            to_duration(usage.ru_utime) + to_duration(usage.ru_stime), std::nullopt};
  if (usage.ru_maxrss > own.ru_maxrss) exit.max_rss_kb = usage.ru_maxrss;
  return exit;
}

std::vector<std::string> candidates(const std::string& name, const std::vector<std::string>& env) {
  if (name.empty() || name.find('/') != std::string::npos) return {name};
  std::vector<std::string> found;
  std::string_view path = path_of(env);
  while (true) {
    const std::size_t colon = path.find(':');
    const std::string_view dir = path.substr(0, colon);
    found.push_back(dir.empty() ? "./" + name : std::string(dir) + "/" + name);
    if (colon == std::string_view::npos) return found;
    path.remove_prefix(colon + 1);
  }
}

std::vector<char*> string_pointers(const std::vector<std::string>& strings) {
  std::vector<char*> list;
  list.reserve(strings.size() + 1);
  for (const std::string& s : strings) list.push_back(const_cast<char*>(s.c_str()));
  list.push_back(nullptr);
  return list;
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
