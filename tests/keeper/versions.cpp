// A keeper and a daemon of different ages.

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <thread>

#include "living_keeper.hpp"
#include "schedctl/base/unique_fd.hpp"
#include "src/keeper/codec.hpp"

namespace schedctl::keeper {
namespace {

using namespace test;

/// Waits for the next message; nothing: the other side has hung up.
std::optional<Message> next_message(host::Connection& connection) {
  pollfd ready{connection.fd(), POLLIN, 0};
  while (true) {
    Result<std::optional<Message>> message = receive(connection);
    if (!message) return std::nullopt;
    if (*message) return std::move(**message);
    ::poll(&ready, 1, -1);
  }
}

/// As the keepers of version 1 did it: strict, and gone at once.
void keep_as_version_1(int listener) {
  while (true) {
    UniqueFd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    host::Connection connection(std::move(fd));
    const std::optional<Message> hello = next_message(connection);
    if (!hello || std::get<Hello>(*hello).version != 1) {
      post(connection, Refused{1, 0});
      connection.flush();
      continue;
    }
    post(connection, Welcome{1, std::get<Hello>(*hello).epoch, 811, "0123456789abcdef"});
    post(connection, InventoryEnd{});
    connection.flush();
    while (const std::optional<Message> message = next_message(connection)) {
      post(connection, Pong{std::get<Ping>(*message).token});
      connection.flush();
    }
    return;
  }
}

TEST_CASE("a daemon speaks to an older keeper as that one does, and asks for nothing newer") {
  Scratch scratch;
  std::filesystem::create_directory(scratch / "keeper");
  const Result<UniqueFd> dir = host::open_directory(scratch / "keeper");
  REQUIRE(dir);
  Result<UniqueFd> listener = host::listen_in(dir->get(), kSocket);
  REQUIRE(listener);
  ::fcntl(listener->get(), F_SETFL, 0);
  std::thread keeper([&] { keep_as_version_1(listener->get()); });
  {
    Daemon daemon(scratch.paths());
    CHECK(daemon.client->pid() == 811);
    CHECK(daemon.client->build().empty());
    CHECK_FALSE(daemon.client->is_of_another_build());
    daemon.settle();
    // It would run as somebody else than was asked for.
    StartOrder order = order_of(1, {"true"});
    order.terms.user = "nobody";
    daemon.client->start(order);
    REQUIRE(daemon.failed.size() == 1);
    CHECK(daemon.failed[0].stage == Stage::setup);
    CHECK(daemon.failed[0].error_number == EPROTONOSUPPORT);
    daemon.client->signal(order.key, SIGTERM);
    daemon.settle();
  }
  keeper.join();
}

TEST_CASE("a keeper welcomes an older daemon in its own words") {
  Scratch scratch;
  KeeperProcess keeper(scratch.paths());
  const Result<UniqueFd> dir = host::open_directory(scratch / "keeper");
  REQUIRE(dir);
  const auto talk = [&](std::uint32_t version) {
    Result<UniqueFd> fd = host::connect_in(dir->get(), kSocket);
    REQUIRE(fd);
    host::Connection connection(std::move(*fd));
    post(connection, Hello{version, ~0ULL - 2 + version});
    connection.flush();
    const std::optional<Message> answer = next_message(connection);
    REQUIRE(answer);
    return *answer;
  };
  const Message old = talk(1);
  REQUIRE(std::holds_alternative<Welcome>(old));
  CHECK(std::get<Welcome>(old).version == 1);
  CHECK(std::get<Welcome>(old).build.empty());
  const Message same = talk(2);
  REQUIRE(std::holds_alternative<Welcome>(same));
  CHECK_FALSE(std::get<Welcome>(same).build.empty());
  CHECK(std::holds_alternative<Refused>(talk(0)));
}

}  // namespace
}  // namespace schedctl::keeper
