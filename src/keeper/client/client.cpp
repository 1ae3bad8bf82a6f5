#include "schedctl/keeper/client.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "schedctl/base/clock.hpp"
#include "schedctl/host/build.hpp"
#include "schedctl/host/host.hpp"
#include "src/keeper/codec.hpp"

namespace schedctl::keeper {
namespace {

/// Orders that the keeper has not read; as many as a keeper that is stopped for long may miss
/// before the connection is given up. Runs are limited by the daemon, so this is far out of reach.
constexpr std::size_t kMostUnsent = std::size_t{64} * 1024 * 1024;

Error unavailable(const std::string& keeper_dir, const std::string& why) {
  const std::int64_t pid = living_keeper(keeper_dir);
  if (pid == 0) return Error{ErrorKind::unavailable, "no keeper lives in " + keeper_dir};
  return Error{ErrorKind::unavailable,
               "the keeper (process " + std::to_string(pid) + ") cannot be reached: " + why};
}

class SocketClient final : public Client {
 public:
  SocketClient(UniqueFd fd, std::uint32_t version)
      : connection_(std::move(fd)), version_(version) {}
  SocketClient(const SocketClient&) = delete;
  SocketClient& operator=(const SocketClient&) = delete;
  /// Orders that waited for company still count.
  ~SocketClient() override { connection_.flush(); }

  void say_hello(std::uint64_t epoch);

  bool is_connected() const override { return phase_ == Phase::connected && !closed_; }
  std::uint32_t version_offered() const override { return version_offered_; }
  const Inventory& inventory() const override { return inventory_; }
  std::int64_t pid() const override { return pid_; }
  const std::string& build() const override { return build_; }
  bool is_of_another_build() const override {
    return !build_.empty() && !host::own_build().empty() && build_ != host::own_build();
  }
  int fd() const override { return connection_.fd(); }
  std::uint32_t wanted_events() const override {
    return EPOLLIN | (connection_.has_unsent() ? EPOLLOUT : 0U);
  }
  void flush() override { connection_.flush(); }
  void on_ready(std::uint32_t events) override;
  void set_handlers(Handlers handlers) override { handlers_ = std::move(handlers); }

  void start(const StartOrder& order) override;
  void end(const RunKey& key, Duration kill_grace) override { post(End{key, kill_grace}); }
  void signal(const RunKey& key, int signo) override {
    if (keeper_version_ >= 3) post(Signal{key, signo});
  }
  void acknowledge(const std::vector<RunKey>& keys) override;
  void reexec() override { post(Reexec{}), connection_.flush(); }
  void quit_if_idle() override { post(QuitIfIdle{}), connection_.flush(); }
  void ping(std::uint64_t token) override { post(Ping{token}), connection_.flush(); }

 private:
  enum class Phase { greeting, taking_stock, connected };

  template <class M>
  bool post(const M& message);
  Result<void> hear(Message message);
  Result<void> hear_greeting(const Message& message);
  void hear_report(Message message);
  void take_stock(Message message);

  host::Connection connection_;
  std::uint32_t version_;
  std::uint32_t version_offered_ = 0;
  std::uint32_t keeper_version_ = 0;  ///< what is spoken
  Phase phase_ = Phase::greeting;
  Inventory inventory_;
  std::int64_t pid_ = 0;
  std::string build_;
  Handlers handlers_;
  bool closed_ = false;
};

void SocketClient::say_hello(std::uint64_t epoch) {
  keeper::post(connection_, Hello{version_, epoch});
  connection_.flush();
}

void SocketClient::on_ready(std::uint32_t) {
  if (closed_) return;
  connection_.flush();
  const Phase before = phase_;
  while (phase_ == before || phase_ != Phase::connected) {
    Result<std::optional<Message>> message = receive(connection_);
    if (message && !*message) break;
    const Result<void> heard = message ? hear(std::move(**message)) : fail(message.error());
    if (!heard) {
      closed_ = true;
      if (handlers_.closed) handlers_.closed(heard.error());
      return;
    }
  }
  connection_.flush();
}

Result<void> SocketClient::hear(Message message) {
  switch (phase_) {
    case Phase::greeting:
      return hear_greeting(message);
    case Phase::taking_stock:
      if (std::holds_alternative<InventoryEnd>(message)) {
        phase_ = Phase::connected;
      } else {
        take_stock(std::move(message));
      }
      return {};
    case Phase::connected:
      hear_report(std::move(message));
      return {};
  }
  return {};
}

Result<void> SocketClient::hear_greeting(const Message& message) {
  if (const auto* welcome = std::get_if<Welcome>(&message)) {
    keeper_version_ = welcome->version;
    pid_ = welcome->pid;
    build_ = welcome->build;
    inventory_.instance = welcome->instance;
    phase_ = Phase::taking_stock;
    return {};
  }
  const auto* refused = std::get_if<Refused>(&message);
  if (refused == nullptr) return fail(ErrorKind::unavailable, "its answer makes no sense");
  if (refused->version != version_) {
    const bool older = refused->version < version_ && refused->version >= kOldestProtocol;
    if (older) version_offered_ = refused->version;
    return fail(ErrorKind::unavailable, "it speaks version " + std::to_string(refused->version) +
                                            " of the protocol, this program " +
                                            std::to_string(version_));
  }
  // Only the holder of the daemon's lock connects, so the newest is the right one.
  say_hello(refused->last_epoch + 1);
  return {};
}

void SocketClient::take_stock(Message message) {
  if (auto* started = std::get_if<Started>(&message)) {
    inventory_.running.push_back(std::move(*started));
  } else if (auto* failed = std::get_if<StartFailed>(&message)) {
    inventory_.failed.push_back(std::move(*failed));
  } else if (auto* ended = std::get_if<Ended>(&message)) {
    inventory_.ended.push_back(std::move(*ended));
  }
}

void SocketClient::hear_report(Message message) {
  if (auto* started = std::get_if<Started>(&message)) {
    if (handlers_.started) handlers_.started(std::move(*started));
  } else if (auto* failed = std::get_if<StartFailed>(&message)) {
    if (handlers_.start_failed) handlers_.start_failed(std::move(*failed));
  } else if (auto* ended = std::get_if<Ended>(&message)) {
    if (handlers_.ended) handlers_.ended(std::move(*ended));
  } else if (const auto* pong = std::get_if<Pong>(&message)) {
    if (handlers_.pong) handlers_.pong(pong->token);
  } else if (const auto* stayed = std::get_if<Stayed>(&message)) {
    if (handlers_.stayed) handlers_.stayed(stayed->why);
  }
}

template <class M>
bool SocketClient::post(const M& message) {
  if (closed_) return true;
  if (!keeper::post(connection_, message)) return false;
  // The rest of a burst may follow at once, so packets wait for on_ready until one is full.
  if (connection_.unsent_bytes() > host::kPacketBytes) connection_.flush();
  if (connection_.unsent_bytes() > kMostUnsent) connection_.shut();
  return true;
}

void SocketClient::start(const StartOrder& order) {
  const bool understood = keeper_version_ >= 3 || order.terms == Terms{};
  if ((understood && post(order)) || !handlers_.start_failed) return;
  handlers_.start_failed(StartFailed{order.key, understood ? Stage::exec : Stage::setup,
                                     understood ? E2BIG : EPROTONOSUPPORT, SystemClock().wall()});
}

void SocketClient::acknowledge(const std::vector<RunKey>& keys) {
  // In portions that are sure to fit into a message.
  constexpr std::size_t kPortion = 500;
  for (std::size_t at = 0; at < keys.size(); at += kPortion) {
    const auto from = keys.begin() + static_cast<std::ptrdiff_t>(at);
    const auto count = static_cast<std::ptrdiff_t>(std::min(kPortion, keys.size() - at));
    post(Acknowledge{{from, from + count}});
  }
}

}  // namespace

Result<std::unique_ptr<Client>> Client::begin(const KeeperPaths& paths, std::uint32_t version) {
  const Result<UniqueFd> dir = host::open_directory(paths.keeper_dir);
  if (!dir) return fail(unavailable(paths.keeper_dir, dir.error().message));
  Result<UniqueFd> fd = host::connect_in(dir->get(), kSocket);
  if (!fd) return fail(unavailable(paths.keeper_dir, fd.error().message));
  // Orders are for the holder of the lock and nobody else.
  const std::int64_t keeper = living_keeper(paths.keeper_dir);
  const std::int64_t listener = host::listener_of(fd->get());
  if (keeper != 0 && listener != 0 && keeper != listener) {
    return fail(unavailable(paths.keeper_dir,
                            "process " + std::to_string(listener) + " listens in its place"));
  }
  auto client =
      std::make_unique<SocketClient>(std::move(*fd), version == 0 ? kProtocolVersion : version);
  // Rises from one daemon to the next.
  client->say_hello(static_cast<std::uint64_t>(SystemClock().elapsed().count()) * 1000);
  return client;
}

std::int64_t living_keeper(const std::string& keeper_dir) {
  return host::lock_holder(keeper_dir + "/lock").value_or(0);
}

}  // namespace schedctl::keeper
