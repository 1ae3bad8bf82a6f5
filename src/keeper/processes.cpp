#include "processes.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include "schedctl/base/text.hpp"
#include "schedctl/base/unique_fd.hpp"

namespace schedctl::keeper {

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
  // state ppid pgrp session, then field 22, starttime: proc(5).
  if (std::sscanf(after_name + 1,
                  " %c %*d %*d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                  &stat.state, &stat.session, &ticks) != 3) {
    return std::nullopt;
  }
  const auto a_second = static_cast<unsigned long long>(::sysconf(_SC_CLK_TCK));
  stat.started = Duration(static_cast<std::int64_t>(ticks * 1'000'000 / a_second));
  return stat;
}

namespace {

template <class Condition>
std::vector<ProcessStat> living_processes(Condition condition) {
  std::vector<ProcessStat> found;
  DIR* proc = ::opendir("/proc");
  if (proc == nullptr) return found;
  while (const dirent* entry = ::readdir(proc)) {
    const std::optional<std::int64_t> pid = parse_int(entry->d_name);
    if (!pid) continue;
    const std::optional<ProcessStat> stat = process_stat(static_cast<pid_t>(*pid));
    if (stat && stat->state != 'Z' && stat->state != 'X' && condition(*stat)) {
      found.push_back(*stat);
    }
  }
  ::closedir(proc);
  return found;
}

void kill_member(const ProcessStat& member) {
  // Between the look and the signal the number may change hands: the descriptor pins the process,
  // and a second look tells whether it is the one that was meant.
  UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, member.pid, 0)));
  if (!process) return;
  const std::optional<ProcessStat> again = process_stat(member.pid);
  if (!again || again->session != member.session || again->started != member.started) return;
  ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
}

bool has_variable(pid_t pid, const std::string& variable) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/environ", std::ios::binary);
  for (std::string entry; std::getline(file, entry, '\0');) {
    if (entry == variable) return true;
  }
  return false;
}

}  // namespace

std::vector<ProcessStat> session_members(pid_t session) {
  return living_processes([&](const ProcessStat& stat) { return stat.session == session; });
}

void kill_session(pid_t session) {
  for (const ProcessStat& member : session_members(session)) kill_member(member);
}

void kill_orphans(pid_t session, Duration since, const std::string& variable) {
  for (const ProcessStat& member : session_members(session)) {
    if (member.started >= since && has_variable(member.pid, variable)) kill_member(member);
  }
}

void kill_marked(Duration since, const std::string& variable) {
  // One that is just being started by another is seen the second time; the rest is patience with
  // processes that take a moment to die.
  constexpr int kLooks = 5;
  for (int look = 0; look < kLooks; ++look) {
    const std::vector<ProcessStat> marked = living_processes([&](const ProcessStat& stat) {
      return stat.started >= since && has_variable(stat.pid, variable);
    });
    if (marked.empty()) return;
    for (const ProcessStat& process : marked) kill_member(process);
  }
}

}  // namespace schedctl::keeper
