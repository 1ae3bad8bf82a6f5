#include "server.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "schedctl/host/build.hpp"

// The order that "unknown run means never started" hangs on: a new daemon is welcomed only after
// the old one can send no more and everything it had sent has been carried out. Then its inventory
// is complete, whatever was on its way when the old connection broke.

namespace schedctl::keeper {
namespace {

/// Starts taken in one turn of the loop: between them ends are noticed and told.
constexpr int kStartsPerTurn = 8;
/// Other messages are small; what is read at once has an end all the same.
constexpr std::size_t kMessagesPerTurn = 256;
/// Callers who have not said hello; the oldest goes when there are more.
constexpr std::size_t kMostCallers = 8;
/// Reports that a daemon has not read, beyond its inventory: some twenty thousand. One that lags
/// further behind is stopped or stuck; it is dropped, and learns the rest when it comes back.
constexpr std::size_t kMostUnsent = std::size_t{4} * 1024 * 1024;

}  // namespace

Server::Server(loop::Loop& loop, UniqueFd listener, std::string instance, uid_t daemon_user)
    : daemon_user_(daemon_user),
      loop_(loop),
      listener_(std::move(listener)),
      instance_(std::move(instance)) {}

Server::~Server() {
  loop_.unwatch(listener_.fd());
  for (const auto& caller : callers_) loop_.unwatch(caller->fd());
  drop_daemon();
}

Result<void> Server::listen(Runs& runs, std::uint64_t last_epoch) {
  runs_ = &runs;
  last_epoch_ = last_epoch;
  return loop_.watch(listener_.fd(), EPOLLIN, [this](std::uint32_t) { accept_callers(); });
}

void Server::report(const Report& report) {
  if (!daemon_) return;
  std::visit([this](const auto& m) { post(*daemon_, as_told_in(daemon_version_, m)); }, report);
}

void Server::turn() {
  if (!daemon_) return runs_->write_journal();
  if (!hear_daemon()) drop_daemon();
  send();
}

/// Reads some of what has come, and carries it out once the journal knows what is to be started.
/// False: the connection has ended, or broke.
bool Server::hear_daemon() {
  std::vector<Message> heard;
  bool open = true;
  int starts = 0;
  while ((readable_ || daemon_->has_unread()) && starts < kStartsPerTurn &&
         heard.size() < kMessagesPerTurn) {
    Result<std::optional<Message>> message = receive(*daemon_);
    open = message.has_value();
    if (!open) break;
    readable_ = message->has_value();
    if (!readable_) break;
    if (const auto* order = std::get_if<StartOrder>(&**message)) {
      ++starts;
      runs_->intend(*order);
    }
    heard.push_back(std::move(**message));
  }
  if (starts > 0) runs_->write_journal();
  for (Message& message : heard) carry_out(message);
  return open;
}

void Server::accept_callers() {
  while (UniqueFd fd = listener_.accept(daemon_user_)) {
    if (callers_.size() >= kMostCallers) drop_caller(callers_.front()->fd());
    const int number = fd.get();
    callers_.push_back(std::make_unique<host::Connection>(std::move(fd)));
    const auto watched =
        loop_.watch(number, EPOLLIN, [this, number](std::uint32_t) { hear_caller(number); });
    if (!watched) drop_caller(number);
  }
}

void Server::hear_caller(int fd) {
  const auto caller =
      std::find_if(callers_.begin(), callers_.end(), [&](const auto& c) { return c->fd() == fd; });
  if (caller == callers_.end()) return;
  const Result<std::optional<Message>> message = receive(**caller);
  if (message && !*message) return;
  const Hello* hello = message ? std::get_if<Hello>(&**message) : nullptr;
  if (hello == nullptr || hello->version < kOldestProtocol || hello->version > kProtocolVersion) {
    if (hello != nullptr) {
      post(**caller, Refused{kProtocolVersion, last_epoch_});
      (*caller)->flush();
    }
    drop_caller(fd);
    return;
  }
  if (hello->epoch <= last_epoch_) {
    // Stays, and may come again with a higher one.
    post(**caller, Refused{hello->version, last_epoch_});
    (*caller)->flush();
    return;
  }
  drain_daemon();
  loop_.unwatch(fd);
  std::unique_ptr<host::Connection> connection = std::move(*caller);
  callers_.erase(caller);
  welcome(std::move(connection), *hello);
}

void Server::drop_caller(int fd) {
  loop_.unwatch(fd);
  std::erase_if(callers_, [&](const auto& c) { return c->fd() == fd; });
}

void Server::welcome(std::unique_ptr<host::Connection> connection, const Hello& hello) {
  last_epoch_ = hello.epoch;
  daemon_version_ = hello.version;
  daemon_ = std::move(connection);
  readable_ = true;
  watches_writable_ = false;
  post(*daemon_, Welcome{hello.version, hello.epoch, ::getpid(), instance_, host::own_build()});
  runs_->for_each([this](const Report& known) { report(known); });
  post(*daemon_, InventoryEnd{});
  most_unsent_ = daemon_->unsent_bytes() + kMostUnsent;
  const auto watched =
      loop_.watch(daemon_->fd(), EPOLLIN, [this](std::uint32_t) { readable_ = true; });
  if (!watched) return drop_daemon();
  send();
}

/// The old daemon is gone, or is being replaced: what it sent before it could know still counts.
void Server::drain_daemon() {
  if (!daemon_) return;
  daemon_->refuse_more();
  do {
    readable_ = true;
  } while (hear_daemon() && readable_);
  drop_daemon();
}

void Server::drop_daemon() {
  if (!daemon_) return;
  loop_.unwatch(daemon_->fd());
  daemon_.reset();
}

void Server::carry_out(Message& message) {
  if (const auto* order = std::get_if<StartOrder>(&message)) {
    dismissed_ = false;
    runs_->start(*order);
  } else if (const auto* end = std::get_if<End>(&message)) {
    runs_->end(end->key, end->kill_grace);
  } else if (const auto* signal = std::get_if<Signal>(&message)) {
    runs_->signal(signal->key, signal->signo);
  } else if (const auto* done = std::get_if<Acknowledge>(&message)) {
    runs_->acknowledge(done->keys);
  } else if (const auto* ping = std::get_if<Ping>(&message)) {
    post(*daemon_, Pong{ping->token});
  } else if (std::holds_alternative<QuitIfIdle>(message)) {
    dismissed_ = runs_->is_idle();
  } else if (std::holds_alternative<Reexec>(message)) {
    wants_reexec_ = true;
  }
}

void Server::stay(const std::string& why) {
  // The one that asked may have gone, and an older one in its place.
  if (daemon_ && daemon_version_ >= 2) post(*daemon_, Stayed{why});
  send();
}

void Server::close_connections() {
  drain_daemon();
  while (!callers_.empty()) drop_caller(callers_.front()->fd());
  runs_->write_journal();
}

void Server::send() {
  runs_->write_journal();
  if (!daemon_) return;
  daemon_->flush();
  if (daemon_->unsent_bytes() > most_unsent_) return drop_daemon();
  if (daemon_->has_unsent() == watches_writable_) return;
  watches_writable_ = daemon_->has_unsent();
  const std::uint32_t events = EPOLLIN | (watches_writable_ ? EPOLLOUT : 0U);
  const auto watched = loop_.watch(daemon_->fd(), events, [this](std::uint32_t ready) {
    if ((ready & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) readable_ = true;
  });
  if (!watched) drop_daemon();
}

}  // namespace schedctl::keeper
