#include "schedctl/base/result.hpp"

#include <cerrno>
#include <system_error>

namespace schedctl {

std::string errno_text(int error_number) {
  return std::generic_category().message(error_number);
}

Error error_from_errno(std::string_view what, int error_number) {
  const bool permission = error_number == EACCES || error_number == EPERM;
  return Error{permission ? ErrorKind::not_allowed : ErrorKind::failed,
               std::string(what) + ": " + errno_text(error_number)};
}

}  // namespace schedctl
