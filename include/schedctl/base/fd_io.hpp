#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "schedctl/base/unique_fd.hpp"

namespace schedctl {

/// Reads from here to the end, or `most` bytes. 0, or an errno value: `bytes` has what came before.
int read_to_end(int fd, std::size_t most, std::string& bytes);

/// Adds what has come through a non-blocking pipe to `said`, which keeps some `most` bytes. False:
/// it is still open. True: it has an end, or broke.
bool read_to_hangup(int fd, std::size_t most, std::string& said);

/// False, with errno: not all of it could be written.
bool write_all(int fd, std::string_view bytes);

/// The text as a file in memory that nobody can change, open for reading; none, with errno.
UniqueFd sealed_file(std::string_view text);

/// What is in the directory under names that begin with `prefix`, in no order; nothing, if it
/// cannot be read. `dir` is left as it is.
std::vector<std::string> names_in(int dir, std::string_view prefix);

/// Opens /dev/null where a standard descriptor is missing: otherwise a file that is opened later
/// would get its number, and what is meant for it.
void fill_standard_descriptors();

}  // namespace schedctl
