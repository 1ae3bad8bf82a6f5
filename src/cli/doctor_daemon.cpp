#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "schedctl/base/text.hpp"
#include "schedctl/base/unique_fd.hpp"
#include "schedctl/cli/cli.hpp"
#include "schedctl/host/host.hpp"
#include "schedctl/host/processes.hpp"
#include "src/cli/doctor.hpp"
#include "src/cli/output.hpp"
#include "src/cli/times.hpp"

// doctor: the two processes, and what the kernel lets them have.

namespace schedctl::cli {
namespace {

/// What a keeper has open besides one file a run: files that wait for a run, journal, sockets.
constexpr std::int64_t kKeepersOwnFiles = 300;
/// Daemon, keeper, and what else the same user may run.
constexpr std::int64_t kOtherProcesses = 50;

std::string proc(std::int64_t pid, const char* file) {
  return "/proc/" + std::to_string(pid) + "/" + file;
}

/// The beginning of a small file; empty if it cannot be read.
std::string read_small(const std::string& path) {
  std::array<char, 4096> text{};
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  const ssize_t got = fd ? ::read(fd.get(), text.data(), text.size()) : -1;
  return got > 0 ? std::string(text.data(), static_cast<std::size_t>(got)) : "";
}

/// 'R', 'S', 'T' (stopped), 'D' (waits for a disk), ...; 0 if unknown.
char process_state(std::int64_t pid) {
  const std::optional<host::ProcessStat> stat = host::process_stat(static_cast<pid_t>(pid));
  return stat ? stat->state : '\0';
}

bool is_stopped(std::int64_t pid) {
  const char state = process_state(pid);
  return state == 'T' || state == 't';
}

std::string_view take_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  return word;
}

/// Changes with whatever the process does: its processor time, and how often it has waited.
std::string progress_of(std::int64_t pid) {
  const std::string stat = read_small(proc(pid, "stat"));
  // The name is in parentheses and may hold anything. After it come the fields from the third on.
  std::string_view fields = std::string_view(stat).substr(std::min(stat.rfind(')'), stat.size()));
  constexpr int kUserTime = 14, kSystemTime = 15;  // proc(5)
  std::string progress;
  for (int field = 2; field <= kSystemTime; ++field) {
    const std::string_view word = take_word(fields);
    if (field >= kUserTime) progress += std::string(word) + " ";
  }
  const std::string status = read_small(proc(pid, "status"));
  const std::size_t waited = status.find("\nvoluntary_ctxt_switches:");
  if (waited == std::string::npos) return progress;
  return progress + status.substr(waited + 1, status.find('\n', waited + 1) - waited - 1);
}

/// It runs a program file that was replaced or removed since.
bool is_of_old_file(std::int64_t pid) {
  std::array<char, 4096> target{};
  const ssize_t got = ::readlink(proc(pid, "exe").c_str(), target.data(), target.size());
  return got > 0 &&
         std::string_view(target.data(), static_cast<std::size_t>(got)).ends_with(" (deleted)");
}

std::string with_pid(const char* name, std::int64_t pid) {
  return std::string(name) + (pid == 0 ? "" : " (pid " + std::to_string(pid) + ")");
}

// --- daemon ------------------------------------------------------------------------------------

void look_at_silent_daemon(Findings& findings, const Patient& patient) {
  const std::int64_t pid = patient.daemon.pid;
  const std::string number = std::to_string(pid);
  const std::string name = with_pid("the daemon", pid);
  if (is_stopped(pid))
    return findings.error(name + " is stopped, by SIGSTOP or a debugger: nothing starts",
                          "kill -CONT " + number);
  if (is_stuck_in_kernel(pid))
    return findings.error(name + " waits for a disk or a network file system: nothing starts",
                          "dmesg | tail; cat /proc/" + number + "/stack");
  findings.error(name + " holds its lock and does not answer: " + patient.daemon.words,
                 quote_command({"tail", patient.config().log_file}) + "; if it stays so: kill -9 " +
                     number + "; " + patient.schedctl() + " start (running jobs go on)");
}

void look_at_dead_daemon(Findings& findings, const Patient& patient) {
  const pid_t stale = host::read_pidfile(patient.config().pid_file());
  std::string what = "no daemon is running, so nothing is started";
  if (stale != 0) {
    what += "; the last one (pid " + std::to_string(stale) + ") was killed or crashed";
  } else if (patient.node && patient.node->stopped_at) {
    what += "; it was stopped " + relative(*patient.node->stopped_at, patient.session.now);
  }
  const std::string remedy =
      patient.schedctl() + " start" +
      (stale == 0
           ? ""
           : " (what it said last: " + quote_command({"tail", patient.config().log_file}) + ")");
  // Where there is nothing to do, none may be wanted.
  const bool idle = patient.jobs && patient.jobs->empty() && stale == 0;
  if (idle)
    findings.warning(what, remedy);
  else
    findings.error(what, remedy);
}

void look_at_answer(Findings& findings, const Patient& patient) {
  const Health& health = patient.daemon.health;
  const std::string name = with_pid("the daemon", patient.daemon.pid);
  if (health.store != "ok")
    findings.error(name + " cannot write its store" + (health.why.empty() ? "" : ": " + health.why),
                   quote_command({"df", "-h", parent_directory(patient.config().sqlite_path())}) +
                       "; it goes on by itself once it can");
  if (patient.node && patient.node->pid == patient.daemon.pid &&
      patient.node->version != version()) {
    findings.warning(
        name + " is of version " + patient.node->version + ", this program of " + version(),
        patient.schedctl() + " restart (jobs go on)");
  } else if (is_of_old_file(patient.daemon.pid)) {
    findings.warning(name + " still is the program from before it was installed anew",
                     patient.schedctl() + " restart (jobs go on)");
  }
  if (health.store != "ok") return;
  std::string text = name + " answers";
  if (patient.node && patient.node->pid == patient.daemon.pid)
    text += ", up " + rough(since(patient.node->started_at, patient.session.now));
  findings.ok(text);
}

// --- limits ------------------------------------------------------------------------------------

struct Limit {
  std::int64_t soft = 0;
  std::int64_t hard = 0;
};
constexpr std::int64_t kUnlimited = std::int64_t{1} << 62;

std::int64_t number_of(rlim_t value) {
  return value == RLIM_INFINITY ? kUnlimited
                                : static_cast<std::int64_t>(std::min<rlim_t>(value, kUnlimited));
}

/// Of a living process, by a line of /proc/PID/limits: "Max open files   1024   4096   files".
std::optional<Limit> limit_of(std::int64_t pid, std::string_view name) {
  const std::string text = read_small(proc(pid, "limits"));
  const std::size_t at = text.find(name);
  if (at == std::string::npos) return std::nullopt;
  std::string_view line = std::string_view(text).substr(at + name.size());
  line = line.substr(0, line.find('\n'));
  const auto number = [](std::string_view word) {
    return word == "unlimited" ? kUnlimited : parse_int(word).value_or(0);
  };
  const std::int64_t soft = number(take_word(line));
  return Limit{soft, number(take_word(line))};
}

/// What a keeper has, or, where there is none, what one would get that was started from here.
Limit keepers_limit(const Patient& patient, std::string_view name, bool files) {
  if (patient.keeper_pid != 0)
    if (const auto found = limit_of(patient.keeper_pid, name)) return *found;
  rlimit own{};
  if (::getrlimit(files ? RLIMIT_NOFILE : RLIMIT_NPROC, &own) != 0) return {kUnlimited, kUnlimited};
  const Limit limit{number_of(own.rlim_cur), number_of(own.rlim_max)};
  // The keeper raises this one by itself.
  return files ? Limit{limit.hard, limit.hard} : limit;
}

std::string limit_text(std::int64_t value) {
  return value == kUnlimited ? "unlimited" : std::to_string(value);
}

}  // namespace

bool is_stuck_in_kernel(std::int64_t pid) {
  constexpr int kLooks = 20;
  constexpr timespec kPause{0, 50'000'000};
  const std::string before = progress_of(pid);
  for (int look = 0; look < kLooks; ++look) {
    if (process_state(pid) != 'D' || progress_of(pid) != before) return false;
    ::nanosleep(&kPause, nullptr);
  }
  return process_state(pid) == 'D' && progress_of(pid) == before;
}

void look_at_daemon(Findings& findings, const Patient& patient) {
  findings.begin("daemon");
  const std::string name = with_pid("the daemon", patient.daemon.pid);
  switch (patient.daemon.state) {
    case DaemonHealth::State::answers:
      return look_at_answer(findings, patient);
    case DaemonHealth::State::foreign:
      return findings.warning(name + " is of another version, and cannot tell how it is",
                              patient.schedctl() + " restart (jobs go on)");
    case DaemonHealth::State::silent:
      return look_at_silent_daemon(findings, patient);
    case DaemonHealth::State::cut_off:
      return findings.error(
          name + " lives, but nobody can reach it: " + patient.config().runtime_dir + " is gone",
          "kill -USR2 " + std::to_string(patient.daemon.pid) +
              " (it starts again in place and makes it; jobs go on)");
    case DaemonHealth::State::dead:
      return look_at_dead_daemon(findings, patient);
    case DaemonHealth::State::refuses:
      return findings.warning(name + " answers only root and its own user",
                              "sudo " + patient.schedctl() + " doctor");
    case DaemonHealth::State::unknowable:
      return findings.error("cannot tell whether a daemon is running: " + patient.daemon.words,
                            quote_command({"ls", "-la", patient.config().runtime_dir}));
  }
}

void look_at_keeper(Findings& findings, const Patient& patient) {
  findings.begin("keeper");
  const std::int64_t pid = patient.keeper_pid;
  const std::string number = std::to_string(pid);
  const std::string name = with_pid("the keeper", pid);
  const bool asked = patient.daemon.state == DaemonHealth::State::answers;
  const bool dead = patient.daemon.state == DaemonHealth::State::dead;
  if (pid == 0) {
    const bool external = patient.config().keeper == config::KeeperFrom::external;
    if (external)
      return findings.error(
          "no keeper lives in " + patient.config().keeper_dir +
              ", and keeper = \"external\" leaves its start to others",
          "systemctl start schedctl-keeper (without systemd: service schedctl restart)");
    if (dead) return findings.ok("none; start makes one");
    return findings.error("no keeper lives under a living daemon, so nothing can be started",
                          quote_command({"tail", patient.config().log_file}) +
                              " (why); if it does not come back: " + patient.schedctl() +
                              " restart");
  }
  if (is_stopped(pid))
    return findings.error(name + " is stopped, by SIGSTOP or a debugger: nothing starts",
                          "kill -CONT " + number);
  if (is_stuck_in_kernel(pid))
    return findings.error(name + " waits for a disk or a network file system: nothing starts",
                          "dmesg | tail; cat /proc/" + number + "/stack");
  if (asked && patient.daemon.health.keeper != "ok")
    return findings.error(
        name + " is " + patient.daemon.health.keeper + " to the daemon: nothing starts",
        quote_command({"tail", patient.config().log_file}) + "; if it stays so: kill -9 " + number +
            " (a new one comes; runs that live now are lost)");
  if (is_of_old_file(pid))
    return findings.warning(name + " still is the program from before it was installed anew",
                            patient.schedctl() + " restart (jobs go on)");
  findings.ok(name + (dead ? " keeps what runs until a daemon comes" : " lives"));
}

void look_at_limits(Findings& findings, const Patient& patient) {
  findings.begin("limits");
  const config::Config::Slots slots = patient.config().command_slots();
  const std::int64_t running = slots.most;
  const std::string many = slots.setting + " = " + std::to_string(running);
  const auto remedy = [&](const char* directive, const char* flag, std::int64_t needed,
                          std::int64_t most) {
    return std::string(directive) + "=" + std::to_string(needed) + " in the unit, or ulimit " +
           flag + " " + std::to_string(needed) + " before schedctl start, in a new keeper" +
           (most > 0 ? "; or " + slots.setting + " = " + std::to_string(most) : "");
  };
  const Limit files = keepers_limit(patient, "Max open files", true);
  const std::int64_t files_needed = running + kKeepersOwnFiles;
  bool well = true;
  if (files.soft < files_needed) {
    well = false;
    findings.warning(many + " needs some " + std::to_string(files_needed) +
                         " open files, and the limit is " + limit_text(files.soft),
                     remedy("LimitNOFILE", "-n", files_needed, files.soft - kKeepersOwnFiles));
  }
  const Limit processes = keepers_limit(patient, "Max processes", false);
  const std::int64_t processes_needed = running + kOtherProcesses;
  // The kernel does not count root's.
  if (::geteuid() != 0 && processes.soft < processes_needed) {
    well = false;
    findings.warning(
        many + " may need " + std::to_string(processes_needed) +
            " processes, and the user may have " + limit_text(processes.soft),
        remedy("LimitNPROC", "-u", processes_needed, processes.soft - kOtherProcesses));
  }
  if (well)
    findings.ok(many + "; open files " + limit_text(files.soft) + ", processes " +
                (::geteuid() == 0 ? "unlimited" : limit_text(processes.soft)));
}

}  // namespace schedctl::cli
