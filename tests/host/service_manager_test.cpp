#include "schedctl/host/service_manager.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdlib>

#include "schedctl/base/unique_fd.hpp"
#include "tests/base/scratch.hpp"

using namespace schedctl;
using namespace schedctl::host;
using namespace std::chrono_literals;
using test::Scratch;

namespace {

/// A service manager's ear.
class Ear {
 public:
  /// `name` as in NOTIFY_SOCKET.
  explicit Ear(const std::string& name) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path, sizeof address.sun_path - 1);
    if (name[0] == '@') address.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    REQUIRE(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0);
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  }
  ~Ear() {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
  }
  Ear(const Ear&) = delete;
  Ear& operator=(const Ear&) = delete;
  /// The next message; "": there is none.
  std::string hear() const {
    char text[512];
    const ssize_t n = ::recv(fd_.get(), text, sizeof text, MSG_DONTWAIT);
    return n < 0 ? "" : std::string(text, static_cast<std::size_t>(n));
  }

 private:
  UniqueFd fd_;
};

}  // namespace

TEST_CASE("a service manager is told by a datagram each, on a path or an abstract name") {
  Scratch scratch;
  for (const std::string& name : {scratch / "notify", "@schedctl-test-" + scratch.path()}) {
    CAPTURE(name);
    const Ear ear(name);
    const ServiceManager manager = ServiceManager::from_environment();
    CHECK(manager.listens());
    manager.ready();
    CHECK(ear.hear() == "READY=1");
    manager.status("2 jobs");
    CHECK(ear.hear() == "STATUS=2 jobs");
    manager.needs_more_time(30s);
    CHECK(ear.hear() == "EXTEND_TIMEOUT_USEC=30000000");
    manager.reloading();
    CHECK(ear.hear().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    manager.stopping();
    manager.still_alive();
    CHECK(ear.hear() == "STOPPING=1");
    CHECK(ear.hear() == "WATCHDOG=1");
    CHECK(ear.hear().empty());
  }
}

TEST_CASE("where no service manager listens nothing is said, and no watchdog fed") {
  ::setenv("WATCHDOG_USEC", "1000000", 1);
  const ServiceManager none = ServiceManager::from_environment();
  ::unsetenv("WATCHDOG_USEC");
  CHECK_FALSE(none.listens());
  CHECK_FALSE(none.watchdog());
  none.ready();
  // One that has gone is none.
  Scratch scratch;
  ServiceManager gone;
  {
    const Ear ear(scratch / "notify");
    gone = ServiceManager::from_environment();
  }
  gone.ready();
}

TEST_CASE("a watchdog is fed that waits for this process, and no other") {
  Scratch scratch;
  const Ear ear(scratch / "notify");
  CHECK_FALSE(ServiceManager::from_environment().watchdog());
  ::setenv("WATCHDOG_USEC", "60000000", 1);
  CHECK(ServiceManager::from_environment().watchdog() == Duration(60s));
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  CHECK(ServiceManager::from_environment().watchdog() == Duration(60s));
  ::setenv("WATCHDOG_PID", "1", 1);
  CHECK_FALSE(ServiceManager::from_environment().watchdog());
  ::unsetenv("WATCHDOG_PID");
  for (const char* nonsense : {"", "0", "-1", "soon"}) {
    ::setenv("WATCHDOG_USEC", nonsense, 1);
    CHECK_FALSE(ServiceManager::from_environment().watchdog());
  }
}
