#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "schedctl/base/result.hpp"

namespace schedctl {

/// "16MiB", "10GiB", "1500B", "5MB", "0B": a whole number of the largest unit that says it exactly
/// and shortest, as parse_bytes reads it back. A negative one, which parse_bytes refuses, has a
/// minus in front.
std::string format_bytes(std::int64_t bytes);

/// About as much, for people: "1.4 GiB", "23 MiB", "512 B".
std::string about_bytes(std::int64_t bytes);

/// Reads amounts of data as people write them: a whole number and a unit in any case, no space, no
/// sign. K, M, G, T and KiB, MiB, GiB, TiB count in powers of 1024; KB, MB, GB, TB in powers of
/// 1000, as disks are sold and as `dd` has it; a bare number, or B, is bytes. Anything over 1 PiB
/// is an error of kind usage.
Result<std::int64_t> parse_bytes(std::string_view text);

}  // namespace schedctl
