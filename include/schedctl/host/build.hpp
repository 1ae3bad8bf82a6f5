#pragma once

#include <string>

namespace schedctl::host {

/// Tells this build of the program from every other: the linker's build id, a hash of what was
/// linked. It is read from memory, so it is right after the file was replaced or removed. Empty: it
/// was linked without.
const std::string& own_build();

}  // namespace schedctl::host
