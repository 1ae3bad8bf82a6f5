#pragma once

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "schedctl/keeper/client.hpp"

/// What a daemon does in its loop (executor/keeper_link.cpp), done by waiting for it.
namespace schedctl::keeper::test {

/// Connects and reads the inventory, in an older version of the protocol if need be.
inline Result<std::unique_ptr<Client>> connect(const KeeperPaths& paths, Duration timeout) {
  using std::chrono::steady_clock;
  const auto until = steady_clock::now() + timeout;
  std::uint32_t version = 0;
  while (true) {
    TRY(std::unique_ptr<Client> client, Client::begin(paths, version));
    std::optional<Error> closed;
    client->set_handlers(
        {.started = {}, .start_failed = {}, .ended = {}, .closed = [&closed](const Error& error) {
           closed = error;
         }});
    while (!closed && !client->is_connected()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - steady_clock::now());
      if (left.count() <= 0) return fail(ErrorKind::unavailable, "it does not answer");
      pollfd poll{client->fd(), static_cast<short>(client->wanted_events()), 0};
      if (::poll(&poll, 1, static_cast<int>(left.count())) > 0) {
        client->on_ready(static_cast<std::uint32_t>(poll.revents));
      }
    }
    client->set_handlers({});
    if (!closed) return client;
    version = client->version_offered();
    if (version == 0) return fail(ErrorKind::unavailable, closed->message);
  }
}

}  // namespace schedctl::keeper::test
