#include "schedctl/cli/cli.hpp"

namespace schedctl::cli {

const char* version() {
  return SCHEDCTL_VERSION;
}

}  // namespace schedctl::cli
