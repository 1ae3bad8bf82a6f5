#include "keeper_link.hpp"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "schedctl/base/log.hpp"

// One attempt is: no keeper lives -> spawn one and wait for its word -> say hello and wait for its
// inventory. Each wait is a descriptor in the loop. An attempt that fails is followed by a pause
// and the next one, for ever. Only one thing is waited for without end: the answer of a keeper that
// lives. If it is stopped, it answers when it goes on; if it dies, the connection closes.

namespace schedctl::executor {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// A keeper is ready in milliseconds; this is for a machine that is starting everything at once.
constexpr Duration kSpawnPatience = std::chrono::seconds(20);
/// One that lives answers in microseconds; after this it is told that it does not.
constexpr Duration kAnswerPatience = std::chrono::seconds(10);
/// The pause between two attempts grows from the first to the last of these. A keeper that is just
/// about to end because it was idle has gone after one or two.
constexpr Duration kShortestPause = milliseconds(20);
constexpr Duration kLongestPause = std::chrono::seconds(1);
/// A connection that broke sooner was no good.
constexpr auto kShortLife = std::chrono::seconds(5);
/// So many attempts fail, in about a second, before people are told.
constexpr int kQuietFailures = 6;
constexpr int kDismissalPollMs = 100;
constexpr int kDismissalPolls = 10;

/// In the directory of a root keeper another one could not live. Nor must it take its place where
/// that is gone: it would run jobs as the daemon's user, whoever they are to run as.
bool may_spawn(const std::string& keeper_dir, bool is_roots) {
  struct stat st {};
  if (::geteuid() == 0) return true;
  return ::lstat(keeper_dir.c_str(), &st) == 0 ? st.st_uid == ::geteuid() : !is_roots;
}

Duration pause_after(int failures) {
  return std::min(kShortestPause * (1 << std::min(failures, 10)), kLongestPause);
}

}  // namespace

Result<std::unique_ptr<KeeperLink>> KeeperLink::create(loop::Loop& loop, keeper::KeeperPaths paths,
                                                       std::string program, Handlers handlers) {
  TRY(loop::MonotonicTimer timer, loop::MonotonicTimer::create());
  std::unique_ptr<KeeperLink> link(new KeeperLink(loop, std::move(paths), std::move(program),
                                                  std::move(handlers), std::move(timer)));
  KeeperLink* raw = link.get();
  TRY_VOID(loop.watch(raw->timer_.fd(), EPOLLIN, [raw](auto) { raw->on_timer(); }));
  return link;
}

KeeperLink::KeeperLink(loop::Loop& loop, keeper::KeeperPaths paths, std::string program,
                       Handlers handlers, loop::MonotonicTimer timer)
    : loop_(loop),
      paths_(std::move(paths)),
      program_(std::move(program)),
      handlers_(std::move(handlers)),
      timer_(std::move(timer)) {
  handlers_.reports.closed = [this](const Error& error) { closed_ = error; };
  handlers_.reports.stayed = [this](const std::string& why) { on_stayed(why); };
}

KeeperLink::~KeeperLink() {
  loop_.unwatch(timer_.fd());
  unwatch();
}

Result<void> KeeperLink::connect(Duration patience) {
  const auto until = steady_clock::now() + patience;
  problem_.reset();
  attempt();
  while (phase_ != Phase::connected) {
    if (problem_ && problem_->kind != ErrorKind::unavailable) {
      phase_ = Phase::closed;
      timer_.disarm();
      return fail(*problem_);
    }
    const auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now());
    if (left.count() <= 0) break;
    std::array<pollfd, 2> ready{
        {{timer_.fd(), POLLIN, 0}, {watched_fd_, static_cast<short>(watched_events_), 0}}};
    if (::poll(ready.data(), ready.size(), static_cast<int>(left.count())) <= 0) continue;
    if (ready[1].revents != 0) {
      on_ready(static_cast<std::uint32_t>(ready[1].revents));
    } else {
      on_timer();
    }
  }
  if (phase_ == Phase::connected) return {};
  const std::int64_t pid = keeper::living_keeper(paths_.keeper_dir);
  Error error{ErrorKind::unavailable, phase_ == Phase::greeting
                                          ? "the keeper (process " + std::to_string(pid) +
                                                ") cannot be reached: it does not answer"
                                      : phase_ == Phase::spawning ? "the keeper is not ready yet"
                                                                  : problem_->message};
  tell_lost(error.message);
  return fail(std::move(error));
}

void KeeperLink::attempt() {
  if (phase_ == Phase::closed) return;
  unwatch();
  // What waits in it is sent now, if it can be: a new line must not be overtaken by the old one.
  client_.reset();
  spawning_.reset();
  if (keeper::living_keeper(paths_.keeper_dir) == 0) {
    spawn();
  } else {
    greet();
  }
}

void KeeperLink::spawn() {
  if (paths_.external) {
    return rest(
        {ErrorKind::unavailable,
         "no keeper lives in " + paths_.keeper_dir +
             ", and keeper = \"external\" leaves it to others to start one (systemctl start "
             "schedctl-keeper; without systemd: service schedctl restart)"});
  }
  if (!may_spawn(paths_.keeper_dir, handlers_.keeper_is_roots)) return give_up();
  if (std::exchange(renewing_, false)) tell_lost("it ended when it was to become a newer program");
  auto spawning = keeper::Spawning::begin(program_, paths_);
  if (!spawning && spawning.error().kind == ErrorKind::conflict) return greet();
  if (!spawning) return rest(spawning.error());
  spawning_.emplace(std::move(*spawning));
  phase_ = Phase::spawning;
  timer_.arm(kSpawnPatience);
  watch();
}

/// Only whoever has a root keeper's place could put another one there: this process has given that
/// up. A service manager starts both anew.
void KeeperLink::give_up() {
  const std::string why = "the keeper is gone, and only root can start another one";
  phase_ = Phase::closed;
  timer_.disarm();
  problem_ = Error{ErrorKind::config, why, paths_.keeper_dir};
  log::error("keeper-gone", {{"error", why}, {"effect", "the daemon ends with exit code 75"}});
  log::flush();
  handlers_.lost(why);
  handlers_.orphaned();
}

void KeeperLink::greet() {
  auto client = keeper::Client::begin(paths_, version_);
  if (!client) return rest(client.error());
  client_ = std::move(*client);
  closed_.reset();
  client_->set_handlers(handlers_.reports);
  phase_ = Phase::greeting;
  timer_.arm(kAnswerPatience);
  watch();
}

void KeeperLink::on_timer() {
  timer_.drain();
  switch (phase_) {
    case Phase::resting:
      return attempt();
    case Phase::spawning:
      spawning_->kill();
      return rest({ErrorKind::unavailable, "the keeper did not get ready"});
    case Phase::greeting:
      return tell_lost("it does not answer");
    case Phase::connected:
    case Phase::closed:
      return;
  }
}

void KeeperLink::on_ready(std::uint32_t events) {
  if (phase_ == Phase::spawning) {
    on_spawning();
  } else if (phase_ == Phase::greeting || phase_ == Phase::connected) {
    on_client(events);
  }
}

void KeeperLink::on_spawning() {
  unwatch();
  const std::optional<Result<void>> outcome = spawning_->outcome();
  if (!outcome) return watch();
  spawning_.reset();
  if (*outcome) return greet();
  // Another one may have been faster.
  Error error = outcome->error();
  if (keeper::living_keeper(paths_.keeper_dir) != 0) error.kind = ErrorKind::unavailable;
  rest(std::move(error));
}

void KeeperLink::on_client(std::uint32_t events) {
  client_->on_ready(events);
  if (phase_ == Phase::greeting && client_->is_connected()) on_connected();
  if (closed_) return on_closed();
  watch();
}

void KeeperLink::on_connected() {
  phase_ = Phase::connected;
  connected_at_ = steady_clock::now();
  timer_.disarm();
  if (failures_ > 0) {
    log::info("keeper-connected", {{"pid", client_->pid()}});
    log::flush();
  }
  failures_ = 0;
  problem_.reset();
  handlers_.connected(*client_);
  // What came in one packet with the end of the inventory has been read from the socket already,
  // which is not going to be readable for it.
  client_->on_ready(EPOLLIN);
  renew();
}

/// Once for each keeper and build: where its path leads to a third one, asking again changes
/// nothing.
void KeeperLink::renew() {
  const std::string which = client_->inventory().instance + " " + client_->build();
  const bool renewed = std::exchange(renewing_, false);
  if (!client_->is_of_another_build()) {
    if (renewed) log::info("keeper-renewed", {{"pid", client_->pid()}});
  } else if (which == asked_) {
    if (renewed) on_stayed("its path leads to a program that is not this daemon's either");
  } else if (!closed_) {
    asked_ = which;
    renewing_ = true;
    log::info("keeper-renewing", {{"pid", client_->pid()}, {"build", client_->build()}});
    client_->reexec();
  }
  log::flush();
}

void KeeperLink::on_stayed(const std::string& why) {
  renewing_ = false;
  log::warning("keeper-not-renewed",
               {{"error", why}, {"effect", "it goes on as the program that it was started from"}});
  log::flush();
}

void KeeperLink::on_closed() {
  if (phase_ == Phase::connected) {
    version_ = 0;
    if (renewing_ && keeper::living_keeper(paths_.keeper_dir) != 0) return attempt();
    renewing_ = false;
    failures_ = 1;
    log::error("keeper-lost", {{"error", closed_->message}});
    log::flush();
    handlers_.lost(closed_->message);
    // Where one line after the other breaks at once, hurrying would only spin.
    const bool lasted = steady_clock::now() - connected_at_ >= kShortLife;
    breaks_ = lasted ? 0 : breaks_ + 1;
    if (breaks_ == 0) return attempt();
    unwatch();
    client_.reset();
    phase_ = Phase::resting;
    timer_.arm(pause_after(breaks_ - 1));
    return;
  }
  if (client_->version_offered() != 0) {
    version_ = client_->version_offered();
    return attempt();
  }
  rest({ErrorKind::unavailable, "the keeper does not want this daemon: " + closed_->message});
}

/// Until the next attempt.
void KeeperLink::rest(Error error) {
  unwatch();
  client_.reset();
  spawning_.reset();
  phase_ = Phase::resting;
  ++failures_;
  if (failures_ == kQuietFailures) tell_lost(error.message);
  problem_ = std::move(error);
  timer_.arm(pause_after(failures_ - 1));
}

void KeeperLink::tell_lost(const std::string& why) {
  failures_ = std::max(failures_, kQuietFailures);
  log::error("keeper-unreachable", {{"error", why}, {"effect", "tried until one answers"}});
  log::flush();
  handlers_.lost(why);
}

void KeeperLink::watch() {
  const bool spawning = phase_ == Phase::spawning;
  if (!spawning && (!client_ || closed_)) return;
  const int fd = spawning ? spawning_->fd() : client_->fd();
  std::uint32_t events = spawning ? EPOLLIN : client_->wanted_events();
  if (reports_wait_ && phase_ == Phase::connected) events &= ~std::uint32_t{EPOLLIN};
  if (fd == watched_fd_ && events == watched_events_) return;
  const auto watched =
      loop_.watch(fd, events, [this](std::uint32_t happened) { on_ready(happened); });
  if (watched) {
    watched_fd_ = fd;
    watched_events_ = events;
  } else {
    log::error("keeper-watch-failed", {{"error", watched.error().message}});
  }
}

void KeeperLink::send_orders() {
  if (client_ && !closed_ && phase_ == Phase::connected) client_->flush();
  watch();
}

void KeeperLink::let_reports_wait(bool wait) {
  reports_wait_ = wait;
  watch();
}

void KeeperLink::read_reports() {
  if (phase_ == Phase::connected) on_client(EPOLLIN);
}

void KeeperLink::unwatch() {
  if (watched_fd_ >= 0) loop_.unwatch(watched_fd_);
  watched_fd_ = -1;
  watched_events_ = 0;
}

void KeeperLink::dismiss() {
  const bool connected = phase_ == Phase::connected && !closed_;
  unwatch();
  timer_.disarm();
  phase_ = Phase::closed;
  if (!connected || paths_.external) return;
  bool gone = false;
  client_->set_handlers(
      {.started = {}, .start_failed = {}, .ended = {}, .closed = [&gone](const auto&) {
         gone = true;
       }});
  client_->quit_if_idle();
  // An idle one is gone in no time; one that has children stays, and is not waited for.
  for (int i = 0; i < kDismissalPolls && !gone; ++i) {
    pollfd wait{client_->fd(), static_cast<short>(client_->wanted_events()), 0};
    if (::poll(&wait, 1, kDismissalPollMs) <= 0) continue;
    client_->on_ready(static_cast<std::uint32_t>(wait.revents));
  }
  client_->set_handlers({});
}

}  // namespace schedctl::executor
