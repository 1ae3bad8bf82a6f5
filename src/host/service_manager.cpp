#include "schedctl/host/service_manager.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <ctime>

#include "schedctl/base/text.hpp"
#include "schedctl/base/unique_fd.hpp"

namespace schedctl::host {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace

ServiceManager ServiceManager::from_environment() {
  ServiceManager manager;
  const std::string socket = variable("NOTIFY_SOCKET");
  if (socket.size() > 1 && (socket[0] == '/' || socket[0] == '@') &&
      socket.size() < sizeof(sockaddr_un::sun_path))
    manager.socket_ = socket;
  const auto microseconds = parse_int(variable("WATCHDOG_USEC"));
  const std::string pid = variable("WATCHDOG_PID");
  const bool is_ours = pid.empty() || pid == std::to_string(::getpid());
  if (manager.listens() && is_ours && microseconds && *microseconds > 0)
    manager.watchdog_ = Duration(*microseconds);
  return manager;
}

void ServiceManager::reloading() const {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const std::int64_t us = std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
  tell("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(us));
}

void ServiceManager::needs_more_time(Duration at_most) const {
  tell("EXTEND_TIMEOUT_USEC=" + std::to_string(at_most.count()));
}

void ServiceManager::tell(const std::string& message) const {
  if (socket_.empty()) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socket_.copy(address.sun_path, socket_.size());
  if (socket_[0] == '@') address.sun_path[0] = '\0';
  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  // Nobody there, or too slow: no reason for a scheduler to stop.
  if (fd)
    ::sendto(fd.get(), message.data(), message.size(), MSG_NOSIGNAL,
             reinterpret_cast<const sockaddr*>(&address), length);
}

}  // namespace schedctl::host
