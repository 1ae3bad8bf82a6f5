#include "schedctl/base/signals.hpp"

#include <csignal>
#include <cstring>

#include "schedctl/base/text.hpp"

namespace schedctl {
namespace {

/// Those between the classic ones and SIGRTMIN are the C library's own.
bool is_free_to_use(std::int64_t number) {
  if (number < 1 || number > SIGRTMAX) return false;
  return number >= SIGRTMIN || sigabbrev_np(static_cast<int>(number)) != nullptr;
}

}  // namespace

std::string signal_name(int number) {
  if (const char* name = sigabbrev_np(number)) return std::string("SIG") + name;
  if (number == SIGRTMIN) return "SIGRTMIN";
  if (number > SIGRTMIN && number <= SIGRTMAX)
    return "SIGRTMIN+" + std::to_string(number - SIGRTMIN);
  return "SIG" + std::to_string(number);
}

std::optional<int> parse_signal(std::string_view text) {
  if (const auto number = parse_int(text)) {
    if (!is_free_to_use(*number)) return std::nullopt;
    return static_cast<int>(*number);
  }
  std::string wanted = lowered(text);
  if (!wanted.starts_with("sig")) wanted.insert(0, "sig");
  for (int number = 1; number <= SIGRTMAX; ++number) {
    if (is_free_to_use(number) && lowered(signal_name(number)) == wanted) return number;
  }
  return std::nullopt;
}

}  // namespace schedctl
