#include "schedctl/base/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace schedctl {

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "schedctl: this is a bug: %s does not hold (%s:%d)\n", condition, file,
               line);
  std::abort();
}

}  // namespace schedctl
