#pragma once

#include "schedctl/base/result.hpp"

namespace schedctl::cli {

/// EXIT STATUS of the manual page.
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitConfig = 78;

int exit_code(ErrorKind kind);
const char* to_string(ErrorKind kind);

/// The same error with the TOML key in `where` turned into the flag that a person typed: "cron"
/// into
/// "--cron", "retry.max_attempts" into "--max-attempts". Other places are left as they are.
Error with_flag(Error error);
template <class T>
Result<T> with_flag(Result<T> result) {
  if (!result) return fail(with_flag(std::move(result.error())));
  return result;
}

/// With what it quotes cut to what somebody would read: an argument may have 128 KiB.
Error clipped(Error error);

/// For errors that everybody who is not allowed should read.
Error with_permission_hint(Error error);

}  // namespace schedctl::cli
