// A daemon that connects to a keeper which sends anything: it learns what it is told, or that the
// keeper is gone or gone mad; once, and without waiting for ever.

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>
#include <thread>

#include "messages.hpp"
#include "schedctl/base/unique_fd.hpp"
#include "schedctl/host/privilege.hpp"
#include "schedctl/keeper/client.hpp"
#include "target.hpp"
#include "tests/keeper/waiting.hpp"

namespace schedctl::fuzz {
namespace {

/// Far above what anything here takes: the keeper hangs up when it has said everything.
constexpr Duration kPatience = std::chrono::seconds(20);

class FakeKeeper {
 public:
  FakeKeeper() : paths_{scratch_ / "keeper", scratch_ / "output"} {
    std::filesystem::create_directory(paths_.keeper_dir);
    const Result<UniqueFd> dir = host::open_directory(paths_.keeper_dir);
    require(dir.has_value(), "a directory can be opened");
    Result<UniqueFd> listener = host::listen_in(dir->get(), keeper::kSocket);
    require(listener.has_value(), "a socket can be made");
    listener_ = std::move(*listener);
  }

  const keeper::KeeperPaths& paths() const { return paths_; }

  /// Sends the packets to whoever comes and hangs up, until `enough` can be read.
  std::thread say(std::vector<std::string> packets, int enough) {
    return std::thread([this, enough, packets = std::move(packets)] {
      while (true) {
        std::array<pollfd, 2> ready{pollfd{listener_.get(), POLLIN, 0}, pollfd{enough, POLLIN, 0}};
        ::poll(ready.data(), ready.size(), -1);
        if (ready[1].revents != 0) return;
        const UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        for (const std::string& packet : packets) {
          if (::send(fd.get(), packet.data(), packet.size(), MSG_NOSIGNAL) < 0) break;
        }
      }
    });
  }

 private:
  Scratch scratch_;
  keeper::KeeperPaths paths_;
  UniqueFd listener_;
};

/// Hears everything to the end, and gives orders in between.
void serve(keeper::Client& client) {
  int closed = 0;
  bool ordered = false;
  client.set_handlers({
      .started =
          [&](const keeper::Started&) {
            if (std::exchange(ordered, true)) return;
            client.start(order_of(2));
            client.ping(3);
          },
      .start_failed = [&](const keeper::StartFailed& m) { client.acknowledge({m.key}); },
      .ended = [&](const keeper::Ended& m) { client.acknowledge({m.key}); },
      .pong = [&](std::uint64_t) { client.reexec(); },
      .stayed = [](const std::string&) {},
      .closed = [&](const Error&) { ++closed; },
  });
  while (closed == 0) {
    pollfd ready{client.fd(), static_cast<short>(client.wanted_events()), 0};
    require(::poll(&ready, 1, 20'000) > 0, "the end of a connection is seen");
    client.on_ready(static_cast<std::uint32_t>(ready.revents));
  }
  client.on_ready(POLLIN);
  require(closed == 1, "the end of a connection is told once");
  client.end(key_of(1), Duration{});
  client.quit_if_idle();
}

}  // namespace

std::vector<std::string> seeds() {
  using namespace keeper;
  const std::string welcome = bytes_of(Welcome{kProtocolVersion, 1, 811, "0123456789abcdef"});
  const std::string end = bytes_of(InventoryEnd{});
  const std::string started = bytes_of(started_of(1));
  std::vector<std::string> all;
  all.push_back(Recipe().text(welcome + end));
  all.push_back(Recipe().text(welcome).text(started + bytes_of(ended_of(2))).text(end));
  all.push_back(Recipe()
                    .text(welcome + bytes_of(failed_of(3)) + end)
                    .text(started)
                    .text(bytes_of(Pong{3}) + bytes_of(ended_of(1)))
                    .text(bytes_of(failed_of(2))));
  all.push_back(Recipe().text(bytes_of(Refused{kProtocolVersion, ~0ULL})).text(welcome + end));
  all.push_back(Recipe().text(bytes_of(Refused{kProtocolVersion + 1, 5})));
  all.push_back(Recipe().text(bytes_of(Refused{kOldestProtocol, 5})).text(welcome + end));
  all.push_back(Recipe().text(welcome + end).text("").text(welcome));
  for (const std::string& message : one_of_each()) {
    all.push_back(Recipe().text(welcome + message + end).text(message));
  }
  return all;
}

}  // namespace schedctl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace schedctl;
  static fuzz::FakeKeeper fake;
  fuzz::Input input(data, size);
  std::vector<std::string> packets;
  while (!input.empty() && packets.size() < 100) packets.push_back(input.text());
  const UniqueFd enough(::eventfd(0, EFD_CLOEXEC));
  std::thread keeper = fake.say(std::move(packets), enough.get());
  {
    auto client = keeper::test::connect(fake.paths(), fuzz::kPatience);
    if (client) {
      fuzz::serve(**client);
    } else {
      fuzz::require(client.error().kind == ErrorKind::unavailable, "it cannot be reached");
    }
  }
  ::eventfd_write(enough.get(), 1);
  keeper.join();
  return 0;
}
