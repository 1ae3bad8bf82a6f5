#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace schedctl {

/// Reads from here to the end, or `most` bytes. 0, or an errno value: `bytes` has what came before.
int read_to_end(int fd, std::size_t most, std::string& bytes);

/// False, with errno: not all of it could be written.
bool write_all(int fd, std::string_view bytes);

/// What is in the directory under names that begin with `prefix`, in no order; nothing, if it
/// cannot be read. `dir` is left as it is.
std::vector<std::string> names_in(int dir, std::string_view prefix);

}  // namespace schedctl
