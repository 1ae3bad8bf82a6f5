#include "schedctl/base/crash_point.hpp"

#ifdef SCHEDCTL_CRASH_POINTS

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>

#include "schedctl/base/text.hpp"

namespace schedctl {

void crash_point(const char* name) {
  // Read once: the environment is not to be read while another thread changes it.
  static const std::string wanted = [] {
    const char* value = std::getenv("_SCHEDCTL_CRASH_AT");
    return std::string(value == nullptr ? "" : value);
  }();
  if (wanted.empty()) return;
  const std::size_t colon = wanted.find(':');
  if (wanted.compare(0, colon, name) != 0) return;
  static std::atomic<std::int64_t> left{
      colon == std::string::npos ? 1 : parse_int(wanted.substr(colon + 1)).value_or(1)};
  if (--left == 0) ::kill(::getpid(), SIGKILL);
}

}  // namespace schedctl

#endif
