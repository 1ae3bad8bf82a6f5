#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace schedctl {

/// What kind of failure an Error is. The command line turns it into an exit code (DESIGN: section 5
/// of the manual page, EXIT STATUS).
enum class ErrorKind {
  failed,       ///< the operation was tried and did not work (exit 1)
  usage,        ///< what was asked for cannot be understood or is not valid (exit 2)
  not_found,    ///< the named thing does not exist (exit 3)
  conflict,     ///< exists already, or its state forbids the operation (exit 5)
  unavailable,  ///< store or daemon cannot be reached now; trying again may help (exit 69)
  not_allowed,  ///< permissions (exit 77)
  config,       ///< configuration or store is unusable until a person mends it (exit 78)
};

/// An expected failure, written for a person: `message` says what was wrong and what to do about
/// it, `where` names the place (flag, field, or file:line:column) and may be empty.
struct [[nodiscard]] Error {
  ErrorKind kind = ErrorKind::failed;
  std::string message;
  std::string where = {};
};

template <class T>
using Result = tl::expected<T, Error>;

/// `return fail(ErrorKind::usage, "...", "--every");`
inline tl::unexpected<Error> fail(ErrorKind kind, std::string message, std::string where = {}) {
  return tl::unexpected<Error>(Error{kind, std::move(message), std::move(where)});
}
inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

/// An error from errno: "cannot open /x: Permission denied". The kind is not_allowed for EACCES and
/// EPERM, failed otherwise.
Error error_from_errno(std::string_view what, int error_number);

/// The text of an errno value ("No such file or directory"), thread safe.
std::string errno_text(int error_number);

}  // namespace schedctl

/// Passes an error up: `TRY(value, store.find_job(name));` declares `value`.
#define SCHEDCTL_CONCAT2(a, b) a##b
#define SCHEDCTL_CONCAT(a, b) SCHEDCTL_CONCAT2(a, b)
#define SCHEDCTL_TRY_IMPL(tmp, decl, expr)                   \
  auto tmp = (expr);                                         \
  if (!tmp) return ::tl::unexpected(std::move(tmp).error()); \
  decl = std::move(*tmp)
#define TRY(decl, expr) SCHEDCTL_TRY_IMPL(SCHEDCTL_CONCAT(try_, __LINE__), decl, expr)
/// The same for Result<void>.
#define TRY_VOID(expr)                                                       \
  do {                                                                       \
    auto try_result = (expr);                                                \
    if (!try_result) return ::tl::unexpected(std::move(try_result).error()); \
  } while (false)
