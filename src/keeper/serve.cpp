#include "schedctl/keeper/serve.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "schedctl/base/clock.hpp"
#include "schedctl/base/fd_io.hpp"
#include "schedctl/host/host.hpp"
#include "schedctl/host/privilege.hpp"
#include "schedctl/host/service_manager.hpp"
#include "schedctl/host/signals.hpp"
#include "schedctl/host/successor.hpp"
#include "schedctl/keeper/allowed.hpp"
#include "schedctl/loop/loop.hpp"
#include "server.hpp"

// The keeper is the one process of schedctl that forks, and the one that may be root beside a
// daemon that is not. It is meant to be read as a whole, in this order:
//
//   serve.cpp      its life: becomes its directory's only one, takes over what earlier ones left,
//                  then one loop of six things that can happen: a child changed, a pending child
//                  got to its exec, a daemon said something, a deadline came, a signal, a newer
//                  program of itself is ready
//   server.cpp     the daemon at the other end, and callers who would be that
//   runs.cpp       the commands in its care, from the order to the acknowledgement
//   order.cpp      what an order comes to; allowed.cpp: whose commands it may run
//   leftovers.cpp  what they leave behind when they end
//   journal.cpp    what is left of the keeper if it is killed
//   holdings.cpp   what it takes along when it becomes a newer program, children and all
//
// What it asks of the machine is in host/: how processes are made (launcher.hpp) and found when
// their commands have ended (remains.hpp), where their output goes (spool.hpp), how a process
// becomes a newer program (successor.hpp). What goes over the connection is in messages.hpp and
// codec.hpp, how in base/framed.hpp and host/connection.hpp. The daemon's end of it is client/,
// which is no part of this process.
//
// If the newer program fails after it was tried out, that is a keeper's death like any other: its
// journal tells the next one what was running, and those runs are lost, and told.

namespace schedctl::keeper {
namespace {

/// What earlier keepers left goes into this one's journal, then theirs go. A journal of a newer
/// version is left for a keeper that can read it.
void recover(int keeper_dir, const std::string& instance, Runs& runs) {
  std::vector<JournalContents> left;
  std::vector<std::string> done;
  for (const std::string& name : other_journals(keeper_dir, instance)) {
    // Half a rewrite: the journal it was to replace is still there and says more.
    if (!name.ends_with(".new")) {
      left.push_back(read_journal(keeper_dir, name));
      if (left.back().head.version > kJournalVersion) {
        left.pop_back();
        continue;
      }
    }
    done.push_back(name);
  }
  if (!runs.adopt(left)) return;
  for (const std::string& name : done) ::unlinkat(keeper_dir, name.c_str(), 0);
}

/// Whatever is wrong with its file, nobody is allowed. Where no daemon has read the file before it,
/// nobody else would tell.
Result<Rules> rules_of(const KeeperPaths& paths) {
  if (::geteuid() != 0) return Rules{};
  Result<Rules> rules = read_rules(paths);
  if (!rules && !paths.external) return Rules{};
  return rules;
}

/// Nothing: the daemon is the keeper's own user.
Result<std::optional<host::Account>> daemon_of(const Rules& rules) {
  if (rules.daemon_user.empty()) return std::nullopt;
  TRY(const host::Account user, host::find_account(rules.daemon_user, "daemon_user"));
  if (user.uid == ::geteuid()) return std::nullopt;
  return user;
}

/// Tells the next program what it holds. No setting has such a name.
constexpr const char* kHoldingsVariable = "_SCHEDCTL_KEEPER_HOLDINGS";

Result<Holdings> read_holdings(int fd) {
  TRY(const std::string bytes, host::read_holdings(UniqueFd(fd)));
  return holdings_from(bytes);
}

/// For a machine that is busy installing things.
constexpr Duration kTrialPatience = std::chrono::seconds(20);

class Keeper {
 public:
  Keeper(KeeperPaths paths, Duration idle_limit)
      : paths_(std::move(paths)), idle_limit_(idle_limit) {}

  /// As a new keeper.
  Result<void> prepare();
  /// As the next program of a living one.
  Result<void> take_over(int holdings_fd);
  Result<void> run();
  void close();

 private:
  Result<void> set_up(UniqueFd listener, Runs::Means means);
  void on_signal();
  bool should_end(Duration now);
  bool is_lost() const;
  std::optional<Duration> patience(Duration now) const;
  Holdings holdings();
  void begin_reexec(Duration now);
  void go_on_with_reexec(Duration now);

  KeeperPaths paths_;
  Duration idle_limit_;
  std::string program_;
  std::string instance_;
  std::optional<host::FileLock> lock_;
  UniqueFd dir_;
  UniqueFd signals_;
  std::unique_ptr<loop::Loop> loop_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Runs> runs_;
  std::optional<Duration> idle_since_;
  bool told_to_end_ = false;
  std::optional<host::Successor> successor_;  ///< on trial
  Duration trial_until_{};
};

Result<void> Keeper::prepare() {
  TRY(Rules rules, rules_of(paths_));
  TRY(std::optional<host::Account> daemon, daemon_of(rules));
  const host::Account* reader = daemon ? &*daemon : nullptr;
  if (reader != nullptr) {
    TRY(dir_, host::open_strictly(paths_.keeper_dir, ::geteuid(), true));
  } else {
    TRY_VOID(host::make_directory(paths_.keeper_dir, 0700));
    TRY_VOID(host::make_directory(paths_.output_dir, 0700));
    TRY(dir_, host::open_directory(paths_.keeper_dir));
  }
  TRY_VOID(host::make_private(dir_.get(), paths_.keeper_dir, reader));
  TRY(host::FileLock lock, host::FileLock::take(paths_.keeper_dir + "/lock", 0));
  lock_ = std::move(lock);
  program_ = host::program_path();
  instance_ = host::random_name();
  lock_->describe_holder(instance_);
  if (reader != nullptr && !lock_->show_to(*reader, dir_.get(), "lock")) {
    return fail(ErrorKind::failed, "the keeper's directory was moved under it");
  }
  TRY(host::Launcher launcher, host::Launcher::create(lock_->fd()));
  TRY(host::Spool spool, host::Spool::open(paths_.output_dir, instance_, daemon));
  TRY(RecordFile journal,
      create_journal(dir_.get(), {kJournalVersion, instance_, host::boot_id()}));
  TRY(UniqueFd listener, host::listen_in(dir_.get(), kSocket, reader));
  TRY_VOID(set_up(std::move(listener), {.masters = {std::move(rules), std::move(daemon)},
                                        .launcher = std::move(launcher),
                                        .spool = std::move(spool),
                                        .journal = std::move(journal)}));
  recover(dir_.get(), instance_, *runs_);
  // No file system should be held busy by a keeper that happened to be started there.
  if (paths_.keeper_dir.starts_with('/') && paths_.output_dir.starts_with('/') &&
      ::chdir("/") != 0) {
    return fail(error_from_errno("cannot enter /", errno));
  }
  return server_->listen(*runs_);
}

/// Whatever fails here ends the process, and with it its commands: so there is little that can.
Result<void> Keeper::take_over(int holdings_fd) {
  TRY(Holdings held, read_holdings(holdings_fd));
  for (const int fd : descriptors_of(held)) {
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
      return fail(error_from_errno("a descriptor did not come along", errno));
    }
  }
  const Estate& estate = held.estate;
  program_ = estate.program;
  instance_ = estate.instance;
  lock_ = host::FileLock::adopt(estate.lock);
  dir_.reset(estate.keeper_dir);
  const host::Launcher::Before before{estate.files, estate.oom_score};
  // The owner of the socket's file, which nobody else can have put there: that holds over a change
  // of settings and of the keeper's program.
  const std::optional<host::Account> daemon = host::other_owner(dir_.get(), kSocket);
  TRY(host::Launcher launcher, host::Launcher::create(lock_->fd(), &before));
  TRY_VOID(set_up(
      UniqueFd(estate.listener),
      {.masters = {rules_of(paths_).value_or(Rules{}), daemon},
       .launcher = std::move(launcher),
       .spool = host::Spool(UniqueFd(estate.output_dir), paths_.output_dir, instance_,
                            estate.files_made, daemon),
       .journal = reopen_journal(dir_.get(), {kJournalVersion, instance_, host::boot_id()})}));
  runs_->take_over(held);
  // Of what came between the two programs no signal may tell.
  runs_->on_child();
  return server_->listen(*runs_, estate.last_epoch);
}

Result<void> Keeper::set_up(UniqueFd listener, Runs::Means means) {
  TRY(signals_, host::take_signals({SIGCHLD, SIGTERM, SIGINT, SIGHUP}));
  TRY(loop_, loop::Loop::create());
  const std::optional<host::Account>& daemon = means.masters.daemon;
  server_ = std::make_unique<Server>(*loop_, std::move(listener), instance_,
                                     daemon ? daemon->uid : ::geteuid());
  runs_ = std::make_unique<Runs>(*loop_, std::move(means), instance_,
                                 [this](const Report& report) { server_->report(report); });
  return loop_->watch(signals_.get(), EPOLLIN, [this](std::uint32_t) { on_signal(); });
}

Result<void> Keeper::run() {
  for (Duration now = SystemClock().awake(); !should_end(now); now = SystemClock().awake()) {
    TRY_VOID(loop_->run_once(patience(now)));
    runs_->on_time();
    server_->turn();
    if (!server_->has_daemon() && is_lost()) runs_->kill_all();
    if (server_->take_reexec_wish()) begin_reexec(SystemClock().awake());
    if (successor_) go_on_with_reexec(SystemClock().awake());
  }
  return {};
}

Holdings Keeper::holdings() {
  Holdings held;
  held.estate.instance = instance_;
  held.estate.program = program_;
  held.estate.last_epoch = server_->last_epoch();
  held.estate.lock = lock_->fd();
  held.estate.keeper_dir = dir_.get();
  held.estate.listener = server_->listener();
  runs_->hand_over(held);
  return held;
}

void Keeper::begin_reexec(Duration now) {
  if (successor_) return;
  auto successor = host::Successor::try_out(command_line(program_, paths_), kHoldingsVariable,
                                            to_bytes(holdings()));
  if (!successor) return server_->stay(successor.error().message);
  successor_.emplace(std::move(*successor));
  trial_until_ = now + kTrialPatience;
  // It is asked in each turn of the loop; this only wakes it.
  const auto watched = loop_->watch(successor_->fd(), EPOLLIN, [](std::uint32_t) {});
  static_cast<void>(watched);
}

void Keeper::go_on_with_reexec(Duration now) {
  std::optional<Result<void>> outcome = successor_->outcome();
  if (!outcome && now >= trial_until_) {
    outcome = fail(ErrorKind::failed, "the new program is no good: it takes too long");
  }
  if (!outcome) return;
  loop_->unwatch(successor_->fd());
  if (*outcome) {
    // From here on a daemon's order is either among what is handed over or was never taken.
    server_->close_connections();
    const Holdings held = holdings();
    static_cast<void>(successor_->become(to_bytes(held), descriptors_of(held)));
    // The daemon comes back, sees the same program as before, and tells.
  } else {
    server_->stay(outcome->error().message);
  }
  successor_.reset();
}

/// Somebody removed the directory. No daemon can find this keeper any more: the next one spawns
/// another, takes the runs for lost, and may start them again.
bool Keeper::is_lost() const {
  struct stat st {};
  return ::fstat(lock_->fd(), &st) == 0 && st.st_nlink == 0;
}

void Keeper::on_signal() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    // TERM is for a keeper without work; with work, only its runs' ends can end it. To a service
    // manager, which says it once and then waits, that is an end as soon as can be.
    if (info.ssi_signo == SIGTERM && (runs_->is_idle() || paths_.external)) told_to_end_ = true;
  }
  runs_->on_child();
}

bool Keeper::should_end(Duration now) {
  if (!runs_->is_idle()) {
    idle_since_.reset();
    told_to_end_ = told_to_end_ && paths_.external;
    return false;
  }
  const bool dismissed = server_->is_dismissed() && !paths_.external;
  if (told_to_end_ || dismissed) return !runs_->has_leftovers();
  if (server_->has_daemon() || (paths_.external && !is_lost())) {
    idle_since_.reset();
    return false;
  }
  if (!idle_since_) idle_since_ = now;
  return (is_lost() || now - *idle_since_ >= idle_limit_) && !runs_->has_leftovers();
}

/// How long the loop may sleep.
std::optional<Duration> Keeper::patience(Duration now) const {
  if (server_->is_busy()) return Duration::zero();
  std::optional<Duration> until = runs_->next_time();
  if (idle_since_ && !runs_->has_leftovers())
    until = std::min(until.value_or(Duration::max()), *idle_since_ + idle_limit_);
  if (successor_) until = std::min(until.value_or(Duration::max()), trial_until_);
  if (!until) return std::nullopt;
  return std::max(*until - now, Duration::zero());
}

void Keeper::close() {
  server_.reset();
  ::unlinkat(dir_.get(), kSocket, 0);
  runs_->close();
}

void tell(int ready_fd, const std::string& text) {
  if (ready_fd < 0) return;
  const UniqueFd fd(ready_fd);
  // A starter that has gone away meanwhile is no reason to end; SIGPIPE is blocked.
  if (::write(fd.get(), text.data(), text.size()) < 0) return;
}

}  // namespace

Result<void> serve(const KeeperPaths& paths, int ready_fd, Duration idle_limit) {
  fill_standard_descriptors();
  ::umask(077);
  const auto inherited = host::inheritance(kHoldingsVariable);
  if (inherited && inherited->trial) {
    return host::answer_trial(read_holdings(inherited->holdings_fd).map([](const Holdings&) {}));
  }
  Keeper keeper(paths, idle_limit);
  Result<void> prepared = inherited ? keeper.take_over(inherited->holdings_fd) : keeper.prepare();
  tell(ready_fd, prepared ? "R" : prepared.error().message);
  TRY_VOID(prepared);
  if (paths.external) host::ServiceManager::from_environment().ready();
  TRY_VOID(keeper.run());
  keeper.close();
  return {};
}

}  // namespace schedctl::keeper
