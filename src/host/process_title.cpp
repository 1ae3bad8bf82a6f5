// ps shows what lies in the memory that the kernel filled with argv. It is overwritten in place;
// the environment lies right behind it and is moved to the heap first, so that a title longer than
// the old argv has room.

#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <string>

#include "schedctl/host/host.hpp"

namespace schedctl::host {
namespace {

struct ArgvArea {
  char* begin = nullptr;
  std::size_t size = 0;
  std::string program;
};

ArgvArea& area() {
  static ArgvArea instance;
  return instance;
}

std::string find_program() {
  std::array<char, 4096> path{};
  const ssize_t n = ::readlink("/proc/self/exe", path.data(), path.size() - 1);
  return n > 0 ? std::string(path.data(), static_cast<std::size_t>(n)) : std::string();
}

}  // namespace

void remember_argv(int argc, char** argv) {
  ArgvArea& a = area();
  // Saved now: after an upgrade /proc/self/exe names the old, deleted file.
  a.program = find_program();
  a.begin = nullptr;
  a.size = 0;
  if (argc == 0) return;
  a.begin = argv[0];
  char* end = argv[0];
  for (int i = 0; i < argc; ++i) {
    if (argv[i] == end) end += std::strlen(argv[i]) + 1;
  }
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    if (*variable == end) end += std::strlen(*variable) + 1;
  }
  a.size = static_cast<std::size_t>(end - a.begin);
}

void set_process_title(const std::string& title) {
  ArgvArea& a = area();
  // "schedctl: daemon" is one byte longer than the kernel's short name may be.
  ::prctl(PR_SET_NAME, "schedctl");
  if (a.begin == nullptr || a.size < 2) return;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    if (*variable < a.begin || *variable >= a.begin + a.size) continue;
    // Never freed: it belongs to the environment of the whole process from now on.
    char* copy = ::strdup(*variable);
    if (copy != nullptr) *variable = copy;
  }
  const std::size_t length = std::min(title.size(), a.size - 1);
  std::memset(a.begin, 0, a.size);
  std::memcpy(a.begin, title.data(), length);
}

std::string program_path() {
  return area().program;
}

}  // namespace schedctl::host
