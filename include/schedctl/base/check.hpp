#pragma once

namespace schedctl {
/// Prints the failed condition to stderr and aborts.
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}  // namespace schedctl

/// For programmer errors only; stays on in release. Expected failures are Result<T>.
#define CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::schedctl::check_failed(#condition, __FILE__, __LINE__))
