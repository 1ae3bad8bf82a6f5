#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace schedctl {

/// Control characters, DEL and broken UTF-8 become \n, \t, \xNN; a backslash becomes two. What a
/// stranger wrote can then be shown on a terminal or in a log line without doing anything.
std::string escape_control(std::string_view text);

/// The candidate nearest to `word` by edit distance, if it is near enough to be a likely typo.
std::optional<std::string> nearest(std::string_view word,
                                   const std::vector<std::string>& candidates);

/// `text` with the letters of ASCII in lower case.
std::string lowered(std::string_view text);

/// `text` without the blanks, tabs and line ends around it.
std::string_view trimmed(std::string_view text);

/// `text` cut to whole UTF-8 characters so that it has at most `limit` bytes.
std::string_view utf8_prefix(std::string_view text, std::size_t limit);

/// A 64-bit hash that is the same on every machine and in every version (FNV-1a with a final mix).
/// Jitter and `H` fields depend on it: it must never change.
std::uint64_t stable_hash(std::string_view text);

/// An integer that fills the whole of `text`; nothing else.
std::optional<std::int64_t> parse_int(std::string_view text);

}  // namespace schedctl
